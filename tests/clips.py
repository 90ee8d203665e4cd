"""Videos made for tests, and cameras that show them."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 48, 64
TICKS = 600
"""Units of time a second."""
STEP = 30
"""Of them between two frames."""


def bar(index: int) -> np.ndarray:
    """A frame whose left columns are bright, one more in each."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : 2 + index] = 220
    return image


def bar_labels(index: int) -> np.ndarray:
    """Its label map by `Brightness`."""
    return (bar(index)[..., 0] > 127).astype(np.uint8)


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray] | int = 20,
    *,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv444p",
    sound: str | None = None,
    movie: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    """Write a video, nearly lossless: frames H×W×3, or so many of `bar`, at times in units of 1/`TICKS` s."""
    images = [bar(index) for index in range(frames)] if isinstance(frames, int) else frames
    rate = TICKS // STEP
    with av.open(str(path), "w", options=movie or {}) as file:
        video = file.add_stream(codec, rate=rate, options={"crf": "4", **options})
        video.pix_fmt = pixels
        video.height, video.width = images[0].shape[:2] if len(images) else (HEIGHT, WIDTH)
        video.codec_context.time_base = Fraction(1, rate if path.suffix == ".avi" else TICKS)
        video.codec_context.sample_aspect_ratio = aspect or Fraction(1)
        audio = None if sound is None else file.add_stream(sound, rate=8000, layout="mono")
        file.start_encoding()
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index if path.suffix == ".avi" else (times[index] if times else index * STEP)
            frame.time_base = video.codec_context.time_base
            file.mux(video.encode(frame))
        if audio is not None:
            for index in range(len(images) * 8000 // rate // 400):
                tone = (8000 * np.sin(np.arange(400) / 5)).astype(np.int16)[None]
                heard = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 8000, 400 * index, Fraction(1, 8000)
                for own in av.AudioResampler(audio.format, "mono", 8000).resample(heard):
                    file.mux(audio.encode(own))
            file.mux(audio.encode(None))
        file.mux(video.encode(None))
    return path


def turned(path: Path) -> Path:
    """Say in a file .mp4 that it is to be shown turned by 90° clockwise, as a phone held upright does."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2
    one = 1 << 16
    values = (0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack(">9i", *values)
    path.write_bytes(content)
    return path


def frames_of(path: Path, form: str = "rgb24") -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format=form) for frame in file.decode(video=0)]


def times_of(path: Path) -> list[Fraction]:
    """In seconds."""
    with av.open(str(path)) as file:
        return [frame.pts * frame.time_base for frame in file.decode(video=0)]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """The packets of the sound, with their times in seconds."""
    with av.open(str(path)) as file:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in file.demux(audio=0) if packet.size]


@contextmanager
def camera(stream: bytes, *, rtsp: bool, hang: bool = False) -> Iterator[str]:
    """A camera on loopback that shows an MPEG transport stream once, and then goes away, or stays and is silent.

    By RTSP 1.0 (RFC 2326) with RTP (RFC 2250, payload type 33) in the same connection, or by HTTP.

    Yields:
        its address.
    """
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, connection.makefile("rwb") as channel:
                    try:
                        (_rtsp if rtsp else _http)(channel, stream)
                        if hang:
                            ended.wait()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        scheme = "rtsp" if rtsp else "http"
        yield f"{scheme}://user:secret@127.0.0.1:{server.getsockname()[1]}/front.ts"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _request(channel) -> dict[str, str]:
    first = channel.readline().decode().split()
    if not first:
        raise OSError
    headers = {"": first[0]}
    while line := channel.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _http(channel, stream: bytes) -> None:
    _request(channel)
    channel.write(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + stream)
    channel.flush()


def _rtsp(channel, stream: bytes) -> None:
    description = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
    method = ""
    while method != "PLAY":
        headers = _request(channel)
        method, body = headers[""], ""
        answer = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n"
        if method == "DESCRIBE":
            body = description
            answer += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        channel.write(f"{answer}\r\n{body}".encode())
        channel.flush()
    for number, start in enumerate(range(0, len(stream), 7 * 188)):
        payload = stream[start : start + 7 * 188]
        packet = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 900, 1) + payload
        channel.write(b"$\0" + struct.pack(">H", len(packet)) + packet)
    channel.flush()
