"""Requests that no server should fall over, by kind: what is sent, byte for byte, and which statuses may answer.

Used by the tests, once each, and by `benchmarks/serving.py`, many times.
"""

import io
import json
import socket
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

LAUGHS = """<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a0 "ha">{}]><View>&a9;</View>""".format(
    "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
)


@dataclass(frozen=True)
class Bad:
    """A bad request.

    Attributes:
        content: what is sent.
        statuses: that may answer it.
        half_closed: nothing more will come, and the server can know.
    """

    content: bytes
    statuses: tuple[int, ...]
    half_closed: bool = False

    def send(self, port: int, timeout: float = 30) -> tuple[int, bytes]:
        """Send it to a port of the loopback interface; status (0: none) and body of the answer."""
        answer = b""
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            try:
                connection.sendall(self.content)
                if self.half_closed:
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has heard enough
            try:
                while chunk := connection.recv(1 << 16):
                    answer += chunk
                    head, _, body = answer.partition(b"\r\n\r\n")
                    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                    if length and len(body) >= int(length[0].split(b":")[1]):
                        break
            except ConnectionResetError:
                pass
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
        return status, answer.partition(b"\r\n\r\n")[2]


def request(
    body: bytes,
    *statuses: int,
    path: str = "/v1/segment",
    method: str = "POST",
    length: int | None = None,
    **headers: str,
) -> Bad:
    """A request over HTTP; its headers are given with underscores."""
    named = {"Host": "localhost", "Content-Length": str(len(body) if length is None else length)}
    named.update({name.replace("_", "-"): value for name, value in headers.items()})
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return Bad(
        head.encode("latin-1") + b"\r\n" + body, statuses, length is not None and body != b"" and length > len(body)
    )


def infer(change: dict[str, object], raw: bytes = b"", **headers: str) -> Bad:
    """A request of the inference protocol with something changed."""
    given = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12} | change
    return request(json.dumps({"inputs": [given]}).encode() + raw, 400, path="/v2/models/pan-street/infer", **headers)


def form(body: bytes, kind: str = "multipart/form-data; boundary=b") -> Bad:
    """A form that cannot be read."""
    return request(body, 400, Content_Type=kind)


def image_bytes(format: str, mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> bytes:
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(content, format)
    return content.getvalue()


def png_of(width: int, height: int, data: bytes) -> bytes:
    """A PNG whose header says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def kinds(max_bytes: int) -> dict[str, Bad]:
    """All kinds but the slow ones, for a server with this limit."""
    png, jpeg = image_bytes("PNG"), image_bytes("JPEG")
    bomb = zlib.compress(bytes(20_001 * 4_000), 9)
    task = {"tasks": [{"data": {"i": "data:,"}}]}
    return {
        "an empty body": request(b"", 400),
        "text": request(b"hello", 415),
        "a web page": request(b"<html><script>1</script></html>", 415, Content_Type="image/png"),
        "PostScript": request(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", 415),
        "half a PNG": request(png[: len(png) // 2], 422),
        "half a JPEG": request(jpeg[: len(jpeg) // 2], 422),
        "a PNG with a changed byte": request(png[:60] + bytes([png[60] ^ 255]) + png[61:], 422),
        "a PNG that says it is huge": request(png_of(60_000, 60_000, zlib.compress(b"")), 413),
        "a bomb": request(png_of(20_000, 4_000, bomb), 413),
        "floating-point pixels": request(image_bytes("TIFF", "F"), 422),
        "a body that ends early": request(png[:100], 400, 0, length=len(png)),
        "an announced body that is too large": request(b"", 413, length=max_bytes + 1),
        "a chunked body that is too large": Bad(
            b"POST /v1/segment HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"%x\r\n%s\r\n" % (65536, bytes(65536))) * (max_bytes // 65536 + 2)
            + b"0\r\n\r\n",
            (413,),
        ),
        "a header of 200 kB": request(b"", 400, 431, X_Long="x" * 200_000),
        "ten thousand headers": request(b"", 400, 431, **{f"X-{n}": "y" for n in range(10_000)}),
        "no HTTP": Bad(b"\x16\x03\x01 hello\r\n\r\n", (400,)),
        "a negative length": request(png, 400, length=-5),
        "two lengths": Bad(b"POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", (400,)),
        "an unknown transfer encoding": request(b"", 400, 501, Transfer_Encoding="gzip"),
        "a form without a boundary": form(b"image=1", "multipart/form-data"),
        "a form without an image": form(b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n'),
        "a broken form": form(b"--b\r\nContent-Disposition\r\n\r\n--c"),
        "a form of many files": form(
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n1\r\n' * 50 + b"--b--\r\n"
        ),
        "a wrong media type": request(png, 415, Content_Type="video/mp4"),
        "broken JSON": request(b'{"url": ', 400, Content_Type="application/json"),
        "deep JSON": request(b"[" * 200_000, 400, Content_Type="application/json"),
        "an address": request(b'{"url": "http://127.0.0.1:1/"}', 403, Content_Type="application/json"),
        "a file's address": request(b'{"url": "file:///etc/passwd"}', 403, Content_Type="application/json"),
        "an unknown model": request(png, 404, path="/v1/segment?model=nobody"),
        "an unknown option": request(png, 400, path="/v1/segment?side=9"),
        "a path out of the page": request(b"", 404, path="/../../../../etc/passwd", method="GET"),
        "an encoded path out": request(b"", 404, path="/%2e%2e/%2e%2e/etc/passwd", method="GET"),
        "a wrong method": request(b"", 405, method="DELETE"),
        "a wrong shape": infer({"shape": [1, 2, 2]}),
        "a shape beyond memory": infer({"shape": [1, 1 << 40, 1 << 40, 3]}),
        "a wrong type": infer({"datatype": "BYTES"}),
        "too few numbers": infer({"data": [0]}),
        "raw bytes of another number": infer({"parameters": {"binary_data_size": 12}}, b"123"),
        "a wrong length of the JSON": infer({}, Inference_Header_Content_Length="99999"),
        "a compressed tensor": request(b"\x1f\x8b", 415, path="/v2/models/pan-street/infer", Content_Encoding="gzip"),
        "XML that laughs": request(json.dumps(task | {"label_config": LAUGHS}).encode(), 422, path="/predict"),
    }


SLOW = {
    "a slow body": request(b"abc", 408, length=100, Content_Type="image/png"),
    "a slow head": Bad(b"POST /v1/segment HTTP/1.1\r\nHost: ", (408,)),
}
