"""How fast a model runs here: latency, throughput, memory, and how much of the machine's arithmetic it gets.

Each engine and size is measured in a process of its own, whose largest memory is then theirs alone. What the machine
could do at best is measured in the same process, in turns with the model: single-precision matrix products.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..artifacts import Model
from ..errors import UserError
from .options import SegmenterOptions
from .segmenter import Segmenter
from .threads import usable_cores

BATCH = 4
"""Images that go through the network together where throughput is measured."""
PRODUCT = 1536
"""Rows and columns of the matrices that are multiplied."""


@dataclass(frozen=True)
class Measurement:
    """The times of one engine with images of one size.

    Attributes:
        engine: as `Segmenter.load` knows it.
        height, width: of the images.
        latency: seconds from pixels to labels for one image, the median.
        throughput: images a second, `BATCH` at a time.
        memory: the largest of the process, in bytes.
        flops: of the network for an image, convolutions counted directly, one multiply-add as 2; None where the model
            does not say, or an image goes through it by tiles or by several views.
        peak: operations a second of the fastest matrix product.
        cores: that were used.
    """

    engine: str
    height: int
    width: int
    latency: float
    throughput: float
    memory: int
    flops: float | None
    peak: float
    cores: int

    @property
    def rate(self) -> float | None:
        """Operations a second at that latency."""
        return None if self.flops is None else self.flops / self.latency

    def to_dict(self) -> dict[str, Any]:
        """The measurement as JSON has it, with what follows from it."""
        share = None if self.rate is None else self.rate / self.peak
        return asdict(self) | {"rate": self.rate, "share_of_peak": share}


def bench(
    model: Model,
    sizes: Sequence[tuple[int, int]],
    engines: Sequence[str],
    options: SegmenterOptions | None = None,
    *,
    rounds: int = 20,
) -> Iterator[Measurement]:
    """Measure a model, one engine and size after the other.

    Args:
        model: as `Segmenter.load` takes it.
        sizes: heights and widths of images.
        engines: names of `ENGINES`, see `engines_for`.
        options: how it is run; without their `max_size`, images go through the network as large as they are.
        rounds: from which medians are taken.

    Raises:
        UserError: as `Segmenter.load`, or a process ended without a result.
    """
    options = options or SegmenterOptions()
    for engine in engines:
        chosen = replace(options, engine=engine, max_size=options.max_size or 0)
        for size in sizes:
            yield apart(_measure, model, chosen, size, rounds)


def apart(function: Callable[..., Measurement], *arguments: Any) -> Measurement:
    """What a function returns in a process of its own; an error of the user's is raised here."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        raise UserError(
            f"measuring ended without a result (exit code {process.exitcode}), probably for lack of memory; give a"
            " smaller size="
        ) from None
    process.join()
    if isinstance(result, UserError):
        raise result
    assert isinstance(result, Measurement)
    return result


def _answer(pipe: Any, function: Callable[..., Measurement], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send(function(*arguments))
    except UserError as error:
        pipe.send(error)


def _measure(model: Model, options: SegmenterOptions, size: tuple[int, int], rounds: int) -> Measurement:
    segmenter = Segmenter.load(model, options)
    bands = segmenter.info.bands
    image = np.random.default_rng(0).integers(0, 256, (*size, len(bands)), dtype=np.uint8).astype(bands.dtype)
    group = [image] * BATCH
    alone, together, products = [], [], []
    for number in range(rounds + 2):
        alone.append(_seconds(lambda: segmenter(image)))
        if number % 4 == 0 and not segmenter.plan(*size).tiled:
            together.append(_seconds(lambda: segmenter.batch(group)))
        memory = peak_memory()  # before the matrices
        products.append(matrix_product())
    latency = statistics.median(alone[2:])
    throughput = BATCH / statistics.median(together[1:]) if len(together) > 1 else 1 / latency
    return Measurement(
        options.engine, *size, latency, throughput, memory, _flops(segmenter, size), max(products), usable_cores()
    )


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def matrix_product(size: int = PRODUCT) -> float:
    """Operations a second of one product of two square matrices in single precision."""
    left = np.ones((size, size), np.float32)
    return 2 * size**3 / _seconds(lambda: left @ left)


def peak_memory() -> int:
    """The largest memory of this process so far, in bytes; 0 where the operating system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _flops(segmenter: Segmenter, size: tuple[int, int]) -> float | None:
    """Operations for an image as the network is given it; None where it is given several, or nobody knows."""
    plan = segmenter.plan(*size)
    if plan.tiled or segmenter.options.tta:
        return None
    if segmenter.info.flops is not None:
        return segmenter.info.flops.of(*plan.resized)
    if "torch" not in sys.modules:
        return None
    from ..models.cost import measure_cost
    from .engines.torch import TorchEngine

    engine = segmenter.engine
    return float(measure_cost(engine.network, plan.resized).flops) if isinstance(engine, TorchEngine) else None
