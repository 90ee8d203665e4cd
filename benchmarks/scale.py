"""Prediction by many workers: what it costs here, and what it would cost elsewhere (docs/results/scale.md).

python benchmarks/scale.py killed --images 20000 --work DIR     one process and Ray's workers, ten of them killed
python benchmarks/scale.py parts --work DIR --json FILE         the cost of each part
python benchmarks/scale.py simulate --parts FILE --plot FILE    10^8 images on 1 to 1,000 workers
"""

from __future__ import annotations

import argparse
import hashlib
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for verb in (killed, throughput):
        one = verbs.add_parser(verb.__name__, help=verb.__doc__)
        one.set_defaults(verb=verb)
        one.add_argument("--work", required=True)
        one.add_argument("--model", default=TINY)
        one.add_argument("--images", type=int, default=20_000 if verb is killed else 2_000)
        one.add_argument("--kills", type=int, default=KILLS)
        one.add_argument("--rounds", type=int, default=3)
        one.add_argument("--cores", type=int, default=2)
        one.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.verb(arguments)


if __name__ == "__main__":
    main()
