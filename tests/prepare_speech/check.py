"""Holds what scripts/prepare_speech writes against what it should be. Usage: check.py <root>

Always on a small made-up collection; on the real ones too where SEQGPU_DATA has them.
"""

import array
import collections
import filecmp
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import wave

SCRIPT = pathlib.Path(sys.argv.pop(1)) / "scripts" / "prepare_speech"
DATA = pathlib.Path(os.environ.get("SEQGPU_DATA", "../shared/data"))
DIGITS = "zero one two three four five six seven eight nine".split()
DEV = {5, 14, 23, 32, 41}


def prepare(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def samples_of(path):
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return array.array("h", file.readframes(file.getnframes()))


def lines_of(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def make_clip(path, level, length):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        # No two samples in a row are alike, so that a clip is found again where it was put.
        file.writeframes(array.array("h", [level + 7 * i % 1000 for i in range(length)]).tobytes())


def made_up_digits(folder):
    level = 0
    for digit in range(3):
        for speaker in ("ann", "bob"):
            for index in range(50):
                level += 13
                make_clip(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", level, 200 + index)


def where(samples, clip, start):
    """The first place from start on that holds the clip's samples."""
    place = samples.tobytes().find(clip.tobytes(), 2 * start)
    while place % 2 == 1:
        place = samples.tobytes().find(clip.tobytes(), place + 1)
    return place // 2


class Prepared(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def assert_same_bytes(self, one, other):
        names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
        self.assertEqual(names, sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file()))
        self.assertGreater(len(names), 4)
        self.assertEqual(filecmp.cmpfiles(one, other, names, shallow=False)[1:], ([], []))

    def check_digits(self, source, out, rounds):
        clips = dict(lines_of(out / "clips.tsv"))
        used = {part: collections.Counter() for part in ("train", "dev", "test")}
        for part, counts in used.items():
            manifest = lines_of(out / f"{part}.tsv")
            self.assertEqual({path.split("/")[0] for path, _ in manifest}, {part})
            for number, (path, transcript) in enumerate(manifest):
                names = [name.split("_") for name in clips[path].split()]
                self.assertTrue(3 <= len(names) <= 7, path)
                self.assertEqual(transcript.split(), [DIGITS[int(digit)] for digit, _, _ in names])
                self.assertEqual(len({speaker for _, speaker, _ in names}), 1)
                counts.update(clips[path].split())
                if part != "train" or number == 0:  # later rounds of training are varied
                    self.check_sound(source, samples_of(out / path), clips[path].split())
        of_part = {"test": set(range(5)), "dev": DEV, "train": set(range(5, 50)) - DEV}
        for part, counts in used.items():
            self.assertEqual({int(name.split("_")[2]) for name in counts}, of_part[part])
            self.assertEqual(set(counts.values()), {rounds if part == "train" else 4})
        everything = {path.stem for path in (source / "recordings").glob("*.wav")}
        self.assertEqual(set().union(*used.values()), everything)

    def check_sound(self, source, samples, names):
        at = 0
        for i, name in enumerate(names):
            clip = samples_of(source / "recordings" / f"{name}.wav")
            found = where(samples, clip, at)
            self.assertTrue(found == 0 if i == 0 else 0 <= found - at <= 8 * 200, f"{name} in {names}")
            at = found + len(clip)
        self.assertEqual(at, len(samples))

    def test_digits_that_were_made_up(self):
        made_up_digits(self.folder / "source")
        source, one, other = self.folder / "source", self.folder / "one", self.folder / "other"
        self.assertEqual(prepare("fsdd", source, one, "--rounds", 2).returncode, 0)
        self.check_digits(source, one, rounds=2)
        prepare("fsdd", source, other, "--rounds", 2)
        self.assert_same_bytes(one, other)
        self.assertEqual(prepare("fsdd", source, other, "--rounds", 2, "--seed", 2).returncode, 0)
        self.assertNotEqual((one / "clips.tsv").read_text(), (other / "clips.tsv").read_text())

    def test_varied_rounds_differ_from_the_first(self):
        made_up_digits(self.folder / "source")
        lengths = []
        for speed in (1, 1.5):
            out = self.folder / str(speed)
            prepare("fsdd", self.folder / "source", out, "--rounds", 3, "--speed", speed, "--gain", 0, "--longest-pause", 0)
            clips = lines_of(out / "clips.tsv")
            lengths.append([len(samples_of(out / path)) for path, _ in clips if path.startswith("train")])
        self.assertEqual([len(one) for one in lengths[:1]], [len(lengths[1])])
        first_round = sum(length == same for length, same in zip(*lengths))
        self.assertTrue(0.3 < first_round / len(lengths[0]) < 0.4, first_round)

    def test_unusable_sources(self):
        def refused(words, *arguments):
            result = prepare(*arguments)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(words, result.stderr)
            self.assertNotIn("Traceback", result.stderr)

        source, out = self.folder / "source", self.folder / "out"
        refused("No such file", "fsdd", source, out)
        make_clip(source / "recordings" / "3_ann.wav", 1, 100)
        refused("is not named digit_speaker_index.wav", "fsdd", source, out)
        (source / "recordings" / "3_ann.wav").unlink()
        (source / "recordings" / "3_ann_0.wav").write_bytes(b"RIFF")
        refused("3_ann_0.wav: ", "fsdd", source, out)
        make_clip(source / "recordings" / "3_ann_0.wav", 1, 100)
        refused("cannot make strings of 3 to 7", "fsdd", source, out)
        make_clip(source / "train" / "0_1.wav", 1, 100)
        refused("--dev 1: must be from 0 to 0", "yesno", source, out, "--dev", 1)
        make_clip(source / "train" / "0_2.wav", 1, 100)
        make_clip(source / "test" / "0_1.wav", 1, 100)
        refused("is not named after its words", "yesno", source, out, "--dev", 0)

    def test_words_that_were_made_up(self):
        for name in ("0_0", "0_1", "1_0", "1_1"):
            make_clip(self.folder / "source" / "train" / f"{name}.wav", 5, 300)
        make_clip(self.folder / "source" / "test" / "1_0_1.wav", 5, 300)
        out = self.folder / "out"
        self.assertEqual(prepare("yesno", self.folder / "source", out, "--dev", 2, "--rounds", 2).returncode, 0)
        once = "train/00000_0_0.wav\tno no\ntrain/00001_1_0.wav\tyes no\n"
        again = once.replace("00000", "00002").replace("00001", "00003")
        self.assertEqual((out / "train.tsv").read_text(), once + again)
        self.assertEqual((out / "dev.tsv").read_text(), "dev/00000_0_1.wav\tno yes\ndev/00001_1_1.wav\tyes yes\n")
        self.assertEqual((out / "test.tsv").read_text(), "test/00000_1_0_1.wav\tyes no yes\n")
        as_it_was = samples_of(self.folder / "source" / "test" / "1_0_1.wav")
        self.assertEqual(samples_of(out / "test" / "00000_1_0_1.wav"), as_it_was)
        self.assertEqual(samples_of(out / "train" / "00000_0_0.wav"), as_it_was)
        self.assertNotEqual(samples_of(out / "train" / "00002_0_0.wav"), as_it_was)

    def test_real_digits(self):
        source = DATA / "fsdd"
        if not source.exists():
            self.skipTest(f"skipped: no data at {source}")
        out = self.folder / "out"
        result = prepare("fsdd", source, out, "--rounds", 1)
        self.assertIn("1000 digits, of 250 clips", result.stdout)
        self.check_digits(source, out, rounds=1)

    def test_real_words(self):
        source = DATA / "yesno"
        if not source.exists():
            self.skipTest(f"skipped: no data at {source}")
        result = prepare("yesno", source, self.folder / "out")
        self.assertEqual(result.stdout.splitlines()[-1], "test: 12 files, 96 words")


if __name__ == "__main__":
    unittest.main()
