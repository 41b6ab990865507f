"""Outputs, final states and all gradients of RNN, LSTM and GRU against PyTorch, f32 and f64."""

import itertools
import os
import subprocess
import sys
import tempfile

import torch

import tensor_file

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
T, N, INPUT, HIDDEN = 7, 5, 6, 17


def make_module(kind, layers, bidirectional, bias):
    options = dict(num_layers=layers, bidirectional=bidirectional, bias=bias)
    if kind == "lstm":
        return torch.nn.LSTM(INPUT, HIDDEN, **options)
    if kind == "lstm projected":
        return torch.nn.LSTM(INPUT, HIDDEN, proj_size=4, **options)
    if kind == "gru":
        return torch.nn.GRU(INPUT, HIDDEN, **options)
    return torch.nn.RNN(INPUT, HIDDEN, nonlinearity="relu" if kind == "elman relu" else "tanh", **options)


def compare(dump, folder, kind, layers, bidirectional, ragged, bias, dtype):
    torch.manual_seed(layers * 100 + bidirectional * 10 + ragged)
    module = make_module(kind, layers, bidirectional, bias).to(dtype)
    lstm = kind.startswith("lstm")
    width = 4 if kind == "lstm projected" else HIDDEN
    directions = 2 if bidirectional else 1

    def random(*shape):
        return torch.randn(*shape, dtype=dtype)

    x = random(T, N, INPUT).requires_grad_()
    states = [random(layers * directions, N, width).requires_grad_()]
    gradients = [random(layers * directions, N, width)]
    if lstm:
        states.append(random(layers * directions, N, HIDDEN).requires_grad_())
        gradients.append(random(layers * directions, N, HIDDEN))
    dy = random(T, N, directions * width)
    lengths = torch.tensor([T, 1, 4, T, 2], dtype=torch.int32)

    given = torch.nn.utils.rnn.pack_padded_sequence(x, lengths.long(), enforce_sorted=False) if ragged else x
    y, final = module(given, tuple(states) if lstm else states[0])
    if ragged:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)
    finals = list(final) if lstm else [final]
    loss = (y * dy).sum() + sum((f * g).sum() for f, g in zip(finals, gradients))
    loss.backward()

    tensors = {"x": x, "dy": dy, "h0": states[0], "dh": gradients[0]}
    if lstm:
        tensors.update(c0=states[1], dc=gradients[1])
    if ragged:
        tensors["lengths"] = lengths
    tensors.update({"rnn." + name: p for name, p in module.named_parameters()})
    metadata = {
        "cell": kind.split()[0],
        "relu": "1" if kind == "elman relu" else "0",
        "layers": str(layers),
        "bidirectional": "1" if bidirectional else "0",
        "bias": "1" if bias else "0",
        "projection": "4" if kind == "lstm projected" else "0",
        "hidden": str(HIDDEN),
    }
    source, result = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    tensor_file.write(source, tensors, metadata)
    subprocess.run([dump, source, result], check=True)
    got = tensor_file.read(result)

    want = {"y": y, "grad.x": x.grad, "grad.h0": states[0].grad}
    if lstm:
        want["grad.c0"] = states[1].grad
    for i in range(layers * directions):
        for s, f in enumerate(finals):
            want["final%d" % (i * len(finals) + s)] = f[i]
    want.update({"grad.rnn." + name: p.grad for name, p in module.named_parameters()})
    worst = 0.0
    for name, w in want.items():
        error = ((got[name] - w).abs() / w.abs().clamp(min=1)).max().item()
        if not error <= TOLERANCE[dtype]:
            print("FAILED %s layers %d bidirectional %d ragged %d bias %d %s: %s off by %g"
                  % (kind, layers, bidirectional, ragged, bias, dtype, name, error))
            return None
        worst = max(worst, error)
    return worst


def main():
    kinds = ["elman tanh", "elman relu", "lstm", "lstm projected", "gru"]
    worst, failed, count = {torch.float32: 0.0, torch.float64: 0.0}, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, layers, bidirectional, ragged, bias, dtype in itertools.product(
            kinds, [1, 2], [False, True], [False, True], [True, False], [torch.float32, torch.float64]
        ):
            if not bias and (layers == 1 or ragged):
                continue
            error = compare(sys.argv[1], folder, kind, layers, bidirectional, ragged, bias, dtype)
            count += 1
            if error is None:
                failed += 1
            else:
                worst[dtype] = max(worst[dtype], error)
    print("PyTorch %s: %d configurations, %d failed, worst error f32 %.2g, f64 %.2g"
          % (torch.__version__, count, failed, worst[torch.float32], worst[torch.float64]))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
