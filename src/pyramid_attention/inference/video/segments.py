"""What is done of a clip, on disk in segments of some frames, so that a run that is killed goes on with the next.

Each segment has a video file for each output, in NUT, which keeps time stamps as they are. What is noted of it appears
last, so that it is there as a whole or not at all. In the end the packets of all segments become one file, as they are:
no frame is encoded twice. For that every segment begins with a key frame, and none has frames that lean on later ones.
"""

from __future__ import annotations

import heapq
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from ...errors import UserError
from ...files import holds_json, make_folder, whole_file, write_json

KEY = "of.json"


@dataclass(frozen=True)
class Encoding:
    """How frames become a video.

    Attributes:
        codec: FFmpeg's name for the encoder.
        pixels: the layout of an encoded frame's pixels.
        given: the layout of the arrays that are encoded.
        options: of the encoder.
    """

    codec: str
    pixels: str
    given: str
    options: Mapping[str, str]


H264 = Encoding("libx264", "yuv420p", "rgb24", {"crf": "20", "preset": "veryfast", "bf": "0"})
"""What every player shows."""
FFV1 = Encoding("ffv1", "gray", "gray", {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"})
"""Lossless (RFC 9043): the class ids come back as they were."""


class Encoder:
    """Encodes frames of one size into a NUT file.

    Args:
        path: of the file.
        encoding: how.
        time_base: the unit of the frames' times, in seconds.
        rate: frames a second, as players are told.
        pixel_aspect: width of a pixel over its height, None where it is a square.
    """

    def __init__(
        self, path: Path, encoding: Encoding, time_base: Fraction, rate: Fraction | None, pixel_aspect: Fraction | None
    ) -> None:
        self._container = av.open(str(path), "w", format="nut")
        self._encoding, self._time_base = encoding, time_base
        stream = self._container.add_stream(encoding.codec, rate=rate or 25, options=dict(encoding.options))
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._stream.pix_fmt = encoding.pixels
        self._context = self._stream.codec_context
        self._context.time_base = time_base
        self._context.sample_aspect_ratio = pixel_aspect or Fraction(1)
        if encoding.given != encoding.pixels:
            self._context.colorspace, self._context.color_range = Colorspace.ITU709, ColorRange.MPEG
            self._context.color_primaries = self._context.color_trc = 1  # BT.709, too

    def add(self, image: NDArray[np.uint8], time: int) -> None:
        """Encode a frame, H×W or H×W×3 as the encoding wants it, which is shown at a time."""
        if self._encoding.pixels == "yuv420p":  # whose colours stand for two by two pixels
            image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=self._encoding.given)
        if self._encoding.given != self._encoding.pixels:
            frame = frame.reformat(
                format=self._encoding.pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
        if not self._context.is_open:
            self._context.height, self._context.width = frame.height, frame.width
        frame.pts, frame.time_base = time, self._time_base
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


class Segments:
    """The finished segments of a clip in a folder of their own.

    Args:
        folder: must be these segments' alone (see `files.owned`).
        key: what they are of, as plain JSON: segments of anything else that the folder holds are removed. None takes
            them as they are.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any] | None = None) -> None:
        self.folder = make_folder(folder)
        if key is None:
            return
        if not holds_json(folder / KEY, key):
            self.remove()
            write_json(make_folder(folder) / KEY, key)

    def _notes(self) -> list[Path]:
        """The notes of the finished segments, from the first on without a gap."""
        notes: list[Path] = []
        while (note := self.folder / f"{len(notes):06}.json").exists():
            notes.append(note)
        return notes

    @property
    def done(self) -> int:
        """How many segments there are."""
        return len(self._notes())

    @property
    def frames(self) -> int:
        """How many frames are in them."""
        return sum(json.loads(note.read_text(encoding="utf-8"))["frames"] for note in self._notes())

    @property
    def state(self) -> dict[str, NDArray[np.generic]] | None:
        """What was kept after the last, if anything was."""
        path = self.folder / f"{self.done - 1:06}.npz"
        if not path.exists():
            return None
        with np.load(path) as arrays:
            return dict(arrays)

    def path(self, number: int, output: str) -> Path:
        """Where an output of a segment is encoded."""
        return self.folder / f"{number:06}{output}.nut"

    def finish(self, frames: int, state: Mapping[str, NDArray[np.generic]] | None = None) -> None:
        """Note that every output of the next segment is there.

        Raises:
            UserError: the disk is full.
        """
        number = self.done
        if state is not None:
            with whole_file(self.folder / f"{number:06}.npz") as file:
                np.savez_compressed(file, allow_pickle=False, **state)
            (self.folder / f"{number - 1:06}.npz").unlink(missing_ok=True)
        write_json(self.folder / f"{number:06}.json", {"frames": frames})

    def join(self, output: str, target: Path, sound: str | None = None) -> bool:
        """Put an output's segments together into one file, by its suffix.

        Args:
            output: which.
            target: the file.
            sound: a file whose sound is copied, all its tracks that the format can hold.

        Returns:
            whether every track could be.

        Raises:
            UserError: it cannot be written.
        """
        try:
            return _join([self.path(number, output) for number in range(self.done)], target, sound)
        except av.FFmpegError as error:
            raise UserError(f"cannot write {target}: {error.strerror}; check the disk") from error

    def remove(self) -> None:
        """Remove the folder: everything is where it belongs."""
        shutil.rmtree(self.folder)


def _join(segments: list[Path], target: Path, sound: str | None) -> bool:
    complete = True
    with av.open(str(target), "w") as joined:
        with av.open(str(segments[0])) as first:
            stream = joined.add_stream_from_template(first.streams.video[0])
        tracks: list[Iterator[tuple[float, Any]]] = []
        heard = None
        if sound is not None:
            with suppress(av.FFmpegError):
                heard = av.open(sound)
        copies = {}
        for track in heard.streams.audio if heard is not None else ():
            if track.codec_context is not None and track.codec_context.name in joined.supported_codecs:
                copies[track] = joined.add_stream_from_template(track)
            else:
                complete = False
        if heard is not None and copies:
            tracks.append(_sound(heard, copies))
        joined.start_encoding()
        for _, packet in heapq.merge(_images(segments, stream), *tracks, key=lambda timed: timed[0]):
            joined.mux(packet)
        if heard is not None:
            heard.close()
    return complete


def _sound(heard: av.container.InputContainer, copies: Mapping[Any, Any]) -> Iterator[tuple[float, Any]]:
    with suppress(av.FFmpegError):  # cut off: as far as it goes
        for packet in heard.demux(list(copies)):
            if packet.dts is not None:
                time = float(packet.dts * packet.time_base)
                packet.stream = copies[packet.stream]
                yield time, packet


def _images(segments: list[Path], stream: Any) -> Iterator[tuple[float, Any]]:
    """The packets of all segments, each with how long it is shown: until the next, the last as long as that before."""
    held: Any = None
    for path in segments:
        with av.open(str(path)) as container:
            for packet in container.demux(video=0):
                if packet.dts is None:
                    continue
                if held is not None:
                    held.duration = packet.pts - held.pts
                    yield _timed(held, stream)
                packet.duration = held.duration if held is not None else 0
                held = packet
    if held is not None:
        yield _timed(held, stream)


def _timed(packet: Any, stream: Any) -> tuple[float, Any]:
    time = float(packet.dts * packet.time_base)
    packet.stream = stream
    return time, packet
