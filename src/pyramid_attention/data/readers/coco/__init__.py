"""COCO's annotations: instances and panoptic segments in JSON files."""
