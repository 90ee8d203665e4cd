"""`pan export M --web DIR`: in Chromium and in Node the labels of `pan predict`, and offline, too."""

import base64
import io
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from chromium import Tab, chromium
from pyramid_attention.artifacts import ModelInfo
from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.images import ArrayImage, Bands, read_image
from pyramid_attention.inference import Segmenter
from pyramid_attention.serving import web as web_module
from pyramid_attention.serving.models import refuse_bands
from pyramid_attention.serving.web import write_web
from support import CAMVID

PHOTO = CAMVID / "val" / "0016E5_07959.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the packaged model, with its runtime."""
    written = write_web("pan-street", tmp_path_factory.mktemp("web"))
    if written.missing is not None:
        pytest.skip(f"needs onnxruntime-web: {written.missing}")
    return written.folder


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    """A street, larger than the model wants it."""
    example = Path(web_module.__file__).with_name("page") / "example.jpg"
    return np.array(Image.open(example).resize((640, 400)))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(folder: Path) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def tab(site: ThreadingHTTPServer) -> Iterator[Tab]:
    with chromium() as browser:
        yield Tab(browser, f"http://127.0.0.1:{site.server_port}/")


def isolated(tab: Tab) -> bool:
    """Whether the page becomes isolated, for which it loads itself once more."""
    for _ in range(100):
        try:
            if tab.page.evaluate("crossOriginIsolated && 'ready' in document.body.dataset"):
                return True
        except Exception:  # between one page and the next
            pass
        tab.page.wait_for_timeout(100)
    return False


def labels(tab: Tab) -> NDArray[np.uint8]:
    with tab.page.expect_download() as download:
        tab.page.click("#save-labels")
    return np.array(Image.open(download.value.path()))


def test_chromium_gives_the_labels_of_pan_predict_and_goes_on_offline(
    tab: Tab, site: ThreadingHTTPServer, segmenter: Segmenter, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "street.png"
    Image.fromarray(image).save(path)
    wanted = segmenter(path)
    tab.page.goto(tab.address)
    assert isolated(tab)  # so it may use threads
    tab.load(path)
    assert (labels(tab) == wanted.labels).mean() >= 0.999
    assert "in this browser" in tab.page.inner_text("#facts")
    tab.page.hover("#panes")
    tab.page.wait_for_selector("#readout:has-text('sure')")
    if PHOTO.is_file():
        tab.load(PHOTO)
        assert (labels(tab) == segmenter(PHOTO).labels).mean() >= 0.999
    site.shutdown()
    site.server_close()
    tab.page.reload()
    tab.page.wait_for_selector("body[data-ready]")
    tab.load(path)
    assert (labels(tab) == wanted.labels).mean() >= 0.999
    own = f"127.0.0.1:{site.server_port}"
    assert {address.split("/")[2] for address in tab.asked if address.startswith("http")} == {own}


def test_the_camera_is_segmented_without_any_server(tab: Tab) -> None:
    tab.open()
    tab.page.click("#camera")
    tab.page.wait_for_selector("#facts:has-text('images a second')")
    tab.page.click("#live-stop")


def test_what_the_browser_or_the_folder_lacks_is_told(site: ThreadingHTTPServer, folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("runtime", "sw.js"))
    site.RequestHandlerClass = partial(Quiet, directory=bare)  # type: ignore[assignment]
    with chromium() as browser:
        tab = Tab(browser, f"http://127.0.0.1:{site.server_port}/").open()
        tab.page.click("#start-example")
        tab.page.wait_for_selector("#alert:has-text('The runtime is missing')")
        tab.close()
        old = Tab(browser, tab.address)
        old.page.add_init_script("WebAssembly.validate = () => false")
        old.page.goto(old.address)
        old.page.wait_for_selector("#alert:has-text('no WebAssembly SIMD')")
        old.close()


@pytest.mark.parametrize("size", [(400, 640), (20, 33)])
def test_node_gives_the_labels_of_pan_predict(
    folder: Path, segmenter: Segmenter, image: NDArray[np.uint8], size: tuple[int, int]
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    given = ArrayImage(image).resized(*size)
    rgba = np.dstack([given, np.full(size, 255, np.uint8)])
    text = json.dumps({"height": size[0], "width": size[1], "rgba": base64.b64encode(rgba.tobytes()).decode()})
    script = Path(__file__).with_name("segment.mjs")
    done = subprocess.run([node, script, folder], input=text.encode(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.uint8).reshape(size)
    assert (found == segmenter(given).labels).mean() >= 0.999


def test_without_npm_the_readme_says_where_the_runtime_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["export", "pan-street", "--web", str(tmp_path / "page")]) == 0
    said = capsys.readouterr()
    assert "npm is not installed" in said.err
    readme = (tmp_path / "page" / "README.md").read_text()
    assert "https://registry.npmjs.org/onnxruntime-web/" in readme
    assert "ort-wasm-simd-threaded.wasm" in readme
    (model,) = json.loads((tmp_path / "page" / "models.json").read_text())["models"]
    assert (model["file"], model["max_size"], len(model["classes"])) == ("pan-street.onnx", 480, 11)


def test_the_service_worker_knows_a_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "_fetch_runtime", lambda *_: None)

    def head() -> list[str]:
        return (write_web("pan-street", tmp_path).folder / "sw.js").read_text().splitlines()[:2]

    before = head()
    assert head() == before
    monkeypatch.setattr(web_module, "PAGE_NAMES", web_module.PAGE_NAMES[:-1])
    assert head()[0] != before[0]
    files = json.loads(before[1].removeprefix("const FILES = ").rstrip(";"))
    assert all((tmp_path / file).exists() for file in files if not file.startswith("runtime/"))


def test_options_that_do_not_fit_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, says in (
        (["--web", str(tmp_path), "--int8"], "--web writes a page of a model as it is"),
        (["--webgpu"], "--webgpu is for --web"),
    ):
        assert main(["export", "pan-street", *arguments]) == 2
        assert says in capsys.readouterr().err


def test_an_image_with_exif_is_as_large_as_pan_predict_says(tab: Tab, tmp_path: Path, image: NDArray[np.uint8]) -> None:
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(content, "JPEG", exif=exif)
    path = tmp_path / "turned.jpg"
    path.write_bytes(content.getvalue())
    tab.open()
    tab.load(path)
    assert read_image(path).shape == (640, 400, 3)
    assert "400 × 640 pixels" in tab.page.inner_text("#facts")


def test_a_model_of_other_bands_than_a_browser_has_is_refused() -> None:
    class Nir:
        info = ModelInfo(bands=Bands(("nir", "red"), "uint16"))
        device = "cpu"

        def __call__(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
            return np.zeros((len(images), 2, 1, 1), np.float32)

    with pytest.raises(UserError, match=r"mine takes 2 bands of uint16 \(nir, red\), .* use it with pan predict"):
        refuse_bands(Segmenter(Nir()), "mine")
