"""The web application: the protocols, the page, health and metrics, behind one guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from ..inference import Segmenter
from .guard import Guard, refusal
from .inference_protocol import inference_routes
from .label_studio import label_studio_routes
from .limits import Refused
from .models import model_entry
from .segment_route import segment_routes
from .service import Service

HEALTH = ("/health", "/v2/health/live", "/v2/health/ready")
PAGE = Path(__file__).with_name("page")
PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/segmentation.js": ("segmentation.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/example.jpg": ("example.jpg", "image/jpeg"),
}
"""The page, and nothing else of the disk: by path, the file and its media type."""


def create_app(service: Service, api_key: str | None = None) -> ASGIApp:
    """The application that serves a service's models.

    Args:
        service: the models and their limits; closed when the application is shut down.
        api_key: must come with every request but those for the page and for health; None for none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="pyramid-attention",
        version=version("pyramid-attention"),
        description="Semantic segmentation: images in, label maps out.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    for routes in (segment_routes(service), inference_routes(service), label_studio_routes(service)):
        app.include_router(routes)

    for path, (name, kind) in PAGE_FILES.items():
        app.add_api_route(path, _sends((PAGE / name).read_bytes(), kind), include_in_schema=False)

    @app.get("/models.json", include_in_schema=False)
    async def page_models() -> dict[str, Any]:
        return page_config(service.segmenters)

    @app.get("/metrics", response_class=Response, tags=["operation"])
    async def metrics() -> Response:
        return Response(service.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def answer(refused: Refused) -> Response:
        status, headers, body = refusal(refused)
        return Response(body, status, headers)

    @app.exception_handler(Refused)
    async def on_refused(_: Request, error: Refused) -> Response:
        return answer(error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        known = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
        return answer(Refused(error.status_code, known.get(error.status_code, str(error.detail)), error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        return answer(Refused(400, str(error)))

    @app.exception_handler(ClientDisconnect)
    async def on_gone(_: Request, error: ClientDisconnect) -> Response:
        return answer(Refused(400, "the body ends before its announced length"))

    @app.exception_handler(Exception)
    async def on_failure(_: Request, error: Exception) -> Response:
        return answer(Refused(500, "the server failed; its log says more"))

    return Guard(app, service, api_key, (*HEALTH, *PAGE_FILES))


def _sends(content: bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def page_config(segmenters: Mapping[str, Segmenter]) -> dict[str, Any]:
    """What the page has to know where the network runs on its server."""
    return {"runs": "server", "models": [model_entry(name, one) for name, one in segmenters.items()]}
