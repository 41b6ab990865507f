"""PyTorch on the CPU as a contestant: nn.LSTM, nn.GRU and nn.RNN, ctc_loss, whole training steps, streaming. Serves
contest.py (support/contestant.hpp has the requests); numbers come from random_data.py. Usage: torch_cpu.py --threads N
[--clock wall|cpu]

forward: inference mode. train: forward, and backward from a given dy to the gradients of weights, biases and x.
A ragged batch has two variants: packed (pack_padded_sequence around the layers), and padded where that computes the same.
"""

import ctypes
import json
import os
import sys
import time

import numpy
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import random_data  # noqa: E402


class Unsupported(Exception):
    pass


def values(name, shape, scale=1.0):
    count = int(numpy.prod(shape))
    return torch.from_numpy(random_data.random_values(name, count, scale)).view(*shape)


def fill(module, prefix, scale):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(values(prefix + name, parameter.shape, scale))


class Layer:
    KINDS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}
    more = {}

    def __init__(self, row):
        variant = row.get("variant", "")
        if variant not in ("", "projection"):
            raise Unsupported(f"no {variant}")
        projection = row["H"] // 2 if variant == "projection" else 0
        more = {"proj_size": projection} if projection else {}
        self.rnn = self.KINDS[row["cell"]](
            row["I"], row["H"], num_layers=row.get("layers", 1), bidirectional=row["directions"] == 2, **more
        )
        fill(self.rnn, "rnn.", row["H"] ** -0.5)
        self.x = values("x", (row["T"], row["N"], row["I"]))
        self.training = row["pass"] == "train"
        self.dy = values("dy", (row["T"], row["N"], row["directions"] * (projection or row["H"])))
        self.x.requires_grad_(self.training)
        self.variants = [""]
        self.lengths = None
        if row.get("ragged"):
            self.lengths = torch.from_numpy(random_data.lengths(row))
            self.valid = (torch.arange(row["T"])[:, None] < self.lengths[None, :])[:, :, None]
            self.dy *= self.valid
            # The reverse direction would start in the padding.
            self.variants = ["packed"] if row["directions"] == 2 else ["packed", "padded"]

    def compute(self, variant):
        if variant != "packed":
            return self.rnn(self.x)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(self.x, self.lengths, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], total_length=self.x.shape[0])[0]

    def run(self, variant):
        if not self.training:
            with torch.inference_mode():
                return self.compute(variant)
        self.x.grad = None
        self.rnn.zero_grad(set_to_none=True)
        self.compute(variant).backward(self.dy)
        return None

    def results(self, variant):
        y = self.run(variant)
        if not self.training:
            return {"y": y * self.valid if self.lengths is not None else y}
        named = {"gradient of rnn." + name: p.grad for name, p in self.rnn.named_parameters()}
        return {"gradient of x": self.x.grad, **named}


class Ctc:
    """log_softmax and ctc_loss, forward and backward to the logits."""

    variants = ("",)
    more = {}

    def __init__(self, row):
        shape = (row["T"], row["N"], row["C"])
        self.x = values("logits", shape, 2.0).requires_grad_()
        targets = random_data.random_integers("targets", row["N"] * row["U"], 1, row["C"])
        self.targets = torch.from_numpy(targets).view(row["N"], row["U"])
        self.lengths = torch.full((row["N"],), row["T"]), torch.full((row["N"],), row["U"])

    def run(self, _variant):
        self.x.grad = None
        log_probs = self.x.log_softmax(-1)
        loss = torch.nn.functional.ctc_loss(log_probs, self.targets, *self.lengths, reduction="sum")
        loss.backward()
        return loss

    def results(self, variant):
        return {"loss": self.run(variant), "gradient of logits": self.x.grad}


class Model(torch.nn.Module):
    """The models of seqgpu_model.cpp and seqgpu_last.cpp, with Adam and clipping; a run is a whole training step."""

    variants = ("",)

    def __init__(self, row):
        super().__init__()
        if row.get("variant"):
            raise Unsupported(f"no {row['variant']}")
        self.row = row
        self.more = {"tokens": row["T"] * row["N"]}
        tokens = (row["T"], row["N"])
        count = row["T"] * row["N"]
        if row["model"] == "tagger":
            self.embed = torch.nn.Embedding(row["words"], row["I"])
            self.words = torch.from_numpy(random_data.random_integers("words", count, 0, row["words"])).view(*tokens)
            self.tags = torch.from_numpy(random_data.random_integers("tags", count, 0, row["classes"]))
        elif row["model"] == "ctc":
            self.x = values("x", (*tokens, row["I"]))
            targets = random_data.random_integers("targets", row["N"] * row["labels"], 1, row["classes"])
            self.targets = torch.from_numpy(targets).view(row["N"], row["labels"])
            self.lengths = torch.full((row["N"],), row["T"]), torch.full((row["N"],), row["labels"])
        elif row["model"] == "last":
            self.x = values("x", (*tokens, row["I"]))
        else:
            raise Unsupported(f"no such model: {row['model']}")
        both = row["model"] != "last"
        self.lstm = torch.nn.LSTM(row["I"], row["H"], num_layers=row.get("layers", 1), bidirectional=both)
        if both:
            self.out = torch.nn.Linear(2 * row["H"], row["classes"])
        fill(self, "", 0.1)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)

    def gradients(self):
        self.optimizer.zero_grad()
        if self.row["model"] == "tagger":
            logits = self.out(self.lstm(self.embed(self.words))[0])
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), self.tags)
        elif self.row["model"] == "last":
            loss = self.lstm(self.x)[1][0].square().mean()
        else:
            log_probs = self.out(self.lstm(self.x)[0]).log_softmax(-1)
            loss = torch.nn.functional.ctc_loss(log_probs, self.targets, *self.lengths)
        loss.backward()
        return loss

    def run(self, _variant):
        loss = self.gradients()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()

    def results(self, _variant):
        loss = self.gradients()
        return {"loss": loss, **{"gradient of " + name: p.grad for name, p in self.named_parameters()}}


class Stream:
    """One step of one sequence a run, the state carried."""

    STEPS = 20  # different inputs
    variants = ("",)
    more = {}

    def __init__(self, row):
        self.rnn = Layer.KINDS[row["cell"]](row["I"], row["H"])
        fill(self.rnn, "rnn.", row["H"] ** -0.5)
        self.x = values("x", (self.STEPS, 1, 1, row["I"]))
        self.state, self.step = None, 0

    def run(self, _variant):
        with torch.inference_mode():
            y, self.state = self.rnn(self.x[self.step % self.STEPS], self.state)
        self.step += 1
        return y

    def results(self, variant):
        self.state, self.step = None, 0
        return {"y": [self.run(variant) for _ in range(self.STEPS)][-1]}


KINDS = {"layer": Layer, "ctc": Ctc, "model": Model, "stream": Stream}


def read_results(path):
    results = {}
    with open(path, "rb") as file:
        for name, elements in json.loads(file.readline()):
            results[name] = numpy.frombuffer(file.read(4 * elements), dtype=numpy.float32)
    return results


def compare(got, want):
    """As compare in support/results.hpp."""
    worst = (0.0, "")
    for name, reference in want.items():
        if name not in got or got[name].numel() != reference.size:
            return float("inf"), name + " is missing"
        b = reference.astype(numpy.float64)
        difference = got[name].detach().numpy().astype(numpy.float64).reshape(-1) - b
        error = float(numpy.linalg.norm(difference) / max(numpy.linalg.norm(b), 1e-150))
        if error != error:
            return float("inf"), name + " holds NaN"
        worst = max(worst, (error, name))
    return worst


def memory_status(field):
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return -1


def trim():
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:  # not glibc
        pass


class Server:
    def __init__(self, clock):
        self.clock = clock
        self.prepared = None
        self.before = -1
        self.timed = False

    def answer(self, request):
        what = request["do"]
        if what in ("prepare", "release"):
            self.prepared, self.timed = None, False
            trim()
            if what == "release":
                return {}
            self.before = memory_status("VmRSS")
            kind = request["row"].get("kind", "layer")
            if kind not in KINDS:
                raise Unsupported(f"no such kind of workload: {kind}")
            self.prepared = KINDS[kind](request["row"])
            return {"variants": list(self.prepared.variants)}
        variant = request.get("variant", "")
        if what == "check":
            error, worst = compare(self.prepared.results(variant), read_results(request["file"]))
            return {"error": error, "worst": worst}
        if what == "time":
            if not self.timed:
                trim()
                try:
                    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                        file.write("5")
                except OSError:
                    pass
                self.timed = True
            seconds = []
            for _ in range(request["iterations"]):
                start = self.clock()
                self.prepared.run(variant)
                seconds.append(self.clock() - start)
            return {"seconds": seconds, **self.prepared.more}
        if what == "memory":
            peak = memory_status("VmHWM")
            return {"peak_bytes": -1 if peak < 0 else peak - self.before}
        raise ValueError(f"no such request: {what}")


def main():
    threads = int(sys.argv[sys.argv.index("--threads") + 1])
    torch.set_num_threads(threads)
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    clock = time.process_time if "cpu" in sys.argv else time.perf_counter
    server = Server(clock)
    replies.write(json.dumps({"contestant": "pytorch", "version": torch.__version__}) + "\n")
    for line in sys.stdin:
        try:
            reply = server.answer(json.loads(line))
        except Unsupported as why:
            reply = {"unsupported": str(why)}
        except Exception as why:  # one workload that fails must not cost the others
            reply = {"failed": f"{type(why).__name__}: {why}"}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
