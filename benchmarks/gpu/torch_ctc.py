"""PyTorch's CTC as a contestant: log_softmax and ctc_loss, forward and backward, by its own kernels and by cuDNN.

native: padded targets, lengths on the device. cudnn: what PyTorch asks for it: concatenated int32 targets and lengths on
the host, at most 255 labels. Each is held against PyTorch's own result in double before it is timed.
Usage: torch_ctc.py --workloads FILE --records FILE [--budget SECONDS] [--device cuda]
"""

import argparse
import contextlib
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import random_data  # noqa: E402
import workloads  # noqa: E402
from torch_support import Clock  # noqa: E402

TOLERANCE = 2e-2  # gross faults; log space in single precision loses digits over many frames


class Ctc:
    def __init__(self, w, native, device, dtype=torch.float32):
        T, N, C, U = (w[k] for k in "TNCU")
        x = random_data.random_values("logits", T * N * C, 3.0)
        self.x = torch.from_numpy(x).view(T, N, C).to(device=device, dtype=dtype).requires_grad_()
        targets = torch.from_numpy(random_data.random_integers("targets", N * U, 1, C))
        where = device if native else "cpu"
        kind = torch.long if native else torch.int32
        self.targets = (targets.view(N, U) if native else targets).to(device=where, dtype=kind)
        self.input_lengths = torch.full((N,), T, dtype=kind, device=where)
        self.target_lengths = torch.full((N,), U, dtype=kind, device=where)

    def run(self):
        self.x.grad = None
        loss = torch.nn.functional.ctc_loss(
            self.x.log_softmax(-1), self.targets, self.input_lengths, self.target_lengths, reduction="sum"
        )
        loss.backward()
        return loss

    def results(self):
        loss = self.run()
        return loss.detach().double().cpu(), self.x.grad.double().cpu()


def difference(got, want):
    """As ctc_error in ctc_support.hpp, of the losses' sum."""
    loss = ((got[0] - want[0]).abs() / want[0].abs().clamp(min=1)).item()
    gradient = (got[1] - want[1]).abs().max().item()
    return float("inf") if loss != loss or gradient != gradient else max(loss, gradient)


def contend(w, native, device, clock):
    with torch.backends.cudnn.flags(enabled=not native):
        ctc = Ctc(w, native, device)
        error = difference(ctc.results(), Ctc(w, True, device, torch.float64).results())
        if not error <= TOLERANCE:
            return {"status": "disagrees", "why": f"loss or gradient is off by {error:.3g} from double's"}
        return {**clock.times(ctc.run), "error": error}


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
    rows = [row for row in workloads.read(arguments.workloads, "gpu") if row.get("kind") == "ctc"]
    with open(arguments.records, "a", encoding="utf-8", buffering=1) as records:
        for w in rows:
            for variant in ("native", "cudnn") if clock.cuda else ("native",):
                about = {"contestant": "pytorch", "workload": workloads.name_of(w), **{k: w[k] for k in "TNCU"},
                         "variant": variant}  # fmt: skip
                try:
                    if time.monotonic() > deadline:
                        result = {"status": "no time", "why": "the time budget is spent"}
                    else:
                        result = contend(w, variant == "native", device, clock)
                except Exception as error:  # one combination that fails must not cost the others
                    why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                    result = {"status": "failed", "why": why}
                    with contextlib.suppress(Exception):
                        clock.wait()
                kind = "ctc left out" if "status" in result else "ctc time"
                records.write(json.dumps({"kind": kind, **about, **result}) + "\n")


if __name__ == "__main__":
    main()
