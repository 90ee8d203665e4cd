"""What a person looks at: legends, overlays, sheets of pictures, curves, tables, progress bars."""
