"""Does late interaction (``retrieve --rerank filip``) help an encoder, and do its regions tell?

Text to image recall by cosines, by the parts alone and by both; and how often a part of a picture
that is cut out is found where it was. With ``--split left`` on training cases that were left out.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.io.readers.captioned_images import read_grey
from mmtool.models.encoders.joint import OwnJointEncoder, load_joint_encoder
from mmtool.pipelines.evaluation.retrieve_measures import mid_ranks
from mmtool.pipelines.retrieval_rerank import best_place
from mmtool.pipelines.training.retrieve import learned_from
from mmtool.pipelines.training.retrieve_data import Shown, shown_images
from mmtool.retrieval import Picture

_EDGE = 0.3  # of the part that is cut out, as a share of the picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="joint")
    parser.add_argument("--split", choices=("dev", "left"), default="left")
    given = parser.parse_args()
    encoder = load_joint_encoder(given.model)
    if not isinstance(encoder, OwnJointEncoder):
        raise SystemExit("this encoder has no parts")
    encoder.has_parts = True
    shown = images(given.data, given.split)
    pictures = [read_grey(image.row.path) for image in shown]
    print(f"{given.model}, {len(shown)} images, {given.split}")
    for name, texts in (
        ("facts and caption", [image.full_text for image in shown]),
        ("caption alone", [image.caption for image in shown]),
    ):
        recall(encoder, pictures, texts, [image.caption for image in shown], name)
    print(f"part found where it was: {found(encoder, pictures):.3f}; by chance {_EDGE**2:.3f}")


def images(data: Path, split: str) -> list[Shown]:
    shown = [i for i in shown_images(data, "dev" if split == "dev" else "train") if i.caption]
    if split == "dev":
        return shown
    learned = learned_from([image.case for image in shown])
    return [image for image, used in zip(shown, learned, strict=True) if not used]


def recall(
    encoder: OwnJointEncoder,
    pictures: list[Picture],
    texts: list[str],
    captions: list[str],
    name: str,
) -> None:
    seen, read = encoder.encode_pictures(pictures), encoder.encode_texts(texts)
    same = np.array([[a == b for b in captions] for a in captions])
    cosine = (read.vectors @ seen.vectors.T).astype(np.float64)
    late = np.array([[(t @ p.T).max(1).mean() for p in seen.parts] for t in read.parts], np.float64)
    fused = 1 / (60 + places(cosine)) + 1 / (60 + places(late))
    for how, scores in (("cosine", cosine), ("parts", late), ("both by ranks", fused)):
        ranks = mid_ranks(scores, same)
        rates = " / ".join(f"{(ranks <= k).mean():.3f}" for k in (1, 5, 10))
        print(f"R@1/5/10 text to image, {name}, {how}: {rates}")


def places(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(np.argsort(-scores, axis=1), axis=1) + 1


def found(encoder: OwnJointEncoder, pictures: list[Picture]) -> float:
    draw = np.random.default_rng(0)
    hits = []
    for picture in pictures:
        high, wide = picture.pixels.shape[1:3]
        y, x = draw.uniform(0.1, 0.6, 2)
        rows = slice(int(y * high), int((y + _EDGE) * high))
        columns = slice(int(x * wide), int((x + _EDGE) * wide))
        part = replace(picture, pixels=picture.pixels[:, rows, columns])
        asked, whole = encoder.encode_pictures([part]), encoder.encode_pictures([picture])
        left, top, w, h = best_place(asked.parts[0] @ whole.parts[0].T, whole.places[0])
        hits.append(x <= left + w / 2 <= x + _EDGE and y <= top + h / 2 <= y + _EDGE)
    return float(np.mean(hits))


if __name__ == "__main__":
    main()
