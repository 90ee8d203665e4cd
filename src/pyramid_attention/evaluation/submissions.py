"""Results packed as the benchmarks' servers want them: ids, names and the layout of the archive.

    voc         results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png in a .tar.gz; indexed, 0 … 20
    cityscapes  berlin_000000_000019_pred_labelIds.png in a .zip; grey, the ids of labels.py (7 is road), not train ids
    ade20k      ADE_test_00000001.png in a .zip; grey, 1 … 150

Each at its image's size. Sources: VOC's development kit (section 5.3) and the example of its server; the top of
evalPixelLevelSemanticLabeling.py in cityscapesScripts and the page of its server (`berlin_000000_000019*.png`, one a
image, folders as one likes); the README of https://github.com/CSAILVision/sceneparsing.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath

import numpy as np

from ..classes import ClassTable
from ..data.readers import ade20k, cityscapes, voc
from ..data.readers.listing import read_names
from ..errors import UserError, nearest
from ..files import make_folder, whole_file
from ..images import write_image, write_label_map
from ..inference import Segmentation, Segmenter
from ..inference.predict import PredictSummary, predict_sources
from ..inference.sources import Source, Sources, find_sources


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
        classes=voc.CLASSES,
        ids=range(len(voc.CLASSES)),
        image=r"(\d{4}_\d{6})",
        # Competition 6 lets a method train on anything; 5, on VOC alone, would exclude backbones from ImageNet.
        result="results/VOC2012/Segmentation/comp6_test_cls/{}.png",
        archive="voc.tar.gz",
        test=(VOC_LIST, f"VOC2012/{VOC_LIST}", f"VOCdevkit/VOC2012/{VOC_LIST}"),
        indexed=True,
    ),
    "cityscapes": Benchmark(
        title="Cityscapes",
        classes=cityscapes.CLASSES,
        ids=cityscapes.IDS,
        image=r"([^_]+_\d{6}_\d{6})_leftImg8bit",
        result="{}_pred_labelIds.png",
        archive="cityscapes.zip",
        test=("leftImg8bit/test", "test"),
    ),
    "ade20k": Benchmark(
        title="ADE20K",
        classes=ade20k.CLASSES,
        ids=ade20k.IDS,
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
        sources: the images, and their label maps' places in `folder`.
        folder: what goes into the archive, as it is laid out there.
        archive: the file to be sent in, beside `folder`.
    """

    benchmark: Benchmark
    sources: Sources
    folder: Path
    archive: Path

    def predict(
        self,
        segmenter: Segmenter,
        *,
        resume: bool = False,
        max_pixels: int | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> PredictSummary:
        """Write the label maps in the benchmark's ids; see `predict_sources`.

        Raises:
            UserError: the model's classes are not the benchmark's, or a result cannot be written.
        """
        check_model(segmenter.classes, self.benchmark)
        ids = np.array(self.benchmark.ids, dtype=np.uint8)

        def write(segmentation: Segmentation, source: Source) -> None:
            make_folder(source.labels.parent)
            result = ids[segmentation.labels]
            if self.benchmark.indexed:
                write_label_map(source.labels, result, self.benchmark.classes)
            else:
                write_image(source.labels, result)

        return predict_sources(segmenter, self.sources, write, resume=resume, max_pixels=max_pixels, on_done=on_done)

    def pack(self) -> Path:
        """Pack the label maps of all images, no other files, into the archive: whole or not at all.

        Raises:
            UserError: a label map is missing, or the archive cannot be written.
        """
        paths = sorted(source.labels for source in self.sources.found)
        for path in paths:
            if not path.is_file():
                raise UserError(f"{path} is missing, so nothing is packed; predict again with --resume")
        contents = ((path.relative_to(self.folder).as_posix(), path.read_bytes()) for path in paths)
        # Members carry neither times nor the user's name: the same results make the same members.
        with whole_file(self.archive) as temporary:
            if self.archive.suffix == ".zip":
                with zipfile.ZipFile(temporary, "w") as packed:  # PNGs are compressed already
                    for name, data in contents:
                        packed.writestr(zipfile.ZipInfo(name), data)
            else:
                with tarfile.open(temporary, "w:gz") as packed_tar:
                    for name, data in contents:
                        member = tarfile.TarInfo(name)
                        member.size = len(data)
                        packed_tar.addfile(member, BytesIO(data))
        return self.archive


def plan_submission(name: str, inputs: Iterable[str | Path], out: str | Path) -> Submission:
    """Find the images of a submission.

    Args:
        name: one of `BENCHMARKS`.
        inputs: what `find_sources` takes. Of a folder of the benchmark, as its archive unpacks, the test images
            are taken; of others, and of patterns, all.
        out: the folder for the archive and, in a folder called `name`, its contents.

    Raises:
        UserError: there is no such benchmark, no image is found, one is not named as the benchmark names them, or
            one is there twice.
    """
    if name not in BENCHMARKS:
        raise UserError(f"there is no benchmark '{name}' to submit to.{nearest(name, BENCHMARKS)}")
    benchmark, out = BENCHMARKS[name], Path(out)
    folder = out / name
    found = find_sources([path for given in inputs for path in _test_set(benchmark, given)], out)
    sources, places = Sources(failed=found.failed), dict[Path, Path]()
    for source in found.found:
        named = re.fullmatch(benchmark.image, source.path.stem)
        if named is None:
            raise UserError(
                f"{source.path} is not named as {benchmark.title} names its images, which the server goes by; give"
                " these as they were downloaded"
            )
        result = PurePath(benchmark.result.format(named[1]))
        planned = Source.named(source.path, folder, result.with_suffix(""))
        if planned.labels in places:
            raise UserError(
                f"{places[planned.labels]} and {source.path} are both {named[1]}; name the folder of the test"
                " images alone"
            )
        places[planned.labels] = source.path
        sources.found.append(planned)
    return Submission(benchmark, sources, folder, out / benchmark.archive)


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
