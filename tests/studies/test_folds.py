"""Cross-validation: how images are divided, what each run is trained on, and the table of all."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_attention.cli import main
from pyramid_attention.data import open_dataset
from pyramid_attention.errors import UserError
from pyramid_attention.studies import folds as studied
from pyramid_attention.studies.folds import divide, fold_table, make_folds, train_folds
from pyramid_attention.training import TrainResult

SMALL = {"data.options": {"train": 7, "val": 2, "size": 64}}


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60), st.integers(2, 6))
def test_whole_groups_lie_in_folds_that_are_as_even_as_these_allow(groups: list[str], count: int) -> None:
    sizes = Counter(groups)
    if len(sizes) < count:
        with pytest.raises(UserError, match=rf"{len(groups)} images in {len(sizes)} groups|there is one alone"):
            divide(groups, count)
        return
    places = divide(groups, count)
    assert set(places) == set(range(count))
    assert len(set(zip(groups, places, strict=True))) == len(sizes), "a group lies in one fold"
    filled = Counter(places)
    assert max(filled.values()) - min(filled.values()) <= max(sizes.values())
    again = divide(groups[::-1], count)[::-1]
    assert again == places, "the order of the images does not matter"


def test_every_image_is_validated_on_once_and_its_group_is_not_trained_on() -> None:
    samples = open_dataset("shapes", train=9, val=3, size=64).split("train")
    groups = {sample.name: f"patient {index // 3}" for index, sample in enumerate(samples)}
    dataset = replace(open_dataset("shapes", train=1, val=1, size=64), splits={"train": samples}, groups=groups)
    parts = make_folds(dataset, 3)
    assert sorted(one.name for part in parts for one in part.split("val")) == sorted(groups)
    for part in parts:
        train, val = ({groups[one.name] for one in part.split(split)} for split in ("train", "val"))
        assert len(part.split("train")) + len(part.split("val")) == 9
        assert not train & val
        assert part.reading.held_out == tuple(sorted(val)), "pan eval finds the same images by the run's recipe"


def test_a_val_of_its_own_takes_no_part() -> None:
    dataset = open_dataset("shapes", train=6, val=2, size=64)
    own = [sample.name for sample in dataset.split("val")]
    for part in make_folds(dataset, 2):
        assert [sample.name for sample in part.split("own-val")] == own
        assert len(part.split("train")) == len(part.split("val")) == 3


def metrics(miou: float) -> dict[str, object]:
    return {"miou": miou, "per_class": {"road": {"iou": miou}, "sky": {"iou": None}}}


def test_the_table_has_means_and_deviations() -> None:
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in fold_table([metrics(0.5), metrics(0.6)]).splitlines()
    ]
    assert lines[0] == ["class", "fold 1", "fold 2", "mean", "deviation"]
    assert lines[2] == ["road", "50.00%", "60.00%", "55.00%", "7.07%"]  # 0.1 / √2
    assert lines[3] == ["sky", "–", "–", "–", "–"]
    assert lines[4][0] == "mIoU"


def test_finished_runs_stay_and_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def fake(part: object, recipe: object, *, out: Path, resume: bool, **_: object) -> TrainResult:
        assert resume
        trained.append(out.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        out.mkdir()
        (out / "metrics.json").write_text(json.dumps({"best": metrics(0.1 * len(trained))}))
        return TrainResult(out, out, 0.0, 1, "val")

    monkeypatch.setattr(studied, "train", fake)
    with pytest.raises(KeyboardInterrupt):
        train_folds("shapes", 3, fields=SMALL, out=tmp_path)
    with pytest.raises(UserError, match="already holds files; go on with its cross-validation"):
        train_folds("shapes", 3, fields=SMALL, out=tmp_path)
    with pytest.raises(UserError, match=r"begun with other images or another number of folds \(3\)"):
        train_folds("shapes", 2, fields=SMALL, out=tmp_path, resume=True)
    result = train_folds("shapes", 3, fields=SMALL, out=tmp_path, resume=True)
    assert trained == ["fold-1", "fold-2", "fold-2", "fold-3"]
    assert result.miou == pytest.approx((0.1, 0.3, 0.4))
    assert result.mean == pytest.approx(0.8 / 3)
    assert json.loads((tmp_path / "folds.json").read_text())["deviation"] == pytest.approx(result.deviation)
    assert (tmp_path / "folds.md").read_text() == result.table


def test_two_folds_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "data.options": "{train: 4, val: 1, size: 64}",
        "data.crop": "[48, 48]",
        "data.workers": "0",
        "model.options.channels": "8",
        "train.batch_size": "2",
        "train.epochs": "1",
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    out = tmp_path / "folds"
    assert main(["train", "shapes", "--folds", "2", "--device", "cpu", "--out", str(out), *words]) == 0
    said = capsys.readouterr().out
    assert "over 2 folds" in said
    assert f"--model {out / 'fold-1'} --model {out / 'fold-2'}" in said
    for fold in ("fold-1", "fold-2"):
        assert (out / fold / "model" / "config.json").exists()
    assert main(["train", "shapes", "--folds", "2", "--budget", "1m", "--out", str(out), *words]) == 2
    assert "--folds and --budget do not go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["a", "a"], "divide groups of images, and there is one alone"),
        (["a", "b"], "2 images in 2 groups; .* give 2 to 2"),
    ],
)
def test_too_few_groups_are_refused(groups: list[str], said: str) -> None:
    with pytest.raises(UserError, match=f"folds=3 .*{said}"):
        divide(groups, 3)
