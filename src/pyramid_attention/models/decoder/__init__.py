"""How detail comes back, one paper's idea a file."""
