"""PyTorch's side of ctc.cpp: log_softmax and ctc_loss, forward and backward. Prints the same columns.

With "accuracy" instead of a number of threads: its error in single precision on cases like those of
tests/ctc/values_test.cpp, against its own result in double.
"""

import sys
import time

import numpy
import torch

SHAPES = [(150, 16, 30, 20), (500, 32, 50, 80), (1000, 16, 5000, 100), (200, 64, 30, 30)]


def logits_of(count):
    index = numpy.arange(count, dtype=numpy.uint64)
    return ((index * 2654435761 % 4294967296).astype(numpy.float64) / 1073741824 - 2).astype(numpy.float32)


ACCURACY = [("uniform", 1000, 5, 5), ("uniform", 20000, 5, 5), ("random", 150, 40, 28)]
ACCURACY += [("random", 1500, 300, 50), ("random", 4000, 1200, 3), ("random", 5000, 600, 64)]


def gradient(x, targets):
    x = x.clone().requires_grad_()
    lengths = torch.tensor([x.shape[0]]), torch.tensor([targets.shape[1]])
    torch.nn.functional.ctc_loss(x.log_softmax(-1), targets, *lengths, reduction="sum").backward()
    return x.grad


def accuracy():
    torch.manual_seed(11)
    for name, steps, labels, classes in ACCURACY:
        x = torch.randn(steps, 1, classes) if name == "random" else torch.zeros(steps, 1, classes)
        targets = torch.randint(1, classes, (1, labels))
        error = (gradient(x, targets).double() - gradient(x.double(), targets)).abs().max().item()
        print(f"{name:7} T {steps:5} U {labels:4} C {classes:2}: gradient error {error:.2g}", flush=True)


def main():
    if sys.argv[1] == "accuracy":
        return accuracy()
    torch.set_num_threads(int(sys.argv[1]))
    for steps, batch, classes, labels in SHAPES:
        x = torch.from_numpy(logits_of(steps * batch * classes)).view(steps, batch, classes).requires_grad_()
        targets = 1 + torch.arange(batch * labels).view(batch, labels) * 7919 % (classes - 1)
        input_lengths = torch.full((batch,), steps, dtype=torch.long)
        target_lengths = torch.full((batch,), labels, dtype=torch.long)
        times = []
        while len(times) < 5 or (sum(times) < 1000 and len(times) < 100):
            x.grad = None
            start = time.perf_counter()
            loss = torch.nn.functional.ctc_loss(
                x.log_softmax(-1), targets, input_lengths, target_lengths, reduction="sum"
            )
            loss.backward()
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        median, least = times[len(times) // 2], times[0]
        print(steps, batch, classes, labels, f"{median:.3f} {least:.3f} {loss.item():.2f}", flush=True)


if __name__ == "__main__":
    main()
