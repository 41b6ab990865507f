"""PyTorch as a contestant: nn.LSTM and nn.GRU in f32, tf32, bf16 and f16, eager and replayed from a CUDA graph.

forward: inference mode. train: forward, and backward from a given dy to the gradients of weights, biases and x.
tf32 is what PyTorch takes for f32 tensors by default; f32 is with torch.backends.cudnn.allow_tf32 off.
Usage: torch_rnn.py --workloads FILE --records FILE [--budget SECONDS] [--device cuda]
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import workloads  # noqa: E402

PRECISIONS = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "tf32": torch.float32}


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


class Layer:
    def __init__(self, w, dtype, device):
        torch.manual_seed(1)
        kind = torch.nn.LSTM if w["cell"] == "lstm" else torch.nn.GRU
        self.rnn = kind(w["I"], w["H"], bidirectional=w["directions"] == 2).to(device=device, dtype=dtype)
        self.x = torch.randn(w["T"], w["N"], w["I"], device=device, dtype=dtype)
        self.dy = torch.randn(w["T"], w["N"], w["directions"] * w["H"], device=device, dtype=dtype)

    def forward(self):
        with torch.inference_mode():
            return self.rnn(self.x)[0]

    def train(self):
        self.x.requires_grad_(True)
        self.x.grad = None
        self.rnn.zero_grad(set_to_none=True)
        self.rnn(self.x)[0].backward(self.dy)


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workloads", required=True)
    parser.add_argument("--records", required=True)
    parser.add_argument("--budget", type=float, default=1e9)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.budget
    device = torch.device(arguments.device)
    clock = Clock(device)

    with open(arguments.records, "a", encoding="utf-8", buffering=1) as records:

        def write(**record):
            records.write(json.dumps(record) + "\n")

        version = f"{torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
        write(kind="contestant", contestant="pytorch", version=version)
        layers = [w for w in workloads.read(arguments.workloads, "gpu") if w.get("kind", "layer") == "layer"]
        for w in layers:
            for precision, dtype in PRECISIONS.items():
                torch.backends.cudnn.allow_tf32 = precision != "f32"
                torch.backends.cuda.matmul.allow_tf32 = precision != "f32"
                for step in ("forward", "train"):
                    for how in ("eager", "graph") if clock.cuda else ("eager",):
                        about = {
                            "contestant": "pytorch", "workload": workloads.name_of(w), "cell": w["cell"], "T": w["T"],
                            "N": w["N"], "H": w["H"], "directions": w["directions"], "pass": step,
                            "precision": precision, "variant": how,
                        }  # fmt: skip
                        if time.monotonic() > deadline:
                            write(kind="left out", **about, status="no time", why="the time budget is spent")
                            continue
                        try:
                            layer = Layer(w, dtype, device)
                            body = layer.forward if step == "forward" else layer.train
                            if how == "graph":
                                body = captured(body).replay
                            write(kind="time", **about, **clock.times(body))
                        except Exception as error:  # one combination that fails must not cost the others
                            why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                            write(kind="left out", **about, status="failed", why=why)
                            with contextlib.suppress(Exception):
                                clock.wait()


if __name__ == "__main__":
    main()
