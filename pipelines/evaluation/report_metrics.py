"""How like two texts are: n-grams, longest common part, findings; and answers to questions.

Normalisation of all of them: lower case, every run of characters that are no letter or digit is a
gap. Bags of words tell little of whether a report is right; the findings tell more.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from mmtool.models.text.findings import TERMS, label

NORMALISATION = "lower case; words are runs of letters and digits"
LABELLER = f"mmtool rules, {len(TERMS)} findings; uncertain counts as present"
_WORDS = re.compile(r"[a-z0-9]+")
_GRAMS = 4
_BETA = 1.2  # weight of recall in ROUGE-L
_SPREAD = 6.0  # of the length penalty of CIDEr-D


def words_of(text: str) -> list[str]:
    """Words of a text."""
    return _WORDS.findall(text.lower())


def _grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(said: Sequence[str], truth: Sequence[str]) -> tuple[float, ...]:
    """BLEU-1 to BLEU-4 of a corpus with one reference each (10.3115/1073083.1073135)."""
    hits, total = [0] * _GRAMS, [0] * _GRAMS
    length = reference = 0
    for one, two in zip(said, truth, strict=True):
        a, b = words_of(one), words_of(two)
        length, reference = length + len(a), reference + len(b)
        for n in range(_GRAMS):
            own, other = _grams(a, n + 1), _grams(b, n + 1)
            hits[n] += sum((own & other).values())
            total[n] += sum(own.values())
    if not length:
        return (0.0,) * _GRAMS
    short = min(1.0, math.exp(1 - reference / length))
    out, logs = [], 0.0
    for n in range(_GRAMS):
        share = hits[n] / total[n] if total[n] else 0.0
        logs += math.log(share) if share else -math.inf
        out.append(short * math.exp(logs / (n + 1)) if logs > -math.inf else 0.0)
    return tuple(out)


def rouge_l(said: str, truth: str) -> float:
    """F of the longest common subsequence (Lin 2004, W04-1013), recall weighted by 1.2 squared."""
    a, b = words_of(said), words_of(truth)
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, start=1):
            kept = row[j]
            row[j] = before + 1 if x == y else max(row[j], row[j - 1])
            before = kept
    if not row[-1]:
        return 0.0
    precision, recall = row[-1] / len(a), row[-1] / len(b)
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def meteor(said: str, truth: str) -> float:
    """METEOR of one text by exact words and words without their plural s (W05-0909).

    There are no synonyms, so it is lower than by the program of its authors. Of several places a
    word is matched where it goes on from the word before.
    """
    a, b = words_of(said), words_of(truth)
    places: dict[str, list[int]] = {}
    for j, word in enumerate(b):
        places.setdefault(_singular(word), []).append(j)
    matches, chunks, before = 0, 0, -2
    for word in a:
        free = places.get(_singular(word))
        if not free:
            before = -2
            continue
        place = before + 1 if before + 1 in free else free[0]
        free.remove(place)
        matches += 1
        chunks += place != before + 1
        before = place
    if not matches:
        return 0.0
    precision, recall = matches / len(a), matches / len(b)
    mean = 10 * precision * recall / (recall + 9 * precision)
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def cider_d(said: Sequence[str], truth: Sequence[str]) -> list[float]:
    """CIDEr-D of each text with one reference each (10.1109/CVPR.2015.7299087).

    Document frequencies are those of the references. Words are not stemmed.
    """
    documents: Counter[tuple[str, ...]] = Counter()
    for text in truth:
        words = words_of(text)
        documents.update({g for n in range(1, _GRAMS + 1) for g in _grams(words, n)})
    whole = math.log(max(1, len(truth)))

    def vector(words: Sequence[str], n: int) -> dict[tuple[str, ...], float]:
        weight = {g: whole - math.log(max(1, documents[g])) for g in _grams(words, n)}
        return {g: count * weight[g] for g, count in _grams(words, n).items()}

    out = []
    for one, two in zip(said, truth, strict=True):
        a, b = words_of(one), words_of(two)
        penalty = math.exp(-((len(a) - len(b)) ** 2) / (2 * _SPREAD**2))
        score = sum(_clipped(vector(a, n), vector(b, n)) * penalty for n in range(1, _GRAMS + 1))
        out.append(10 * score / _GRAMS)
    return out


def _clipped(own: Mapping[tuple[str, ...], float], other: Mapping[tuple[str, ...], float]) -> float:
    """Cosine in which an n-gram counts no more often than in the reference."""
    product = sum(min(own[g], other[g]) * other[g] for g in own.keys() & other.keys())
    lengths = math.sqrt(sum(v * v for v in own.values()) * sum(v * v for v in other.values()))
    return product / lengths if lengths else 0.0


def finding_counts(said: str, truth: str) -> tuple[int, int, int]:
    """Findings that both texts, only the first, and only the second call present."""
    own, other = (
        {name for name, presence in label(text).items() if presence != "absent"}
        for text in (said, truth)
    )
    return len(own & other), len(own - other), len(other - own)


def f1(hits: int, wrong: int, missed: int) -> float:
    """F1 of counts; 0 where there is nothing."""
    total = 2 * hits + wrong + missed
    return 2 * hits / total if total else 0.0


def exact_match(said: str, truth: str) -> bool:
    """Whether two answers have the same words."""
    return words_of(said) == words_of(truth)


def token_f1(said: str, truth: str) -> float:
    """F1 of the words of two answers."""
    own, other = Counter(words_of(said)), Counter(words_of(truth))
    hits = sum((own & other).values())
    return f1(hits, sum(own.values()) - hits, sum(other.values()) - hits)
