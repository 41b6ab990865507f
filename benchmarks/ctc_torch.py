"""PyTorch's side of ctc.cpp: log_softmax and ctc_loss, forward and backward.

ctc_torch.py wall|cpu THREADS  the same columns; the bytes are those of its tables of alpha and beta
ctc_torch.py accuracy FILE     reads what `ctc accuracy FILE` wrote; prints the largest error of both sides' gradients, in
                               single precision, against PyTorch's in double
"""

import sys
import time

import numpy
import torch

SHAPES = [(150, 16, 30, 20), (500, 32, 50, 80), (1000, 16, 5000, 100), (200, 64, 30, 30)]


def logits_of(count):
    index = numpy.arange(count, dtype=numpy.uint64)
    return ((index * 2654435761 % 4294967296).astype(numpy.float64) / 1073741824 - 2).astype(numpy.float32)


def gradient(x, targets):
    x = x.clone().requires_grad_()
    lengths = torch.tensor([x.shape[0]]), torch.tensor([targets.shape[1]])
    torch.nn.functional.ctc_loss(x.log_softmax(-1), targets, *lengths, reduction="sum").backward()
    return x.grad


def accuracy(path):
    print(f"{'largest error of the gradient':32} {'seqgpu':>9} {'torch':>9}")
    with open(path, "rb") as file:
        while sizes := file.read(24):
            steps, labels, classes = numpy.frombuffer(sizes, numpy.int64)
            read = lambda dtype, shape: torch.from_numpy(
                numpy.frombuffer(file.read(4 * int(numpy.prod(shape))), dtype).reshape(shape).copy()
            )
            x = read(numpy.float32, (steps, 1, classes))
            targets = read(numpy.int32, (1, labels)).long()
            ours = read(numpy.float32, (steps, 1, classes))
            want = gradient(x.double(), targets)
            errors = [(g.double() - want).abs().max().item() for g in (ours, gradient(x, targets))]
            name = f"{'random' if x.any() else 'uniform'}, T {steps}, U {labels}, C {classes}"
            print(f"{name:32} {errors[0]:9.2g} {errors[1]:9.2g}", flush=True)


def main():
    if sys.argv[1] == "accuracy":
        return accuracy(sys.argv[2])
    clock = time.process_time if sys.argv[1] == "cpu" else time.perf_counter
    torch.set_num_threads(int(sys.argv[2]))
    for steps, batch, classes, labels in SHAPES:
        x = torch.from_numpy(logits_of(steps * batch * classes)).view(steps, batch, classes).requires_grad_()
        targets = 1 + torch.arange(batch * labels).view(batch, labels) * 7919 % (classes - 1)
        input_lengths = torch.full((batch,), steps, dtype=torch.long)
        target_lengths = torch.full((batch,), labels, dtype=torch.long)
        times = []
        while len(times) < 5 or (sum(times) < 1000 and len(times) < 1000):
            x.grad = None
            start = clock()
            loss = torch.nn.functional.ctc_loss(
                x.log_softmax(-1), targets, input_lengths, target_lengths, reduction="sum"
            )
            loss.backward()
            times.append((clock() - start) * 1000)
        times.sort()
        median, least = times[len(times) // 2], times[0]
        tables = 2 * 4 * steps * batch * (2 * labels + 1)
        print(steps, batch, classes, labels, f"{median:.3f} {least:.3f} {loss.item():.2f} {tables}", flush=True)


if __name__ == "__main__":
    main()
