"""The servers that bench.py measures: which there are, and how one is started and ended.

Python 3 standard library only.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench/peers"
NODE_MODULES = ROOT / "build/peers/node_modules"
YARDSTICK = "limit"
# Where it shows that a server has a message to gather and to unmask before it answers, a second
# yardstick does only that: work -> bytes of the masked frame.
GATHERED = {"16k": (16 << 10) + 8, "1m": (1 << 20) + 14}


class Server:
    """A server to be started: command PORT, or command PORT CERT KEY for TLS."""

    def __init__(self, name, plain, tls, versions, bare=False, threads=1):
        self.name, self.plain, self.tls, self.versions = name, plain, tls, versions
        self.bare = bare  # speaks no protocol
        self.threads = threads  # event loops

    def command(self, port, tls):
        cert, key = tls or ("", "")
        # Not format(): a peer's command may have braces of its own.
        return [word.replace("{port}", str(port)).replace("{cert}", cert).replace("{key}", key)
                for word in (self.tls if tls else self.plain)]

    def scheme(self, tls, handshakes_only=False):
        if self.bare or handshakes_only:
            return "tls" if tls else "tcp"
        return "wss" if tls else "ws"


def program(name, command, versions):
    return Server(name, [*command, "{port}"], [*command, "{port}", "{cert}", "{key}"], versions)


def limit_command(args):
    return [str(args.build / "limit"), "--listen", "127.0.0.1:{port}"]


def gathering_yardsticks(args):
    return {work: Server(f"{YARDSTICK} --message {size}",
                         [*limit_command(args), "--message", str(size)], [], [], bare=True)
            for work, size in GATHERED.items()}


def our_servers(args):
    limit = limit_command(args)
    wsd = [str(args.wsd), "--threads", str(args.threads), "--max-connections", "12000",
           "--log-level", "error", "--listen"]
    pem = ["--cert", "{cert}", "--key", "{key}"]
    return [Server(YARDSTICK, limit, limit + pem, [["openssl", "version"]], bare=True),
            Server("wsd", wsd + ["ws://127.0.0.1:{port}"], wsd + ["wss://127.0.0.1:{port}"] + pem,
                   [[str(args.wsd), "--version"]], threads=args.threads)]


def debian(package):
    return ["dpkg-query", "-W", package]


def ready_peers(args):
    """The peers of bench/peers. Returns those that are there, and why others are not."""
    bun = NODE_MODULES / ".bin/bun"
    node_ws = ["node", "-p", f"'ws ' + require('{NODE_MODULES}/ws/package.json').version"]
    candidates = [
        ("libwebsockets", [str(args.build / "peers/libwebsockets")], [debian("libwebsockets-dev")],
         args.build / "peers/libwebsockets", "needs libwebsockets-dev"),
        ("beast", [str(args.build / "peers/beast")], [debian("libboost-dev")],
         args.build / "peers/beast", "needs libboost-dev"),
        ("node-ws", ["node", str(PEERS / "node_ws.mjs")], [["node", "--version"], node_ws],
         shutil.which("node") and NODE_MODULES / "ws", "needs nodejs and npm's ws"),
        ("bun", [str(bun), str(PEERS / "bun.mjs")], [[str(bun), "--version"]], bun, "needs npm's bun"),
    ]
    found, missing = [], {}
    for name, command, versions, needed, why in candidates:
        if needed and needed.exists():
            found.append(program(name, command, versions))
        else:
            missing[name] = why
    return found, missing


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def can_pin():
    return len(os.sched_getaffinity(0)) > 1 and shutil.which("taskset") is not None


def pinned(core, command):
    return ["taskset", "-c", core, *command] if can_pin() else command


class Failed(Exception):
    pass


class Running:
    """A started server, with what else its command started: a session of their own."""

    def __init__(self, args, server, tls):
        self.port = free_port()
        self.fate = None  # why it runs no more
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            pinned(args.server_core, server.command(self.port, tls)), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=self.errors,
            env={**os.environ, "PEER_MODULES": str(NODE_MODULES.parent)})
        self.pid = self.process.pid  # taskset keeps it
        self.threads = server.threads

    def check(self):
        if self.fate is None and self.process.poll() is not None:
            self.fate = f"ended with {self.process.returncode}: {self.last_words()}"
        if self.fate is not None:
            raise Failed(self.fate)

    def others_ticks(self):
        """CPU time of the other processes of its session, which nobody measures."""
        ticks = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # proc(5): after the name, the session is the 4th, utime and stime the 12th, 13th.
                fields = stat.read_text().rpartition(")")[2].split()
                if fields[3] == str(self.pid) != stat.parent.name:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks

    def last_words(self):
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(size - 4096, 0))
        lines = self.errors.read().decode(errors="replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()] or ["nothing on stderr"]
        # Node writes its version last.
        return next((line for line in reversed(lines) if "rror" in line), lines[-1])[:200]

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running(args, server, tls):
    """Starts a server, waits until it listens, and ends it."""
    try:
        place = Running(args, server, tls)
    except OSError as error:
        raise Failed(str(error)) from error
    try:
        for _ in range(200):
            place.check()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", place.port), timeout=1).close()
                break
            time.sleep(0.05)
        else:
            raise Failed(f"does not listen: {place.last_words()}")
        yield place
    finally:
        place.kill()
        place.errors.close()
