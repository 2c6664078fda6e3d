"""Tiles a second from slides to features: ``python benchmarks/slides.py SLIDES [MPP] [OVERLAYS]``.

Decoding and encoding are timed apart in processor seconds, on one thread. With a folder of
overlays, the overview of each slide is written with the edge of its tissue and its tiles.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from mmtool.errors import InputError
from mmtool.io.readers.slide import Slide, find_slides, slide_reader
from mmtool.models.encoders.tile_encoder import load_encoder
from mmtool.pipelines.slide_encoding import Tiling, encode_slide
from mmtool.pipelines.slide_tissue import OVERVIEW_MPP, tissue_mask

SHOWN = 1200  # pixels of an overlay


def overlay(slide: Slide, places: np.ndarray, edge: float, path: Path) -> None:
    """Write the overview with tissue in green and tiles in red."""
    pixels, scale = slide.overview(OVERVIEW_MPP)
    mask = tissue_mask(pixels, scale * slide.header.mpp)
    inner = mask & np.roll(mask, 1, 0) & np.roll(mask, 1, 1)
    picture = pixels.copy()
    picture[mask & ~inner] = (0, 150, 0)
    zoom = max(1, SHOWN // max(pixels.shape[:2]))
    image = Image.fromarray(picture).resize(
        (picture.shape[1] * zoom, picture.shape[0] * zoom), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(image)
    for x, y in places / scale * zoom:
        draw.rectangle([x, y, x + edge / scale * zoom, y + edge / scale * zoom], outline="red")
    image.save(path)


def main() -> None:
    """Print one line a slide, and the sum."""
    torch.set_num_threads(1)
    mpp = float(sys.argv[2]) if len(sys.argv) > 2 else None
    encoder = load_encoder("stain_texture", torch.device("cpu"))
    total, spent, began = 0, 0.0, time.perf_counter()
    with slide_reader() as reader:
        for path in find_slides(Path(sys.argv[1])):
            try:
                slide = reader.open(path, mpp)
                start, own = time.perf_counter(), time.process_time()
                bag = encode_slide(slide, encoder, Tiling())
            except InputError as error:
                print(f"{path.name}\t{error.message.removeprefix(str(path)).lstrip(': ')}")
                continue
            spent += time.process_time() - own
            total += len(bag.features)
            took = time.perf_counter() - start
            print(f"{path.name}\t{len(bag.features)} tiles\t{took:.1f} s")
            if len(sys.argv) > 3 and bag.coords is not None and bag.tile is not None:
                target = Path(sys.argv[3]) / f"{path.stem}.png"
                overlay(slide, bag.coords, bag.tile, target)
    took = time.perf_counter() - began
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    decoding = children.ru_utime + children.ru_stime
    print(f"{total} tiles in {took:.1f} s: {total / took:.1f} a second")
    if total:
        print(
            f"encoding {spent / total * 1000:.1f} ms a tile, decoding {decoding / total * 1000:.1f}"
        )


if __name__ == "__main__":
    main()
