"""Data sets whose images or masks are listed in tables."""
