"""What `pan serve` bears: load, many requests, bad requests, an end under load; and the page in a browser.

    python benchmarks/serving.py load|memory|bad|end|browser [--seconds 60] ...

Everything happens on the loopback interface. The clients are asyncio in this process, the server is a process of its
own, so both share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from pyramid_attention.images import ArrayImage, decode_image, encode_image, encode_label_map, read_image
from pyramid_attention.inference import Segmenter

TESTS = Path(__file__).parent.parent / "tests"
PAGE = Path(__file__).parent.parent / "src" / "pyramid_attention" / "serving" / "page"
CONNECTIONS = 32


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int

    def memory(self) -> float:
        """Resident, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "pyramid_attention.cli", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)/", process.stdout.readline())
            assert found, "the server does not start"
            yield Server(process, int(found[1]))
        finally:
            process.kill()


def post(path: str, body: bytes, **headers: str) -> bytes:
    named = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def tensor_request(image: np.ndarray) -> bytes:
    """A request of the inference protocol, raw bytes in and out."""
    inputs = {"name": "images", "datatype": "UINT8", "shape": [1, *image.shape]}
    head = json.dumps(
        {
            "inputs": [inputs | {"parameters": {"binary_data_size": image.size}}],
            "outputs": [{"name": "labels", "parameters": {"binary_data": True}}],
        }
    ).encode()
    length = {"Inference_Header_Content_Length": str(len(head))}
    return post("/v2/models/pan-street/infer", head + image.tobytes(), **length)


@dataclass
class Outcome:
    """What many clients saw."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.elapsed

    def percentile(self, share: float) -> float:
        return 1000 * statistics.quantiles(self.seconds, n=1000)[round(share * 1000) - 1]


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the connection ends, and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"content-length: (\d+)", head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(b" ", 2)[1]), b"connection: close" in head, body


async def clients(port: int, requests: list[bytes], stop: Callable[[int], bool], count: int = CONNECTIONS) -> Outcome:
    """Clients that ask without a pause, each on a connection that it keeps, until `stop(requests so far)`."""
    outcome, asked = Outcome(), 0
    began = time.monotonic()

    async def client(number: int) -> None:
        nonlocal asked
        while not stop(asked):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
            except ConnectionRefusedError:
                return
            ends = False
            while not ends and not stop(asked):
                request = requests[(asked + number) % len(requests)]
                asked += 1
                sent = time.monotonic()
                try:
                    writer.write(request)
                    status, ends, _ = await answer(reader)
                except (ConnectionError, asyncio.IncompleteReadError):
                    outcome.lost += 1
                    break
                outcome.statuses[status] += 1
                outcome.seconds.append(time.monotonic() - sent)
            writer.close()

    await asyncio.gather(*(client(number) for number in range(count)))
    outcome.elapsed = time.monotonic() - began
    return outcome


def for_seconds(seconds: float) -> Callable[[int], bool]:
    ends = time.monotonic() + seconds
    return lambda asked: time.monotonic() > ends


def alone(code: str, seconds: float, path: Path) -> float:
    """Images a second of the Segmenter alone, in a process of its own."""
    program = f"""
import sys, time
import numpy as np
from pyramid_attention.images import decode_image, encode_label_map
from pyramid_attention.inference import Segmenter
segmenter, content = Segmenter.load(), open(sys.argv[1], "rb").read()
image = decode_image(content, "image")
segmenter(image)
count, began = 0, time.monotonic()
while time.monotonic() < began + {seconds}:
    {code}
    count += 1
print(count / (time.monotonic() - began))
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def load(arguments: argparse.Namespace) -> None:
    """Thirty-two connections, images of 480×360, twice: pixels in and labels out, and JPEG in and PNG out."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "street.jpg"
        path.write_bytes(encode_image(street(360, 480), "JPEG", quality=92))
        image = read_image(path)
        ways = {
            "pixels → labels": (tensor_request(image), "segmenter(image)"),
            "JPEG → PNG": (
                post("/v1/segment", path.read_bytes(), Content_Type="image/jpeg"),
                "found = segmenter(decode_image(content, 'image')); encode_label_map(found.labels, found.classes)",
            ),
        }
        print("| way | Segmenter alone | server | share | p50 | p99 | largest | answers |")
        print("|---|---:|---:|---:|---:|---:|---:|---|")
        for way, (request, code) in ways.items():
            rates, served = [], Outcome()
            for _ in range(arguments.rounds):  # in turns, since the machine's speed wanders
                rates.append(alone(code, arguments.seconds / arguments.rounds, path))
                with serving("--queue", "64") as server:
                    asyncio.run(clients(server.port, [request], for_seconds(1)))
                    one = asyncio.run(
                        clients(server.port, [request], for_seconds(arguments.seconds / arguments.rounds))
                    )
                served.seconds += one.seconds
                served.statuses += one.statuses
                served.lost += one.lost
                served.elapsed += one.elapsed
            base = statistics.mean(rates)
            p50, p99, most = served.percentile(0.5), served.percentile(0.99), 1000 * max(served.seconds)
            print(
                f"| {way} | {base:.1f}/s | {served.rate:.1f}/s | {served.rate / base:.0%} | {p50:.0f} ms | {p99:.0f} ms"
                f" | {most:.0f} ms | {dict(served.statuses)}, {served.lost} lost |"
            )


def street(height: int, width: int) -> np.ndarray:
    return ArrayImage(read_image(PAGE / "example.jpg")).resized(height, width)


def memory(arguments: argparse.Namespace) -> None:
    """Many requests of many sizes, and the server's memory on the way."""
    sizes = [(96, 128), (120, 160), (90, 160), (200, 150), (64, 64)]
    requests = [post("/v1/segment?format=json&confidence=true", encode_image(street(*size), "PNG")) for size in sizes]
    requests += [tensor_request(street(*size)) for size in sizes]
    with serving() as server:
        step = arguments.requests // 10
        for number in range(10):
            outcome = asyncio.run(clients(server.port, requests, lambda asked: asked >= step))
            assert set(outcome.statuses) == {200}, outcome.statuses
            print(f"{(number + 1) * step} requests: {server.memory():.0f} MB, {outcome.rate:.0f}/s", flush=True)


def bad(arguments: argparse.Namespace) -> None:
    """Bad requests of every kind among good ones."""
    sys.path.insert(0, str(TESTS))
    import bad_requests

    kinds = bad_requests.kinds(1 << 20)
    png = encode_image(street(96, 128), "PNG")
    wanted = encode_label_map(Segmenter.load()(decode_image(png, "image")).labels, Segmenter.load().classes)
    with serving("--max-bytes", str(1 << 20), "--max-pixels", "200000", "--timeout", "5") as server:

        def good() -> bool:
            status, body = bad_requests.Bad(post("/v1/segment", png), (200,)).send(server.port)
            return status == 200 and body == wanted

        assert good()
        before, statuses, wrong, right = server.memory(), Counter[int](), 0, 0
        for number in range(arguments.requests):
            kind = kinds[list(kinds)[number % len(kinds)]]
            status, _ = kind.send(server.port)
            statuses[status] += 1
            wrong += status not in kind.statuses
            if number % len(kinds) == 0:
                right += good()
        slow = [replace(one, half_closed=False).send(server.port)[0] for one in bad_requests.SLOW.values()]
        assert good()
        print(
            f"{arguments.requests} requests of {len(kinds)} kinds: {dict(statuses)}, {wrong} unexpected; slow: {slow}"
        )
        print(f"memory {before:.0f} MB before, {server.memory():.0f} MB after; {right} good ones in between were right")


def end(arguments: argparse.Namespace) -> None:
    """SIGTERM under load, several times."""
    request = tensor_request(street(360, 480))
    for _ in range(arguments.rounds):
        with serving() as server:
            timer = threading.Timer(2, lambda process=server.process: process.send_signal(signal.SIGTERM))
            timer.start()
            outcome = asyncio.run(clients(server.port, [request], lambda asked: False))
            code = server.process.wait(30)
        print(f"{dict(outcome.statuses)}, {outcome.lost} lost, exit code {code}, {outcome.elapsed:.1f} s")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def browser(arguments: argparse.Namespace) -> None:
    """The page of `pan export --web` in headless Chromium: time to the first result, and time an image."""
    sys.path.insert(0, str(TESTS))
    from chromium import Tab, chromium
    from pyramid_attention.serving.web import write_web

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "street.png"
        path.write_bytes(encode_image(street(360, 480), "PNG"))
        web = write_web("pan-street", Path(scratch) / "web")
        assert web.missing is None, web.missing
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=web.folder)) as site, chromium() as chrome:
            threading.Thread(target=site.serve_forever, daemon=True).start()
            tab = Tab(chrome, f"http://127.0.0.1:{site.server_port}/")
            for name in ("first visit", "later visit"):
                tab.open()
                tab.page.wait_for_timeout(4000)  # the first visit loads the page again, isolated, and the network
                began = time.monotonic()
                tab.load(path)
                first = time.monotonic() - began
                times = []
                for _ in range(arguments.rounds * 5):
                    tab.load(path)
                    found = re.search(r"(\d+) ms", tab.page.inner_text("#facts"))
                    assert found
                    times.append(int(found[1]))
                threads = tab.page.evaluate("crossOriginIsolated ? navigator.hardwareConcurrency : 1")
                print(
                    f"{name}: first result {first:.2f} s after the image is opened, then {statistics.median(times)} ms"
                    f" an image, {threads} threads; page {web.size / 1e6:.1f} MB"
                )
            site.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "memory", "bad", "end", "browser"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.requests is None:
        arguments.requests = 500 if arguments.what == "bad" else 20_000
    print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    globals()[arguments.what](arguments)


if __name__ == "__main__":
    main()
