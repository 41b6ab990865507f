"""PyTorch's side of atis_epoch.cpp: the same model on the same batches. Prints seconds and mean loss per epoch."""

import sys
import time

import numpy
import torch


def read_batches(path):
    data = numpy.fromfile(path, dtype=numpy.int32)
    words, tags, count = data[:3]
    batches, at = [], 3
    for _ in range(count):
        steps, size = int(data[at]), int(data[at + 1])
        at += 2
        parts = []
        for shape in ((steps, size), (steps, size), (size,)):
            length = int(numpy.prod(shape))
            parts.append(torch.from_numpy(data[at : at + length].reshape(shape).astype(numpy.int64)))
            at += length
        x, y, lengths = parts
        padding = torch.arange(steps)[:, None] >= lengths[None, :]
        batches.append((x, y.masked_fill(padding, -100), lengths))
    return int(words), int(tags), batches


class Tagger(torch.nn.Module):
    def __init__(self, words, tags):
        super().__init__()
        self.embed = torch.nn.Embedding(words, 100)
        self.lstm = torch.nn.LSTM(100, 100, bidirectional=True)
        self.out = torch.nn.Linear(200, tags)

    def forward(self, x, lengths, packed):
        h = self.embed(x)
        if packed:
            h = torch.nn.utils.rnn.pack_padded_sequence(h, lengths, enforce_sorted=False)
            h, _ = torch.nn.utils.rnn.pad_packed_sequence(self.lstm(h)[0], total_length=x.shape[0])
        else:  # wrong at the ends of the reverse direction, but this is what many people run
            h, _ = self.lstm(h)
        return self.out(h)


def main():
    path, epochs, packed = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "packed"
    torch.manual_seed(1)
    words, tags, batches = read_batches(path)
    model = Tagger(words, tags)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs + 1):
        start, total = time.perf_counter(), 0.0
        for x, y, lengths in batches:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x, lengths, packed).flatten(0, 1), y.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        if epoch > 0:
            print(f"{time.perf_counter() - start:.4f} {total / len(batches):.4f}", flush=True)


if __name__ == "__main__":
    main()
