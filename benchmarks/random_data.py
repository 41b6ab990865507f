"""The numbers of support/random_data.hpp, for contestants in Python."""

import numpy

SPAN = 1 << 24


def key_of(tensor):
    key = 0xCBF29CE484222325
    for c in tensor.encode():
        key = ((key ^ c) * 0x100000001B3) % 2**64
    return key


def random_bits(tensor, count):
    z = numpy.arange(1, count + 1, dtype=numpy.uint64)
    z *= numpy.uint64(0x9E3779B97F4A7C15)
    z += numpy.uint64(key_of(tensor))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> numpy.uint64(shift)
        z *= numpy.uint64(factor)
    z ^= z >> numpy.uint64(31)
    return z >> numpy.uint64(40)


def random_values(tensor, count, scale=1.0):
    values = random_bits(tensor, count).astype(numpy.float32) * numpy.float32(2.0**-23) - numpy.float32(1)
    return values * numpy.float32(scale)


def random_integers(tensor, count, low, high):
    return low + (random_bits(tensor, count) * numpy.uint64(high - low) // numpy.uint64(SPAN)).astype(numpy.int64)


def lengths(row):
    """Steps of each sequence, as Workload::lengths."""
    if not row.get("ragged"):
        return numpy.full(row["N"], row["T"], dtype=numpy.int64)
    return random_integers("lengths", row["N"], max(1, row["T"] // 10), row["T"] + 1)
