"""The page of `pan serve`, in Chromium: what it shows is what the Segmenter says of the image."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from chromium import Tab, chromium
from pyramid_attention.images import encode_image, encode_label_map
from pyramid_attention.inference import Segmentation, Segmenter
from pyramid_attention.inference.polygons import polygons
from pyramid_attention.serving.limits import Limits
from served import Running, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's own example, as PNG, so that all decode it alike."""
    path = tmp_path_factory.mktemp("street") / "street.png"
    example = Path(__file__).parents[2] / "src" / "pyramid_attention" / "serving" / "page" / "example.jpg"
    Image.open(example).resize((320, 240)).save(path)
    return path


@pytest.fixture(scope="module")
def wanted(segmenter: Segmenter, street: Path) -> Segmentation:
    return segmenter(street)


@pytest.fixture(scope="module")
def server(segmenter: Segmenter) -> Iterator[Running]:
    """With room for the example and the camera."""
    with running({"pan-street": segmenter, "again": segmenter}, Limits()) as found:
        yield found


@pytest.fixture
def tab(browser: Any, server: Running) -> Iterator[Tab]:
    """Without complaints, and without a word to anybody but the server."""
    tab = Tab(browser, f"http://127.0.0.1:{server.port}/").open()
    yield tab
    assert tab.wrong == []
    assert {address.split("/")[2] for address in tab.asked if address.startswith("http")} == {
        f"127.0.0.1:{server.port}"
    }
    tab.close()


def overlay(tab: Tab, pane: int = 0) -> NDArray[np.uint8]:
    """What is drawn over the image: H×W×4."""
    code = """async (pane) => {
        const canvas = document.querySelectorAll(".pane")[pane].querySelectorAll("canvas")[1];
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        const reader = new FileReader();
        const read = new Promise((resolve) => (reader.onload = resolve));
        reader.readAsDataURL(new Blob([data]));
        await read;
        return [height, width, reader.result];
    }"""
    height, width, address = tab.page.evaluate(code, pane)
    return np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8).reshape(height, width, 4)


def point(tab: Tab, x: float, y: float, wanted: Segmentation) -> None:
    """Move the mouse over a pixel of the image."""
    box = tab.page.locator(".pane").first.bounding_box()
    height, width = wanted.labels.shape
    scale = min(box["width"] / width, box["height"] / height)
    left = box["x"] + (box["width"] - width * scale) / 2
    top = box["y"] + (box["height"] - height * scale) / 2
    tab.page.mouse.move(left + (x + 0.5) * scale, top + (y + 0.5) * scale)


def downloaded(tab: Tab, button: str) -> tuple[str, bytes]:
    with tab.page.expect_download() as download:
        tab.page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_it_shows_what_the_segmenter_says(tab: Tab, street: Path, wanted: Segmentation, segmenter: Segmenter) -> None:
    tab.load(street)
    counts = np.bincount(wanted.labels.ravel(), minlength=len(segmenter.classes))
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    assert tab.page.locator("#legend .title").all_inner_texts() == [segmenter.classes.names[index] for index in order]
    drawn = overlay(tab)
    assert (drawn[..., :3] == segmenter.classes.colourise(wanted.labels)).all()
    assert (drawn[..., 3] == 255).all()
    for x, y in ((10, 10), (160, 200), (300, 120)):
        point(tab, x, y, wanted)
        assert tab.page.inner_text("#readout strong") == segmenter.classes.names[wanted.labels[y, x]]
        share = float(tab.page.inner_text("#readout .share").strip("> sure").strip(" %")) / 100
        assert share == pytest.approx(wanted.confidence[y, x], abs=0.011)
    assert wanted.classes.names[order[0]] in tab.page.inner_text("#summary")


def test_downloads_are_what_pan_predict_writes(
    tab: Tab, street: Path, wanted: Segmentation, segmenter: Segmenter
) -> None:
    tab.load(street)
    name, content = downloaded(tab, "#save-labels")
    ours = Image.open(io.BytesIO(encode_label_map(wanted.labels, segmenter.classes)))
    theirs = Image.open(io.BytesIO(content))
    assert (name, theirs.mode) == ("street.png", "P")
    assert (np.array(theirs) == np.array(ours)).all()
    assert theirs.getpalette()[: 3 * len(segmenter.classes)] == ours.getpalette()[: 3 * len(segmenter.classes)]

    name, content = downloaded(tab, "#save-overlay")
    assert name == "street_overlay.png"
    blended = np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert abs(blended - wanted.overlay(0.55)).max() <= 2

    name, content = downloaded(tab, "#save-polygons")
    assert name == "street.geojson"
    found = [
        (feature["properties"]["class"], sorted(sorted(ring[1:]) for ring in feature["geometry"]["coordinates"]))
        for feature in json.loads(content)["features"]
    ]
    assert found == [
        (one.label, sorted(sorted(ring[1:].tolist()) for ring in (one.exterior, *one.holes)))
        for one in polygons(wanted.labels)
    ]


def test_classes_are_turned_off_and_on(tab: Tab, street: Path, wanted: Segmentation, segmenter: Segmenter) -> None:
    tab.load(street)
    name = tab.page.locator("#legend .title").first.inner_text()
    own = wanted.labels == segmenter.classes.names.index(name)
    tab.page.get_by_role("checkbox", name=name).click()
    assert (overlay(tab)[..., 3] == np.where(own, 0, 255)).all()
    tab.page.get_by_role("button", name=f"Only {name}").click()
    assert (overlay(tab)[..., 3] == np.where(own, 255, 0)).all()
    tab.page.get_by_role("button", name="Show all").click()
    assert (overlay(tab)[..., 3] == 255).all()


def test_the_confidence_can_be_looked_at(tab: Tab, street: Path, wanted: Segmentation) -> None:
    tab.load(street)
    tab.page.get_by_text("Confidence", exact=True).click()
    drawn = overlay(tab).astype(int)
    sure, unsure = wanted.confidence > 0.995, wanted.confidence < 0.5
    assert unsure.any()
    assert drawn[sure][:, 1].mean() < 30  # the dark end of the scale
    assert drawn[unsure][:, 1].mean() > 120
    assert tab.page.is_visible("#ramp")


def test_keys_do_what_the_mouse_does(tab: Tab, street: Path, wanted: Segmentation, segmenter: Segmenter) -> None:
    tab.load(street)
    tab.page.focus("#panes")
    tab.page.keyboard.press("ArrowLeft")
    tab.page.keyboard.press("ArrowUp")
    label = wanted.labels[120 - 8, 160 - 8]
    assert tab.page.inner_text("#readout strong") == segmenter.classes.names[label]
    assert tab.page.locator(".cross").count() == 1
    tab.page.keyboard.press("+")
    assert tab.page.inner_text("#zoom-level") == "150 %"
    tab.page.keyboard.press("0")
    assert tab.page.inner_text("#zoom-level") == "100 %"
    tab.page.keyboard.press("c")
    tab.page.focus("#divider")
    for _ in range(5):
        tab.page.keyboard.press("ArrowRight")
    assert tab.page.get_attribute("#divider", "aria-valuenow") == "60"
    cut = tab.page.evaluate("document.querySelectorAll('.pane canvas')[1].style.clipPath")
    assert float(cut.split()[3].removesuffix("px)")) == pytest.approx(0.6 * 320, abs=3)


def test_the_wheel_zooms_where_the_mouse_is_and_dragging_moves(tab: Tab, street: Path, wanted: Segmentation) -> None:
    tab.load(street)
    point(tab, 250, 60, wanted)
    before = tab.page.inner_text("#readout")
    tab.page.mouse.wheel(0, -500)
    assert float(tab.page.inner_text("#zoom-level").strip(" %")) > 200
    tab.page.mouse.move(*_nudge(tab, 250, 60, wanted, 1))
    point(tab, 250, 60, wanted)
    assert tab.page.inner_text("#readout") == before  # the same pixel is still there
    view = tab.page.evaluate("document.querySelector('.sheet').style.transform")
    tab.page.mouse.down()
    tab.page.mouse.move(*_nudge(tab, 250, 60, wanted, 60), steps=4)
    tab.page.mouse.up()
    assert tab.page.evaluate("document.querySelector('.sheet').style.transform") != view


def _nudge(tab: Tab, x: int, y: int, wanted: Segmentation, by: int) -> tuple[float, float]:
    point(tab, x, y, wanted)
    box = tab.page.locator(".pane").first.bounding_box()
    scale = min(box["width"] / 320, box["height"] / 240)
    left, top = box["x"] + (box["width"] - 320 * scale) / 2, box["y"] + (box["height"] - 240 * scale) / 2
    return left + (x + 0.5) * scale + by, top + (y + 0.5) * scale + by


def test_several_models_stand_side_by_side(tab: Tab, street: Path) -> None:
    tab.load(street)
    tab.page.click("#models summary")
    tab.page.get_by_role("checkbox", name="again").check()
    tab.page.wait_for_selector(".pane:nth-child(2) .name:has-text('ms')")
    assert (overlay(tab, 0) == overlay(tab, 1)).all()
    assert not tab.page.is_visible("#compare-row")


def test_images_are_dropped_and_pasted(tab: Tab, png: bytes) -> None:
    code = """([bytes, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], "given.png", { type: "image/png" }));
        const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.body.dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        tab.page.evaluate("document.getElementById('facts').textContent = ''")
        tab.page.evaluate(code, [list(png), kind])
        tab.page.wait_for_selector("#facts:has-text('128 × 96 pixels')")


def test_the_example_needs_no_image(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Try the example").click()
    tab.page.wait_for_selector("#legend li")
    assert "Road" in tab.page.inner_text("#legend")


def test_the_camera_is_segmented_until_an_image_is_taken(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Camera").click()
    tab.page.wait_for_selector("#facts:has-text('images a second')")
    tab.page.get_by_role("button", name="Take this image").click()
    tab.page.wait_for_selector("#live", state="hidden")
    tab.page.wait_for_selector("#summary:has-text('camera.jpg shows')", state="attached")


def test_what_goes_wrong_is_told_in_words(browser: Any, segmenter: Segmenter, tmp_path: Path, street: Path) -> None:
    (tmp_path / "letter.png").write_text("no image")
    large = tmp_path / "large.png"
    large.write_bytes(encode_image(np.zeros((600, 600, 3), np.uint8), "PNG"))
    with running({"pan-street": segmenter}) as server:
        tab = Tab(browser, f"http://127.0.0.1:{server.port}/").open()
        tab.page.set_input_files("#file", tmp_path / "letter.png")
        tab.page.wait_for_selector("#alert:has-text('letter.png is not an image that this browser can show')")
        tab.page.set_input_files("#file", large)
        tab.page.wait_for_selector("#alert:has-text('more than 200,000 pixels')")
        tab.page.get_by_role("button", name="Close").click()
        assert tab.page.inner_text("#alert") == ""
        tab.load(street)
    tab.page.set_input_files("#file", street)
    tab.page.wait_for_selector("#alert:has-text('The server does not answer')")
    tab.close()


def test_a_server_with_a_key_is_asked_with_it(browser: Any, segmenter: Segmenter, street: Path) -> None:
    with running({"pan-street": segmenter}, api_key="öpen sesame") as server:
        tab = Tab(browser, f"http://127.0.0.1:{server.port}/")
        tab.page.goto(tab.address)
        tab.page.get_by_role("textbox", name="Key").fill("öpen sesame")
        tab.page.get_by_role("button", name="Go on").click()
        tab.page.wait_for_selector("body[data-ready]")
        tab.load(street)
        tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_dark_and_light(browser: Any, server: Running, street: Path, scheme: str) -> None:
    small = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "color_scheme": scheme}
    tab = Tab(browser, f"http://127.0.0.1:{server.port}/", **small).open()
    for prepare in (lambda: None, lambda: tab.load(street)):
        prepare()
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    ground = tab.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) < 200) == (scheme == "dark")
    tab.close()


def test_everything_that_can_be_used_has_a_name(tab: Tab, street: Path) -> None:
    tab.load(street)
    tab.page.check("#compare")
    nameless = tab.page.evaluate(
        """() => [...document.querySelectorAll("button, input, summary, [role], [tabindex]")]
            .filter((one) => !["alert", "status"].includes(one.role))
            .filter((one) => one.checkVisibility())
            .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length || one.title))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    seen = tab.page.locator("body").aria_snapshot()
    for line in (
        'heading "Pyramid Attention" [level=1]',
        'application "Segmented image"',
        'slider "Before and after"',
        'slider "Opacity"',
        'switch "Before and after" [checked]',
        'radio "Classes" [checked]',
        'button "Zoom in"',
    ):
        assert line in seen, line
