"""PyTorch as a contestant: nn.LSTM, nn.GRU and nn.RNN in f32, tf32, bf16 and f16, eager and replayed from a CUDA graph.

forward: inference mode. train: forward, and backward from a given dy to the gradients of weights, biases and x.
A ragged batch is packed, and padded where that computes the same. tf32 is what PyTorch takes for f32 tensors by default;
f32 is with torch.backends.cudnn.allow_tf32 off. Each is held against the expected results on a few steps first.
Usage: torch_rnn.py --workloads FILE --records FILE --expected FOLDER [--budget SECONDS] [--device cuda]
"""

import os

from torch_support import (
    DTYPES, TOLERANCES, Session, allow_tf32, captured, check, checked_steps, torch_cpu, workloads,
)  # fmt: skip


class Layer(torch_cpu.Layer):
    def __init__(self, row, step, dtype, device):
        super().__init__({**row, "pass": step})
        self.rnn = self.rnn.to(device=device, dtype=dtype)
        self.x = self.x.detach().to(device=device, dtype=dtype).requires_grad_(self.training)
        self.dy = self.dy.to(device=device, dtype=dtype)
        if self.lengths is not None:
            self.valid = self.valid.to(device)


def contend(session, w, step, precision, how, variant):
    few = {**w, "T": checked_steps(w)}
    dtype, device = DTYPES[precision], session.device
    path = os.path.join(session.expected, f"{workloads.name_of(few)}.{step}")
    error = check(Layer(few, step, dtype, device).results(variant), path, TOLERANCES[precision])
    layer = Layer(w, step, dtype, device)
    body = lambda: layer.run(variant)  # noqa: E731
    if how == "graph":
        body = captured(body).replay
    return {**session.clock.times(body), "error": error}


def main():
    session = Session()
    for w in (row for row in session.rows if row.get("kind", "layer") == "layer"):
        ways = [""]
        if w.get("ragged"):  # the reverse direction would start in the padding
            ways = ["packed"] if w["directions"] == 2 else ["packed", "padded"]
        for precision in DTYPES:
            allow_tf32(precision != "f32")
            for step in ("forward", "train"):
                for variant in ways:
                    for how in ("eager", "graph") if session.clock.cuda else ("eager",):
                        about = {
                            "contestant": "pytorch", "workload": workloads.name_of(w), "cell": w["cell"], "T": w["T"],
                            "N": w["N"], "I": w["I"], "H": w["H"], "layers": w.get("layers", 1),
                            "directions": w["directions"], "ragged": w.get("ragged", False), "pass": step,
                            "precision": precision, "variant": f"{how}, {variant}" if variant else how,
                        }  # fmt: skip
                        session.attempt(
                            "time", about,
                            lambda w=w, s=step, p=precision, h=how, v=variant: contend(session, w, s, p, h, v),
                        )  # fmt: skip


if __name__ == "__main__":
    main()
