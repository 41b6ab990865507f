"""PyTorch as a contestant: whole training steps (tagger, CTC model) and streaming, a step of one sequence a call.

The models of cpu/torch_cpu.py. A training step is timed as a user makes the call, until its loss is on the host; bf16 is
torch.autocast, with weights and Adam in f32. A streaming step begins with x on the host and ends with y there; PyTorch
leaves the state on the device. graph: the call replays a CUDA graph; what cannot be captured is named and left out.
Each is held against the expected results first. Peak: of PyTorch's allocator, above what was held before.
Usage: torch_steps.py --workloads FILE --records FILE --expected FOLDER [--budget SECONDS] [--device cuda]
    [--streamed STEPS]
"""

import gc
import math
import os
import statistics
import time

import torch
from torch_support import TOLERANCES, Session, allow_tf32, captured, check, repeats_for, torch_cpu, workloads

CTC_TOLERANCE = 1e-2  # PyTorch's recursion over logarithms in single precision, see contest.py


class Model(torch_cpu.Model):
    def __init__(self, row, precision, device, capturable):
        super().__init__(row)
        self.to(device)
        self.precision = precision
        self.on = device
        for name in ("x", "words", "tags"):
            if hasattr(self, name):
                setattr(self, name, getattr(self, name).to(device))
        if hasattr(self, "targets"):  # lengths stay on the host, as PyTorch looks at them there
            self.targets = self.targets.to(device)
        more = {"capturable": True} if capturable else {}
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3, **more)

    def gradients(self):
        if self.precision != "bf16":
            return super().gradients()
        with torch.autocast(self.on.type, dtype=torch.bfloat16):
            return super().gradients()

    def step(self):
        """A training step whose loss stays on the device."""
        loss = self.gradients()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 5.0)
        self.optimizer.step()
        return loss


class Stream(torch_cpu.Stream):
    def __init__(self, row, device):
        super().__init__(row)
        self.rnn = self.rnn.to(device)
        self.device = device

    def run(self, _variant):
        with torch.inference_mode():
            x = self.x[self.step % self.STEPS].to(self.device)
            y, self.state = self.rnn(x, self.state)
            self.step += 1
            return y.cpu()


class GraphStream(Stream):
    """The same from a CUDA graph: x is copied into its input, and the state out of its output into its input."""

    def __init__(self, row, device):
        super().__init__(row, device)
        with torch.inference_mode():
            self.input = torch.zeros(1, 1, row["I"], device=device)
            zero = torch.zeros(1, 1, row["H"], device=device)
            self.held = (zero, zero.clone()) if row["cell"] == "lstm" else (zero,)

            def once():
                state = self.held if row["cell"] == "lstm" else self.held[0]
                self.output, after = self.rnn(self.input, state)
                for mine, new in zip(self.held, after if row["cell"] == "lstm" else (after,)):
                    mine.copy_(new)

            self.graph = captured(once)

    def run(self, _variant):
        with torch.inference_mode():
            if self.state is None:  # restarted
                for held in self.held:
                    held.zero_()
                self.state = True
            self.input.copy_(self.x[self.step % self.STEPS])
            self.graph.replay()
            self.step += 1
            return self.output.cpu()


def seconds_of(body, count):
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        body()
        seconds.append(time.perf_counter() - start)
    return seconds


def summary(seconds):
    return {"us_median": 1e6 * statistics.median(seconds), "us_min": 1e6 * min(seconds), "repeats": len(seconds)}


def train(session, row, precision, how):
    device, cuda = session.device, session.clock.cuda
    gc.collect()
    before = 0
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    model = Model(row, precision, device, capturable=how == "graph")
    tolerance = max(TOLERANCES[precision], CTC_TOLERANCE if row["model"] == "ctc" else 0)
    error = check(model.results(""), os.path.join(session.expected, workloads.name_of(row)), tolerance)
    if how == "graph":
        model.optimizer.zero_grad(set_to_none=True)
        kept = {}

        def once():
            kept["loss"] = model.step()

        graph = captured(once)

        def body():
            graph.replay()
            return kept["loss"].item()
    else:

        def body():
            return model.step().item()

    seconds_of(body, 5)
    seconds = seconds_of(body, max(20, repeats_for(seconds_of(body, 1)[0])))
    peak = torch.cuda.max_memory_allocated() - before if cuda else -1
    return {**summary(seconds), "error": error, "tokens": model.more["tokens"], "peak_bytes": peak}


def stream(session, row, how):
    one = (GraphStream if how == "graph" else Stream)(row, session.device)
    path = os.path.join(session.expected, workloads.name_of(row))
    error = check(one.results(""), path, TOLERANCES["f32"])
    body = lambda: one.run("")  # noqa: E731
    seconds_of(body, 5)
    seconds = sorted(seconds_of(body, session.streamed))
    return {**summary(seconds), "us_p999": 1e6 * seconds[math.ceil(0.999 * len(seconds)) - 1], "error": error}


def main():
    session = Session()
    ways = ("eager", "graph") if session.clock.cuda else ("eager",)
    for row in session.rows:
        kind = row.get("kind", "layer")
        if kind not in ("model", "stream"):
            continue
        about = {"contestant": "pytorch", "workload": workloads.name_of(row)}
        for precision in ("f32", "tf32", "bf16") if kind == "model" else ("f32",):
            allow_tf32(precision != "f32")
            for how in ways:
                more = {"precision": precision, "variant": how}
                if kind == "model":
                    session.attempt(
                        "step time", {**about, "pass": "train", **more},
                        lambda r=row, p=precision, h=how: train(session, r, p, h),
                    )  # fmt: skip
                else:
                    session.attempt(
                        "stream time", {**about, "pass": "forward", **more},
                        lambda r=row, h=how: stream(session, r, h),
                    )  # fmt: skip


if __name__ == "__main__":
    main()
