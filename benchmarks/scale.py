"""Prediction by many workers: what it costs here, and what it would cost elsewhere (docs/results/scale.md).

python benchmarks/scale.py killed --images 20000 --work DIR     one process and Ray's workers, ten of them killed
python benchmarks/scale.py parts --work DIR --json FILE         the cost of each part
python benchmarks/scale.py simulate --parts FILE --plot FILE    10^8 images on 1 to 1,000 workers
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

TESTS = Path(__file__).parents[1] / "tests"
TINY = "tiny"
SIZE = (48, 64)
KILLS = 10


def make_images(folder: Path, count: int) -> None:
    """Small images of smooth noise, a thousand a folder."""
    draw = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"{index // 1000:03}" / f"{index:05}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path, quality=90)


def tiny_model(folder: Path) -> Path:
    """An exported file whose classes are the brightest channel: what remains is the cost of everything else."""
    sys.path.insert(0, str(TESTS))
    from pyramid_attention.artifacts import ModelInfo
    from pyramid_attention.artifacts.onnx_file import write_file
    from pyramid_attention.classes import ClassTable
    from support import brightest

    path = folder / "tiny.onnx"
    if not path.exists():
        write_file(brightest(), path, ModelInfo(classes=ClassTable.of(["red", "green", "blue"])))
    return path


def digest(folder: Path) -> tuple[int, str]:
    """How many label maps there are, and one SHA-256 of all names and bytes."""
    paths = sorted(folder.rglob("[!.]*.png"))
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return len(paths), total.hexdigest()


def workers_in(out: Path) -> list[int]:
    """Ray's processes that work in a folder, by the locks of their runs (those of dead ones may lie there, too)."""
    from pyramid_attention.files import CLAIMS

    found = []
    for lock in (out / CLAIMS).glob("*"):
        try:
            pid = int(json.loads(lock.read_text())["pid"])
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::"):
                found.append(pid)
        except (OSError, ValueError):  # it has just ended
            continue
    return found


def memory(pids: list[int]) -> dict[int, float]:
    """The resident MiB of some processes."""
    found = {}
    for pid in pids:
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
        found[pid] = pages * resource.getpagesize() / 2**20
    return found


def cpu_seconds() -> float:
    """What this process and all that it started have taken so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                values = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(values[1])
            spent[int(entry.name)] = (int(values[11]) + int(values[12])) / ticks
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(spent[pid] for pid in family)


def killed(arguments: argparse.Namespace) -> None:
    """One process and Ray's workers over the same images; workers are killed at random moments of the second."""
    import ray

    from pyramid_attention.inference import Segmenter
    from pyramid_attention.inference.manifest import LOGS
    from pyramid_attention.inference.predict_files import predict_files
    from pyramid_attention.inference.sources import find_images
    from pyramid_attention.scale.predict import TABLE, predict_on_cluster

    work, count = Path(arguments.work), arguments.images
    make_images(work / "in", count)
    if arguments.model == TINY:
        arguments.model = str(tiny_model(work))
    draw = random.Random(arguments.seed)
    moments = sorted(draw.sample(range(count // 20, count), arguments.kills))
    peak: dict[str, float] = {"driver": 0.0, "worker": 0.0}
    deaths: list[str] = []
    done = 0
    out = work / "cluster"
    for folder in (out, work / "alone"):
        shutil.rmtree(folder, ignore_errors=True)

    def on_done() -> None:
        nonlocal done
        done += 1
        if done % 500 == 0:
            workers = memory(workers_in(out))
            peak["worker"] = max([peak["worker"], *workers.values()])
            peak["driver"] = max(peak["driver"], *memory([os.getpid()]).values())
        if moments and done >= moments[0]:
            workers, names = workers_in(out), ray.util.list_named_actors()
            if len(deaths) % 2 and names:
                ray.kill(ray.get_actor(draw.choice(names)))
            elif not len(deaths) % 2 and workers:
                os.kill(draw.choice(workers), signal.SIGKILL)
            else:  # they are all about to begin
                return
            deaths.append(f"{'ray.kill' if len(deaths) % 2 else 'SIGKILL'} after {done}")
            moments.pop(0)

    source = find_images([work / "in"])
    began = time.perf_counter()
    summary = predict_on_cluster(arguments.model, source, out, address="local", on_done=on_done)
    cluster_seconds = time.perf_counter() - began
    began = time.perf_counter()
    alone = predict_files(Segmenter.load(arguments.model), source, work / "alone")
    alone_seconds = time.perf_counter() - began
    lines = Counter(
        line[0]
        for log in (out / LOGS).glob("*.jsonl")
        for line in map(json.loads, filter(None, log.read_bytes().split(b"\n")))
        if isinstance(line, list)
    )
    from pyarrow import parquet

    names = parquet.read_table(out / TABLE)["name"].to_pylist()
    print(json.dumps({
        "images": count,
        "done": [summary.done, alone.done],
        "failed": [len(summary.failed), len(alone.failed)],
        "kills": deaths,
        "rows of the table, names": [len(names), len(set(names))],
        "label maps begun more than once": sum(times > 1 for times in lines.values()),
        "equal": digest(out) == digest(work / "alone"),
        "label maps": digest(out)[0],
        "seconds (cluster, alone)": [cluster_seconds, alone_seconds],
        "peak MiB": peak,
    }, indent=1))  # fmt: skip
    shutil.rmtree(work / "alone")
    shutil.rmtree(out)


def throughput(arguments: argparse.Namespace) -> None:
    """Images a second of one process and of Ray's workers, in turns, workers and model being there already."""
    import ray

    from pyramid_attention.inference import Segmenter
    from pyramid_attention.inference.predict_files import predict_files
    from pyramid_attention.inference.sources import FileSource, find_images
    from pyramid_attention.scale.predict import predict_on_cluster

    work = Path(arguments.work)
    make_images(work / "in", arguments.images)
    if arguments.model == TINY:
        arguments.model = str(tiny_model(work))
    items = find_images([work / "in"]).items[: arguments.images]
    segmenter = Segmenter.load(arguments.model)
    ray.init(num_cpus=arguments.cores, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    rounds = []
    for turn in range(arguments.rounds):
        source, row = FileSource(items), {}
        for kind in ("alone", "cluster") if turn % 2 else ("cluster", "alone"):
            out = work / f"out-{kind}"
            shutil.rmtree(out, ignore_errors=True)
            stamps: list[tuple[float, float]] = []

            def stamp(stamps: list[tuple[float, float]] = stamps) -> None:
                if len(stamps) in (len(items) // 5, len(items) - 1):
                    stamps.append((time.perf_counter(), cpu_seconds()))
                else:
                    stamps.append((0.0, 0.0))

            if kind == "alone":
                predict_files(segmenter, source, out, on_done=stamp)
            else:
                predict_on_cluster(arguments.model, source, out, on_done=stamp)
            first, last = stamps[len(items) // 5], stamps[-1]  # the start of the workers is a cost of its own
            number = len(items) - 1 - len(items) // 5
            row[kind] = {
                "images/s": number / (last[0] - first[0]),
                "CPU ms an image": (last[1] - first[1]) / number * 1e3,
            }
        row["ratio"] = row["cluster"]["images/s"] / row["alone"]["images/s"]
        row["ratio by CPU"] = row["alone"]["CPU ms an image"] / row["cluster"]["CPU ms an image"]
        rounds.append(row)
        print(json.dumps(row), flush=True)
    ray.shutdown()
    print(json.dumps({name: float(np.median([row[name] for row in rounds])) for name in ("ratio", "ratio by CPU")}))


def parts(arguments: argparse.Namespace) -> None:
    """CPU milliseconds of each part, and of a claim in a folder that several runs share."""
    from contextlib import ExitStack

    from pyramid_attention.inference import Segmenter
    from pyramid_attention.inference.sinks import LABEL_MAP, FileSink
    from pyramid_attention.inference.sources import Item, find_images

    work = Path(arguments.work)
    make_images(work / "in", arguments.images)
    segmenter = Segmenter.load(arguments.model)
    source = find_images([work / "in"])
    items = source.items[: arguments.images]
    costs: dict[str, float] = {}

    def timed(name: str, function, things: list):
        begin = time.process_time()
        results = [function(thing) for thing in things]
        costs[name] = (time.process_time() - begin) / len(things) * 1e3
        return results

    images = timed("read and decode", source.read, items)
    segmentations = timed("segment", segmenter, images)
    contents = timed("encode", LABEL_MAP.encode, segmentations)
    claims = {}
    for partners in (1, 4, 16, 64):
        out = work / "claims"
        shutil.rmtree(out, ignore_errors=True)
        with ExitStack() as stack:
            made_by = segmenter.identity
            sinks = [stack.enter_context(FileSink(out, made_by=made_by)) for _ in range(partners)]
            spent = 0.0
            for index in range(256):
                sink, item = sinks[index % partners], Item(f"{index:05}", f"{index:05}.jpg", "1")
                begin = time.process_time()
                sink.claim(item)
                spent += time.process_time() - begin
                sink.write(item, segmentations[0])
        claims[partners] = spent / 256 * 1e3
        shutil.rmtree(out)
    out = work / "write"
    with FileSink(out, made_by=segmenter.identity) as sink:
        timed("write", lambda index: sink.write(Item(f"{index:05}", "", "1"), segmentations[0]), list(range(256)))
    shutil.rmtree(out)
    costs["bytes in"] = float(np.mean([os.path.getsize(item.place) for item in items]))
    costs["bytes out"] = float(np.mean([len(content) for content in contents]))
    found = {"CPU ms an image": costs, "CPU ms a claim, by the runs in the folder": claims}
    Path(arguments.json).write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


def run_of(workers: int, image: float, lock: float, dispatch: float, chunks: int, seed: int = 0) -> tuple[float, float]:
    """Seconds that so many workers take for chunks of 32 images, and the share of them that the lock is held.

    Events: a worker is given a chunk by the driver (one after the other, `dispatch` each), takes the folder's lock for
    its images (one worker at a time, `lock` each), and computes (`image` each). One chunk of a hundred takes ten times
    as long; a worker dies every ten hours on average, its chunk is done again, and another begins after a minute.
    """
    draw = random.Random(seed)
    free = [(0.0, worker) for worker in range(workers)]
    driver = held = busy = end = 0.0
    left = chunks
    while left:
        now, worker = heapq.heappop(free)
        driver = max(now, driver) + dispatch
        held = max(driver, held) + 32 * lock
        busy += 32 * lock
        seconds = 32 * image * (10 if draw.random() < 0.01 else 1)
        if draw.random() < seconds / 36_000:
            heapq.heappush(free, (held + seconds / 2 + 60, worker))
            continue
        left -= 1
        end = max(end, held + seconds)
        heapq.heappush(free, (held + seconds, worker))
    return end, busy / end


def simulate(arguments: argparse.Namespace) -> None:
    """10^8 images on 1 to 1,000 workers, by the parts' measured costs; 200 chunks a worker, scaled."""
    import matplotlib.pyplot as plt

    found = json.loads(Path(arguments.json).read_text())
    of_image = found["CPU ms an image"]
    image = sum(of_image[name] for name in ("read and decode", "segment", "encode", "write")) / 1e3
    image = arguments.image / 1e3 if arguments.image else image
    claims = {int(count): ms / 1e3 for count, ms in found["CPU ms a claim, by the runs in the folder"].items()}
    slope, base = np.polyfit(list(claims), list(claims.values()), 1)
    counts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    lines = {"as it is: claims under the folder's lock": 1.0, "if nothing were locked": 0.0}
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for label, with_lock in lines.items():
        rates = []
        for workers in counts:
            lock = with_lock * max(0.0, base + slope * workers)
            seconds, share = run_of(workers, image, lock, arguments.dispatch / 1e3, 200 * workers)
            rates.append(200 * workers * 32 / seconds)
            hours = 1e8 / rates[-1] / 3600
            print(f"{label:45} {workers:5} workers {rates[-1]:10.0f}/s {hours:9.1f} h, lock held {share:.0%}")
        axes.loglog(counts, rates, marker="o", label=label)
    axes.loglog(counts, [count / image for count in counts], "--", color="grey", label="in proportion")
    axes.set(xlabel="workers", ylabel="images a second")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(arguments.plot, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for verb in (killed, throughput, parts, simulate):
        one = verbs.add_parser(verb.__name__, help=verb.__doc__)
        one.set_defaults(verb=verb)
        one.add_argument("--work")
        one.add_argument("--image", type=float, help="Milliseconds of an image, in place of the measured parts.")
        one.add_argument("--json", default="scale.json")
        one.add_argument("--plot", default="scale.png")
        one.add_argument("--dispatch", type=float, default=3.0, help="Milliseconds of the driver for a chunk.")
        one.add_argument("--model", default=TINY)
        one.add_argument("--images", type=int, default={killed: 20_000, parts: 300}.get(verb, 2_000))
        one.add_argument("--kills", type=int, default=KILLS)
        one.add_argument("--rounds", type=int, default=3)
        one.add_argument("--cores", type=int, default=2)
        one.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.verb(arguments)


if __name__ == "__main__":
    main()
