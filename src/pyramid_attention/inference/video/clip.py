"""A video or a camera, decoded frame by frame: upright, in RGB, each with its time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from ...errors import UserError
from ...images import MAX_PIXELS
from ..addresses import CAMERA, LIVE_SCHEMES, is_address, is_camera, shown
from .tones import HLG, PQ, to_sdr

TIMEOUT = 10.0
"""Seconds that a camera or a server may be silent."""
DEVICES = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""What FFmpeg calls the cameras of a machine."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        index: how many come before it.
        time: when it is shown, in units of the clip's `time_base`; later than the frame before.
        image: H×W×3 (uint8) RGB, upright.
    """

    index: int
    time: int
    image: NDArray[np.uint8]


class Clip:
    """A video file, an address or a camera, opened.

    Args:
        place: a path, an address, or a camera as "camera:0".
        max_pixels: larger frames are refused.

    Attributes:
        name: the place, without a password.
        live: frames come as they happen, and those that nobody takes are lost.
        count: how many frames there are, as far as the file says.
        time_base: the unit of the frames' times, in seconds.
        rate: frames a second on average, as far as it is known.
        pixel_aspect: width of a pixel over its height, once the first frame is decoded as it is upright; None or 0
            where nobody says.
        notes: what a user should know of how it is read, one line each.

    Raises:
        UserError: it cannot be reached or opened, or holds no video.
    """

    def __init__(self, place: str, max_pixels: int = MAX_PIXELS) -> None:
        self.place, self.name = place, shown(place)
        self.notes: list[str] = []
        self._container = self._open()
        self.live = is_camera(place) or place.partition("://")[0] in LIVE_SCHEMES
        self.live |= is_address(place) and self._container.duration is None
        kind, is_image, _ = self._container.format.name.partition("_pipe")  # FFmpeg's formats of one image
        if is_image and not is_address(place) and not place.lower().endswith(".mjpeg"):
            self.close()
            raise UserError(f"{self.name} is an image ({kind}) and no video; give it the suffix of one, as .jpg")
        videos = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not videos:
            self.close()
            raise UserError(f"{self.name} holds no video; it is cut off, or another file")
        self._stream = videos[0]
        self._stream.thread_type = "AUTO"
        self.height, self.width = self._stream.codec_context.height, self._stream.codec_context.width
        if self.height * self.width > max_pixels:
            self.close()
            raise UserError(
                f"{self.name} has frames of {self.width}×{self.height} pixels, above the limit of {max_pixels:,};"
                " scale it down, or allow it with max_pixels="
            )
        self.rate = self._stream.average_rate or self._stream.guessed_rate
        assert self._stream.time_base is not None
        self.time_base: Fraction = self._stream.time_base
        seconds = self._seconds()
        estimated = round(seconds * self.rate) if seconds and self.rate else 0
        self.count: int | None = None if self.live else (self._stream.frames or estimated or None)
        self.pixel_aspect = self._stream.codec_context.sample_aspect_ratio
        self._broken = 0

    def _open(self) -> InputContainer:
        file, options, format = self.place, {}, None
        if is_camera(file):
            format = DEVICES.get(sys.platform, "")
            if format not in av.formats_available:
                raise UserError(
                    f"{self.name}: the installed PyAV reads no cameras of this machine ({format or sys.platform}); have"
                    " the camera served as rtsp:// or http://, or install a PyAV built with it"
                )
            file = file.removeprefix(CAMERA)
            file = f"/dev/video{file}" if format == "v4l2" and file.isdigit() else file
        elif file.startswith("rtsp"):
            options = {"rtsp_transport": "tcp"}  # nothing is lost on the way
        try:
            return av.open(file, format=format, options=options, timeout=TIMEOUT if is_address(self.place) else None)
        except (av.FFmpegError, OSError, ValueError) as error:
            if is_address(self.place):
                raise UserError(f"{self.name} cannot be reached: {_reason(error)}; check the address") from error
            raise UserError(
                f"{self.name} cannot be opened as a video: {_reason(error)}; it is cut off, damaged or no video"
            ) from error

    def _seconds(self) -> float | None:
        """How long the stream of images is, as far as the file says."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self.time_base)
        hours, _, rest = self._stream.metadata.get("DURATION", "").partition(":")  # of Matroska, by its writers
        minutes, _, seconds = rest.partition(":")
        try:
            return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()
        except ValueError:
            return None

    def close(self) -> None:
        """Close the file, or let the camera go."""
        self._container.close()

    def frames(self, begin: int = 0, every: int = 1) -> Iterator[Frame]:
        """Decode, from the first frame on; to be called once.

        Args:
            begin: the first frame that is wanted. Those before are decoded, and not converted.
            every: from there on, one of so many frames is wanted.

        Raises:
            UserError: once all that is readable was given: it is cut off, frames were damaged, or the camera went away.
        """
        index = first = longest = 0
        last: int | None = None
        size = 0, 0
        for decoded in self._decode():
            time = self._time_of(decoded, last)
            if last is None:
                first, size = time, (decoded.height, decoded.width)
                self._note_kind(decoded)
            else:
                longest = max(longest, time - last)
                if (decoded.height, decoded.width) != size:
                    self._note(f"{self.name} changes the size of its frames; all are scaled to that of the first")
            if index >= begin and (index - begin) % every == 0:
                yield Frame(index, time, self._upright(decoded, size))
            last, index = time, index + 1
        if last is None:
            raise UserError(f"{self.name} holds no frame; it is cut off or empty")
        if self._ended is not None:
            raise UserError(f"{self.name} {self._ended} after {index} frames; these are done")
        if self._broken:
            raise UserError(f"{self.name} is damaged: {self._broken} pieces could not be decoded; the rest is done")
        if self._is_cut_off((first, last), longest):
            raise UserError(f"{self.name} is cut off after {index} frames; these are done")

    def _decode(self) -> Iterator[av.VideoFrame]:
        self._ended: str | None = None
        self._packets = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                if self.live:
                    self._ended = "went away"
                return
            except (av.FFmpegError, OSError) as error:
                self._ended = f"went away ({_reason(error)})" if self.live else f"breaks off ({_reason(error)})"
                return
            self._packets += packet.size > 0
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self._broken += 1

    def _time_of(self, decoded: av.VideoFrame, before: int | None) -> int:
        time = decoded.dts if self._container.format.name == "avi" else decoded.pts  # AVI says only when to decode
        if time is None:
            time = 0 if before is None else before + round(1 / (self.rate or 25) / self.time_base)
        return time if before is None else max(time, before + 1)

    def _is_cut_off(self, times: tuple[int, int], longest: int) -> bool:
        """Whether the file promised more.

        Args:
            times: of the first and the last frame.
            longest: the time between two neighbours.
        """
        if self.live:
            return False
        if "mp4" in self._container.format.name:
            return self._packets < self._stream.frames
        seconds = self._seconds()
        if self._container.format.name == "avi":
            seconds = float(self._stream.frames * self.time_base)
        missing = 0.0 if seconds is None else seconds / float(self.time_base) - (times[1] - times[0])
        return missing > 1.5 * longest

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _note_kind(self, first: av.VideoFrame) -> None:
        if self.pixel_aspect and round(first.rotation / 90) % 2:
            self.pixel_aspect = 1 / self.pixel_aspect
        if first.color_trc in (PQ, HLG):
            kind = "PQ" if first.color_trc == PQ else "HLG"
            self._note(f"{self.name} is HDR ({kind}); its tones are mapped to the usual ones for network and overlay")

    def _upright(self, decoded: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        height, width = size
        if decoded.color_trc in (PQ, HLG):
            deep = decoded.to_ndarray(format="rgb48le", height=height, width=width).astype(np.uint16, copy=False)
            image = to_sdr(deep, int(decoded.color_trc))
        else:
            image = decoded.to_ndarray(format="rgb24", height=height, width=width).astype(np.uint8, copy=False)
        turns = round(decoded.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):
        return f"silent for {TIMEOUT:.0f} seconds"
    return getattr(error, "strerror", None) or str(error)
