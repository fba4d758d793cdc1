#!/usr/bin/env python3
"""wsd, other servers and the yardstick in interleaved runs: `make bench`.

Every server runs pinned to one core, the generator to another. A round measures each work on each
server, one server after the other and the next round the other way round, so that a machine that
slows down slows all of them down. Rounds are many and runs short: what two servers are compared by
lies tenths of a second apart, and the median of the rounds is what counts. A round before them
is not counted: Node does a third until its code is compiled. Results go to bench/results/:
results.json, and what bench_report.py makes of it. Python 3 standard library only.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import bench_report
from bench_servers import (ROOT, YARDSTICK, Failed, Server, can_pin, gathering_yardsticks,
                           our_servers, pinned, program, ready_peers, running)

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
HANDSHAKES_ONLY = {"full", "resumed"}
# fanout's, on servers with publish and subscribe; the yardstick is a bare loop of send().
PUBLISH = ("publish", "publish 64 B to 1,000 subscribers", "--rounds 1 --publishes 60")
OPEN_LOOP_OF = "64"  # its peak, halved, is the rate of the open loop
# Short windows, and several a round: where a host stops a virtual core for milliseconds a few times
# a second, a long one tells of the host alone.
OPEN_LOOP_WINDOWS, OPEN_LOOP_WINDOW_S = 5, 0.1
IDLE_ROUNDS = 9  # of 100 connections alone, then among 10,000 idle ones
WARM_UP_TIMES = 3  # as long are the runs of the round that is not counted
RESUMED_MIN = 0.9  # of the handshakes that offer to: the first of each connection's thread does not
WRONG_REPLY = ("differs from what was sent", "something else than what was published")
PATIENCE_S = 60  # beyond the measured time: a slow machine may need long for 2,000 TLS handshakes


def generate(args, place, command):
    """What a generator tells of the server there."""
    place.check()
    others = place.others_ticks()
    name = pathlib.Path(command[0]).name
    patience = args.seconds * WARM_UP_TIMES + PATIENCE_S
    try:
        done = subprocess.run(
            pinned(args.generator_core, [*command, "--json", "--server-pid", str(place.pid)]),
            capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired as error:
        place.fate = f"no answer to {name} within {patience:.0f} s, so it was killed"
        place.kill()  # it might use up the core of those that are measured next
        raise Failed(place.fate) from error
    if done.returncode != 0:
        raise Failed(done.stderr.strip().removeprefix(f"{name}: ") or f"{name} failed")
    try:
        result = json.loads(done.stdout)
    except ValueError as error:
        raise Failed(f"{name} wrote no JSON but {done.stdout.strip()[:200]!r}") from error
    if None in result.values():
        raise Failed("its process used no CPU time: a script that starts the server is to exec it")
    if place.others_ticks() > others + 1:
        raise Failed("its work is done by several processes, of which only one can be measured")
    return result


def wsbench(args, url, place, options, seconds):
    if "--connections" in options:
        # As many threads as wsd has, with at least two connections each, if there are two.
        at = options.index("--connections") + 1
        connections = max(int(options[at]), min(int(options[at]), 2) * args.threads)
        options = [*options[:at], str(connections), *options[at + 1:],
                   "--threads", str(args.threads)]
    result = generate(args, place, [str(args.build / "wsbench"), "--url", url, "--server-threads",
                                    str(place.threads), "--duration", str(seconds),
                                    "--warmup", "0.05", *options])
    if result.get("resumed", 1) < RESUMED_MIN:
        raise Failed(f"only {result['resumed']:.0%} of its handshakes resumed")
    return result


class Bench:
    def __init__(self, args, servers):
        self.args, self.servers = args, servers
        self.gathering = gathering_yardsticks(args)
        self.runs = {}      # work -> server -> results of the rounds
        self.failures = {}  # "server, work" -> why
        self.repeated = {}  # "server, work" -> why what succeeded when repeated failed at first
        self.tls = make_certificate(args)
        self.started = {}   # (server, TLS) -> Running
        self.publishers = {}  # server -> Running
        self.peak = {}      # server -> messages per second, of the open loop's work

    def note(self, work, server, result):
        self.runs.setdefault(work, {}).setdefault(server.name, []).append(result)

    def attempt(self, work, server, action):
        """Runs it, and once more if it fails, which is noted. A second failure, or a wrong reply,
        ends this work for this server."""
        what = f"{server.name}, {work}"
        if what in self.failures:
            return None
        why = None
        for _ in range(2):
            try:
                result = action()
            except Failed as failure:
                why = str(failure)
                if any(text in why for text in WRONG_REPLY):
                    break
            else:
                if why is not None:
                    self.repeated.setdefault(what, []).append(why)
                return result
        runs = len(self.runs.get(work, {}).get(server.name, []))
        if runs > 0:
            rounds = runs // (OPEN_LOOP_WINDOWS if work == "open" else 1)
            why = f"only {rounds} of {self.args.rounds} rounds: {why}"
        self.failures[what] = why
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
        place = self.publishers[server.name]
        command = [str(self.args.build / "fanout"), "--url", f"ws://127.0.0.1:{place.port}",
                   *PUBLISH[2].split()]
        if bare:
            command += ["--bare", "--server-core", re.match(r"\d+", self.args.server_core)[0]]
        result = generate(self.args, place, command)
        return {"messages_per_cpu_second": result["bare_messages_per_cpu_second"]} if bare else result

    def publish_all(self, servers):
        for server in servers:
            if server.name not in self.publishers:
                continue
            result = self.attempt(PUBLISH[0], server, lambda: self.publish(server))
            if result is not None:
                self.note(PUBLISH[0], server, result)

    def measure(self, server, tls, options, seconds, handshakes_only=False):
        place = self.started[server.name, tls]
        url = f"{server.scheme(tls, handshakes_only)}://127.0.0.1:{place.port}"
        return wsbench(self.args, url, place, shlex.split(options), seconds)

    def round(self, backwards, seconds):
        order = slice(None, None, -1 if backwards else 1)
        servers = self.servers[order]
        for work, _, tls, options in WORKS:
            yardsticks = [self.gathering[work]] if work in self.gathering else []
            for server in (yardsticks + self.servers)[order]:
                if (server.name, tls) not in self.started:
                    continue
                result = self.attempt(work, server, lambda: self.measure(
                    server, tls, options, seconds, work in HANDSHAKES_ONLY))
                if result is None:
                    continue
                self.note(work, server, result)
                if work == OPEN_LOOP_OF:
                    self.peak[server.name] = result["messages_per_second"]
        for _ in range(OPEN_LOOP_WINDOWS):
            for server in servers:
                if server.name not in self.peak:
                    continue
                rate = max(int(self.peak[server.name] / 2), 1)
                result = self.attempt("open", server, lambda: self.measure(
                    server, False, f"--size 64 --connections 50 --rate {rate}", OPEN_LOOP_WINDOW_S))
                if result is not None:
                    self.note("open", server, {**result, "rate": rate})
        self.publish_all(servers)

    def idle_bytes(self, server, tls):
        """On a server of its own: one that has worked hides new connections in memory it has."""
        with running(self.args, server, tls and self.tls) as place:
            url = f"{server.scheme(tls)}://127.0.0.1:{place.port}"
            options = ["--settle", "0.5", "--idle", str(IDLE[tls])]
            result = wsbench(self.args, url, place, options, self.args.seconds)
            return [{"bytes": result["idle_bytes_per_connection"]}]

    def among_idle(self, server):
        """What 100 connections get from a server of which 10,000 others want nothing."""
        with contextlib.ExitStack() as stack:
            places = [stack.enter_context(running(self.args, server, None)) for _ in range(2)]
            urls = [f"{server.scheme(False)}://127.0.0.1:{place.port}" for place in places]
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
                    return len(os.listdir(f"/proc/{places[1].pid}/fd")) >= IDLE[False]
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
                    result = wsbench(self.args, urls[i], places[i], ["--connections", "100"],
                                     self.args.seconds)
                    rates[i] = result["messages_per_cpu_second"]
                results.append({"ratio": rates[1] / rates[0]})
            if not held():
                raise Failed("ended idle connections")
            return results

    def idle_all(self):
        for server in self.servers:
            for work, echo, action in (
                    ("idle", "64", lambda: self.idle_bytes(server, False)),
                    ("idle-tls", "tls-64", lambda: self.idle_bytes(server, True)),
                    ("among idle", "64", lambda: self.among_idle(server))):
                if server.name not in self.runs.get(echo, {}):
                    continue  # what it did instead is noted there
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
    parser.add_argument("--threads", type=int, default=1, help="of wsd, and of the generator (1)")
    parser.add_argument("--no-idle", action="store_true", help="leave the idle connections out")
    parser.add_argument("--wsd", type=pathlib.Path, default=ROOT / "wsd")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release/bench")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench/results")
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument("--server-core", default=str(cores[0]),
                        help="as taskset -c takes it (the first that this process may use)")
    parser.add_argument("--generator-core", default=str(cores[:2][-1]), help="(the second)")
    return parser.parse_args()


def fault(text):
    print(f"bench.py: {text}", file=sys.stderr)
    sys.exit(2)


def check(args):
    """What is wrong shows now, and not after minutes."""
    if args.rounds < 1 or args.threads < 1 or not 0 < args.seconds <= 30:
        fault("--rounds and --threads are at least 1, --seconds above 0 and at most 30")
    programs = [args.build / name for name in ("limit", "wsbench", "fanout", "fanout_server")]
    for needed in (args.wsd, *programs):
        if shutil.which(needed) is None:
            fault(f"{needed} is not built: make bench-programs")
    taken = []
    show = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]
    for option, core in (("--server-core", args.server_core),
                         ("--generator-core", args.generator_core)) if can_pin() else ():
        done = subprocess.run(pinned(core, show), capture_output=True, text=True)
        if done.returncode != 0:
            fault(f"{option} {core}: not as taskset -c takes it, or none of this process's cores")
        taken.append(set(done.stdout.split()))
    if taken and taken[0] & taken[1]:
        fault(f"--server-core {args.server_core} and --generator-core {args.generator_core} have "
              "cores in common: give each its own")
    try:
        args.results.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=args.results).close()
    except OSError as error:
        fault(f"--results {args.results}: {error.strerror}")


def chosen_peers(args):
    """The ready peers that --only leaves and those of --peer; and why others are missing."""
    peers, missing = ready_peers(args)
    ready = [*(peer.name for peer in peers), *missing]
    if args.only is not None:
        only = list(filter(None, args.only))
        for name in only:
            if name not in ready:
                fault(f"--only {name}: the ready peers are {', '.join(ready)}")
        peers = [peer for peer in peers if peer.name in only]
        missing = {name: why for name, why in missing.items() if name in only}
    taken = [YARDSTICK, "wsd", *ready]
    for definition in args.peer:
        name, _, command = definition.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or not command:
            fault(f"--peer {definition!r}: give NAME=COMMAND, the name of A-Z a-z 0-9 . _ -")
        if name in taken:
            fault(f"--peer {name}: there is a server of that name already, give it another")
        try:
            words = shlex.split(command)
        except ValueError as error:
            fault(f"--peer {name}: {error} in {command!r}")
        if not words or shutil.which(words[0]) is None:
            fault(f"--peer {name}: {command!r} begins with no program that can be run")
        taken.append(name)
        peers.append(program(name, words, []))
    return peers, missing


def end_with_cleanup(number, _):
    """As an exception, which ends all servers on its way."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    args = parse_arguments()
    check(args)
    peers, missing = chosen_peers(args)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, end_with_cleanup)
    # For the servers: wsbench, which has as many connections, does the same for itself.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    facts = machine()
    bench = Bench(args, our_servers(args) + peers)
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        bench.start_all(stack)
        for number in range(args.rounds + 1):
            warm_up = number == 0
            bench.round(number % 2 == 1, args.seconds * (WARM_UP_TIMES if warm_up else 1))
            if warm_up:
                bench.runs.clear()
            print(f"round {number} of {args.rounds}{', not counted' if warm_up else ''}: "
                  f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    if not args.no_idle:
        bench.idle_all()
    facts["versions"] = {server.name: ", ".join(map(first_line, server.versions)) or "as given"
                         for server in bench.servers}
    results = {"machine": facts, "rounds": args.rounds, "seconds": args.seconds,
               "threads": args.threads, "pinned": can_pin(), "yardstick": YARDSTICK,
               "gathering": {work: server.name for work, server in bench.gathering.items()},
               "servers": [server.name for server in bench.servers], "missing": missing,
               "works": [[key, title] for key, title, *_ in [*WORKS, PUBLISH]],
               "failures": bench.failures, "repeated": bench.repeated, "runs": bench.runs}
    (args.results / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(bench_report.write(results, args.results))


if __name__ == "__main__":
    main()
