"""What the contestants in Python on a GPU share: clocks, checks against the expected results, and the command line.

The workloads are those of the CPU contest (cpu/torch_cpu.py) on another device; expected.hpp has the same functions.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "cpu")]
import torch_cpu  # noqa: E402
import workloads  # noqa: E402, F401

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "tf32": torch.float32}
# Gross faults, relative to the norm of each tensor: single precision summed in another order; 16-bit types round every
# step's state and every gradient.
TOLERANCES = {"f32": 1e-4, "tf32": 1e-2, "f16": 2e-2, "bf16": 6e-2}
KEPT = 65536


def checked_steps(row):
    """T of the shortened workload, as `shortened` in expected.hpp."""
    per_step = 0.0
    for layer in range(row.get("layers", 1)):
        inputs = row["I"] if layer == 0 else row["directions"] * row["H"]
        per_step += 24.0 * row["N"] * row["H"] * (row["H"] + inputs) * row["directions"]
    return min(row["T"], max(3, min(24, int(2e10 / per_step))))


def thinned(values):
    """Every n-th value of a large tensor, as `thinned` in expected.hpp."""
    flat = values.detach().float().reshape(-1)
    count = flat.numel()
    return flat[:: 1 if count <= KEPT else -(-count // KEPT) | 1].cpu()


class Disagrees(Exception):
    pass


def check(results, path, tolerance):
    """How far the results are from a file's; raises Disagrees where that is too far."""
    with torch.no_grad():
        got = {name: thinned(values) for name, values in results.items()}
    error, worst = torch_cpu.compare(got, torch_cpu.read_results(path))
    if not error <= tolerance:
        raise Disagrees(f"{worst} is off by {error:.3g} of its norm from our CPU's")
    return error


def repeats_for(seconds):
    """As repeats_for in support.hpp."""
    each = max(seconds, 1e-7)
    return int(max(5.0, min(max(20.0, min(200.0, 0.010 / each)), 0.050 / each)))


class Clock:
    """Events on a GPU; the wall clock on the CPU, for a rehearsal."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def waited(self, body):
        start = time.perf_counter()
        body()
        self.wait()
        return time.perf_counter() - start

    def times(self, body):
        for _ in range(3):
            self.waited(body)
        repeats = repeats_for(self.waited(body))
        between = []
        if self.cuda:
            events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
            events[0].record()
            for event in events[1:]:
                body()
                event.record()
            self.wait()
            between = [1e3 * a.elapsed_time(b) for a, b in zip(events, events[1:])]
        wall = [1e6 * self.waited(body) for _ in range(min(repeats, 20))]
        between = between or wall
        return {
            "us_median": statistics.median(between),
            "us_min": min(between),
            "wall_us_median": statistics.median(wall),
            "repeats": repeats,
        }


def captured(body):
    """A graph that replays `body`, warmed up on a side stream as PyTorch asks."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph


def allow_tf32(yes):
    torch.backends.cudnn.allow_tf32 = yes
    torch.backends.cuda.matmul.allow_tf32 = yes


class Session:
    """The command line, the file of records and the deadline of one contestant."""

    def __init__(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--workloads", required=True)
        parser.add_argument("--records", required=True)
        parser.add_argument("--expected", required=True)
        parser.add_argument("--budget", type=float, default=1e9)
        parser.add_argument("--device", default="cuda")
        parser.add_argument("--streamed", type=int, default=5000, help="streaming steps, for a 99.9th percentile")
        arguments = parser.parse_args()
        self.streamed = arguments.streamed
        self.deadline = time.monotonic() + arguments.budget
        self.device = torch.device(arguments.device)
        self.clock = Clock(self.device)
        self.expected = arguments.expected
        self.rows = workloads.read(arguments.workloads, "gpu")
        self.records = open(arguments.records, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        version = f"{torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
        self.write(kind="contestant", contestant="pytorch", version=version)

    def write(self, **record):
        self.records.write(json.dumps(record) + "\n")

    def attempt(self, kind, about, body):
        """The record that `body` makes, or why there is none; one combination that fails must not cost the others."""
        if time.monotonic() > self.deadline:
            self.write(kind="left out", **about, status="no time", why="the time budget is spent")
            return
        try:
            self.write(kind=kind, **about, **body())
        except Exception as error:
            status = {Disagrees: "disagrees", torch_cpu.Unsupported: "unsupported"}.get(type(error), "failed")
            first = str(error).splitlines()[0] if str(error) else ""
            why = first if status != "failed" else f"{type(error).__name__}: {first}"
            self.write(kind="left out", **about, status=status, why=why)
            with contextlib.suppress(Exception):
                self.clock.wait()
