"""`pan export M --web DIR`: the page as files, the network run by the browser that opens it.

The files are the page's, the network (its logits alone: labels for every pixel are found by `segmentation.js`, as the
Segmenter finds them), and ONNX Runtime for the web. Any web server can serve them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts.onnx_file import SCORES
from ..files import result_files
from ..inference import Segmenter
from ..inference.engines.pruning import keep_output
from .models import exported, model_entry, model_name, refuse_bands

RUNTIME, RUNTIME_VERSION = "onnxruntime-web", "1.30.0"
RUNTIME_FILES = {
    "wasm": ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": (
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
    ),
}
"""The package's files that are needed, by what runs the network."""
RUNTIME_LINK = f"https://registry.npmjs.org/{RUNTIME}/-/{RUNTIME}-{RUNTIME_VERSION}.tgz"
PAGE = Path(__file__).with_name("page")
PAGE_NAMES = ("index.html", "page.css", "page.js", "segmentation.js", "worker.js", "icon.svg", "example.jpg")
NPM_SECONDS = 300


@dataclass(frozen=True)
class Web:
    """A page that was written.

    Attributes:
        folder: of its files.
        size: of all of them, in bytes.
        missing: why the runtime is not among them; None where it is.
    """

    folder: Path
    size: int
    missing: str | None


def write_web(model: str, folder: str | Path, *, webgpu: bool = False) -> Web:
    """Write the page of a model.

    Args:
        model: as `Segmenter.load` takes it; exported first, if it is not.
        folder: of the files; made if need be.
        webgpu: also what it takes to run the network on a graphics card, where somebody asks for it on the page.

    Raises:
        UserError: there is no such model, or the folder cannot be written to.
        MissingExtra: the model has to be exported, and PyTorch is not installed.
    """
    folder, name = Path(folder), model_name(model)
    runtime = [file for kind, files in RUNTIME_FILES.items() if webgpu or kind == "wasm" for file in files]
    kept = [f"{name}.onnx", "models.json", *PAGE_NAMES, *(f"runtime/{file}" for file in runtime)]
    with result_files(folder, [*kept, "README.md", "sw.js"]) as place:
        found = exported(model, place / "exported" / "model.onnx")
        (place / f"{name}.onnx").write_bytes(keep_output(found.path.read_bytes(), SCORES))
        segmenter = Segmenter.load(found)
        refuse_bands(segmenter, name)
        config = _config(name, segmenter, webgpu)
        (place / "models.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
        missing = None
        if not all((folder / "runtime" / file).is_file() for file in runtime):
            missing = _fetch_runtime(place, runtime)
        for page in PAGE_NAMES:
            (place / page).write_bytes((PAGE / page).read_bytes())
        (place / "README.md").write_text(_readme(name, runtime), encoding="utf-8")
        there = {file: path / file for file in kept for path in (folder, place) if (path / file).is_file()}
        (place / "sw.js").write_text(_service_worker(kept, list(there.values())), encoding="utf-8")
    return Web(folder, sum((folder / file).stat().st_size for file in kept if (folder / file).is_file()), missing)


def _config(name: str, segmenter: Segmenter, webgpu: bool) -> dict[str, Any]:
    entry = {
        **model_entry(name, segmenter),
        "attention": False,  # the page's file has the logits alone
        "file": f"{name}.onnx",
        "size_divisor": segmenter.engine.info.size_divisor,
        "align_corners": segmenter.engine.info.align_corners,
    }
    return {"runs": "browser", "webgpu": webgpu, "models": [entry]}


def _fetch_runtime(place: Path, wanted: Sequence[str]) -> str | None:
    """Put the runtime's files into `runtime` in a temporary folder by npm; None, or why they are not there."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    command = [npm, "pack", "--silent", "--prefer-offline", f"{RUNTIME}@{RUNTIME_VERSION}"]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired:
        return f"npm has not fetched {RUNTIME} within {NPM_SECONDS} s"
    packed = place / f"{RUNTIME}-{RUNTIME_VERSION}.tgz"
    if done.returncode or not packed.is_file():
        return f"npm cannot fetch {RUNTIME}: {(done.stderr.strip() or 'it gives no reason').splitlines()[-1]}"
    (place / "runtime").mkdir()
    with tarfile.open(packed) as archive:
        for file in wanted:
            content = archive.extractfile(f"package/dist/{file}")
            assert content is not None
            (place / "runtime" / file).write_bytes(content.read())
    return None


def _service_worker(files: Sequence[str], there: Sequence[Path]) -> str:
    """`sw.js` with what it is to keep, and a version that changes with the content of those that are there."""
    digest = hashlib.sha256()
    for path in there:
        digest.update(path.read_bytes())
    head = f"const VERSION = {json.dumps(f'pan-{digest.hexdigest()[:16]}')};\n"
    kept = ["./", *(file for file in files if file != "index.html")]
    return f"{head}const FILES = {json.dumps(kept)};\n" + (PAGE / "sw.js").read_text(encoding="utf-8")


def _readme(name: str, wanted: Sequence[str]) -> str:
    return f"""# {name} in the browser

A page that segments images by itself: nothing is sent anywhere. Serve this folder with any web server, over https or
from localhost; to look at it here:

    python -m http.server --bind 127.0.0.1

Once loaded it works offline. Where the browser isolates the page (its service worker sees to that after the first
visit) the network uses all cores.

## The runtime

`runtime/` holds these files of the npm package {RUNTIME} {RUNTIME_VERSION} (MIT licence): {", ".join(wanted)}.
If they are missing, npm was not there when the page was written. Fetch {RUNTIME_LINK} , unpack it, and
copy them from `package/dist/` to `runtime/`; or install npm and write the page again.
"""
