"""Do the tests notice a fault? Mutants of some modules (an operator, a number, an argument changed): the share killed.

mutmut changes one function at a time in a copy of this repository and runs the tests that call it, of those selected
below: the mirrored test file and what else tests the module. A mutant that no test notices is listed with its change.

    python benchmarks/mutation.py training/losses training/schedule training/recipe --sample 150
    python benchmarks/mutation.py training --out mutants.json       # every mutant of a room: hours

It needs `pip install 'pyramid-attention[dev,bench]'`; nothing of it runs in the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name

ROOT = Path(__file__).parent.parent
SOURCE = Path("src/pyramid_attention")
ALSO = {
    "training/losses": ("training/test_task.py", "training/test_fields.py"),
    "training/schedule": ("training/test_task.py", "training/test_fields.py"),
    "training/recipe": ("training/test_fields.py",),
    "training/recipe_files": ("training/test_recipe.py",),
    "training/task": ("training/test_fields.py", "training/test_trainer.py"),
    "training/loaders": ("training/test_fields.py", "data/test_loading.py"),
    "training/initial": ("training/test_fields.py",),
    "training/resolve": ("training/test_fields.py", "training/test_trainer.py", "data/test_derived.py"),
    "training/run_folder": ("training/test_trainer.py",),
    "training/monitor": ("training/test_trainer.py",),
    "training/trainer": ("training/test_task.py", "training/test_fields.py"),
    "inference/plan": ("inference/test_segmenter.py", "inference/test_tiling.py"),
    "inference/segmenter": ("inference/test_tiling.py", "inference/test_tta.py"),
    "inference/predict": ("cli/test_predict.py",),
    "inference/polygons": ("inference/test_vectors.py",),
    "inference/bench": ("cli/test_bench.py",),
    "inference/devices": ("inference/test_segmenter.py",),
    "inference/options": ("cli/test_options.py", "inference/test_segmenter.py"),
    "inference/row_store": ("inference/test_rasters.py",),
    "inference/threads": ("cli/test_bench.py",),
    "inference/rasters": ("inference/test_predict_files.py",),
    "inference/predict_files": ("cli/test_predict.py",),
}
"""Tests beside the mirrored ones, of which mutmut takes those that call a function."""


def modules(named: list[str]) -> list[str]:
    """The modules of rooms, and those named, as "training/losses"."""
    found = []
    for name in named:
        files = sorted((ROOT / SOURCE / name).glob("*.py")) if (ROOT / SOURCE / name).is_dir() else []
        found += [f"{name}/{file.stem}" for file in files if file.stem != "__init__"] or [name.removesuffix(".py")]
    return found


def tests_of(module: str) -> list[str]:
    room, _, name = module.rpartition("/")
    wanted = [f"tests/{room}/test_{name}.py", *(f"tests/{other}" for other in ALSO.get(module, ()))]
    return [test for test in wanted if (ROOT / test).exists()]


def names_of(module: str) -> list[str]:
    path = SOURCE / f"{module}.py"
    mutated = mutate_file_contents(str(path), (ROOT / path).read_text(encoding="utf-8"), None, None)
    return [get_mutant_name(path, name) for name in mutated.mutant_names]


def run(module: str, names: list[str], place: Path) -> dict[str, str]:
    """What became of each mutant, and on stdout the change of those that survived."""
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, place / part)
    shutil.copy(ROOT / "pyproject.toml", place)
    lines = {
        "source_paths": "src",
        "only_mutate": f"{SOURCE}/{module}.py",
        "pytest_add_cli_args_test_selection": "\n    ".join(["", *tests_of(module)]),
        "pytest_add_cli_args": "\n    ".join(["", "-p", "no:cacheprovider", "-W", "ignore"]),
    }
    (place / "setup.cfg").write_text("[mutmut]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()))
    (place / "mutants" / "src").mkdir(parents=True)  # a folder that is not there when Python starts is never looked at
    environment = {**os.environ, "PYTHONPATH": str(place / "mutants" / "src"), "OMP_NUM_THREADS": "1"}
    mutmut = [sys.executable, "-m", "mutmut"]
    done = subprocess.run(
        [*mutmut, "run", "--max-children", "1", *names],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    kept = place / "mutants" / SOURCE / f"{module}.py.meta"
    if done.returncode or not kept.exists():
        raise SystemExit(f"mutmut failed on {module}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    codes = json.loads(kept.read_text())["exit_code_by_key"]
    found = {name: status_by_exit_code[codes[name]] for name in names}
    for name, status in found.items():
        if status in ("survived", "no tests"):
            shown = subprocess.run([*mutmut, "show", name], cwd=place, capture_output=True, text=True, check=False)
            print(shown.stdout, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "modules", nargs="+", help="rooms or modules below pyramid_attention: training, training/losses"
    )
    parser.add_argument("--sample", type=int, help="so many mutants of all, at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file of what is done; run again, it goes on there")
    arguments = parser.parse_args()
    mutants = [(module, name) for module in modules(arguments.modules) for name in names_of(module)]
    total = len(mutants)
    if arguments.sample is not None and arguments.sample < total:
        mutants = random.Random(arguments.seed).sample(mutants, arguments.sample)
    by_module: dict[str, list[str]] = {}
    for module, name in mutants:
        by_module.setdefault(module, []).append(name)
    counts: dict[str, Counter[str]] = {}
    if arguments.out is not None and arguments.out.exists():
        counts = {module: Counter(found) for module, found in json.loads(arguments.out.read_text()).items()}
    for module, names in sorted(by_module.items()):
        if module in counts:
            continue
        with tempfile.TemporaryDirectory() as place:
            counts[module] = Counter(run(module, names, Path(place)).values())
        print(module, dict(counts[module]), flush=True)
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(counts))
    every = sum(counts.values(), Counter())
    killed = every["killed"] + every["timeout"] + every["segfault"]
    print("\n| module | mutants | killed |\n|---|---:|---:|")
    for module, count in counts.items():
        dead = count["killed"] + count["timeout"] + count["segfault"]
        print(f"| {module} | {count.total()} | {dead / count.total():.0%} |")
    print(
        f"\n{killed} of {every.total()} mutants were killed ({killed / every.total():.1%}), of {total} that there are"
    )


if __name__ == "__main__":
    main()
