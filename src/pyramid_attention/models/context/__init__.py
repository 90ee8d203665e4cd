"""What stands on the deepest map of the backbone, one paper's idea a file."""
