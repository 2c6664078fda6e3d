"""Does late interaction (``retrieve --rerank``) help an encoder, and do its regions tell?

    python benchmarks/retrieve_late.py vision_language [--rcar MODEL...] [--split left|dev]

Recall both ways between texts and images by cosines, by the parts alone (FILIP, plain cross
attention, and RCAR with its steps left out and with them) and by both orders fused; and how often a
part of a picture that is cut out is found where it was. With ``--split left`` on training cases
that were left out.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.io.readers.captioned_images import read_grey
from mmtool.models.encoders.joint import OwnJointEncoder, load_joint_encoder
from mmtool.models.encoders.joint_upon import RegulatedEncoder
from mmtool.models.retrieval.regulators import Regulators, plain_similarity
from mmtool.pipelines.evaluation.retrieve_both import by_ranks
from mmtool.pipelines.evaluation.retrieve_probes import recall_rows
from mmtool.pipelines.retrieval_rerank import best_parts, best_place
from mmtool.pipelines.training.retrieve import learned_from
from mmtool.pipelines.training.retrieve_data import Shown, shown_images
from mmtool.retrieval import Encoded, Picture

_EDGE = 0.3  # of the part that is cut out, as a share of the picture
Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="joint")
    parser.add_argument("--rcar", nargs="*", default=[], help="models of the recipe rcar upon it")
    parser.add_argument("--split", choices=("dev", "left"), default="left")
    given = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_joint_encoder(given.model)
    if not isinstance(encoder, OwnJointEncoder):
        raise SystemExit("this encoder has no parts")
    encoder.has_parts = True
    shown = images(given.data, given.split)
    pictures = [read_grey(image.row.path) for image in shown]
    print(f"{given.model}, {len(shown)} images, {given.split}")
    seen = encoder.encode_pictures(pictures)
    for name, texts in (
        ("facts and caption", [image.full_text for image in shown]),
        ("caption alone", [image.caption for image in shown]),
    ):
        recall(seen, encoder.encode_texts(texts), shown, name, given.rcar)
    print(f"part found where it was: {found(encoder, pictures):.3f}; by chance {_EDGE**2:.3f}")


def images(data: Path, split: str) -> list[Shown]:
    shown = [i for i in shown_images(data, "dev" if split == "dev" else "train") if i.caption]
    if split == "dev":
        return shown
    learned = learned_from([image.case for image in shown])
    return [image for image, used in zip(shown, learned, strict=True) if not used]


def recall(seen: Encoded, read: Encoded, shown: list[Shown], name: str, rcar: list[str]) -> None:
    """Print recall of every way, and each late one with cosines by ranks."""
    captions = [image.caption for image in shown]
    same = np.array([[a == b for b in captions] for a in captions])
    cosine = (read.vectors @ seen.vectors.T).astype(np.float64)
    for how, late in {"cosine": None, **late_scores(seen, read, rcar)}.items():
        for way, turned in (("text to image", False), ("image to text", True)):
            base = cosine.T if turned else cosine
            if late is None:
                told(base, same, shown, f"{way}, {name}, {how}")
                continue
            own = late.T if turned else late
            told(own, same, shown, f"{way}, {name}, {how}")
            told(by_ranks(base, own), same, shown, f"{way}, {name}, {how} and cosine by ranks")


def told(scores: Floats, same: NDArray[np.bool_], shown: list[Shown], name: str) -> None:
    rows = recall_rows(scores, same, [image.case for image in shown], name, 0)
    values = ", ".join(f"{r.value:.3f} ({r.low:.3f} to {r.high:.3f})" for r in rows)
    print(f"R@1, 5, 10 {name}: {values}", flush=True)


def late_scores(seen: Encoded, read: Encoded, rcar: list[str]) -> dict[str, Floats]:
    """(texts, pictures) by each way of late interaction."""
    longest = max(len(rows) for rows in read.parts)
    words = torch.zeros(len(read.parts), longest, read.parts[0].shape[1])
    there = torch.zeros(len(read.parts), longest, dtype=torch.bool)
    for k, rows in enumerate(read.parts):
        words[k, : len(rows)] = torch.from_numpy(rows)
        there[k, : len(rows)] = True
    patches = torch.from_numpy(np.stack(seen.parts))
    filip = [[best_parts("picture", t, p)[0] for p in seen.parts] for t in read.parts]
    plain = [
        plain_similarity(w, t, patches) for w, t in zip(words[:, None], there[:, None], strict=True)
    ]
    scores = {"filip": np.array(filip), "cross attention": torch.cat(plain).double().numpy()}
    for folder in rcar:
        encoder = load_joint_encoder(folder)
        if not isinstance(encoder, RegulatedEncoder):
            raise SystemExit(f"{folder}: has no regulators")
        net = encoder.regulators
        still = Regulators(replace(net.size, looks=0, weighings=0))
        still.load_state_dict(net.state_dict())
        for name, one in ((f"rcar {folder}, 0 steps", still), (f"rcar {folder}", net)):
            scores[name] = one.similarities(words, there, patches).double().numpy()
    return scores


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
        votes = best_parts("picture", asked.parts[0], whole.parts[0])[1]
        left, top, w, h = best_place(votes, whole.places[0])
        hits.append(x <= left + w / 2 <= x + _EDGE and y <= top + h / 2 <= y + _EDGE)
    return float(np.mean(hits))


if __name__ == "__main__":
    main()
