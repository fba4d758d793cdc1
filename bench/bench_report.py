#!/usr/bin/env python3
"""results.json of bench.py as Markdown tables and SVG plots (gnuplot).

python3 bench/bench_report.py bench/results makes them again. Python 3 standard library only.
"""
import json
import pathlib
import shutil
import statistics
import subprocess
import sys


def median(values):
    return statistics.median(values)


def spread(values, digits=2):
    """The median, and between which values the middle half of them lies."""
    low, high = values[0], values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


class Results:
    def __init__(self, data):
        self.data = data
        self.runs = data["runs"]
        self.servers = data["servers"]
        self.yardstick = data["yardstick"]

    def values(self, work, server, key):
        """Of the rounds. per_...: of messages or of connections, whichever was counted."""
        runs = self.runs.get(work, {}).get(server, [])
        keys = [f"messages_{key}", f"connections_{key}"] if key.startswith("per_") else [key]
        return [run[name] for run in runs for name in keys if name in run]

    def ratios(self, work, server, base, base_work=None):
        mine = self.values(work, server, "per_cpu_second")
        other = self.values(base_work or work, base, "per_cpu_second")
        return [a / b for a, b in zip(mine, other)]  # round by round

    def windows(self, server):
        """Those of the open loop that tell of the server and not of the generator, and how many of
        all they are; all of them where fewer than a third are left."""
        runs = self.runs.get("open", {}).get(server, [])
        counted = [run for run in runs if run["bottleneck"] != "generator"]
        share = f"{len(counted)} of {len(runs)}"
        return (counted, share) if 3 * len(counted) >= len(runs) else (runs, share + "*")

    def latencies(self, server, percentile):
        return [run[f"latency_us_{percentile}"] for run in self.windows(server)[0]]

    def works(self):
        return [(key, title) for key, title in self.data["works"] if key in self.runs]


def cpu_table(results):
    def cell(work, server):
        values = results.values(work, server, "per_cpu_second")
        if not values:
            return "-"
        text = f"{median(values):,.0f}"
        ratios = results.ratios(work, server, results.yardstick)
        if server != results.yardstick and ratios:
            text += f"; {spread(ratios)}"
        return text

    rows = [[title, *(cell(work, server) for server in results.servers)]
            for work, title in results.works()]
    return table(["work", *results.servers], rows)


def ratio_table(results):
    others = [server for server in results.servers if server != "wsd"]

    def cell(work, server):
        ratios = results.ratios(work, "wsd", server)
        return spread(ratios) if ratios else "-"

    rows = [[title, *(cell(work, server) for server in others)] for work, title in results.works()]
    text = table(["wsd, times", *others], rows)
    ratios = results.ratios("text", "wsd", "wsd", "64x64")
    if ratios:
        text += f"\nwsd: text takes {spread(ratios)} of binary.\n"
    for work, bare in results.data["gathering"].items():
        theirs = results.ratios(work, bare, results.yardstick)
        ours = results.ratios(work, "wsd", bare)
        if theirs and ours:
            text += (f"\n`{bare}`, which gathers such a message and unmasks it before it sends, does "
                     f"{spread(theirs)} of {results.yardstick}; wsd {spread(ours)} of that.\n")
    return text


def peak_table(results):
    def cell(work, server):
        values = results.values(work, server, "per_second")
        if not values:
            return "-"
        bound = [b != "none known" for b in results.values(work, server, "bottleneck")]
        return f"{median(values):,.0f}" + ("*" if 2 * sum(bound) > len(bound) else "")

    rows = [[title, *(cell(work, server) for server in results.servers)]
            for work, title in results.works() if work != "publish"]
    return table(["work", *results.servers], rows)


PERCENTILES = ["p50", "p90", "p99", "p99.9"]


def latency_table(results):
    rows = []
    for server in results.servers:
        rates = results.values("open", server, "rate")
        if rates:
            rows.append([server, f"{median(rates):,.0f}",
                         *(spread(results.latencies(server, p), 0) for p in PERCENTILES),
                         f"{max(results.values('open', server, 'latency_us_p99.9')):.0f}",
                         results.windows(server)[1]])
    return (table(["server", "messages/s", *PERCENTILES, "worst window", "windows"], rows)
            + "\nMedians of the windows that the generator did not hold up; * fewer than a third: "
            "then of all, with the generator's share. Worst window: highest p99.9 of all of them.\n")


def memory_table(results):
    rows = []
    for server in results.servers:
        plain, tls = (results.values(work, server, "bytes") for work in ("idle", "idle-tls"))
        ratios = results.values("among idle", server, "ratio")
        rows.append([server, *(f"{median(values):,.0f}" if values else "-" for values in (plain, tls)),
                     spread(ratios) if ratios else "-"])
    return table(["server", "bytes, ws", "bytes, wss", "100 active among 10,000 idle / alone"], rows)


def markdown(results):
    data, facts = results.data, results.data["machine"]
    versions = ", ".join(f"{name}: {text}" for name, text in facts["versions"].items())
    unpinned = ("" if data.get("pinned", True) else
                " Nothing was pinned, for want of a second core or of taskset: ratios are rough.")
    parts = [
        "# Measured\n",
        f"{facts['processor']}; {facts['kernel']}; {facts['compiler']}; {facts['date']}; "
        f"{facts['load before']}.\n\n{versions}.\n\n"
        f"Medians of {data['rounds']} interleaved rounds of {data['seconds']} s (and quartiles); "
        f"wsd with {data['threads']} thread(s). `{results.yardstick}` moves the same bytes without "
        f"a protocol.{unpinned}\n",
        "## Per second of server CPU; times the yardstick\n", cpu_table(results),
        "## wsd against each, per second of server CPU\n", ratio_table(results),
        "## Peak per second (* the generator was the slower side)\n", peak_table(results),
        "## Open loop at half of each server's own peak, windows of 0.1 s: latency in us\n",
        latency_table(results),
        "## Idle connections: memory of each, and what 10,000 cost those that are active\n",
        memory_table(results)]
    missing = [f"- {name} is missing: {why}" for name, why in data["missing"].items()]
    alike = {}  # what failed for the same reason is one line
    for what, why in data["failures"].items():
        server, work = what.split(", ")
        alike.setdefault((server, why), []).append(work)
    missing += [f"- {server}, {', '.join(works)}: {why}" for (server, why), works in alike.items()]
    if missing:
        parts += ["## Not measured, or in fewer rounds\n", "\n".join(missing) + "\n"]
    repeated = [f"- {what}: {len(whys)} of its runs, the first because: {whys[0]}"
                for what, whys in data.get("repeated", {}).items()]
    if repeated:
        parts += ["## Failed at first, repeated with success\n", "\n".join(repeated) + "\n"]
    return "\n".join(parts)


HEAD = """set terminal svg noenhanced size 900,420 font 'sans,12' background '#ffffff'
set output '{output}'
set title '{title}'
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.85 border -1
set grid ytics
set key outside right top
set ylabel '{ylabel}'
{more}
"""


PLOTS = ["throughput.svg", "latency.svg", "memory.svg"]


def plot(path, title, ylabel, columns, rows, more=""):
    """columns: names of the bars; rows: (label, values), one group of bars each."""
    if "logscale" in more:  # which has no place for 0 and less
        rows = [(label, [value if (value or 0) > 0 else None for value in values])
                for label, values in rows]
    bars = [f"$data using {i + 2}:xtic(1) title '{name}'" for i, name in enumerate(columns)
            if any(values[i] for _, values in rows)]
    if not bars:
        return
    lines = [HEAD.format(output=path.name, title=title, ylabel=ylabel, more=more), "$data << END"]
    for label, values in rows:
        cells = ["?" if value is None else f"{value:g}" for value in values]
        lines.append(" ".join([f'"{label}"', *cells]))
    lines.append("END")
    lines.append("set datafile missing '?'\nplot " + ", ".join(bars))
    done = subprocess.run(["gnuplot"], input="\n".join(lines), text=True, capture_output=True,
                          cwd=path.parent)
    if done.returncode != 0:
        path.unlink(missing_ok=True)
        print(f"no {path.name}: {done.stderr.strip() or 'gnuplot failed'}", file=sys.stderr)


def plots(results, folder):
    def middle(values):
        return median(values) if values else None

    ratios = []
    for work, _ in results.works():
        ratios.append((work, [middle(results.ratios(work, server, results.yardstick))
                              for server in results.servers[1:]]))
    plot(folder / "throughput.svg", "Work per second of server CPU, the yardstick being 1",
         "times the yardstick", results.servers[1:], ratios,
         "set yrange [0:*]\nset xtics rotate by -30")
    latency = [(p, [middle(results.latencies(server, p))
                    for server in results.servers]) for p in PERCENTILES]
    plot(folder / "latency.svg", "Open loop at half of each one''s peak", "microseconds",
         results.servers, latency, "set logscale y")
    memory = [(label, [middle(results.values(work, server, "bytes")) for server in results.servers])
              for label, work in (("ws", "idle"), ("wss", "idle-tls"))]
    plot(folder / "memory.svg", "Memory of the process per idle connection", "bytes",
         results.servers, memory, "set logscale y")


def write(data, folder):
    """Returns the Markdown."""
    results = Results(data)
    text = markdown(results)
    (folder / "results.md").write_text(text)
    for name in PLOTS:  # none of an earlier run stays beside new tables
        (folder / name).unlink(missing_ok=True)
    if shutil.which("gnuplot"):
        plots(results, folder)
    else:
        print("gnuplot is missing: no plots", file=sys.stderr)
    return text


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (pathlib.Path(sys.argv[1]) / "results.json").is_file():
        print("bench_report.py: give the folder that has bench.py's results.json", file=sys.stderr)
        sys.exit(2)
    directory = pathlib.Path(sys.argv[1])
    print(write(json.loads((directory / "results.json").read_text()), directory))
