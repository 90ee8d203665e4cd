"""Prediction on a cluster: Ray's actors segment what the same sources name, and write to the same sinks as always."""
