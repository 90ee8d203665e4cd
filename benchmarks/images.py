"""The images of the README and the docs, made from a finished demonstration (nothing in them but synthetic data).

pan demo --out demo && python benchmarks/images.py demo
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from pyramid_attention import Segmenter
from pyramid_attention.data import open_dataset
from pyramid_attention.evaluation.images import write_samples
from pyramid_attention.images import write_image

OUT = Path(__file__).parent.parent / "docs" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="the folder of 'pan demo'")
    demo = parser.parse_args().demo
    OUT.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset("shapes")
    segmenter = Segmenter.load(demo / "run")
    write_samples(segmenter, dataset.split("test")[1:4], OUT / "demo_samples.jpg")
    shutil.copy(demo / "run" / "curves.png", OUT / "demo_curves.png")
    shutil.copy(demo / "report" / "confusion.png", OUT / "demo_confusion.png")
    shutil.copy(sorted((demo / "masks").glob("*_overlay.jpg"))[1], OUT / "demo_overlay.jpg")
    samples = dataset.split("train")[:4]
    images = np.hstack([sample.read_image() for sample in samples])
    masks = np.hstack([dataset.classes.colourise(sample.read_mask()) for sample in samples])
    write_image(OUT / "shapes.jpg", np.vstack([images, masks]))


if __name__ == "__main__":
    main()
