from dataclasses import asdict

import numpy as np
import pytest
import torch

from mmtool.models.encoders.fixed_side import FEATURES, FixedSide, FixedSize, features
from mmtool.models.encoders.joint import JointNet, OwnJointEncoder, Towers
from mmtool.models.encoders.joint_input import DEPTH, InputSettings, slabs
from mmtool.models.encoders.picture_net import PictureNet, PictureSize, oriented
from mmtool.models.encoders.word_net import WordNet, WordSize, topics_of, vocabulary, words_of
from mmtool.retrieval import Picture

SMALL = PictureSize(channels=(8, 8, 16), dim=16, part_dim=8, coarse=8, edge=64)
WORDS = WordSize(width=16, topics=4, buckets=32, dim=16, part_dim=8)
FIXED = FixedSize(components=6)
SETTINGS = InputSettings(size=64)


def random_picture(*shape: int, seed: int = 0) -> Picture:
    return Picture(np.random.default_rng(seed).random(shape, dtype=np.float32))


@pytest.fixture(params=[1, 2], ids=["one tower", "two"])
def encoder(request: pytest.FixtureRequest) -> OwnJointEncoder:
    torch.manual_seed(0)
    net = JointNet([Towers(SMALL, WORDS, ["brain", "axial"]) for _ in range(request.param)], FIXED)
    seen = np.random.default_rng(0).random((20, FEATURES), dtype=np.float32)
    for tower in net.towers:
        tower.words.topics[1:] = torch.eye(2, 4)
    net.fixed.fit(
        seen,
        [str(k // 2) for k in range(20)],
        torch.nn.functional.normalize(torch.rand(20, 4), dim=-1),
    )
    net.fixed.shares.copy_(torch.tensor([1.0, 0.5, 0.5]))
    return OwnJointEncoder(net, {"input": asdict(SETTINGS), "parts": True}, "small", "0" * 64)


def test_letters_at_the_edges_are_not_seen(encoder: OwnJointEncoder) -> None:
    plain = random_picture(1, 100, 80)
    marked = Picture(plain.pixels.copy())
    marked.pixels[:, :7] = 1
    marked.pixels[:, -9:] = 1
    found = encoder.encode_pictures([plain, marked]).vectors
    np.testing.assert_array_equal(found[0], found[1])


def test_a_wide_picture_lies_in_the_middle() -> None:
    square = slabs(Picture(np.ones((1, 50, 100), np.float32)), InputSettings(64, 0, 0))
    assert square.shape == (1, DEPTH, 64, 64)
    assert square[0, 1, :16].max() == 0
    assert square[0, 1, 16:48].min() == pytest.approx(1)


def test_spacing_sets_the_shape() -> None:
    picture = Picture(np.ones((1, 50, 100), np.float32), spacing=(1, 2, 1))
    assert slabs(picture, InputSettings(64, 0, 0)).min() == pytest.approx(1)


def test_an_image_is_a_slab_of_copies(encoder: OwnJointEncoder) -> None:
    image = random_picture(1, 64, 64)
    volume = Picture(np.repeat(image.pixels, 40, 0))
    found = encoder.encode_pictures([image, volume]).vectors
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_expanded_slices_give_the_same_as_copied_ones() -> None:
    torch.manual_seed(0)
    net = PictureNet(SMALL).eval()
    grey = torch.rand(3, 64, 64)
    once = net.see(grey[:, None].expand(-1, DEPTH, -1, -1))
    copied = net.see(grey[:, None].repeat(1, DEPTH, 1, 1))
    torch.testing.assert_close(once.pooled, copied.pooled, rtol=1e-4, atol=1e-5)


def test_together_or_one_by_one(encoder: OwnJointEncoder) -> None:
    pictures = [random_picture(1, 64, 64), random_picture(5, 40, 30, seed=1)]
    pictures.append(Picture(np.random.default_rng(2).random((1, 50, 60, 3), dtype=np.float32)))
    together = encoder.encode_pictures(pictures)
    for k, picture in enumerate(pictures):
        alone = encoder.encode_pictures([picture])
        np.testing.assert_allclose(alone.vectors[0], together.vectors[k], atol=1e-5)
        np.testing.assert_allclose(alone.parts[0], together.parts[k], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-5)
    assert [len(p) for p in together.parts] == [16, 80, 16]
    texts = ["axial brain", "t2 unseenword, ring-enhancing lesion"]
    read = encoder.encode_texts(texts)
    alone = encoder.encode_texts(texts[:1])
    np.testing.assert_allclose(alone.vectors[0], read.vectors[0], atol=1e-5)
    np.testing.assert_allclose(alone.parts[0], read.parts[0], atol=1e-5)
    assert [len(p) for p in read.parts] == [2, 5]


def test_a_similarity_is_the_mean_of_the_towers() -> None:
    torch.manual_seed(1)
    both = [Towers(SMALL, WORDS, ["brain", "axial"]) for _ in range(2)]
    plain = {"input": asdict(SETTINGS)}
    found = []
    for towers in (both[:1], both[1:], both):
        encoder = OwnJointEncoder(JointNet(towers, FIXED), plain, "small", "0" * 64)
        pictures = encoder.encode_pictures([random_picture(1, 64, 64, seed=k) for k in range(3)])
        found.append(encoder.encode_texts(["axial brain"]).vectors @ pictures.vectors.T)
    np.testing.assert_allclose((found[0] + found[1]) / 2, found[2], atol=1e-5)


def test_places_of_patches_cover_the_picture(encoder: OwnJointEncoder) -> None:
    places = encoder.encode_pictures([random_picture(1, 64, 32)]).places[0]
    assert places.min() >= 0
    assert (places[:, :2] + places[:, 2:]).max() <= 1 + 1e-6
    assert (places[:, 2] * places[:, 3]).sum() == pytest.approx(1, abs=1e-4)


def test_places_of_words_are_letters(encoder: OwnJointEncoder) -> None:
    text = "Axial T2, brain"
    found = encoder.encode_texts([text])
    spans = [text[int(a) : int(b)] for a, b in found.places[0][:, :2]]
    assert spans == ["Axial", "T2", "brain"]
    assert len(found.parts[0]) == 3


def test_nothing_in_nothing_out(encoder: OwnJointEncoder) -> None:
    assert encoder.encode_pictures([]).vectors.shape == (0, encoder.dim)
    assert encoder.encode_texts([]).vectors.shape == (0, encoder.dim)
    assert encoder.dim in (26, 42)
    assert np.isfinite(encoder.encode_texts([""]).vectors).all()


def test_edges_fall_into_their_orientation() -> None:
    across = torch.linspace(0, 1, 32).expand(1, 32, 32)
    maps = oriented(across)[0, 16:]
    assert maps[:, 2:-2, 2:-2].mean((1, 2)).argmax() == 0
    turned = oriented(across.transpose(1, 2))[0, 16:]
    assert turned[:, 2:-2, 2:-2].mean((1, 2)).argmax() == 4


def test_unknown_words_are_known_by_their_letters() -> None:
    torch.manual_seed(0)
    net = WordNet(WORDS, vocabulary(["brain brain brain", "rare"])).eval()
    assert list(net.numbers) == ["brain"]
    one, other = (net(*net.tokens([w])).vectors for w in ("rare", "seldom"))
    assert not torch.allclose(one, other)
    assert len(words_of("word " * 100)) == 64


def test_topics_tell_words_of_the_same_texts() -> None:
    texts = ["lung nodule", "nodule of the lung", "knee meniscus", "meniscus of the knee"] * 3
    known = vocabulary(texts)
    net = WordNet(WordSize(width=16, topics=2, buckets=32, dim=16, part_dim=8), known)
    net.topics.copy_(torch.from_numpy(topics_of(texts, known, 2)))
    one, same, other = net.bag(["lung", "nodule", "knee"])
    assert one @ same > 0.9 > one @ other
    assert not net.bag(["unseen"]).any()


def test_the_fitted_side_foretells_topics_of_new_pictures() -> None:
    draw = np.random.default_rng(0)
    grey = draw.integers(0, 40, (60, 64, 64), dtype=np.uint8)
    grey[::2, ::8] = 250  # bars across, along
    grey[1::2, :, ::8] = 250
    pictures = [Picture(g[None].astype(np.float32) / 255) for g in grey]
    seen = torch.stack([features(p, slabs(p, SETTINGS), SETTINGS) for p in pictures])
    topics = torch.eye(2).repeat(30, 1)
    side = FixedSide(FixedSize(components=8), 2)
    side.fit(seen[:40].numpy(), [str(k) for k in range(40)], topics[:40])
    side.shares.copy_(torch.tensor([0.0, 1.0, 1.0]))
    components = side.components(seen[40:])
    placed = side.of_picture(torch.zeros(20, 4), components)
    texts = side.of_text(torch.zeros(2, 4), torch.eye(2))
    assert (placed @ texts.T).argmax(1).tolist() == [0, 1] * 10
    torch.testing.assert_close(placed.norm(dim=1), torch.ones(20))


def test_what_differs_within_cases_counts_less() -> None:
    """Images of a case share six numbers nearly, and differ in twelve others."""
    draw = np.random.default_rng(0)
    cases = np.repeat(np.arange(60), 4)
    seen = np.zeros((240, FEATURES), np.float32)
    seen[:, -6:] = draw.standard_normal((60, 6))[cases] + 0.3 * draw.standard_normal((240, 6))
    seen[:, -18:-6] = draw.standard_normal((240, 12))
    names = [str(c) for c in cases]
    alone = [str(k) for k in range(240)]
    found = []
    for known in (names, alone):
        side = FixedSide(FixedSize(components=18), 2)
        side.fit(seen[:160], known[:160], torch.eye(2).repeat(80, 1))
        rows = side.components(torch.from_numpy(seen[160:]))
        alike = (rows @ rows.T).fill_diagonal_(-1)
        found.append(float((alike.argmax(1).numpy() // 4 == np.arange(80) // 4).mean()))
    assert found[0] > found[1] + 0.15


def test_cases_of_one_image_each_are_not_whitened() -> None:
    seen = np.random.default_rng(0).random((30, FEATURES), dtype=np.float32)
    side = FixedSide(FixedSize(components=8), 2)
    side.fit(seen, [str(k) for k in range(30)], torch.eye(2).repeat(15, 1))
    assert torch.isfinite(side.axes).all()
    assert torch.isfinite(side.components(torch.from_numpy(seen))).all()


def test_the_same_image_in_one_case_twice_is_no_spread() -> None:
    seen = np.random.default_rng(0).random((15, FEATURES), dtype=np.float32).repeat(2, 0)
    side = FixedSide(FixedSize(components=8), 2)
    side.fit(seen, [str(k // 2) for k in range(30)], torch.eye(2).repeat(15, 1))
    assert torch.isfinite(side.components(torch.from_numpy(seen))).all()
