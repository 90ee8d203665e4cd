"""Results packed as the benchmarks' servers want them: ids, names and the layout of the archive.

    voc         results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png in a .tar.gz; indexed, 0 … 20
    cityscapes  berlin_000000_000019_pred_labelIds.png in a .zip; grey, the ids of labels.py (7 is road), not train ids
    ade20k      ADE_test_00000001.png in a .zip; grey, 1 … 150

Each at its image's size. Sources: VOC's development kit (section 5.3) and the example of its server; the top of
evalPixelLevelSemanticLabeling.py in cityscapesScripts and the page of its server (`berlin_000000_000019*.png`, one a
image, folders as one likes); the README of https://github.com/CSAILVision/sceneparsing.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from ..classes import ClassTable
from ..data.published import ADE20K, ADE20K_IDS, CITYSCAPES, CITYSCAPES_IDS, VOC
from ..data.split_lists import read_names
from ..errors import UserError, nearest
from ..images import encode_image, encode_label_map
from ..inference import Segmentation, Segmenter
from ..inference.predict import PredictSummary, predict
from ..inference.sinks import FileSink, Output
from ..inference.sources import FileSource, Item, find_images


@dataclass(frozen=True)
class Benchmark:
    """What one server wants.

    Attributes:
        title: its name in a sentence.
        classes: what the model must know, in this order.
        ids: what each class is called in the results.
        image: the pattern of an image's name without suffix; its first group is what results are named by.
        result: the path of a result in the archive.
        archive: the archive's name.
        test: where, below a folder that the user may name, the test images or the list of them are.
        indexed: whether results carry the classes' palette; else they are grey.
    """

    title: str
    classes: ClassTable
    ids: Sequence[int]
    image: str
    result: str
    archive: str
    test: tuple[str, ...]
    indexed: bool = False


VOC_LIST = "ImageSets/Segmentation/test.txt"

BENCHMARKS = {
    "voc": Benchmark(
        title="PASCAL VOC",
        classes=VOC,
        ids=range(len(VOC)),
        image=r"(\d{4}_\d{6})",
        # Competition 6 lets a method train on anything; 5, on VOC alone, would exclude backbones from ImageNet.
        result="results/VOC2012/Segmentation/comp6_test_cls/{}.png",
        archive="voc.tar.gz",
        test=(VOC_LIST, f"VOC2012/{VOC_LIST}", f"VOCdevkit/VOC2012/{VOC_LIST}"),
        indexed=True,
    ),
    "cityscapes": Benchmark(
        title="Cityscapes",
        classes=CITYSCAPES,
        ids=CITYSCAPES_IDS,
        image=r"([^_]+_\d{6}_\d{6})_leftImg8bit",
        result="{}_pred_labelIds.png",
        archive="cityscapes.zip",
        test=("leftImg8bit/test", "test"),
    ),
    "ade20k": Benchmark(
        title="ADE20K",
        classes=ADE20K,
        ids=ADE20K_IDS,
        image=r"(ADE_(?:train|val|test)_\d{8})",
        result="{}.png",
        archive="ade20k.zip",
        test=("testing", "images/testing", "ADEChallengeData2016/images/testing", "release_test/testing"),
    ),
}


def check_model(model: ClassTable, benchmark: Benchmark) -> None:
    """Check that a model knows the benchmark's classes in its order; a model whose classes have no names may pass.

    Raises:
        UserError: another number of classes, or other names.
    """
    mend = f"send in a model that was trained on {benchmark.title}"
    expected = benchmark.classes.names
    if len(model) != len(expected):
        raise UserError(f"the model has {len(model)} classes but {benchmark.title} {len(expected)}; {mend}")
    if model.names == ClassTable.of(len(expected)).names:
        return
    for index, (name, wanted) in enumerate(zip(model.names, expected, strict=True)):
        if name != wanted:
            raise UserError(f"class {index} of the model is '{name}' but of {benchmark.title} '{wanted}'; {mend}")


@dataclass(frozen=True)
class Submission:
    """A submission that has been planned: which images, and where what becomes of them is gathered.

    Attributes:
        source: the images; their names are the paths of their label maps in `out`, without suffix.
        out: the folder of the archive and, in a folder called as the benchmark, of what goes into it.
        name: of the benchmark.
    """

    source: FileSource
    out: Path
    name: str

    @property
    def archive(self) -> Path:
        """The file to be sent in."""
        return self.out / BENCHMARKS[self.name].archive

    def make(
        self,
        segmenter: Segmenter,
        *,
        resume: bool = False,
        overwrite: bool = False,
        on_done: Callable[[], None] | None = None,
    ) -> PredictSummary:
        """Write the label maps in the benchmark's ids and, where all images have one, the archive.

        Args:
            segmenter: the model.
            resume, overwrite: see `FileSink`.
            on_done: called after each image.

        Raises:
            UserError: the model's classes are not the benchmark's, or a result cannot be written.
        """
        benchmark = BENCHMARKS[self.name]
        check_model(segmenter.classes, benchmark)
        ids = np.array(benchmark.ids, dtype=np.uint8)

        def encode(segmentation: Segmentation) -> bytes:
            labels = ids[segmentation.labels]
            return encode_label_map(labels, benchmark.classes) if benchmark.indexed else encode_image(labels, "PNG")

        with FileSink(
            self.out,
            [Output(".png", encode)],
            made_by=segmenter.identity,
            resume=resume,
            overwrite=overwrite,
            others=[benchmark.archive],
        ) as sink:
            summary = predict(segmenter, self.source, sink, on_done=on_done)
            if not summary.failed:
                with sink.put(benchmark.archive) as temporary:
                    self._pack(temporary)
        return summary

    def _pack(self, archive: Path) -> None:
        """Pack the label maps of all images, and no other files, into an archive."""
        names = sorted(f"{item.name}.png" for item in self.source)
        contents = ((name.removeprefix(f"{self.name}/"), (self.out / name).read_bytes()) for name in names)
        # Neither times nor the user's name are packed: the same results make the same archive.
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive, "w") as packed:  # PNGs are compressed already
                for name, data in contents:
                    packed.writestr(zipfile.ZipInfo(name), data)
            return
        with (
            open(archive, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w") as packed_tar,
        ):
            for name, data in contents:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                packed_tar.addfile(member, BytesIO(data))


def plan_submission(
    name: str, inputs: Iterable[str | Path], out: str | Path, *, max_pixels: int | None = None
) -> Submission:
    """Find the images of a submission.

    Args:
        name: one of `BENCHMARKS`.
        inputs: what `find_images` takes. Of a folder of the benchmark, as its archive unpacks, the test images are
            taken; of others, and of patterns, all.
        out: the folder for the archive and, in a folder called `name`, its contents.
        max_pixels: see `find_images`.

    Raises:
        UserError: there is no such benchmark, no image is found, one is not named as the benchmark names them, or
            one is there twice.
    """
    if name not in BENCHMARKS:
        raise UserError(f"there is no benchmark '{name}' to submit to.{nearest(name, BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    found = find_images([path for given in inputs for path in _test_set(benchmark, given)], out, max_pixels=max_pixels)
    places: dict[str, Item] = {}
    for item in found:
        named = re.fullmatch(benchmark.image, Path(item.place).stem)
        if named is None:
            raise UserError(
                f"{item.place} is not named as {benchmark.title} names its images, which the server goes by; give"
                " these as they were downloaded"
            )
        place = f"{name}/{benchmark.result.format(named[1])}".removesuffix(".png")
        if place in places:
            raise UserError(
                f"{places[place].place} and {item.place} are both {named[1]}; name the folder of the test images alone"
            )
        places[place] = replace(item, name=place)
    return Submission(replace(found, items=list(places.values())), Path(out), name)


def _test_set(benchmark: Benchmark, given: str | Path) -> list[str | Path]:
    """The test images of a folder of the benchmark; any other input is what it is."""
    for place in benchmark.test:
        path = Path(given) / place
        if path.is_dir():
            return [path]
        if path.is_file():
            images = path.parents[2] / "JPEGImages"
            return [images / f"{name}.jpg" for name in read_names(path)]
    return [given]
