"""Training on several processes beside one: the same losses, the same validation, the same weights after a kill.

    python benchmarks/devices.py equality|kill|throughput DATA FOLDER [FIELD=VALUE …]

    equality    one process, two, two by torchrun
    kill        two processes, killed, one and then both, and resumed
    throughput  two processes of one core each and one of two cores, in turns

DATA is a data set's folder or the word "shapes"; fields are the recipe's. Runs lie in FOLDER; those that are finished
there are taken as they are.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml

from pyramid_attention import evaluate, train
from pyramid_attention.data import open_dataset
from pyramid_attention.training.processes import is_first
from pyramid_attention.training.trainer import PRECISIONS

STEPS, ROUNDS = 20, 3


if os.environ.get("EXACT"):  # in the processes of a run, which import this file, too
    PRECISIONS["fp32"] = "64-true"


class Losses(pl.Callback):
    """Writes the losses of the first steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))
        if len(self.losses) == STEPS and is_first():
            self.path.write_text(json.dumps(self.losses))


def command(data: str, run: Path, fields: list[str], *more: str, launcher: tuple[str, ...] = ()) -> list[str]:
    """The command line of one run."""
    return [*(launcher or (sys.executable,)), __file__, "run", data, str(run), *fields, *more]


def finish(command: list[str], **environment: str) -> None:
    """Do a run, unless it is done."""
    run = Path(command[command.index("run") + 2])
    if not (run / "metrics.json").exists():
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


def losses(run: Path) -> list[float]:
    found: list[float] = json.loads(run.with_suffix(".json").read_text())
    return found


def last_miou(run: Path) -> float:
    return float(json.loads((run / "metrics.json").read_text())["last"]["miou"])


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return found


def same_weights(a: Path, b: Path) -> bool:
    mine, theirs = weights(a), weights(b)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def equality(data: str, folder: Path, fields: list[str]) -> None:
    """One process beside two, started by us and by torchrun."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    two = [*fields, "train.devices=2"]
    short = [*fields, "train.epochs=1"]
    finish(command(data, folder / "one", fields))
    finish(command(data, folder / "two", two))
    finish(command(data, folder / "torchrun", fields, launcher=torchrun))
    finish(command(data, folder / "channels_last", [*fields, "train.channels_last=true"]))
    finish(command(data, folder / "one-double", short), EXACT="1")
    finish(command(data, folder / "two-double", [*short, "train.devices=2"]), EXACT="1")
    print("| run | beside | loss of step 1, 10, 20: difference | largest of 20 steps | mIoU of both |")
    print("|---|---|---|---|---|")
    for name, other in (
        ("two-double", "one-double"),
        ("two", "one"),
        ("torchrun", "one"),
        ("channels_last", "one"),
    ):
        apart = [abs(a - b) for a, b in zip(losses(folder / name), losses(folder / other), strict=True)]
        print(
            f"| {name} | {other} | {apart[0]:.1e}, {apart[9]:.1e}, {apart[19]:.1e} | {max(apart):.1e} |"
            f" {last_miou(folder / name):.2%}, {last_miou(folder / other):.2%} |"
        )
    print(f"torchrun's weights are those of two: {same_weights(folder / 'two', folder / 'torchrun')}")
    for name in ("one", "two"):
        shared = json.loads((folder / name / "metrics.json").read_text())["best"]
        options = yaml.safe_load((folder / name / "recipe.yaml").read_text())["data"]["options"]
        alone = evaluate(open_dataset(data, **options), folder / name / "model", device="cpu").metrics()
        same = shared["confusion"] == alone["confusion"] and shared["miou"] == alone["miou"]
        print(f"{name}: validation while training {shared['miou']!r}, pan eval {alone['miou']!r}, equal: {same}")


def descendants(pid: int) -> list[int]:
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [two for one in children for two in descendants(one)]


def kill(data: str, folder: Path, fields: list[str]) -> None:
    """Two processes, of which one and then both are killed in the second epoch; resumed each time."""
    two = [*fields, "train.devices=2"]
    finish(command(data, folder / "two", two))
    run = folder / "killed"
    for victims, epochs in ((1, 1), (2, 2)):
        process = subprocess.Popen(command(data, run, two, *(["--resume"] if epochs > 1 else [])))
        while not (run / "metrics.csv").exists() or len((run / "metrics.csv").read_text().splitlines()) <= epochs:
            time.sleep(0.2)
        time.sleep(1.5)  # into the next epoch
        words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(process.pid)}
        workers = sorted(pid for pid, line in words.items() if b"spawn_main" in line)
        for pid in workers[-victims:]:
            os.kill(pid, signal.SIGKILL)
        begun = time.monotonic()
        code = process.wait()
        print(f"killed {victims} of {len(workers)}: ended with {code} after {time.monotonic() - begun:.1f} s")
    finish(command(data, run, two, "--resume"))
    print(f"resumed, the weights are those of the unbroken run: {same_weights(folder / 'two', run)}")


def throughput(data: str, folder: Path, fields: list[str]) -> None:
    """Images a second of both arrangements of two cores, in turns."""
    rates: dict[str, list[float]] = {"two processes of one core": [], "one process of two cores": []}
    for number in range(ROUNDS):
        for name, cores, devices in (("two processes of one core", "1", 2), ("one process of two cores", "2", 1)):
            run = folder / f"{name.replace(' ', '-')}-{number}"
            finish(command(data, run, [*fields, f"train.devices={devices}", "data.workers=0"]), OMP_NUM_THREADS=cores)
            with open(run / "metrics.csv", newline="") as file:
                rates[name] += [float(row["images_per_second"]) for row in csv.DictReader(file)][1:]
    for name, found in rates.items():
        print(f"{name}: {statistics.median(found):.2f} images/s, the median of {len(found)} epochs")
    two, one = (statistics.median(found) for found in rates.values())
    print(f"ratio {two / one:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["equality", "kill", "throughput", "run"])
    parser.add_argument("data")
    parser.add_argument("folder", type=Path)
    parser.add_argument("fields", nargs="*")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    if given.what != "run":
        measure = {"equality": equality, "kill": kill, "throughput": throughput}[given.what]
        measure(given.data, given.folder, given.fields)
        return
    given.folder.parent.mkdir(parents=True, exist_ok=True)
    fields = {name: yaml.safe_load(value) for name, _, value in (field.partition("=") for field in given.fields)}
    callback = Losses(given.folder.with_suffix(".json"))
    train(given.data, callbacks=[callback], out=given.folder, resume=given.resume, device="cpu", fields=fields)


if __name__ == "__main__":
    main()
