"""What a person looks at: legends, overlays, sheets of images, curves, tables, progress bars."""
