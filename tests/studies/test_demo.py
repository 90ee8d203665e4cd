"""The demonstration, made small: the whole way from nothing to overlays."""

from pathlib import Path

from PIL import Image

from pyramid_attention.studies.demo import run_demo

SMALL = {
    "data.options": {"train": 8, "val": 2, "test": 7, "size": 64},
    "data.crop": [48, 48],
    "train.epochs": 1,
    "train.validate_every": 1,
}


def test_the_demonstration_ends_with_images_and_numbers(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "demo", seed=3, fields=SMALL, device="cpu")
    assert result.images == 7
    assert 0 <= result.miou <= 1
    assert "| disc " in result.table
    assert all(path.exists() for path in result.outputs.values())
    assert {Image.open(path).size for path in (tmp_path / "demo" / "images").iterdir()} == {(64, 64)}
    assert len(list((tmp_path / "demo" / "predictions").glob("*_overlay.jpg"))) == 6
    again = run_demo(tmp_path / "demo", seed=3, fields=SMALL, device="cpu")
    assert again.model == tmp_path / "demo-2" / "run" / "model"
    assert again.miou == result.miou
