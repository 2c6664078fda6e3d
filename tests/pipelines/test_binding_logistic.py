"""The plain baseline of tcr-bind learns a motif, reads one chain, and sees no test receptor."""

from __future__ import annotations

import numpy as np

from mmtool.pipelines.evaluation.binding_logistic import features, fit_logistic
from mmtool.receptors import AMINO_ACIDS, Binder, Receptor


def drawn(count: int, seed: int, motif: str = "") -> list[Receptor]:
    """Receptors with junctions of random letters, the motif in the middle of beta."""
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        a, b, c = ("".join(draw.choice(list(AMINO_ACIDS), n)) for n in (8, 3, 3))
        out.append(Receptor("", "", f"CA{a}F", "TRBV19", "", f"CAS{b}{motif}{c}F"))
    return out


def test_a_motif_is_learned() -> None:
    known = [
        Binder(r, epitope, reference=f"PMID:{i % 6}")
        for epitope, motif, seed in (("FLU", "RS", 1), ("CMV", "WG", 2))
        for i, r in enumerate(drawn(60, seed, motif))
    ]
    model = fit_logistic(known, drawn(100, 3, "LE"), ("FLU", "CMV"))
    flu, cmv, other = (model.scores(drawn(50, s, m)) for s, m in ((4, "RS"), (5, "WG"), (6, "LE")))
    assert np.mean(flu[:, 0] > np.median(other[:, 0])) > 0.9
    assert np.mean(flu[:, 0] > np.median(cmv[:, 0])) > 0.9
    assert np.mean(cmv[:, 1] > np.median(other[:, 1])) > 0.9


def test_what_is_unknown_reads_as_zeros() -> None:
    both = Receptor("TRAV27", "", "CAGAF", "TRBV19", "", "CASSF")
    whole, beta = features([both, Receptor(v_b="TRBV19", cdr3_b="CASSF")])
    half = len(whole) // 2
    assert beta[:half].sum() == 0
    assert (beta[half:] == whole[half:]).all()
    assert whole[:half].sum() > 0
    assert features([Receptor(cdr3_b="CASSF")])[0].sum() < beta.sum()
