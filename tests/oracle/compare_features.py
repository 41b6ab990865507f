"""Log-mel filterbanks and MFCC against torchaudio.compliance.kaldi.

Twice: torchaudio as it is used, in f32, against our default precision; and torchaudio in f64 throughout against our f64.
How far the two of torchaudio are from each other is printed: more than 1e-4.
"""

import os
import subprocess
import sys
import tempfile

import torch
import torchaudio
import torchaudio.compliance.kaldi as kaldi

import tensor_file

# f32: what the project promises. What is left is torchaudio's spectrum and sums, which are double in ours.
USED = 1e-4
# f64: ours are rounded to f32: half a unit in the last place of values above 1, twice that allowed.
EXACT = 2.0**-23

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


def ours(dump, samples, o, precision):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        metadata = {k: str(int(v)) if isinstance(v, bool) else str(v) for k, v in o.items()}
        tensor_file.write(source, {"samples": samples[0].float()}, {**metadata, "precision": precision})
        subprocess.run([dump, source, result], check=True)
        return tensor_file.read(result)["features"].double()


def main():
    dump, failed = sys.argv[1], 0
    most = {kind: dict.fromkeys(("f32", "f64", "own"), 0.0) for kind in ("filterbank", "mfcc")}
    for name, options in CASES.items():
        o = {**DEFAULTS, **options}
        samples = signal(o["sample_rate"]).unsqueeze(0)
        used, exact = expected(samples.float(), o).double(), in_double(samples, o)
        got = {precision: ours(dump, samples, o, precision) for precision in ("f32", "f64")}
        for precision, want, bound in (("f32", used, USED), ("f64", exact, EXACT * exact.abs().clamp(min=1))):
            if got[precision].shape != want.shape:
                failed += 1
                print("FAILED %s: shape %s, expected %s" % (name, tuple(got[precision].shape), tuple(want.shape)))
                continue
            off = largest(got[precision] - want)
            most[o["kind"]][precision] = max(most[o["kind"]][precision], off)
            if not torch.all((got[precision] - want).abs() <= bound):
                failed += 1
                print("FAILED %s: in %s off by %g" % (name, precision, off))
        most[o["kind"]]["own"] = max(most[o["kind"]]["own"], largest(used - exact))
    print("torchaudio %s: %d sets of options, %d failed" % (torchaudio.__version__, len(CASES), failed))
    for kind, off in most.items():
        print("  %s: largest difference in f32 %.2g, in f64 %.2g; torchaudio's f32 from its f64 %.2g"
              % (kind, off["f32"], off["f64"], off["own"]))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
