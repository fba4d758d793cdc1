#!/usr/bin/env python3
"""Instructions that wsd takes for a message, under callgrind: `make bench-counts`.

A count does not depend on how busy the machine is. Each script runs twice, with few and with many
messages, one connection and a closed loop; the difference, divided, is one message without start,
handshake and end. Compared with counts.txt, which holds for one compiler and libc: exit status 1
when a count is above its figure by more than the margin. --write makes the file anew.
Python 3 standard library only.
"""
import argparse
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Name, TLS, wsbench's options, few messages, many.
SCRIPTS = [
    ("echo 64 B, 1 in flight", False, "--size 64", 500, 4_500),
    ("echo 64 B, 64 in flight", False, "--size 64 --depth 64", 6_400, 70_400),
    ("echo 16 KiB", False, "--size 16k", 200, 1_200),
    ("text 64 B, 64 in flight, UTF-8", False, "--size 64 --depth 64 --text --content utf8",
     6_400, 70_400),
    ("JSON 2 KiB, deflate", False, "--size 2k --deflate on", 100, 1_100),
    ("TLS echo 64 B, 64 in flight", True, "--size 64 --depth 64", 6_400, 70_400),
    ("TLS echo 16 KiB", True, "--size 16k", 200, 1_200),
]
MARGIN = 0.03  # what is left of chance: where a pipeline is torn into two reads, timers


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(process, port):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"counts: wsd ended under valgrind with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("counts: wsd does not listen under valgrind")


def instructions(args, tls, options, messages, folder):
    """Of a whole life of wsd that echoes so many messages."""
    port = free_port()
    url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"
    log = folder / "valgrind.log"
    server = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}",
         str(args.wsd), "--threads", "1", "--log-level", "error", "--listen", url],
        stdout=subprocess.DEVNULL)
    try:
        wait_until_listening(server, port)
        done = subprocess.run([str(args.build / "wsbench"), "--json", "--url", url, "--messages",
                               str(messages), *options.split()], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"counts: {done.stderr.strip()}")
    finally:
        server.terminate()
        server.wait()
    found = re.search(r"Collected : (\d+)", log.read_text())
    if found is None:
        sys.exit("counts: callgrind did not tell its count:\n" + log.read_text())
    return int(found.group(1))


def measure(args, script, folder):
    _, tls, options, few, many = script
    return (instructions(args, tls, options, many, folder)
            - instructions(args, tls, options, few, folder)) / (many - few)


def read_figures(path):
    """Lines of: figure, two spaces, name; # begins a comment."""
    figures = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line and not line.startswith("#"):
            figure, name = line.split("  ", 1)
            figures[name] = float(figure)
    return figures


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]


def write_figures(path, counts):
    head = ("# Instructions of wsd per echoed message (bench/counts.py --write), with\n"
            f"# {first_line('g++', '--version')}\n# {first_line('openssl', 'version')}\n")
    path.write_text(head + "".join(f"{count:.0f}  {name}\n" for name, count in counts.items()))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="make counts.txt from this run")
    parser.add_argument("--wsd", type=pathlib.Path, default=ROOT / "wsd")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release/bench")
    parser.add_argument("--figures", type=pathlib.Path, default=ROOT / "bench/counts.txt")
    return parser.parse_args()


def main():
    args = parse_arguments()
    if shutil.which("valgrind") is None:
        sys.exit("counts: needs valgrind")
    for needed in (args.wsd, args.build / "wsbench"):
        if shutil.which(needed) is None:
            sys.exit(f"counts: {needed} is not built: make bench-programs")
    figures = read_figures(args.figures)
    counts, worse = {}, []
    print("| instructions per message | now | counts.txt | difference |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for script in SCRIPTS:
            name = script[0]
            now = counts[name] = measure(args, script, pathlib.Path(folder))
            before = figures.get(name)
            change = f"{100 * (now / before - 1):+.1f} %" if before else "-"
            print(f"| {name} | {now:,.0f} | {f'{before:,.0f}' if before else '-'} | {change} |",
                  flush=True)
            if before and now > before * (1 + MARGIN):
                worse.append(name)
    if args.write:
        write_figures(args.figures, counts)
    elif worse:
        sys.exit(f"counts: more than {100 * MARGIN:.0f} % above counts.txt: {', '.join(worse)}")


if __name__ == "__main__":
    main()
