#!/usr/bin/env python3
"""Messages per second of server CPU: wsd, other servers and a plain TCP echo, in interleaved runs.

Every server runs pinned to one core, the generator to another. Each round measures every server
once, one after the other, so that a machine that slows down slows all of them down; what counts is
the median of the rounds' ratios to the TCP echo. Python 3 standard library only.
"""
import argparse
import contextlib
import json
import pathlib
import shlex
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = "tcp_echo"

# Payload, messages in flight per connection, connections. The ratios depend on the connections,
# 1 MiB most of all; these counts are calibrated, not natural: README.md says against what.
DEFAULT_POINTS = [("64", 1, 4), ("64", 64, 4), ("16k", 1, 4), ("1m", 1, 1)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(name, process, host, port):
    for _ in range(100):
        if process.poll() is not None:
            sys.exit(f"compare: {name} ended with {process.returncode} instead of listening")
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), timeout=1).close()
            return
        time.sleep(0.1)
    sys.exit(f"compare: {name} does not listen on {host}:{port}")


def start(stack, core, name, command, url):
    """Starts a server pinned to a core; the stack ends it. Returns its pid (taskset keeps it)."""
    try:
        process = subprocess.Popen(["taskset", "-c", str(core), *command],
                                   stdout=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"compare: cannot start {name}: {error}")
    stack.callback(process.wait)
    stack.callback(process.terminate)
    parts = urllib.parse.urlsplit(url)
    wait_until_listening(name, process, parts.hostname, parts.port)
    return process.pid


def measure(args, server, point):
    name, url, pid = server
    size, depth, connections = point
    command = ["taskset", "-c", str(args.generator_core), str(args.build / "load"), "--json",
               "--url", url, "--server-pid", str(pid), "--size", size, "--depth", str(depth),
               "--connections", str(connections), "--duration", str(args.seconds),
               "--warmup", str(args.warmup)]
    command += ["--tcp"] if name == BASELINE else []
    command += ["--text"] if args.text else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"compare: the generator failed on {name}")
    return json.loads(done.stdout)["messages_per_cpu_second"]


def parse_point(text):
    """SIZE:DEPTH:CONNECTIONS"""
    size, depth, connections = text.split(":")
    return size, int(depth), int(connections)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", nargs=2, action="append", default=[],
                        metavar=("NAME=COMMAND", "URL"),
                        help="another server to start and measure, may be repeated")
    parser.add_argument("--points", nargs="+", type=parse_point, default=DEFAULT_POINTS,
                        metavar="SIZE:DEPTH:CONNECTIONS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="measured time of one run (2)")
    parser.add_argument("--warmup", type=float, default=0.5, help="time before it (0.5)")
    parser.add_argument("--text", action="store_true", help="text messages, not binary ones")
    parser.add_argument("--tls", action="store_true", help="measure wsd over wss://")
    parser.add_argument("--no-wsd", action="store_true", help="only the baseline and the peers")
    parser.add_argument("--wsd", type=pathlib.Path, default=ROOT / "wsd")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release/bench",
                        help="where load and tcp_echo are")
    parser.add_argument("--echo-buffer", default="256k", help="receive buffer of tcp_echo (256k)")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    return parser.parse_args()


def start_all(stack, args):
    """Returns (name, url, pid) of each server, the baseline first."""
    def add(name, command, url):
        servers.append((name, url, start(stack, args.server_core, name, command, url)))

    servers = []
    port = free_port()
    add(BASELINE, [str(args.build / "tcp_echo"), "--listen", f"127.0.0.1:{port}",
                   "--buffer", args.echo_buffer], f"tcp://127.0.0.1:{port}")
    if not args.no_wsd:
        url = f"{'wss' if args.tls else 'ws'}://127.0.0.1:{free_port()}"
        add("wsd", [str(args.wsd), "--listen", url, "--threads", "1"], url)
    for definition, url in args.peer:
        name, _, command = definition.partition("=")
        add(name, shlex.split(command), url)
    return servers


def print_table(servers, points, results):
    others = [name for name, _, _ in servers[1:]]
    print("| payload | depth | connections | " + BASELINE + " | "
          + " | ".join(f"{name} | {name} / {BASELINE}" for name in others) + " |")
    print("|---" * (4 + 2 * len(others)) + "|")
    for point in points:
        base = results[BASELINE, point]
        cells = [*map(str, point), f"{statistics.median(base):,.0f}"]
        for name in others:
            own = results[name, point]
            ratios = [b / a for a, b in zip(base, own)]
            cells.append(f"{statistics.median(own):,.0f}")
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
        print("| " + " | ".join(cells) + " |")


def main():
    args = parse_arguments()
    results = {}
    with contextlib.ExitStack() as stack:
        servers = start_all(stack, args)
        for point in args.points:
            for _ in range(args.rounds):
                for server in servers:
                    results.setdefault((server[0], point), []).append(measure(args, server, point))
            print("measured", *point, file=sys.stderr)
    print("Messages per second of server CPU (user + system), "
          f"medians of {args.rounds} interleaved rounds; "
          "ratios: median (least-most)\n")
    print_table(servers, args.points, results)


if __name__ == "__main__":
    main()
