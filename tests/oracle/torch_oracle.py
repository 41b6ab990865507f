"""Holds recurrent layers, forward and gradients, against PyTorch in float64. Usage: torch_oracle.py RUN_LAYER
Exits with 77 (skipped) where torch is absent. Also shows that a PyTorch user can read and write our files by hand."""

import itertools
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

NAMES = {"float64": "F64", "int32": "I32"}
TYPES = {name: dtype for dtype, name in NAMES.items()}
# Both sides sum in float64, in different orders: at most some thousand terms of size 1, times 2^-53.
TOLERANCE = 1e-11


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        raw = numpy.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": NAMES[str(array.dtype)], "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = numpy.frombuffer(raw[8 + size + begin : 8 + size + end], dtype=TYPES[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"])
    return tensors


def torch_layer(cell, size, hidden, layers, directions, projection):
    options = dict(num_layers=layers, bidirectional=directions == 2)
    if cell == "lstm":
        return torch.nn.LSTM(size, hidden, proj_size=projection, **options)
    if cell == "gru":
        return torch.nn.GRU(size, hidden, **options)
    return torch.nn.RNN(size, hidden, nonlinearity=cell[4:], **options)


def check(program, folder, case):
    cell, layers, directions, ragged, projection = case
    steps, batch, size, hidden = 7, 5, 6, 9
    torch.manual_seed(1)
    layer = torch_layer(cell, size, hidden, layers, directions, projection).double()
    x = torch.randn(steps, batch, size, dtype=torch.float64, requires_grad=True)
    dy = torch.randn(steps, batch, directions * (projection or hidden), dtype=torch.float64)
    lengths = torch.tensor([7, 1, 4, 6, 2] if ragged else [steps] * batch)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], total_length=steps)
    (y * dy).sum().backward()
    want = {"y": y, "d x": x.grad}
    want.update({"d " + name: p.grad for name, p in layer.named_parameters()})
    given = {"x": x, "dy": dy, "lengths": lengths.int(), **dict(layer.named_parameters())}
    metadata = dict(cell=cell, input=size, hidden=hidden, layers=layers, directions=directions, projection=projection)
    write_safetensors(folder / "in", {k: v.detach().numpy() for k, v in given.items()}, {k: str(v) for k, v in metadata.items()})
    subprocess.run([program, folder / "in", folder / "out"], check=True)
    found = read_safetensors(folder / "out")
    worst = 0.0
    for name, tensor in want.items():
        expected = tensor.detach().numpy()
        worst = max(worst, float(numpy.max(numpy.abs(found[name] - expected) / numpy.maximum(1, numpy.abs(expected)))))
    if set(found) != set(want):
        print(f"{case}: other tensors: {set(found) ^ set(want)}")
        return False
    if not worst <= TOLERANCE:
        print(f"{case}: error {worst:.3g} above {TOLERANCE}")
    return worst <= TOLERANCE


def main():
    cases = [(*case, 0) for case in itertools.product(["rnn_tanh", "rnn_relu", "lstm", "gru"], [1, 2], [1, 2], [False, True])]
    cases += [("lstm", layers, directions, True, 4) for layers in (1, 2) for directions in (1, 2)]
    with tempfile.TemporaryDirectory() as folder:
        good = sum(check(sys.argv[1], pathlib.Path(folder), case) for case in cases)
    print(f"{good} of {len(cases)} layer stacks agree with torch {torch.__version__}, values and gradients")
    return 0 if good == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
