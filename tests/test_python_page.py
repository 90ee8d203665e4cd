"""The session of docs/python.md runs as it stands, with smaller numbers."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
SMALLER = [
    (
        r'(train\("mydata", .*?)epochs=60',
        r'\1epochs=1, backbone="test_resnet", pretrained=False, workers=0, batch_size=2',
    ),
    (r"epochs=60", "epochs=1, workers=0, batch_size=4"),
    (r'backbone="resnet18", pretrained=True, channels=64', 'backbone="test_resnet", channels=8'),
    (r"crop=\(384, 384\)", "crop=(48, 48)"),
    (r"range\(40\)", "range(6)"),
    (r"range\(40, 48\)", "range(6, 8)"),
]


def plant(folder: Path) -> None:
    """Six images of a box each, two of them for validation, and a photo."""
    for number in range(6):
        image, mask = np.full((48, 64, 3), 60, np.uint8), np.zeros((48, 64), np.uint8)
        image[10:30, 5 * number : 5 * number + 20], mask[10:30, 5 * number : 5 * number + 20] = 200, 1
        for kind, pixels in (("images", image), ("masks", mask)):
            place = folder / "mydata" / kind / ("train" if number < 4 else "val")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number}.png")
    Image.fromarray(image).save(folder / "photo.jpg")


@pytest.mark.timeout(900)
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    for large, small in SMALLER:
        code, count = re.subn(large, small, code)
        assert count, large
    plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    made = {path.name for path in (tmp_path / "runs").iterdir()}
    assert made == {"mine", "again", "discs"}
    assert {path.name for path in tmp_path.glob("*.onnx")} == {"mine.onnx", "last.onnx"}
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == re.findall(r"# (the recipe has no field .*)", code)[0]
