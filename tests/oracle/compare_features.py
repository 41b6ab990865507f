"""Log-mel filterbanks and MFCC against torchaudio.compliance.kaldi.

Compared with torchaudio computing in f64 throughout. In f32, as it is used, its triangles and its DCT are rounded, which
its own results in f64 show; how far ours are from those is printed.
"""

import os
import subprocess
import sys
import tempfile

import torch
import torchaudio
import torchaudio.compliance.kaldi as kaldi

import tensor_file

# Ours are worked out in double and rounded to f32: half a unit in the last place of values above 1, twice that allowed.
TOLERANCE = 2.0**-23

DEFAULTS = dict(
    kind="filterbank", sample_rate=16000, frame_length_ms=25.0, frame_shift_ms=10.0, snip_edges=True, remove_dc=True,
    preemphasis=0.97, window="povey", mel_bins=23, low_frequency=20.0, high_frequency=0.0, log_energies=True,
    power_spectrum=True, use_energy=False, raw_energy=True, energy_floor=0.0, cepstra=13, cepstral_lifter=22.0,
)
CASES = {
    "filterbank": {},
    "filterbank of 80": dict(mel_bins=80),
    "filterbank of 40 at 8 kHz": dict(sample_rate=8000, mel_bins=40),
    "filterbank at 8 kHz, mirrored edges": dict(sample_rate=8000, snip_edges=False),
    "filterbank of 64 to 7600 Hz, hamming": dict(mel_bins=64, low_frequency=60.0, high_frequency=-400.0, window="hamming"),
    "filterbank, hann, 20 ms every 5": dict(window="hann", frame_length_ms=20.0, frame_shift_ms=5.0),
    "filterbank, rectangular, no pre-emphasis": dict(window="rectangular", preemphasis=0.0),
    "filterbank, constant kept": dict(remove_dc=False),
    "filterbank of magnitudes": dict(power_spectrum=False),
    "filterbank with energy": dict(use_energy=True),
    "filterbank with floored energy after the window": dict(use_energy=True, raw_energy=False, energy_floor=1e6),
    "mfcc": dict(kind="mfcc"),
    "mfcc at 8 kHz, mirrored edges": dict(kind="mfcc", sample_rate=8000, snip_edges=False),
    "mfcc, 20 of 40, lifter 30": dict(kind="mfcc", cepstra=20, mel_bins=40, cepstral_lifter=30.0),
    "mfcc with energy": dict(kind="mfcc", use_energy=True),
    "mfcc of 8, hamming, 32 ms every 16": dict(
        kind="mfcc", cepstra=8, window="hamming", frame_length_ms=32.0, frame_shift_ms=16.0
    ),
}


def signal(rate):
    """0.7 s: a rising tone with harmonics that comes and goes, a constant and noise; in 16-bit steps."""
    torch.manual_seed(1)
    t = torch.arange(int(0.7 * rate), dtype=torch.float64) / rate
    phase = 2 * torch.pi * (120 * t + 100 * t * t)
    voice = sum(torch.sin(k * phase) / k for k in range(1, 12)) * (1 + torch.sin(2 * torch.pi * 3 * t))
    x = 0.1 * voice + 0.01 + 0.003 * torch.randn(len(t), dtype=torch.float64)
    return (x * 32768).round()


def expected(samples, o):
    common = dict(
        dither=0.0, sample_frequency=float(o["sample_rate"]), frame_length=o["frame_length_ms"],
        frame_shift=o["frame_shift_ms"], snip_edges=o["snip_edges"], remove_dc_offset=o["remove_dc"],
        preemphasis_coefficient=o["preemphasis"], window_type={"hann": "hanning"}.get(o["window"], o["window"]),
        num_mel_bins=o["mel_bins"], low_freq=o["low_frequency"], high_freq=o["high_frequency"],
        use_energy=o["use_energy"], raw_energy=o["raw_energy"], energy_floor=o["energy_floor"],
    )
    if o["kind"] == "mfcc":
        return kaldi.mfcc(samples, num_ceps=o["cepstra"], cepstral_lifter=o["cepstral_lifter"], **common)
    return kaldi.fbank(samples, use_log_fbank=o["log_energies"], use_power=o["power_spectrum"], **common)


def in_double(samples, o):
    torch.set_default_dtype(torch.float64)  # or its tables would still be f32
    try:
        return expected(samples.double(), o)
    finally:
        torch.set_default_dtype(torch.float32)


def largest(difference):
    return difference.abs().max().item()


def main():
    dump, failed, worst = sys.argv[1], 0, 0.0
    rounded, own = {"filterbank": 0.0, "mfcc": 0.0}, {"filterbank": 0.0, "mfcc": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        for name, options in CASES.items():
            o = {**DEFAULTS, **options}
            samples = signal(o["sample_rate"]).unsqueeze(0)
            metadata = {k: str(int(v)) if isinstance(v, bool) else str(v) for k, v in o.items()}
            tensor_file.write(source, {"samples": samples[0].float()}, metadata)
            subprocess.run([dump, source, result], check=True)
            got, want = tensor_file.read(result)["features"].double(), in_double(samples, o)
            if got.shape != want.shape:
                failed += 1
                print("FAILED %s: shape %s, expected %s" % (name, tuple(got.shape), tuple(want.shape)))
                continue
            if not torch.all((got - want).abs() <= TOLERANCE * want.abs().clamp(min=1)):
                failed += 1
                print("FAILED %s: off by %g" % (name, largest(got - want)))
            used = expected(samples.float(), o).double()
            worst = max(worst, largest(got - want))
            rounded[o["kind"]] = max(rounded[o["kind"]], largest(got - used))
            own[o["kind"]] = max(own[o["kind"]], largest(used - want))
    print("torchaudio %s: %d sets of options, %d failed, largest difference %.2g"
          % (torchaudio.__version__, len(CASES), failed, worst))
    for kind in rounded:
        print("  %s from torchaudio's in f32: %.2g, its own rounding: %.2g" % (kind, rounded[kind], own[kind]))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
