import numpy as np

from mmtool.models.encoders.joint import OwnJointEncoder, load_joint_encoder
from mmtool.models.store import resolve_model
from mmtool.pipelines.index_spaces import default_model
from mmtool.retrieval import Picture


def shipped() -> OwnJointEncoder:
    encoder = load_joint_encoder("joint")
    assert isinstance(encoder, OwnJointEncoder)
    return encoder


def scan(seed: int) -> np.ndarray:
    """(24, 96, 96): a drawn volume that changes slowly from slice to slice."""
    place = np.linspace(-1, 1, 96)
    draw = np.random.default_rng(seed)
    radii, centres = draw.uniform(0.2, 0.7, 4), draw.uniform(-0.4, 0.4, (4, 2))
    tall = np.linspace(-1, 1, 24)[:, None, None]
    out = np.zeros((24, 96, 96), np.float32)
    for radius, (y, x) in zip(radii, centres, strict=True):
        ball = (place[:, None] - y) ** 2 + (place - x) ** 2 + 0.2 * tall**2 < radius**2
        out += 0.25 * ball
    return out


def test_the_shipped_weights_are_small_and_for_research() -> None:
    files = resolve_model("retrieve", "joint")
    assert files.weights.stat().st_size < 12_000_000
    assert files.card["use"] == "research"


def test_an_index_takes_it_unless_told_otherwise() -> None:
    assert default_model() == "joint"


def test_a_volume_finds_its_own_slices() -> None:
    encoder = shipped()
    volumes = [scan(k) for k in range(4)]
    whole = encoder.encode_pictures([Picture(v) for v in volumes]).vectors
    slices = encoder.encode_pictures([Picture(v[12:13]) for v in volumes]).vectors
    assert (whole @ slices.T).argmax(1).tolist() == [0, 1, 2, 3]


def test_alike_words_lie_near() -> None:
    encoder = shipped()
    texts = ["axial ct of the chest", "transverse computed tomography, lung", "sagittal mri knee"]
    found = encoder.encode_texts(texts).vectors
    assert found[0] @ found[1] > found[0] @ found[2] + 0.1


def test_similarity_is_calibrated() -> None:
    encoder = shipped()
    shares = [encoder.likelihood(s) for s in (-1.0, 0.2, 0.6, 0.9, 1.0)]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.1 < shares[-1] <= 1
