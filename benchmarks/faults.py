"""Break every verb, many times and in every way that is known, and count what goes wrong: none of it may.

    python benchmarks/faults.py [--quick] [--only images kills …] [--seed 0] [--work build/faults]

What is broken: images, files of text and models (seeded mutations); runs, by SIGKILL and by requests to end at random
moments, by a second run at the same time, by a fault in each call that writes, by file systems that are full, read-only
or closed, by little memory and few handles; and the input, by odd names and by small files of enormous images. Each run
that was broken is followed by one that is not, whose results must be those of an unbroken run.

The results of finished cases are kept in WORK/state.json, and the same command goes on from there. The whole takes some
hours on one core, --quick some minutes. Runs are forked from one process that has imported everything, so that hundreds
of trainings take minutes. Needs Linux; cc for the faults in calls and root for the file systems, else these are left
out and it says so.
"""

from __future__ import annotations

import argparse
import builtins
import collections
import contextlib
import ctypes
import errno
import functools
import hashlib
import importlib
import importlib.util
import io
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FAULTS = ("crashes", "hangs", "tracebacks", "foreign files", "silent differences", "left behind", "wrong ends")
"""Wrong ends: another exit code than the fault's, not one line, or results unlike an unbroken run's in the next run."""
HANG = 5.0  # seconds of computing beyond what the unbroken takes
PATIENCE = 3600.0  # seconds of waiting, on a machine that does other things too
SHIM = Path(__file__).parent / "faults" / "shim.c"
CODE_OF_TRACEBACK = 99
LOGS = (".pan-results", "report/.pan-results", ".pan-predictions")
"""What stays in a folder of results: which of its files are ours."""
REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Tally:
    """What became of a section's cases."""

    cases: int = 0
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: collections.Counter[str] = field(default_factory=collections.Counter)
    examples: list[str] = field(default_factory=list)

    def fault(self, kind: str, what: str) -> None:
        assert kind in FAULTS
        self.faults[kind] += 1
        if self.faults[kind] <= 20:
            self.examples.append(f"{kind}: {what}")
            print(f"    {kind}: {what}", flush=True)


# A data set, a model and images to work with


class Place:
    """The folder that all lies in: what is given to the verbs, `out` that they write to, and `tmp`, their TMPDIR."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.images = root / "data", root / "data" / "images"
        self.model, self.onnx = root / "model", root / "model.onnx"
        self.rasters = root / "rasters"
        self.study = root / "study.yaml"
        self.out, self.tmp, self.disk = root / "out", root / "tmp", root / "disk"

    def make(self) -> None:
        """Lay out what is given, once."""
        if self.onnx.exists() and self.model.exists():
            return

        shutil.rmtree(self.root, ignore_errors=True)
        for folder in ("tmp", "disk", "notes", "bin"):
            (self.root / folder).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for split in ("train", "val"):
            for kind, shape, high in (("images", (40, 48, 3), 256), ("masks", (40, 48), 2)):
                folder = self.data / kind / split
                folder.mkdir(parents=True)
                for name in "ab":
                    Image.fromarray(rng.integers(0, high, shape, dtype=np.uint8)).save(folder / f"{name}.png")
        (self.data / "dataset.yaml").write_text("names: [ground, box]\n")
        for name in (".x.1.tmp.png", "a.txt", ".pan-abcdefghij", ".pan-owner"):
            (self.root / "notes" / name).write_text("not ours")
        npm = self.root / "bin" / "npm"  # one that fetches nothing
        npm.write_text("#!/bin/sh\nexit 1\n")
        npm.chmod(0o755)
        for number, (suffix, content) in enumerate(raster_files()):
            (self.rasters / str(number)).mkdir(parents=True)
            (self.rasters / str(number) / f"scene{suffix}").write_bytes(content)
        write_zarr(self.rasters / "scene.zarr", rng)
        self.study.write_text("title: two\nreference: a\nvariants: {a: {}, b: {model.options.channels: 4}}\n")
        run = self.root / "run"
        for words in (train_words(self.data, run), ["export", str(run), "--out", str(self.onnx)]):
            learn(words, self.root / "said")
        shutil.copytree(run / "model", self.model)
        shutil.rmtree(run)


SETTINGS = (
    "data.crop=[32, 32]",
    "data.workers=0",
    "model.backbone=test_resnet",
    "model.pretrained=false",
    "model.options.channels=8",
    "train.batch_size=2",
    "train.epochs=1",
)


def train_words(data: Path, out: Path) -> list[str]:
    settings = [word for one in SETTINGS for word in ("--set", one)]
    return ["train", str(data), "--recipe", "finetune", "--device", "cpu", "--out", str(out), *settings]


def contents(folder: Path, skip: Iterable[Path] = ()) -> dict[str, str]:
    """The digest of every file below a folder, and the name of every folder."""
    found = {}
    skipped = set(map(str, skip))
    for root, folders, names in os.walk(os.fsencode(folder)):  # bytes, for names that are no text
        folders[:] = [name for name in folders if os.fsdecode(os.path.join(root, name)) not in skipped]
        for name in folders:
            found[os.fsdecode(os.path.join(root, name))] = ""
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                found[os.fsdecode(os.path.join(root, name))] = hashlib.sha256(file.read()).hexdigest()
    return {os.path.relpath(name, folder): digest for name, digest in found.items()}


# The verbs that write


@dataclass(frozen=True)
class Verb:
    """How a verb is run.

    Attributes:
        words: its command line, for a place and the folder it writes to.
        again: words more that go on with a run that was broken.
        kept: which of its files are the same in every run.
        alone: a second one is refused while the first runs.
    """

    words: Callable[[Place, Path], list[str]]
    again: tuple[str, ...] = ()
    kept: Callable[[str], bool] = lambda name: True
    alone: bool = True


TRAINED = ("recipe.yaml", "model/model.safetensors", "model/config.json", "metrics.json", "samples.png")
VERBS = {
    "train": Verb(lambda at, out: train_words(at.data, out), ("--resume",), lambda name: name in TRAINED),
    "convert": Verb(lambda at, out: ["data", "convert", str(at.data), str(out)]),
    "predict": Verb(
        lambda at, out: [
            *("predict", str(at.images), "--out", str(out), "--model", str(at.model)),
            *("--overlay", "--confidence"),
        ],
        ("--resume",),
        lambda name: name.endswith((".png", ".jpg")),
        alone=False,
    ),
    "export": Verb(lambda at, out: ["export", str(at.model), "--out", str(out / "model.onnx")], alone=False),
    "eval": Verb(
        lambda at, out: [
            *("eval", str(at.data), "--model", str(at.model), "--device", "cpu"),
            *("--json", str(out / "metrics.json"), "--report", str(out / "report")),
        ],
        alone=False,
    ),
    "inspect": Verb(
        lambda at, out: ["data", "inspect", str(at.data), "--out", str(out), "--json", str(out / "found.json")],
        alone=False,
    ),
    "explain": Verb(
        lambda at, out: [
            *("explain", str(at.images / "val" / "a.png"), "--model", str(at.onnx), "--device", "cpu"),
            *("--out", str(out / "sheet.png")),
        ],
        alone=False,
    ),
    "page": Verb(lambda at, out: ["export", str(at.onnx), "--web", str(out)], alone=False),
    "raster": Verb(
        lambda at, out: [
            *("predict", str(at.rasters / "0"), "--out", str(out), "--model", str(at.onnx)),
            *("--confidence", "--polygons", str(out / "regions.gpkg")),
        ],
        ("--resume",),
        lambda name: name.endswith(".tif"),  # a GeoPackage holds the time at which it was made
        alone=False,
    ),
    "zarr": Verb(
        lambda at, out: [
            *("predict", str(at.rasters / "scene.zarr"), "--out", str(out), "--model", str(at.onnx)),
            *("--polygons", str(out / "regions.geojson")),
        ],
        ("--resume",),
        alone=False,
    ),
    "serve": Verb(lambda at, out: ["serve", str(at.onnx), "--port", "0", "--device", "cpu"], alone=False),
    "ablate": Verb(
        lambda at, out: [
            *("ablate", str(at.study), str(at.data), "--out", str(out), "--device", "cpu"),
            *("--seeds", "0", "--recipe", "finetune", *(word for one in SETTINGS for word in ("--set", one))),
        ],
        ("--resume",),
        lambda name: name in ("study.yaml", "per_class.csv"),
    ),
}


# Runs


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: the signal's number), what it said on stderr, its seconds."""

    code: int
    said: str
    wall: float
    cpu: float
    hung: bool = False

    @property
    def last(self) -> str:
        return (self.said.strip().splitlines() or [""])[-1][:300]


class Run:
    """A verb in a forked process.

    Args:
        words: its command line.
        log: a file for what it says.
        before, after: called in the process, before and after the verb.
    """

    def __init__(
        self,
        words: list[str],
        log: Path,
        before: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        self.log, self.began = log, time.monotonic()
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)  # until the verb begins
        self.pid = os.fork()
        if self.pid == 0:
            self._child(words, before, after)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)

    def _child(self, words: list[str], before: Callable[[], object] | None, after: Callable[[], object] | None) -> None:
        code = CODE_OF_TRACEBACK
        try:
            from pyramid_attention.cli import main

            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.close(log)
            sys.argv = ["pan", *words]
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever this program itself was started by
            if before is not None:
                before()
            if words[0] == "serve":
                builtins.print = end_when_ready
            signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)
            code = main(words)
            if after is not None:
                after()
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    def signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, which)

    def wait(self, cpu: float = 60.0) -> Ended:
        """Until it ends, or has computed for `cpu` seconds and `HANG`, or has taken `PATIENCE` seconds."""
        hung = False
        while True:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            wall = time.monotonic() - self.began
            if not hung and (seconds_used(self.pid) > cpu + HANG or wall > PATIENCE):
                hung = True
                self.signal(signal.SIGKILL)
            time.sleep(0.005)
        said = self.log.read_bytes().decode(errors="replace") if self.log.exists() else ""
        wall = time.monotonic() - self.began
        return Ended(os.waitstatus_to_exitcode(status), said, wall, used.ru_utime + used.ru_stime, hung)


def end_when_ready(*words: object, **options: Any) -> None:
    """Stands in for `print` in a server's process, which ends by a request as soon as it says that it is there."""
    if "Ctrl-C" in str(words):
        signal.raise_signal(signal.SIGTERM)


def learn(words: list[str], log: Path) -> Ended:
    """Run a verb that has to end well, and import into this process what it imported, so that its next runs need not.

    Nothing else is done in this process: what has begun to compute cannot be forked.
    """
    names = log.with_name("imported")
    ended = Run(words, log, after=lambda: names.write_text("\n".join(sys.modules))).wait()
    if ended.code != 0:
        raise SystemExit(f"pan {' '.join(words)} failed: {ended}")
    for name in names.read_text().splitlines():
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    return ended


def seconds_used(pid: int) -> float:
    """Of computing, by a process so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """Runs verbs, broken and unbroken, and judges them."""

    def __init__(self, work: Path, seed: int, quick: bool) -> None:
        self.work, self.seed, self.quick = work, seed, quick
        self.place = Place(work / "place")
        self.log = work / "said"
        self.tally = Tally()
        self.unbroken: dict[str, tuple[dict[str, str], Ended]] = {}

    def random(self, *what: object) -> random.Random:
        """Random numbers that are a function of the seed and of what they are for."""
        return random.Random(f"{self.seed} {what}")

    def outside(self) -> dict[str, str]:
        """What lies in the place and is nobody's result."""
        return contents(self.place.root, skip=[self.place.out, self.place.tmp, self.place.disk])

    def clean(self) -> None:
        for folder in (self.place.out, self.place.tmp):
            shutil.rmtree(folder, ignore_errors=True)
        self.place.tmp.mkdir()

    def results(self, verb: str, out: Path | None = None) -> dict[str, str]:
        found = contents(out or self.place.out)
        return {name: digest for name, digest in found.items() if VERBS[verb].kept(name) and ".pan-" not in name}

    def prepare(self, verb: str) -> tuple[dict[str, str], Ended]:
        """The results of an unbroken run, and how it ended."""
        if verb not in self.unbroken:
            for _ in range(2):  # the second begins with all imported
                self.clean()
                ended = learn(VERBS[verb].words(self.place, self.place.out), self.log)
            self.unbroken[verb] = self.results(verb), ended
        self.clean()
        return self.unbroken[verb]

    def judge(self, what: str, ended: Ended, codes: Iterable[int]) -> None:
        """Count what is wrong with the end of a run that may end with these codes (negative: killed by us)."""
        tally = self.tally
        tally.ends[str(ended.code)] += 1
        if ended.hung:
            tally.fault("hangs", f"{what} ({ended.cpu:.1f} s of computing, {ended.wall:.1f} s)")
        elif ended.code < 0 and ended.code not in codes:
            tally.fault("crashes", f"{what}: {signal.Signals(-ended.code).name}; {ended.last}")
        elif ended.code == CODE_OF_TRACEBACK or "Traceback" in ended.said:
            tally.fault("tracebacks", f"{what}: {ended.last}")
        elif ended.code not in codes:
            tally.fault("wrong ends", f"{what}: exit code {ended.code}; {ended.last}")
        elif ended.code > 0 and ended.said.count("pan: ") != 1:
            tally.fault("wrong ends", f"{what}: not one line: {ended.said[-300:]!r}")

    def check_next(self, what: str, verb: str, out: Path | None = None) -> None:
        """Run a verb after one that was broken: it ends well, and nothing is left, missing or different."""
        expected, before = self.unbroken[verb]
        out = out or self.place.out
        words = [*VERBS[verb].words(self.place, out), *VERBS[verb].again]
        ended = Run(words, self.log).wait(before.cpu)
        self.judge(f"{what}; the next run", ended, [0])
        if ended.code == 0 and (found := self.results(verb, out)) != expected:
            differing = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
            self.tally.fault("wrong ends", f"{what}; the next run's results differ: {differing[:5]}")
        marks = [name for name in contents(out) if "/.pan-" in f"/{name}" and not name.startswith(LOGS)]
        if left := [*marks, *contents(self.place.tmp)]:
            self.tally.fault("left behind", f"{what}: {left[:5]}")

    @contextlib.contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """Count foreign files that are another afterwards."""
        before = self.outside()
        yield
        after = self.outside()
        if changed := [name for name in {*before, *after} if before.get(name) != after.get(name)]:
            self.tally.fault("foreign files", f"{what}: {sorted(changed)[:5]}")


# Mutations, in one process for many


def mutate(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A file changed as bad disks, bad transfers and bad programs change them; at times as an attacker would."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not result:
            break
        at = rng.randrange(min(len(result), rng.choice((64, 512, len(result)))) or 1)
        kind = rng.randrange(9)
        if kind == 0:
            result[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            result[at] = rng.randrange(256)
        elif kind == 2:
            del result[at:]
        elif kind == 3:
            del result[at : at + rng.randrange(1, 64)]
        elif kind == 4:
            result[at:at] = rng.randbytes(rng.randrange(1, 64))
        elif kind == 5:
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65535, 30000))
            result[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("little", "big")))
        elif kind == 6:
            length = rng.randrange(1, 256)
            result[at : at + length] = bytes(length)
        elif kind == 7:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            result[at : at + 128] = other[start : start + rng.randrange(1, 256)]
        else:
            result[at:at] = result[at : at + rng.randrange(1, 512)]
    return bytes(result)


def in_process(bench: Bench, what: str, case: Callable[[int], str | None], numbers: range) -> None:
    """Do cases in a forked process, in a new one after each that crashed or hung.

    `case` gives None for a good end, or the kind of fault and what it was, "silent differences: …"; what it raises is a
    traceback, unless it is a `UserError` of one line.
    """
    number = numbers.start
    while number < numbers.stop:
        number = _some_cases(bench, what, case, range(number, numbers.stop))


def _some_cases(bench: Bench, what: str, case: Callable[[int], str | None], numbers: range) -> int:
    """Do cases until one crashes or hangs; the number of the case after it."""
    from pyramid_attention.errors import UserError

    shared = mmap.mmap(-1, 8)
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        log = os.open(bench.log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 2)
        for number in numbers:
            shared[:] = number.to_bytes(8, "little")
            try:
                fault = case(number) or "ended well"
            except UserError as error:
                fault = "one line" if "\n" not in str(error) else f"wrong ends: not one line: {str(error)!r}"
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                fault = f"tracebacks: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            if os.fstat(log).st_size:
                fault = f"wrong ends: on stderr: {os.pread(log, 200, 0)!r}"
                os.ftruncate(log, 0)
                os.lseek(log, 0, os.SEEK_SET)
            os.write(writer, (json.dumps([number, fault]) + "\n").encode())
        os._exit(0)
    os.close(writer)
    os.set_blocking(reader, False)
    text, beat, used, since = b"", -1, 0.0, time.monotonic()
    status, hung = None, False
    while status is None:
        ended, code, _ = os.wait4(pid, os.WNOHANG)
        status = code if ended else None
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(reader, 1 << 16):
                text += piece
        now = int.from_bytes(shared[:], "little")
        if now != beat:
            beat, used, since = now, seconds_used(pid), time.monotonic()
        elif not hung and (seconds_used(pid) - used > HANG or time.monotonic() - since > PATIENCE):
            hung = True
            os.kill(pid, signal.SIGKILL)
        *lines, text = text.split(b"\n")
        for line in lines:
            number, fault = json.loads(line)
            bench.tally.cases += 1
            kind, _, rest = fault.partition(": ")
            if kind in FAULTS:
                bench.tally.fault(kind, f"{what} {number}: {rest}")
            else:
                bench.tally.ends[kind] += 1
        time.sleep(0.01)
    os.close(reader)
    if os.waitstatus_to_exitcode(status) == 0:
        return numbers.stop
    bench.tally.cases += 1
    name = signal.Signals(-os.waitstatus_to_exitcode(status)).name if os.WIFSIGNALED(status) else str(status)
    bench.tally.fault("hangs" if hung else "crashes", f"{what} {beat}: {name}")
    return beat + 1


@functools.cache
def image_files() -> tuple[tuple[str, bytes], ...]:
    """Small images and masks in every format that is read: suffix and content."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:37, :53]
    smooth = np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)
    noise = rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    ids = (x // 8 % 5).astype(np.uint8)
    deep = rng.integers(0, 65536, (20, 30), dtype=np.uint16)
    palette = Image.fromarray(smooth).quantize(16)
    rgba = Image.fromarray(np.dstack([smooth, ids * 50]))
    found: list[tuple[str, Image.Image, dict[str, Any]]] = [
        (".jpg", Image.fromarray(smooth), {"quality": 80}),
        (".jpg", Image.fromarray(noise), {"progressive": True}),
        (".jpg", Image.fromarray(smooth).convert("CMYK"), {}),
        (".png", Image.fromarray(smooth), {}),
        (".png", Image.fromarray(ids), {}),
        (".png", Image.fromarray(deep), {}),
        (".png", palette, {}),
        (".png", palette, {"transparency": 3}),
        (".png", rgba, {}),
        (".png", Image.fromarray(ids > 2), {}),
        (".bmp", Image.fromarray(smooth), {}),
        (".bmp", palette, {}),
        (".gif", palette, {}),
        (".gif", palette, {"save_all": True, "append_images": [palette, palette]}),
        (".webp", Image.fromarray(smooth), {}),
        (".webp", rgba, {"lossless": True}),
        (".ppm", Image.fromarray(noise), {}),
        (".pgm", Image.fromarray(ids), {}),
        *((".tif", Image.fromarray(smooth), {"compression": kind}) for kind in ("raw", "tiff_lzw", "jpeg", "packbits")),
        (".tif", Image.fromarray(deep), {"compression": "tiff_adobe_deflate"}),
        (".tif", palette, {"compression": "tiff_lzw"}),
    ]
    turned = Image.Exif()
    turned[0x0112] = 6
    found.append((".jpg", Image.fromarray(smooth), {"exif": turned}))
    files = []
    for suffix, image, options in found:
        content = io.BytesIO()
        image.save(content, Image.registered_extensions()[suffix], **options)
        files.append((suffix, content.getvalue()))
    return tuple(files)


class MutatedImages:
    """Images and masks with some bytes changed, read by all that read them, and segmented where they can be read."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.segmenter: Any = None

    def __call__(self, number: int) -> str | None:
        from pyramid_attention import Segmenter, images

        if self.segmenter is None:  # in the process that does the cases
            self.segmenter = Segmenter.load(self.bench.place.onnx, device="cpu")
        files = image_files()
        suffix, content = files[number % len(files)]
        path = self.bench.work / f"mutated{suffix}"
        path.write_bytes(mutate(content, self.bench.random("image", number), [other for _, other in files]))
        refused = [
            _one_line(functools.partial(read, path))
            for read in (self.segmenter, images.read_label_map, images.image_size, images.pixel_type)
        ]
        if all(refused):
            raise refused[0]  # type: ignore[misc]
        if refused[0] is None and self.segmenter(path).labels.shape != images.image_size(path):
            return "silent differences: a label map of another size than its image"
        return None


def _one_line(call: Callable[[], object]) -> Exception | None:
    """The `UserError` that a call raises, if it does."""
    from pyramid_attention.errors import UserError

    try:
        call()
    except UserError as error:
        return error
    return None


@functools.cache
def raster_files() -> tuple[tuple[str, bytes], ...]:
    """Small rasters in the formats that are read by windows: suffix and content; none where GDAL is not installed."""
    if importlib.util.find_spec("rasterio") is None or importlib.util.find_spec("tifffile") is None:
        return ()
    import rasterio
    import tifffile
    from rasterio.transform import Affine

    rng = np.random.default_rng(1)
    y, x = np.mgrid[:70, :90]
    smooth = np.stack([2 * x, 3 * y, x + y]).astype(np.uint8)
    deep = rng.integers(0, 65536, (4, 40, 50), dtype=np.uint16)
    placed = {"crs": "EPSG:32632", "transform": Affine(10, 0, 500_000, 0, -10, 4_600_000)}
    files = []
    for suffix, values, options in (
        (".tif", smooth, {"driver": "GTiff", "photometric": "RGB"}),
        (".tif", smooth, {"driver": "GTiff", "compress": "jpeg", "tiled": True, "blockxsize": 32, "blockysize": 32}),
        (".tif", deep, {"driver": "GTiff", "compress": "lzw", "predictor": 2, "nodata": 0}),
        (".tif", deep[:1].astype(np.float32), {"driver": "GTiff", "compress": "deflate", "interleave": "band"}),
        (".jp2", smooth, {"driver": "JP2OpenJPEG"}),
        (".img", smooth, {"driver": "HFA"}),
    ):
        count, height, width = values.shape
        profile = {"count": count, "height": height, "width": width, "dtype": values.dtype, **placed, **options}
        with rasterio.MemoryFile(ext=suffix) as memory:
            with memory.open(**profile) as file:
                file.write(values)
            files.append((suffix, memory.read()))
    for compression in (None, "zlib"):
        content = io.BytesIO()
        tifffile.imwrite(content, deep[:3], ome=True, metadata={"axes": "CYX"}, compression=compression, tile=(16, 16))
        files.append((".ome.tif", content.getvalue()))
    content = io.BytesIO()
    np.save(content, deep[:3].transpose(1, 2, 0))
    files.append((".npy", content.getvalue()))
    return tuple(files)


def write_zarr(folder: Path, rng: np.random.Generator) -> None:
    """An image of three channels as OME-Zarr, where zarr is installed."""
    if importlib.util.find_spec("zarr") is None:
        return
    import zarr

    group = zarr.create_group(folder)
    group.create_array("0", data=rng.integers(0, 256, (3, 40, 50), dtype=np.uint8), chunks=(3, 32, 32))
    axes = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space"} for axis in "yx")]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}


def mutated_raster(bench: Bench, number: int) -> None:
    """A raster with some bytes changed, read by windows as a prediction reads it."""
    from pyramid_attention.images import open_raster

    files = raster_files()
    suffix, content = files[number % len(files)]
    path = bench.work / f"mutated-raster{suffix}"
    path.write_bytes(mutate(content, bench.random("raster", number), [other for _, other in files]))
    raster = open_raster(path)
    try:
        for top in range(0, min(raster.height, 256), 64):
            for left in range(0, min(raster.width, 256), 64):
                window = (top, min(top + 64, raster.height)), (left, min(left + 64, raster.width))
                raster.valid(*window)
                raster.read(*window)
    finally:
        raster.close()


def text_files() -> list[tuple[str, str, Callable[[Path], object]]]:
    """Files of text that are read, and what reads them: name, content, reader."""
    from pyramid_attention.data import open_dataset
    from pyramid_attention.training import load_recipe

    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 48, "height": 40}],
        "categories": [{"id": 3, "name": "box"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": [[1, 1, 20, 1, 20, 20]]},
            {"id": 2, "image_id": 1, "category_id": 3, "segmentation": {"counts": [5, 4, 1911], "size": [40, 48]}},
        ],
    }
    labelme = {
        "imagePath": "a.png",
        "imageWidth": 48,
        "imageHeight": 40,
        "shapes": [{"label": "box", "points": [[1, 1], [20, 1], [20, 20]], "shape_type": "polygon"}],
    }
    cvat = (
        '<annotations><version>1.1</version><image id="0" name="a.png" width="48" height="40">'
        '<polygon label="box" points="1,1;20,1;20,20" z_order="0"></polygon></image></annotations>'
    )
    recipe = "data:\n  crop: [32, 32]\nmodel:\n  architecture: pan\n  options: {channels: 8}\ntrain:\n  epochs: 3\n"

    def open_all(folder: Path) -> None:
        dataset = open_dataset(folder)
        for samples in dataset.splits.values():
            for sample in samples:
                sample.read_mask()

    return [
        ("dataset.yaml", "names: [ground, box]\ncolours: [[0, 0, 0], [255, 0, 0]]\nignore: [255]\n", open_all),
        ("annotations.json", json.dumps(coco), open_all),
        ("a.json", json.dumps(labelme), open_all),
        ("annotations.xml", cvat, open_all),
        ("recipe.yaml", recipe, lambda folder: load_recipe(folder / "recipe.yaml")),
    ]


def mutated_text(bench: Bench, number: int) -> None:
    rng = bench.random("text", number)
    files = text_files()
    name, content, read = files[number % len(files)]
    folder = bench.work / "texts" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        source = bench.place.data
        if name == "dataset.yaml":
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            shutil.copy(source / "images/train/a.png", folder / "a.png")
    others = [other.encode() for _, other, _ in files]
    (folder / name).write_bytes(mutate(content.encode(), rng, others))
    read(folder)


class MutatedModels:
    """Models with some bytes changed: refused, or the labels are those of the whole one."""

    def __init__(self, bench: Bench) -> None:
        from pyramid_attention.artifacts import read_info
        from pyramid_attention.artifacts.locate import locate

        self.bench = bench
        self.image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        street = Path(locate("pan-street").path)
        self.models = [bench.place.onnx, street, bench.place.model]
        self.expected = [self.labels(model) for model in self.models]
        self.names = [read_info(model).classes.names for model in self.models]
        self.small = [bench.place.onnx.read_bytes()]

    def labels(self, model: Path, **given: Any) -> bytes:
        from pyramid_attention import Segmenter

        return Segmenter.load(model, device="cpu", **given)(self.image).labels.tobytes()

    def __call__(self, number: int) -> str | None:
        rng = self.bench.random("model", number)
        which = number % 4 % 3  # twice as many of the first
        model = self.models[which]
        copy = self.bench.work / ("mutated-model" + model.suffix)
        if model.is_dir():
            shutil.copytree(model, copy, dirs_exist_ok=True)
            changed = copy / rng.choice(("model.safetensors", "model.safetensors", "config.json"))
        else:
            shutil.copyfile(model, copy)
            changed = copy
        content = changed.read_bytes()
        if rng.random() < 0.5:  # one bit, anywhere
            broken = bytearray(content)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        else:
            broken = bytearray(mutate(content, rng, self.small))
        changed.write_bytes(broken)
        given = {} if which == 2 or number % 8 < 4 else {"classes": self.names[which]}
        if self.labels(copy, **given) != self.expected[which]:
            return f"silent differences: {model.name}, {changed.name}"
        return None


# Sections: what is done in case number n of each


PARTLY = ("predict", "raster", "zarr", "ablate")
"""Verbs of which a part may fail, and the rest is done."""
LONG = ("export", "ablate", "explain", "page", "serve", "zarr")
ORDER = [*[verb for verb in VERBS if verb not in LONG] * 3, *LONG]


def verb_of(number: int) -> str:
    """The verbs in turn, those that take long less often."""
    return ORDER[number % len(ORDER)]


def kill(bench: Bench, number: int) -> None:
    """SIGKILL at a random moment."""
    verb = verb_of(number)
    moment = bench.random("kill", number).uniform(0, 1.05 * bench.prepare(verb)[1].wall)
    what = f"{verb} killed after {moment:.3f} s (case {number})"
    with bench.watched(what):
        run = Run(VERBS[verb].words(bench.place, bench.place.out), bench.log)
        time.sleep(moment)
        run.signal(signal.SIGKILL)
        bench.judge(what, run.wait(), [0, -signal.SIGKILL])
        bench.check_next(what, verb)


def interrupt(bench: Bench, number: int) -> None:
    """SIGINT, SIGTERM or SIGHUP at a random moment."""
    verb, rng = verb_of(number), bench.random("interrupt", number)
    which = rng.choice(REQUESTS)
    moment = rng.uniform(0, 1.05 * bench.prepare(verb)[1].wall)
    what = f"{verb}, {which.name} after {moment:.3f} s (case {number})"
    with bench.watched(what):
        run = Run(VERBS[verb].words(bench.place, bench.place.out), bench.log)
        time.sleep(moment)
        run.signal(which)
        bench.judge(what, run.wait(), [0, 130, -which])
        bench.check_next(what, verb)


def pair(bench: Bench, number: int) -> None:
    """Two of a verb into one folder."""
    verb = verb_of(number)
    delay = bench.random("pair", number).uniform(0, 0.6 * bench.prepare(verb)[1].wall)
    what = f"two of {verb}, {delay:.3f} s apart (case {number})"
    words = VERBS[verb].words(bench.place, bench.place.out)
    with bench.watched(what):
        first = Run(words, bench.log)
        time.sleep(delay)
        second = Run(words, bench.log.with_name("said-by-the-second"))
        both = first.wait(), second.wait()
        for ended in both:
            bench.judge(what, ended, [0, 2] if VERBS[verb].alone else [0])
            if ended.code == 2 and not ("in use" in ended.last or "already holds" in ended.last):
                bench.tally.fault("wrong ends", f"{what}: {ended.last}")
        if all(ended.code for ended in both):
            bench.tally.fault("wrong ends", f"{what}: neither ended well")
        bench.check_next(what, verb)


ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES)


class Injected:
    """The call of each number, of those that write into the output folder, fails once, or from there on all do."""

    def __init__(self, bench: Bench) -> None:
        self.library = ctypes.CDLL(None)
        self.counted = mmap.mmap(-1, 8)
        self.cases: list[tuple[str, int, int, bool]] = []
        for verb in VERBS:
            bench.prepare(verb)
            words = VERBS[verb].words(bench.place, bench.place.out)
            Run(words, bench.log, self.arming(bench, -1, 0, False), self.count).wait()
            calls = int.from_bytes(self.counted[:], "little")
            both = [(verb, at, ERRORS[at % len(ERRORS)], stays) for at in range(calls) for stays in (False, True)]
            if bench.quick:
                both = both[:: max(1, len(both) // 8)]
            self.cases += both
        bench.random("injected").shuffle(self.cases)  # what is done of a run that is cut short is of all verbs

    def count(self) -> None:
        self.counted[:] = int(self.library.fault_count()).to_bytes(8, "little")

    def arming(self, bench: Bench, at: int, error: int, stays: bool) -> Callable[[], object]:
        folder = os.fsencode(f"{bench.place.out.resolve()}/")
        return lambda: self.library.fault_arm(folder, ctypes.c_long(at), error, int(stays))

    def __call__(self, bench: Bench, number: int) -> None:
        verb, at, error, stays = self.cases[number]
        bench.prepare(verb)
        what = f"{verb}, {errno.errorcode[error]} in call {at}{' and all after it' * stays}"
        with bench.watched(what):
            words = VERBS[verb].words(bench.place, bench.place.out)
            ended = Run(words, bench.log, self.arming(bench, at, error, stays)).wait()
            bench.judge(what, ended, [0, 1, 2] if verb in PARTLY else [0, 2])
            bench.check_next(what, verb)


@contextlib.contextmanager
def small_disk(bench: Bench, size: int) -> Iterator[Callable[[str], object]]:
    """A file system of so many bytes at the place's `disk`; gives what remounts it with other options."""

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options], check=True, capture_output=True)

    disk = str(bench.place.disk)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk)
    try:
        yield lambda options: mount("-o", f"remount,{options}", disk)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def full_disk(bench: Bench, number: int) -> None:
    """A file system that is too small, or nearly; the next run finds more room."""
    verb = verb_of(number)
    bench.prepare(verb)
    Run(VERBS[verb].words(bench.place, bench.place.out), bench.log).wait()
    needed = sum(path.stat().st_size + 4096 for path in bench.place.out.rglob("*"))
    size = bench.random("disk", number).randrange(4096, int(1.3 * needed) + 65536)
    what = f"{verb} on a disk of {size} bytes (case {number})"
    out = bench.place.disk / "out"
    bench.prepare(verb)
    with bench.watched(what), small_disk(bench, size) as remount:
        codes = [0, 1, 2] if verb in PARTLY else [0, 2]
        bench.judge(what, Run(VERBS[verb].words(bench.place, out), bench.log).wait(), codes)
        remount("size=64m")
        bench.check_next(what, verb, out)


def no_permission(bench: Bench, number: int) -> None:
    """A file system that is read-only, a folder that is another user's, or a data set on a read-only file system."""
    kind, verb = number // len(ORDER) % 3, verb_of(number)
    bench.prepare(verb)
    words = VERBS[verb].words(bench.place, bench.place.disk / "out")
    what = f"{verb}, {('a read-only disk', 'another user', 'read-only data')[kind]}"
    with bench.watched(what):
        if kind == 0:
            with small_disk(bench, 1 << 26) as remount:
                remount("ro")
                bench.judge(what, Run(words, bench.log).wait(), [2])
                remount("rw")
                bench.check_next(what, verb, bench.place.disk / "out")
        elif kind == 1:
            bench.log.chmod(0o666)
            bench.judge(what, Run(words, bench.log, before=lambda: os.setuid(65534)).wait(), [2])
        else:
            data = str(bench.place.data)
            subprocess.run(["mount", "--bind", data, data], check=True)
            try:
                subprocess.run(["mount", "-o", "remount,bind,ro", data], check=True)
                bench.check_next(what, verb)
            finally:
                subprocess.run(["umount", "-l", data], check=True)


def little_memory(bench: Bench, number: int) -> None:
    """An address space that hardly grows."""
    verb = verb_of(number)
    bench.prepare(verb)
    more = int(2 ** bench.random("memory", number).uniform(20, 29.5))
    what = f"{verb} with {more / 1e6:.1f} MB more than at the start (case {number})"

    def limit() -> None:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))

    with bench.watched(what):
        words = VERBS[verb].words(bench.place, bench.place.out)
        bench.judge(what, Run(words, bench.log, limit).wait(), [0, 1, 2] if verb in PARTLY else [0, 2])
        bench.check_next(what, verb)


def few_handles(bench: Bench, number: int) -> None:
    """So few files may be open at once."""
    verb = verb_of(number)
    bench.prepare(verb)
    more = bench.random("handles", number).randrange(0, 24)
    what = f"{verb} with {more} files that may be open (case {number})"

    def limit() -> None:
        used = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + more, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    with bench.watched(what):
        words = VERBS[verb].words(bench.place, bench.place.out)
        codes = [0, 1, 2] if verb in (*PARTLY, "convert", "inspect") else [0, 2]
        bench.judge(what, Run(words, bench.log, limit).wait(), codes)
        bench.check_next(what, verb)


NAMES = [
    *("a b", " a", "a ", "-a", "--out", "a\nb", "a\tb", "a'b", 'a"b', "a\\b", "[a]", "a*", "a?", "{a}", "$(a)"),
    *("`a`", "%s", "a%20b", "#a", "a;b", "a|b", "a&b", "~", "a=b", "é", "e\u0301", "日本", "🙂", "\u202ea", "\x85"),
    *("\udcff", "CON", "nul", "a.", "a..b", "a.png", "\x7f", "\x1b[31m", "0", "null"),
    *("x" * 200, "x" * 241, "x" * 251, "é" * 120),
]


def odd_name(bench: Bench, number: int) -> None:
    """Images of odd names in a folder of an odd name: all are done."""
    name = NAMES[number]
    bench.clean()
    shutil.rmtree(bench.place.root / "odd", ignore_errors=True)
    root = bench.place.root / "odd" / name[:100]
    pixels = Image.open(bench.place.images / "train" / "a.png"), Image.open(bench.place.data / "masks/train/a.png")
    for kind, image in zip(("images", "masks"), pixels, strict=True):
        (root / kind / "val").mkdir(parents=True)
        for one in (name, "b"):
            with open(root / kind / "val" / f"{one}.png", "wb") as file:
                image.save(file, "PNG")
    (root / "dataset.yaml").write_text("names: [ground, box]\n")
    out, what = bench.place.out, f"the name {name[:20]!r}"
    model = ["--model", str(bench.place.model)]
    commands = {
        "predict": (["predict", str(root / "images"), "--out", str(out / "predict"), *model], 2),
        "convert": (["data", "convert", str(root), str(out / "convert")], 4),
        "inspect": (["data", "inspect", str(root), "--out", str(out / "inspect")], 1),
        "eval": (["eval", str(root), "--report", str(out / "eval"), *model], 2),
        "explain": (["explain", str(root / f"images/val/{name}.png"), "--out", str(out / "explain/a.png"), *model], 1),
    }
    if raster_files():
        (root / "rasters").mkdir()
        (root / "rasters" / f"{name}.tif").write_bytes(raster_files()[0][1])
        commands["raster"] = ["predict", str(root / "rasters"), "--out", str(out / "raster"), *model], 1
    with bench.watched(what):
        for verb, (words, results) in commands.items():
            ended = Run(words, bench.log).wait()
            bench.judge(f"{verb}, {what}", ended, [0])
            found = [path for path in contents(out / verb) if path.endswith((".png", ".tif"))]
            if ended.code == 0 and len(found) != results:
                bench.tally.fault("wrong ends", f"{verb}, {what}: {len(found)} of {results} files")
    shutil.rmtree(bench.place.root / "odd")


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def claiming(format_: str, width: int, height: int) -> bytes:
    """A small image whose header claims a size."""
    content = io.BytesIO()
    Image.new("RGB" if format_ != "GIF" else "P", (64, 64), 7).save(content, format_)
    data = content.getvalue()
    if format_ == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
    if format_ == "GIF":
        return data[:6] + struct.pack("<HH", min(width, 65535), min(height, 65535)) + data[10:]
    if format_ == "BMP":
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    if format_ == "PPM":
        return b"P6 %d %d 255\n" % (width, height) + data[-100:]
    raise ValueError(format_)


BOMBS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "a PNG of 13000×12000, one colour": lambda: (".png", png(13000, 12000, bytes(12000 * 39001))),
    "a PNG of 60000×60000, empty": lambda: (".png", png(60000, 60000, b"")),
    "a PNG of 2³¹−1×1": lambda: (".png", png(2**31 - 1, 1, b"")),
    "a PNG of 1×140000000": lambda: (".png", png(1, 140_000_000, bytes(1000))),
    "a PNG with 1 GB behind its pixels": lambda: (".png", png(8, 8, bytes(1 << 30))),
    **{
        f"a {format_} that claims {width}×{height}": functools.partial(
            lambda format_, width, height: (f".{format_.lower()}", claiming(format_, width, height)),
            *(format_, width, height),
        )
        for format_ in ("JPEG", "GIF", "BMP", "PPM")
        for width, height in ((12000, 12000), (65000, 65000), (65535, 1), (2000, 65535))
    },
    "a YAML of many aliases": lambda: (
        ".yaml",
        b"a0: &a0 [x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (k, k, b", ".join([b"*a%d" % (k - 1)] * 9)) for k in range(1, 12)),
    ),
    "a YAML of many brackets": lambda: (".yaml", b"names: " + b"[" * 100_000),
    "a JSON of many brackets": lambda: (".json", b"[" * 1_000_000),
    "a JSON of a long number": lambda: (".json", b'{"images": ' + b"9" * 1_000_000 + b"}"),
    "an XML of many entities": lambda: (
        ".xml",
        b'<!DOCTYPE a [<!ENTITY x0 "xxxxxxxxxx">'
        + b"".join(b'<!ENTITY x%d "%s">' % (k, b"&x%d;" % (k - 1) * 10) for k in range(1, 10))
        + b"]><annotations>&x9;</annotations>",
    ),
    "an XML of many elements in one another": lambda: (".xml", b"<annotations>" + b"<a>" * 200_000),
}


def bomb(bench: Bench, number: int) -> None:
    """Small files that are large inside: refused, or done in moments and in little memory."""
    name = list(BOMBS)[number]
    suffix, content = BOMBS[name]()
    bench.clean()
    folder = bench.place.root / "bomb"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bench.place.data, folder)
    if suffix in (".yaml", ".json", ".xml"):
        (folder / "dataset.yaml").unlink()
        (
            folder / {".yaml": "dataset.yaml", ".json": "annotations.json", ".xml": "annotations.xml"}[suffix]
        ).write_bytes(content)
        commands = [["data", "inspect", str(folder)], ["train", str(folder), "--recipe", str(folder / "dataset.yaml")]]
        commands = commands[: 2 if suffix == ".yaml" else 1]
    else:
        (folder / "bomb").mkdir()
        (folder / "bomb" / f"a{suffix}").write_bytes(content)
        commands = [["predict", str(folder / "bomb"), "--out", str(bench.place.out), "--model", str(bench.place.model)]]
    for words in commands:
        ended = Run([*words, *(("--out", str(bench.place.out)) if words[0] == "train" else ())], bench.log).wait(0.0)
        bench.judge(f"{words[0]}, {name}", ended, [0, 1, 2])
    shutil.rmtree(folder)


def process(bench: Bench, number: int) -> None:
    """A whole process, its start and its end too, interrupted at a random moment; or left alone, warning of all."""
    verb, rng = verb_of(number), bench.random("process", number)
    bench.prepare(verb)
    words = [sys.executable, "-X", "dev", "-m", "pyramid_attention.cli"]
    words += VERBS[verb].words(bench.place, bench.place.out)
    left_alone = number < len(ORDER)
    began = time.monotonic()
    with open(bench.log, "wb") as log, bench.watched(verb):
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)
        which = rng.choice(REQUESTS)
        if not left_alone:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(rng.uniform(0.05, 12.0))
            running.send_signal(which)
        running.wait()
    said = bench.log.read_text(errors="replace")
    wall = time.monotonic() - began
    what = f"{verb}, {'left alone' if left_alone else which.name} after {wall:.1f} s (process {number})"
    warned = [line for line in said.splitlines() if "ResourceWarning" in line]
    if warned:
        bench.tally.fault("wrong ends", f"{what}: {warned[0][:300]}")
    bench.judge(what, Ended(running.returncode, said, wall, 0.0), [0] if left_alone else [0, 130, -which])
    bench.check_next(what, verb)


# The whole


@dataclass(frozen=True)
class Section:
    """Cases of one kind: how many at least and in full, and what does the one of a number."""

    title: str
    quick: int
    full: int
    case: Callable[[Bench, int], None] | None = None
    inside: Callable[[Bench], Callable[[int], str | None]] | None = None


SECTIONS = {
    "images": Section("mutated images", 2_000, 100_000, inside=MutatedImages),
    "rasters": Section("mutated rasters", 500, 20_000, inside=lambda bench: functools.partial(mutated_raster, bench)),
    "texts": Section(
        "mutated annotations and recipes", 300, 10_000, inside=lambda bench: functools.partial(mutated_text, bench)
    ),
    "models": Section("mutated models", 60, 1_000, inside=MutatedModels),
    "kills": Section("SIGKILL at a random moment", len(ORDER), 20 * len(ORDER), kill),
    "interrupts": Section("SIGINT, SIGTERM, SIGHUP at a random moment", len(ORDER), 10 * len(ORDER), interrupt),
    "pairs": Section("two at once into one folder", len(ORDER), 10 * len(ORDER), pair),
    "injected": Section("a fault in each call that writes", 0, 0),
    "disks": Section("disks that are too small", len(ORDER), 10 * len(ORDER), full_disk),
    "permissions": Section(
        "read-only disks, folders of others, read-only data", 3 * len(ORDER), 3 * len(ORDER), no_permission
    ),
    "memory": Section("little memory", len(ORDER), 10 * len(ORDER), little_memory),
    "handles": Section("few files that may be open", len(ORDER), 10 * len(ORDER), few_handles),
    "names": Section("odd names", len(NAMES), len(NAMES), odd_name),
    "bombs": Section("small files, large inside", len(BOMBS), len(BOMBS), bomb),
    "processes": Section("whole processes, interrupted, and with -X dev", len(ORDER), 3 * len(ORDER), process),
}


def do(bench: Bench, name: str, state: dict[str, Any], save: Callable[[], None]) -> None:
    """Do what is left of a section."""
    section = SECTIONS[name]
    kept = state.setdefault(name, {"next": 0})
    count = section.quick if bench.quick else section.full
    case, inside = section.case, None if section.inside is None else section.inside(bench)
    if name == "injected":
        injected = Injected(bench)
        case, count = injected, len(injected.cases)
    print(f"{name}: {section.title}, {count:,} cases, {kept['next']:,} done", flush=True)
    bench.tally = Tally(
        kept.get("cases", 0),
        collections.Counter(kept.get("ends", {})),
        collections.Counter(kept.get("faults", {})),
        kept.get("examples", []),
    )
    saved = time.monotonic()
    while (at := kept["next"]) < count:
        if inside is not None:
            kept["next"] = min(count, at + 500)
            in_process(bench, name, inside, range(at, kept["next"]))
        else:
            assert case is not None
            case(bench, at)
            bench.tally.cases += 1
            kept["next"] = at + 1
        tally = bench.tally
        kept.update(cases=tally.cases, ends=dict(tally.ends), faults=dict(tally.faults), examples=tally.examples)
        if time.monotonic() - saved > 10 or kept["next"] == count:
            save()
            saved = time.monotonic()


def table(state: dict[str, Any]) -> str:
    lines = ["| broken | cases | " + " | ".join(FAULTS) + " | ended |", "|---|---:|" + "---:|" * len(FAULTS) + "---|"]
    for name, section in SECTIONS.items():
        kept = state.get(name, {})
        if not kept.get("cases"):
            lines.append(f"| {section.title} | {kept.get('skipped', 'not run')} |" + " |" * (len(FAULTS) + 1))
            continue
        faults = " | ".join(str(kept["faults"].get(kind, 0)) for kind in FAULTS)
        ends = ", ".join(f"{ENDS.get(end, end)}: {count:,}" for end, count in sorted(kept["ends"].items()))
        lines.append(f"| {section.title} | {kept['cases']:,} | {faults} | {ends} |")
    return "\n".join(lines)


ENDS = {"0": "well", "1": "some failed", "2": "one line", "130": "interrupted", "-9": "killed"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases of each kind")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/faults"))
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    shim = work / "shim.so"
    if "LD_PRELOAD" not in os.environ and shutil.which("cc"):
        build = ["cc", "-shared", "-fPIC", "-O1", "-D_LARGEFILE64_SOURCE", "-o", str(shim), str(SHIM), "-ldl"]
        subprocess.run(build, check=True)
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "LD_PRELOAD": str(shim)})
    place = Place(work / "place")
    os.environ["PATH"] = f"{place.root / 'bin'}:{os.environ['PATH']}"
    os.environ |= {"TMPDIR": str(place.tmp), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default::ResourceWarning"}
    state_file = work / f"state-{options.seed}-{'quick' if options.quick else 'full'}.json"
    state: dict[str, Any] = json.loads(state_file.read_text()) if state_file.exists() else {}

    def save() -> None:
        state_file.write_text(json.dumps(state, indent=1))

    place.make()
    bench = Bench(work, options.seed, options.quick)
    for name in options.only:
        if name == "injected" and "LD_PRELOAD" not in os.environ:
            state[name] = {"skipped": "no cc"}
        elif name in ("disks", "permissions") and os.geteuid() != 0:
            state[name] = {"skipped": "not root"}
        else:
            do(bench, name, state, save)
    save()
    print(table(state))
    for name in options.only:
        for example in state[name].get("examples", ()):
            print(f"{name}: {example}")
    raise SystemExit(any(sum(state[name].get("faults", {}).values()) for name in options.only))


if __name__ == "__main__":
    main()
