"""The command line: one file a verb; each parses, calls the library and prints."""

try:
    from .main import main
except KeyboardInterrupt:  # it takes a moment
    raise SystemExit(130) from None

__all__ = ["main"]
