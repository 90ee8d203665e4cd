"""Data sets that a benchmark published, each in the layout of its archive."""
