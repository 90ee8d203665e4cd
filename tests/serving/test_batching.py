"""Dynamic batching, with a Segmenter that says what came together and waits until it may go on."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyramid_attention.errors import UserError
from pyramid_attention.inference.plan import Plan
from pyramid_attention.serving.batching import Batcher
from pyramid_attention.serving.metrics import Metrics


class Recorder:
    """In a Segmenter's place: answers with the image's first pixel, and keeps the sizes of the groups."""

    engine = SimpleNamespace(device="cpu")

    def __init__(self) -> None:
        self.groups: list[tuple[int, tuple[int, ...]]] = []
        self.open = threading.Event()
        self.began = threading.Event()
        self.fails: Callable[[int], BaseException | None] = lambda count: None

    def plan(self, height: int, width: int) -> Plan:
        """Images higher than 100 pixels go by tiles."""
        return Plan(
            (height, width),
            (height, width),
            rows=((0, 100), (60, height)) if height > 100 else ((0, height),),
            columns=((0, width),),
        )

    def batch(self, images: list[NDArray[np.uint8]]) -> list[Any]:
        self.began.set()
        assert self.open.wait(10)
        error = self.fails(len(images))
        if error is not None:
            raise error
        self.groups.append((len(images), images[0].shape[:2]))
        return [int(image[0, 0, 0]) for image in images]

    def __call__(self, image: NDArray[np.uint8], with_confidence: bool = False) -> Any:
        return self.batch([image])[0]


def image(value: int, height: int = 4, width: int = 4) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def batcher(recorder: Recorder) -> Any:
    batcher = Batcher({"m": recorder, "n": recorder}, 4, 0.0, Metrics())  # type: ignore[dict-item]
    yield batcher
    recorder.open.set()
    batcher.close()


async def behind(batcher: Batcher, recorder: Recorder, wanted: list[tuple[str, NDArray[np.uint8]]]) -> list[Any]:
    """Ask for all of them while the network is busy with another image."""
    first = asyncio.create_task(batcher.segment("m", image(0, 9, 9), False))
    assert await asyncio.to_thread(recorder.began.wait, 10)
    rest = [asyncio.create_task(batcher.segment(model, one, False)) for model, one in wanted]
    await asyncio.sleep(0.05)
    recorder.open.set()
    return (await asyncio.gather(first, *rest, return_exceptions=True))[1:]


def test_images_of_one_size_and_model_go_together(batcher: Batcher, recorder: Recorder) -> None:
    wanted = [("m", image(1)), ("m", image(2, 8)), ("n", image(3)), ("m", image(4)), ("m", image(5, 8))]
    assert asyncio.run(behind(batcher, recorder, wanted)) == [1, 2, 3, 4, 5]
    assert recorder.groups == [(1, (9, 9)), (2, (4, 4)), (2, (8, 4)), (1, (4, 4))]


def test_no_more_than_the_largest_batch_goes_together(batcher: Batcher, recorder: Recorder) -> None:
    wanted = [("m", image(index)) for index in range(6)]
    assert asyncio.run(behind(batcher, recorder, wanted)) == list(range(6))
    assert [count for count, _ in recorder.groups] == [1, 4, 2]


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [1, 2, 2]), ("cuda", [1, 4])])
def test_a_processor_takes_no_more_pixels_than_are_faster_together(
    batcher: Batcher, recorder: Recorder, device: str, sizes: list[int]
) -> None:
    recorder.engine = SimpleNamespace(device=device)
    wanted = [("m", image(index, 60, 1000)) for index in range(4)]
    assert asyncio.run(behind(batcher, recorder, wanted)) == [0, 1, 2, 3]
    assert [count for count, _ in recorder.groups] == sizes


def test_large_images_go_alone(batcher: Batcher, recorder: Recorder) -> None:
    asyncio.run(behind(batcher, recorder, [("m", image(1, 200)), ("m", image(2, 200))]))
    assert [count for count, _ in recorder.groups] == [1, 1, 1]


def test_who_gives_up_gives_the_place_away(batcher: Batcher, recorder: Recorder) -> None:
    async def scenario() -> Any:
        first = asyncio.create_task(batcher.segment("m", image(0, 9, 9), False))
        assert await asyncio.to_thread(recorder.began.wait, 10)
        impatient = asyncio.create_task(batcher.segment("m", image(1), False))
        patient = asyncio.create_task(batcher.segment("m", image(2), False))
        await asyncio.sleep(0.02)
        impatient.cancel()
        await asyncio.sleep(0.02)
        recorder.open.set()
        return await first, await patient

    assert asyncio.run(scenario()) == (0, 2)
    assert recorder.groups == [(1, (9, 9)), (1, (4, 4))]


def test_a_batch_that_memory_does_not_hold_goes_one_by_one(batcher: Batcher, recorder: Recorder) -> None:
    recorder.fails = lambda count: UserError("out of memory") if count > 1 else None
    assert asyncio.run(behind(batcher, recorder, [("m", image(1)), ("m", image(2))])) == [1, 2]


def test_every_caller_hears_of_a_failure_and_the_next_batch_runs(batcher: Batcher, recorder: Recorder) -> None:
    recorder.fails = lambda count: RuntimeError("broken") if count > 1 else None
    found = asyncio.run(behind(batcher, recorder, [("m", image(1)), ("m", image(2))]))
    assert [str(error) for error in found] == ["broken", "broken"]
    assert asyncio.run(batcher.segment("m", image(3), False)) == 3


def test_an_image_waits_for_others_of_its_size(recorder: Recorder) -> None:
    recorder.open.set()
    batcher = Batcher({"m": recorder}, 2, 30.0, Metrics())  # type: ignore[dict-item]

    async def two() -> list[Any]:
        one = asyncio.create_task(batcher.segment("m", image(1), False))
        await asyncio.sleep(0.05)
        return await asyncio.gather(one, batcher.segment("m", image(2), False))

    assert asyncio.run(two()) == [1, 2]
    assert recorder.groups == [(2, (4, 4))]
    batcher.close()


def test_closing_finishes_what_waits(recorder: Recorder) -> None:
    recorder.open.set()
    batcher = Batcher({"m": recorder}, 4, 30.0, Metrics())  # type: ignore[dict-item]

    async def last() -> Any:
        one = asyncio.create_task(batcher.segment("m", image(7), False))
        await asyncio.sleep(0.02)
        await asyncio.to_thread(batcher.close)
        return await one

    assert asyncio.run(last()) == 7
