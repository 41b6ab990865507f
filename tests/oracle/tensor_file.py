"""Safetensors files of PyTorch tensors, without a package for them."""

import array
import json
import struct

import torch

CODES = {torch.float32: ("F32", "f"), torch.float64: ("F64", "d"), torch.int32: ("I32", "i")}


def write(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    # Wider elements first keeps every tensor aligned.
    for name, t in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        code, letter = CODES[t.dtype]
        raw = array.array(letter, t.detach().flatten().tolist()).tobytes()
        header[name] = {"dtype": code, "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read(path):
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, info in json.loads(raw[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        dtype, letter = next((d, l) for d, (code, l) in CODES.items() if code == info["dtype"])
        begin, end = info["data_offsets"]
        values = array.array(letter, raw[8 + size + begin : 8 + size + end])
        tensors[name] = torch.tensor(values.tolist(), dtype=dtype).reshape(info["shape"])
    return tensors
