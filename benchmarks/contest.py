"""The contest on the CPU: every contestant does every workload, A B A B, and agrees with us before it is timed.

Each contestant is a process of its own that lives as long as the contest (support/contestant.hpp has the requests), so
that no library disturbs another; it may run on exactly as many cores as it has threads. Writes lines of JSON; the
report is made by `report`. Standard library only. Started by scripts/bench; docs/benchmarks.md describes it.
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import profiling
import workloads
from contestants import Contestant, Stopped, rest

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = "seqgpu"
LIMIT = "limit"
# Largest |theirs - ours| / |ours| (Frobenius) of any output or gradient, by the kind of a workload. Single precision
# summed in another order over up to 1000 steps: what was seen is below 2e-5; a wrong gate, bias or direction is off by
# 1e-2 and more. CTC: PyTorch's recursion over logarithms in single precision is off by up to 5e-3 from its own result
# in double, ours by 2e-7.
BOUNDS = {"layer": 1e-4, "model": 1e-4, "stream": 1e-4, "ctc": 1e-2}
REPEAT_SECONDS = 0.02  # short workloads run several times a repeat
LONG_RUN = 1.0  # seconds: the check warmed such a run up
LEAST_OF_LONG_ROUNDS = 3  # repeats of rows that cannot be timed once by all within the row's share of time


class Records:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115

    def write(self, **record):
        self.file.write(json.dumps(record) + "\n")


def about(row, threads):
    keys = ("kind", "group", "cell", "model", "T", "N", "I", "H", "C", "U", "layers", "directions", "ragged", "variant",
            "over", "scale")  # fmt: skip
    found = {("row_kind" if k == "kind" else k): row[k] for k in keys if k in row and k != "variant"}
    return {"workload": workloads.name_of(row), "pass": row["pass"], "threads": threads, **found,
            "option": row.get("variant", "")}  # fmt: skip


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[0], q[2]


class Entry:
    """One contestant's way of doing one workload."""

    def __init__(self, contestant, variant):
        self.contestant = contestant
        self.variant = variant
        self.error = None
        self.iterations = 1
        self.repeats = []
        self.samples = []
        self.more = {}

    def time(self):
        reply = self.contestant.ask("time", iterations=self.iterations, variant=self.variant)
        if "seconds" not in reply:
            raise Refused("failed", reply.get("failed", str(reply)))
        seconds = reply.pop("seconds")
        self.more = reply
        return seconds

    def repeat(self, keep_samples):
        seconds = self.time()
        self.repeats.append(sum(seconds) / len(seconds))
        if keep_samples:
            self.samples += seconds

    def record(self):
        q1, q3 = quartiles(self.repeats)
        record = {
            "contestant": self.contestant.name, "variant": self.variant, "median": statistics.median(self.repeats),
            "min": min(self.repeats), "q1": q1, "q3": q3, "repeats": len(self.repeats), "iterations": self.iterations,
            "seconds": self.repeats, "error": self.error, **self.more,
        }  # fmt: skip
        if self.samples:
            ordered = sorted(self.samples)
            record["samples"] = len(ordered)
            record["sample_median"] = statistics.median(ordered)
            record["sample_p999"] = ordered[min(len(ordered) - 1, math.ceil(0.999 * len(ordered)) - 1)]
        return record


class Refused(Exception):
    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Contest:
    def __init__(self, arguments, records, threads, contestants):
        self.arguments = arguments
        self.records = records
        self.threads = threads
        self.contestants = contestants
        self.failures = 0

    def leave_out(self, row, contestant, variant, status, why):
        if status not in ("unsupported", "absent"):
            self.failures += 1
            print(f"  {contestant.name} {variant}: {status}: {why}", flush=True)
        self.records.write(kind="left out", contestant=contestant.name, variant=variant, status=status, why=why,
                           **about(row, self.threads))  # fmt: skip

    def prepare(self, row, contestant):
        reply = contestant.ask("prepare", row=row)
        if "unsupported" in reply:
            raise Refused("unsupported", reply["unsupported"])
        if "failed" in reply:
            raise Refused("failed", reply["failed"])
        return [Entry(contestant, v) for v in reply.get("variants", [""])]

    def check(self, row, entry, path):
        """Ours are written, theirs are held against them."""
        if entry.contestant.name == OURS:
            reply = entry.contestant.ask("results", file=path)
            if "failed" in reply:
                raise Refused("failed", reply["failed"])
            return
        reply = entry.contestant.ask("check", file=path, variant=entry.variant)
        if "failed" in reply:
            raise Refused("failed", reply["failed"])
        entry.error = reply["error"]
        bound = BOUNDS[row.get("kind", "layer")]
        if not (entry.error is not None and entry.error <= bound):
            raise Refused("disagrees", f"{reply['worst']} is off by {entry.error} of its norm, more than {bound}")

    def warm_up(self, entry):
        """Twice, and finds how many runs a repeat takes. A long run is a repeat at once."""
        each = max(min(entry.time()), 1e-7)
        if each >= LONG_RUN:
            entry.repeats.append(each)
            return each
        each = max(min(entry.time()), 1e-7)
        entry.iterations = max(1, min(2000, math.ceil(REPEAT_SECONDS / each)))
        return each * entry.iterations

    def guarded(self, row, contestant, variant, body):
        """What body returns, or None where the contestant is left out."""
        try:
            return body()
        except Refused as why:
            self.leave_out(row, contestant, variant, why.status, str(why))
        except Stopped as why:
            self.leave_out(row, contestant, variant, "stopped", str(why))
            self.contestants = [c for c in self.contestants if c is not contestant]
        return None

    def limit(self, row):
        for contestant in [c for c in self.contestants if c.name == LIMIT]:
            reply = self.guarded(row, contestant, "", lambda c=contestant: c.ask("limit", row=row))
            if reply and "seconds" in reply:
                self.records.write(kind="limit", **about(row, self.threads), **reply)
            elif reply:
                status = "unsupported" if "unsupported" in reply else "failed"
                self.leave_out(row, contestant, "", status, reply.get(status, str(reply)))

    def round_trip(self):
        """Seconds of a line of memory between two cores, or None."""
        for contestant in [c for c in self.contestants if c.name == LIMIT and self.threads > 1]:
            with contextlib.suppress(Stopped):  # the next limit says so
                return contestant.ask("round trip").get("seconds")
        return None

    def run(self, row):
        self.limit(row)
        entries = []
        with tempfile.TemporaryDirectory(dir=self.arguments.scratch) as folder:
            path = os.path.join(folder, "ours")
            for contestant in [c for c in self.contestants if c.name != LIMIT]:  # ours first
                found = self.guarded(row, contestant, "", lambda c=contestant: self.prepare(row, c)) or []
                if contestant.name == OURS and not found:
                    return None  # nothing to compare with
                for entry in found:
                    checked = lambda e=entry: (row.get("variant") == "dropout" or self.check(row, e, path), True)  # noqa: E731
                    if self.guarded(row, contestant, entry.variant, checked):
                        entries.append(entry)
        times = {}
        for entry in list(entries):
            rest(self.contestants)
            times[entry] = self.guarded(row, entry.contestant, entry.variant, lambda e=entry: self.warm_up(e))
            if times[entry] is None:
                entries.remove(entry)
        trips = [self.round_trip()]
        entries = self.rounds(row, entries, sum(times[e] for e in entries))
        trips = [t for t in [*trips, self.round_trip()] if t]
        if trips:
            self.records.write(kind="round trip", **about(row, self.threads), seconds=trips)
        for entry in entries:
            reply = self.guarded(row, entry.contestant, entry.variant, lambda e=entry: e.contestant.ask("memory"))
            self.records.write(kind="timing", **about(row, self.threads), **entry.record(),
                               peak_bytes=(reply or {}).get("peak_bytes", -1))  # fmt: skip
        for contestant in list(self.contestants):
            if contestant.name != LIMIT:
                self.guarded(row, contestant, "", lambda c=contestant: c.ask("release"))
        return entries

    def rounds(self, row, entries, seconds):
        """Repeats in turn, whoever began last time beginning last, within the row's share of time."""
        count = int(self.arguments.seconds / max(seconds, 1e-9))
        least = self.arguments.least if count > 0 else min(self.arguments.least, LEAST_OF_LONG_ROUNDS)
        count = max(least, min(self.arguments.repeats, count))
        keep = row.get("kind") == "stream"
        for r in range(count):
            turn = r % max(1, len(entries))
            for entry in (e for e in entries[turn:] + entries[:turn] if len(e.repeats) <= r):
                rest(self.contestants)
                if self.guarded(row, entry.contestant, entry.variant, lambda e=entry: (e.repeat(keep), True)) is None:
                    entries = [e for e in entries if e.contestant is not entry.contestant]
        return [e for e in entries if e.repeats]


# The machine


def cpu_model():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return "unknown", ""
    fields = {k.strip(): v.strip() for k, v in fields.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    known = [f for f in ("avx512f", "avx512_bf16", "amx_bf16", "avx2", "fma", "asimd", "sve") if f in flags]
    more = f" (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else ""
    return fields.get("model name", "unknown") + more, " ".join(known)


def git(*words):
    try:
        return subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def load():
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def available_cores():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


# Who takes part


def programs(arguments):
    """name -> command, or the reason why it is not there."""
    folder = os.path.join(arguments.build, "bin", "benchmarks", "cpu")
    found = {}
    for name in (OURS, LIMIT, "naive", "onednn"):
        path = os.path.join(folder, name)
        found[name] = [path] if os.access(path, os.X_OK) else f"{path} is not built"
    python = shutil.which(arguments.python)
    if python is None:
        found["pytorch"] = f"no {arguments.python}"
    elif subprocess.run([python, "-c", "import torch, numpy"], capture_output=True, check=False).returncode != 0:
        found["pytorch"] = f"{python} has no torch, or no numpy"
    else:
        found["pytorch"] = [python, os.path.join(HERE, "cpu", "torch_cpu.py")]
    for text in arguments.contestant:
        name, _, command = text.partition("=")
        found[name] = shlex.split(command)
    return {k: v for k, v in found.items() if not arguments.only or k in arguments.only}


def start(arguments, records, cores):
    contestants = []
    for name, command in programs(arguments).items():
        why = command
        if isinstance(command, list):
            try:
                contestants.append(Contestant(name, command, cores, arguments.patience, arguments.clock))
                records.write(kind="contestant", contestant=name, threads=len(cores),
                              version=contestants[-1].hello.get("version", ""))  # fmt: skip
                continue
            except (OSError, Stopped) as error:
                why = str(error)
        print(f"left out: {name}: {why}", flush=True)
        records.write(kind="absent", contestant=name, why=why, threads=len(cores))
    return contestants


def chosen_rows(arguments):
    rows = list(workloads.with_passes(workloads.read(arguments.workloads, "cpu")))
    if arguments.quick:
        rows = [r for r in rows if r.get("quick")]
    pattern = re.compile(arguments.rows)
    return [r for r in rows if pattern.search(f"{r['group']}/{workloads.name_of(r)}/{r['pass']}")]


def parsed(words):
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few rows, fewer repeats: a minute or two")
    parser.add_argument("--rows", default="", metavar="REGEX", help="of group/workload/pass, e.g. layers/lstm.*train")
    parser.add_argument("--threads", default="2,1", help="thread counts, one contest each")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu: seconds computed, not waited, for --threads 1 on a busy machine; no result to publish")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=21, help="at most so many of each")
    parser.add_argument("--least", type=int, default=5, help="and at least so many")
    parser.add_argument("--seconds", type=float, help="for the repeats of a row, within these bounds: 8; for a profile: 2")
    parser.add_argument("--only", default="", help="contestants, comma separated")
    parser.add_argument("--contestant", action="append", default=[], metavar="NAME=COMMAND", help="another one")
    parser.add_argument("--workloads", default=workloads.PATH)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build", "cpu-release"))
    parser.add_argument("--python", default="python3", help="the one that has PyTorch")
    parser.add_argument("--out", default=os.path.join(HERE, "..", "build", "bench"), help="folder of the results")
    parser.add_argument("--scratch", default=None, help="where results lie that are compared; the system's own choice")
    parser.add_argument("--patience", type=float, default=600, help="seconds until a silent contestant is stopped")
    parser.add_argument("--profile", action="store_true",
                        help="no contest: our side alone, and which functions its time goes to")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="names the rows and does nothing")
    arguments = parser.parse_args(words)
    arguments.only = [name for name in arguments.only.split(",") if name]
    if arguments.clock == "cpu":
        arguments.threads = "1"  # two threads that wait for each other in a loop would seem to compute
    arguments.threads = [int(n) for n in str(arguments.threads).split(",")]
    if arguments.profile:
        arguments.only = [OURS]
    if arguments.seconds is None:
        arguments.seconds = 2.0 if arguments.profile else 8.0
    if arguments.quick:
        arguments.repeats, arguments.seconds = min(arguments.repeats, 9), min(arguments.seconds, 2.0)
    return arguments


def profile(arguments, rows, cores, records):
    """Writes profile.md. @return the exit code"""
    found, failures = [], 0
    for threads in (n for n in arguments.threads if n <= len(cores)):
        contestants = start(arguments, records, cores[:threads])
        if not contestants:
            return 2
        ours = contestants[0]
        program = os.path.join(arguments.build, "bin", "benchmarks", "cpu", OURS)
        symbols = profiling.Symbols(program) if os.path.exists(program) else None
        for i, row in enumerate(rows):
            where = about(row, threads)
            print(f"[{threads} thread{'s' * (threads > 1)}, {i + 1}/{len(rows)}] {where['workload']}/{row['pass']}", flush=True)
            try:
                found.append({**where, **profiling.take(ours, row, arguments.seconds, symbols)})
                records.write(kind="profile", **found[-1])
            except ValueError as why:
                print(f"  left out: {why}", flush=True)
                failures += 1
        ours.stop()
    model, instructions = cpu_model()
    lines = [f"# Where time goes on {model}", "", f"Instruction sets: {instructions}; load {load()} at the end.", "",
             *profiling.table(found)]  # fmt: skip
    with open(os.path.join(arguments.out, "profile.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)
    return 1 if failures or not found else 0


def run(arguments, command):
    rows = chosen_rows(arguments)
    if arguments.list:
        for row in rows:
            print(f"{row['group']}/{workloads.name_of(row)}/{row['pass']}")
        return 0
    if not rows:
        print(f"bench: no row matches {arguments.rows}", file=sys.stderr)
        return 2
    cores = available_cores()
    os.makedirs(arguments.out, exist_ok=True)
    path = os.path.join(arguments.out, "profile.jsonl" if arguments.profile else "records.jsonl")
    with open(path, "w", encoding="utf-8"):
        pass
    records = Records(path)
    model, instructions = cpu_model()
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
    records.write(kind="contest", cpu=model, instructions=instructions, cores=len(cores), when=when, command=command,
                  commit=git("rev-parse", "--short", "HEAD"), tree="changed" if git("status", "--porcelain") else "",
                  bounds=BOUNDS, clock=arguments.clock, load_before=load())  # fmt: skip
    if arguments.profile:
        return profile(arguments, rows, cores, records)
    failures, start_time = 0, time.monotonic()
    for threads in arguments.threads:
        if threads > len(cores):
            print(f"left out: {threads} threads: there are {len(cores)} cores", flush=True)
            continue
        contestants = start(arguments, records, cores[:threads])
        if not any(c.name == OURS for c in contestants):
            print("bench: our own contestant does not run; build it: cmake --build build/cpu-release --target contestants",
                  file=sys.stderr)  # fmt: skip
            return 2
        contest = Contest(arguments, records, threads, contestants)
        for i, row in enumerate(rows):
            entries = contest.run(row)
            line = ", ".join(f"{e.contestant.name}{' ' if e.variant else ''}{e.variant} {1e3 * statistics.median(e.repeats):.4g}"
                             for e in entries or [])  # fmt: skip
            print(f"[{threads} thread{'s' * (threads > 1)}, {i + 1}/{len(rows)}] {workloads.name_of(row)}/{row['pass']}: {line} ms",
                  flush=True)  # fmt: skip
        for contestant in contestants:
            contestant.stop()
        failures += contest.failures
    seconds = round(time.monotonic() - start_time)
    print(f"{seconds // 60} min {seconds % 60} s", flush=True)
    records.write(kind="contest ended", load_after=load(), failures=failures, seconds=seconds)
    return 1 if failures else 0


def main():
    command = "scripts/bench " + shlex.join(sys.argv[1:])
    sys.exit(run(parsed(sys.argv[1:]), command.strip()))


if __name__ == "__main__":
    main()
