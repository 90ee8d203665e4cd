"""`pan serve`: models behind HTTP, with a page."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Annotated

import typer

from ..errors import UserError, require
from ..inference import DEFAULT_MODEL, SegmenterOptions
from .options import with_segmenter_options

KEY_VARIABLE, TOKEN_VARIABLE = "PAN_API_KEY", "PAN_FETCH_TOKEN"


@with_segmenter_options
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="M", help=f"The models, or NAME=M; {DEFAULT_MODEL} where none is named."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for a free one.")] = 8000,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", help=f"Want this key with every request; or set {KEY_VARIABLE}.")
    ] = None,
    max_bytes: Annotated[int, typer.Option(metavar="N", help="Refuse larger bodies (413).")] = 32 << 20,
    max_pixels: Annotated[int, typer.Option(metavar="N", help="Refuse larger images (413).")] = 50_000_000,
    timeout: Annotated[float, typer.Option(metavar="S", help="Seconds for a request (408, 504).")] = 60.0,
    queue: Annotated[int, typer.Option(metavar="N", help="Requests at a time; refuse more (503).")] = 64,
    batch: Annotated[int, typer.Option(metavar="N", help="Images of one size that go together at most.")] = 8,
    wait: Annotated[float, typer.Option(metavar="S", help="Seconds an image waits for others of its size.")] = 0.002,
    fetch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Fetch images from below this address (by default none); repeat for more. A token for it: set"
            f" {TOKEN_VARIABLE}.",
        ),
    ] = None,
    *,
    options: SegmenterOptions,
) -> None:
    """Serve models over HTTP, with a page to try them.

    Protocols: POST /v1/segment, the Open Inference Protocol (/v2), Label Studio's backend, Prometheus (/metrics).
    """
    require("pan serve", "fastapi", "uvicorn", "python_multipart")
    from ..files import scratch
    from ..serving.fetching import Fetcher
    from ..serving.limits import Limits
    from ..serving.models import load_models
    from ..serving.server import listen, serve
    from ..serving.service import Service

    key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
    if key == "":
        raise UserError("api_key= is empty; give a key, or leave it out")
    limits = Limits(max_bytes, max_pixels, timeout, queue, batch, wait)
    fetcher = Fetcher(fetch or [], os.environ.get(TOKEN_VARIABLE), max_bytes, timeout)
    with scratch(tempfile.gettempdir()) as place:
        segmenters = load_models(models or [DEFAULT_MODEL], options, place)
        with listen(host, port) as listener:
            address = f"http://{host if ':' not in host else f'[{host}]'}:{listener.getsockname()[1]}/"
            if key is None and host not in ("127.0.0.1", "::1", "localhost"):
                print(
                    f"everybody who reaches {host} can use this server; --api-key KEY keeps others out", file=sys.stderr
                )
            names = ", ".join(segmenters)
            serve(
                Service(segmenters, limits, fetcher),
                listener,
                key,
                lambda: print(f"{names}: {address} (Ctrl-C ends it)", flush=True),
            )
    print("all that was accepted is answered", flush=True)
