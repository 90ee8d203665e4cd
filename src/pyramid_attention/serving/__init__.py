"""The web service: several protocols and a page in front of one Segmenter a model. Imports no PyTorch."""
