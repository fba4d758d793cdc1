#!/usr/bin/env python3
"""wsd, other servers and the yardstick in interleaved runs: `make bench`.

Every server runs pinned to one core, the generator to another. A round measures each work on each
server, one server after the other and the next round the other way round, so that a machine that
slows down slows all of them down. Rounds are many and runs short: what two servers are compared by
lies tenths of a second apart, and the median of the rounds is what counts. Results go to
bench/results/: results.json, and what bench_report.py makes of it. Python 3 standard library only.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time

import bench_report

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench/peers"
NODE_MODULES = ROOT / "build/peers/node_modules"
YARDSTICK = "limit"
IDLE = {False: 10_000, True: 2_000}  # plain, TLS: a handshake each takes its time

# Key, title, TLS, wsbench's options. The yardstick gets the same bytes without the protocol.
ECHO = [
    ("64", "echo 64 B, 1 in flight, 50 connections", "--size 64 --connections 50"),
    ("64x64", "echo 64 B, 64 in flight", "--size 64 --depth 64 --connections 4"),
    ("16k", "echo 16 KiB", "--size 16k --connections 4"),
    ("1m", "echo 1 MiB", "--size 1m --connections 1"),
]
WORKS = [(key, title, False, options) for key, title, options in ECHO]
WORKS[2:2] = [("text", "text 64 B, 64 in flight, UTF-8 of all lengths", False,
               "--size 64 --depth 64 --connections 4 --text --content utf8")]
WORKS += [("tls-" + key, "TLS " + title, True, options) for key, title, options in ECHO]
WORKS += [
    ("full", "TLS handshakes, full", True, "--churn 4"),
    ("resumed", "TLS handshakes, resumed", True, "--churn 4 --resume"),
    ("churn", "connect + upgrade + close", False, "--churn 4"),
]
# Where it shows that a server has a message to gather and to unmask before it answers, a second
# yardstick does only that: work -> bytes of the masked frame.
GATHERED = {"16k": (16 << 10) + 8, "1m": (1 << 20) + 14}
HANDSHAKES_ONLY = {"full", "resumed"}
# fanout's, on servers with publish and subscribe; the yardstick is a bare loop of send().
PUBLISH = ("publish", "publish 64 B to 1,000 subscribers", "--rounds 1 --publishes 60")
OPEN_LOOP_OF = "64"  # its peak, halved, is the rate of the open loop
# Short windows, and several a round: where a host stops a virtual core for milliseconds a few times
# a second, a long one tells of the host alone.
OPEN_LOOP_WINDOWS, OPEN_LOOP_WINDOW_S = 5, 0.1
IDLE_ROUNDS = 9  # of 100 connections alone, then among 10,000 idle ones


class Server:
    """A server to be started: command PORT, or command PORT CERT KEY for TLS."""

    def __init__(self, name, plain, tls, versions, bare=False):
        self.name, self.plain, self.tls, self.versions = name, plain, tls, versions
        self.bare = bare  # speaks no protocol

    def command(self, port, tls):
        return [word.format(port=port, cert=tls and tls[0], key=tls and tls[1])
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
                   [[str(args.wsd), "--version"]])]


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


def pinned(core, command):
    several = len(os.sched_getaffinity(0)) > 1 and shutil.which("taskset")
    return ["taskset", "-c", str(core), *command] if several else command


class Failed(Exception):
    pass


@contextlib.contextmanager
def running(args, server, tls):
    """Starts a server, waits until it listens, and ends it. Yields its port and pid."""
    port = free_port()
    environment = {**os.environ, "PEER_MODULES": str(NODE_MODULES.parent)}
    try:
        process = subprocess.Popen(pinned(args.server_core, server.command(port, tls)),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=environment)
    except OSError as error:
        raise Failed(str(error)) from error
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise Failed(f"ended with {process.returncode} instead of listening")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.05)
        else:
            raise Failed("does not listen")
        yield port, process.pid  # taskset keeps the pid
    finally:
        process.kill()
        process.wait()


def generate(args, command):
    done = subprocess.run(pinned(args.generator_core, command), capture_output=True, text=True)
    if done.returncode != 0:
        name = pathlib.Path(command[0]).name
        raise Failed(done.stderr.strip().removeprefix(f"{name}: ") or "the generator failed")
    result = json.loads(done.stdout)
    if None in result.values():
        raise Failed("its process used no CPU time: a script that starts the server is to exec it")
    return result


def wsbench(args, url, pid, options, seconds):
    command = [str(args.build / "wsbench"), "--json", "--url", url, "--server-pid", str(pid),
               "--server-threads", str(args.threads), "--duration", str(seconds), "--warmup", "0.05",
               *options]
    return generate(args, command)


class Bench:
    def __init__(self, args, servers):
        self.args, self.servers = args, servers
        self.gathering = gathering_yardsticks(args)
        self.runs = {}      # work -> server -> results of the rounds
        self.failures = {}  # "server, work" -> why
        self.tls = make_certificate(args)
        self.started = {}   # (server, TLS) -> port, pid
        self.publishers = {}  # server -> port, pid

    def note(self, work, server, result):
        self.runs.setdefault(work, {}).setdefault(server.name, []).append(result)

    def attempt(self, work, server, action):
        """Runs it; a failure is noted once and ends this work for this server."""
        if f"{server.name}, {work}" in self.failures:
            return None
        try:
            return action()
        except Failed as failure:
            self.failures[f"{server.name}, {work}"] = str(failure)
            return None

    def start(self, stack, server, tls):
        place = self.attempt(
            "TLS" if tls else "plain", server,
            lambda: stack.enter_context(running(self.args, server, tls and self.tls)))
        if place is not None:
            self.started[server.name, tls] = place

    def start_all(self, stack):
        for server in self.servers:
            self.start(stack, server, False)
            self.start(stack, server, True)
        for server in self.gathering.values():
            self.start(stack, server, False)
        # wsd echoes; its engine publishes in this one.
        ours = Server("wsd", [str(self.args.build / "fanout_server"), "--threads",
                              str(self.args.threads), "--listen", "ws://127.0.0.1:{port}"], [], [])
        self.publishers = {name: place for (name, tls), place in self.started.items()
                           if not tls and name != YARDSTICK}
        place = self.attempt(PUBLISH[0], ours,
                             lambda: stack.enter_context(running(self.args, ours, None)))
        if place is not None:
            self.publishers["wsd"] = place
        # The yardstick is started by fanout itself, beside a server that it wants to have.
        if "wsd" in self.publishers:
            self.publishers[YARDSTICK] = self.publishers["wsd"]

    def publish(self, server):
        bare = server.name == YARDSTICK
        port, pid = self.publishers[server.name]
        command = [str(self.args.build / "fanout"), "--json", "--url", f"ws://127.0.0.1:{port}",
                   "--server-pid", str(pid), *PUBLISH[2].split()]
        if bare:
            command += ["--bare", "--server-core", self.args.server_core.split(",")[0]]
        result = generate(self.args, command)
        return {"messages_per_cpu_second": result["bare_messages_per_cpu_second"]} if bare else result

    def publish_all(self, servers):
        for server in servers:
            if server.name not in self.publishers:
                continue
            result = self.attempt(PUBLISH[0], server, lambda: self.publish(server))
            if result is not None:
                self.note(PUBLISH[0], server, result)

    def measure(self, server, tls, options, seconds, handshakes_only=False):
        port, pid = self.started[server.name, tls]
        url = f"{server.scheme(tls, handshakes_only)}://127.0.0.1:{port}"
        return wsbench(self.args, url, pid, shlex.split(options), seconds)

    def round(self, backwards):
        order = slice(None, None, -1 if backwards else 1)
        servers = self.servers[order]
        peak = {}
        for work, _, tls, options in WORKS:
            yardsticks = [self.gathering[work]] if work in self.gathering else []
            for server in (yardsticks + self.servers)[order]:
                if (server.name, tls) not in self.started:
                    continue
                result = self.attempt(work, server, lambda: self.measure(
                    server, tls, options, self.args.seconds, work in HANDSHAKES_ONLY))
                if result is None:
                    continue
                self.note(work, server, result)
                if work == OPEN_LOOP_OF:
                    peak[server.name] = result["messages_per_second"]
        for _ in range(OPEN_LOOP_WINDOWS):
            for server in servers:
                if server.name not in peak:
                    continue
                rate = max(int(peak[server.name] / 2), 1)
                result = self.attempt("open loop", server, lambda: self.measure(
                    server, False, f"--size 64 --connections 50 --rate {rate}", OPEN_LOOP_WINDOW_S))
                if result is not None:
                    self.note("open", server, {**result, "rate": rate})
        self.publish_all(servers)

    def idle_bytes(self, server, tls):
        """On a server of its own: one that has worked hides new connections in memory it has."""
        with running(self.args, server, tls and self.tls) as (port, pid):
            url = f"{server.scheme(tls)}://127.0.0.1:{port}"
            options = ["--settle", "0.5", "--idle", str(IDLE[tls])]
            result = wsbench(self.args, url, pid, options, self.args.seconds)
            return [{"bytes": result["idle_bytes_per_connection"]}]

    def among_idle(self, server):
        """What 100 connections get from a server of which 10,000 others want nothing."""
        with contextlib.ExitStack() as stack:
            places = [stack.enter_context(running(self.args, server, None)) for _ in range(2)]
            urls = [f"{server.scheme(False)}://127.0.0.1:{port}" for port, _ in places]
            crowd = stack.enter_context(subprocess.Popen(
                pinned(self.args.generator_core,
                       [str(self.args.build / "wsbench"), "--url", urls[1], "--connections", "1",
                        "--rate", "1", "--duration", "600", "--idle", str(IDLE[False])]),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
            stack.callback(crowd.kill)

            def held():
                if crowd.poll() is not None:
                    raise Failed(crowd.stderr.read().strip() or "the idle connections are over")
                with contextlib.suppress(OSError):
                    return len(os.listdir(f"/proc/{places[1][1]}/fd")) >= IDLE[False]
                return False

            deadline = time.monotonic() + 60
            while not held():
                if time.monotonic() > deadline:
                    raise Failed(f"does not take {IDLE[False]:,} connections")
                time.sleep(0.1)
            time.sleep(0.5)  # the last of them shake hands
            results = []
            for number in range(IDLE_ROUNDS):
                rates = {}
                for i in (1, 0) if number % 2 else (0, 1):
                    result = wsbench(self.args, urls[i], places[i][1], ["--connections", "100"],
                                     self.args.seconds)
                    rates[i] = result["messages_per_cpu_second"]
                results.append({"ratio": rates[1] / rates[0]})
            if not held():
                raise Failed("ended idle connections")
            return results

    def idle_all(self):
        for server in self.servers:
            for work, action in (("idle", lambda: self.idle_bytes(server, False)),
                                 ("idle-tls", lambda: self.idle_bytes(server, True)),
                                 ("among idle", lambda: self.among_idle(server))):
                for result in self.attempt(work, server, action) or []:
                    self.note(work, server, result)


def make_certificate(args):
    cert, key = args.build / "cert.pem", args.build / "key.pem"
    if not cert.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj",
                        "/CN=localhost", "-keyout", str(key), "-out", str(cert)],
                       check=True, capture_output=True)
    return str(cert), str(key)


def first_line(command):
    with contextlib.suppress(OSError, IndexError):
        done = subprocess.run(command, capture_output=True, text=True)
        return " ".join(done.stdout.splitlines()[0].split())
    return "unknown"


def machine():
    model = "unknown"
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next((l.split(":")[1].strip() for l in lines if l.startswith("model name")), model)
    return {"processor": f"{model}, {os.cpu_count()} cores, {platform.machine()}",
            "kernel": f"{platform.system()} {platform.release()}",
            "compiler": first_line([(os.environ.get("CXX") or "g++").split()[-1], "--version"]),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "load before": f"{os.getloadavg()[0]:.1f} processes running (1 would be too many)"}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="one more server, started as COMMAND PORT [CERT KEY]; repeatable")
    parser.add_argument("--only", nargs="*", metavar="NAME",
                        help="of the ready peers only these, or none")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="measured time of one run (0.15)")
    parser.add_argument("--threads", type=int, default=1, help="of wsd (1)")
    parser.add_argument("--no-idle", action="store_true", help="leave the idle connections out")
    parser.add_argument("--wsd", type=pathlib.Path, default=ROOT / "wsd")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release/bench")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results")
    parser.add_argument("--server-core", default="0", help="as taskset -c takes it (0)")
    parser.add_argument("--generator-core", default="1", help="(1)")
    return parser.parse_args()


def main():
    args = parse_arguments()
    facts = machine()
    peers, missing = ready_peers(args)
    if args.only is not None:
        peers = [peer for peer in peers if peer.name in args.only]
    for definition in args.peer:
        name, _, command = definition.partition("=")
        peers.append(program(name, shlex.split(command), []))
    bench = Bench(args, our_servers(args) + peers)
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        bench.start_all(stack)
        for number in range(args.rounds):
            bench.round(backwards=number % 2 == 1)
            print(f"round {number + 1} of {args.rounds}: {time.monotonic() - start:.0f} s",
                  file=sys.stderr)
    if not args.no_idle:
        bench.idle_all()
    facts["versions"] = {server.name: ", ".join(map(first_line, server.versions)) or "as given"
                         for server in bench.servers}
    results = {"machine": facts, "rounds": args.rounds, "seconds": args.seconds,
               "threads": args.threads, "yardstick": YARDSTICK,
               "gathering": {work: server.name for work, server in bench.gathering.items()},
               "servers": [server.name for server in bench.servers], "missing": missing,
               "works": [[key, title] for key, title, *_ in [*WORKS, PUBLISH]],
               "failures": bench.failures, "runs": bench.runs}
    args.results.mkdir(exist_ok=True)
    (args.results / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(bench_report.write(results, args.results))


if __name__ == "__main__":
    main()
