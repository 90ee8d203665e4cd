"""What a model attends to, by HTTP and on the page: the values that its file gives."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from chromium import Tab, chromium
from pyramid_attention.classes import ClassTable
from pyramid_attention.export import export
from pyramid_attention.images import as_reader
from pyramid_attention.inference import Segmenter
from pyramid_attention.models import build_model
from pyramid_attention.serving.limits import Limits
from served import Running, running
from support import shaken


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    network = shaken(build_model("pan", num_classes=2, backbone="test_resnet", channels=8))
    network.classes = ClassTable.of(["road", "tree"], [[90, 0, 90], [0, 200, 0]])
    return Segmenter.load(export(network, tmp_path_factory.mktemp("explained") / "m.onnx", explain=True).path)


@pytest.fixture(scope="module")
def both(explained: Segmenter, segmenter: Segmenter) -> Iterator[Running]:
    with running({"explained": explained, "plain": segmenter}, Limits()) as found:
        yield found


def test_what_a_model_attends_to_is_what_its_file_gives(
    both: Running, explained: Segmenter, image: NDArray[np.uint8], png: bytes
) -> None:
    entries = {one["name"]: one["attention"] for one in both.client.get("/v1/models").json()["models"]}
    assert entries == {"explained": True, "plain": False}
    answer = both.client.post("/v1/explain", content=png)
    assert answer.status_code == 200
    found = answer.json()
    plan = explained.plan(*image.shape[:2])
    given = explained.engine.attention(plan.prepare(as_reader(image))[None])
    parts = {one["name"]: one for one in [*found["maps"], *found["channels"]]}
    assert parts.keys() == given.keys() >= {"attention", "global", "channels_4"}
    for name, part in parts.items():
        np.testing.assert_allclose(part["values"], given[name].ravel(), rtol=1e-4, atol=1e-8)
    assert (parts["attention"]["height"], parts["attention"]["width"]) == given["attention"].shape[2:]
    assert found["class_of_channels"] == list(explained.info.class_of_channels)
    assert found["covered"] == [96 / plan.padded[0], 128 / plan.padded[1]]


def test_a_model_that_keeps_none_says_how_to_have_it_kept(both: Running, png: bytes) -> None:
    answer = both.client.post("/v1/explain", params={"model": "plain"}, content=png)
    assert answer.status_code == 400
    assert answer.json()["error"] == "the model 'plain' keeps no attention; export it with: pan export M --explain"
    assert both.client.post("/v1/explain", params={"model": "no"}, content=png).status_code == 404
    assert both.client.post("/v1/explain", content=b"text").status_code == 415


def test_the_page_shows_maps_over_the_image_and_channels_by_class(
    both: Running, explained: Segmenter, png: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png)
    with chromium() as browser:
        tab = Tab(browser, f"http://127.0.0.1:{both.port}/").open()
        page = tab.page
        page.set_default_timeout(60_000)
        assert not page.is_visible("#attention-view")
        tab.load(path)
        before = page.evaluate("document.querySelector('#panes canvas:last-of-type').toDataURL()")
        page.check("input[value=attention]", force=True)
        page.wait_for_selector("#attention:not([hidden])")
        assert page.evaluate("document.querySelector('#panes canvas:last-of-type').toDataURL()") != before
        names = page.eval_on_selector_all("#attention-part option", "all => all.map(one => one.value)")
        assert set(names) == set(explained.info.attention)
        page.select_option("#attention-part", "global")
        shown = page.eval_on_selector_all("#attention-channels li", "all => all.map(one => one.firstChild.textContent)")
        owners = {explained.classes.names[label] for label in explained.info.class_of_channels}
        assert set(shown) == owners
        page.check("input[value=classes]", force=True)
        assert not page.is_visible("#attention")
        assert page.evaluate("document.querySelector('#panes canvas:last-of-type').toDataURL()") == before
        assert tab.wrong == []
