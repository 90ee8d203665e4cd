"""Studies: several runs, or a whole way through the library, as one piece of work."""
