"""What is a video, by its name alone: a file's suffix, an address, or a camera of this machine."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ..images import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".nut"}
    | {".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
SCHEMES = frozenset(["http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"])
LIVE_SCHEMES = SCHEMES - {"http", "https"}
CAMERA = "camera:"
"""Before the number or name of a camera of this machine."""


def is_address(place: str) -> bool:
    """Whether a place is no path: an address as "rtsp://host/stream", or a camera as "camera:0" or "/dev/video0"."""
    return place.partition("://")[0] in SCHEMES or is_camera(place)


def is_camera(place: str) -> bool:
    """Whether a place is a camera of this machine."""
    return place.startswith((CAMERA, "/dev/video"))


def is_video(place: str) -> bool:
    """Whether a place is a video: an address that is not an image's, or a file by its suffix."""
    suffix = Path(urlsplit(place).path if is_address(place) else place).suffix.lower()
    return suffix in VIDEO_SUFFIXES or (is_address(place) and suffix not in IMAGE_SUFFIXES)


def shown(place: str) -> str:
    """A place as messages and names show it: an address without its user, password and query."""
    if not is_address(place) or is_camera(place):
        return place
    parts = urlsplit(place)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def name_of(address: str) -> str:
    """What the results of an address are called by: its letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "_", shown(address).partition("://")[2] or address).strip("_.")
