"""What scikit-survival 0.28.0 and lifelines 0.30.3 say; ``survival_oracle.py`` prints it anew."""

from __future__ import annotations

import numpy as np

from mmtool.models.survival.statistics import (
    auc,
    breslow,
    brier,
    calibration,
    concordance,
    kaplan_meier,
    log_rank,
)

FACTS: dict[str, dict[str, object]] = {
    "made": {
        "harrell": 0.634798729,
        "uno": 0.633728603,
        "auc": [0.750830246, 0.707970866, 0.639794052, 0.687384829, 0.892727265],
        "mean_auc": 0.726682207,
        "brier": [0.0573108237, 0.126394869, 0.22234923, 0.234909983, 0.135532244],
        "ibs": 0.170051342,
        "curves": [
            [0.981871079, 0.952748809, 0.882631746, 0.774379663, 0.641010035],
            [0.92849438, 0.821775648, 0.602733331, 0.354556961, 0.164739695],
        ],
        "km": [0.936841874, 0.843198074, 0.660127392, 0.434470222, 0.283899854],
        "low": [0.854877016, 0.740153726, 0.535272243, 0.305042156, 0.163644718],
        "high": [0.973219585, 0.907853413, 0.758814984, 0.556936111, 0.416489697],
        "median": 95.0,
        "log_rank": 10.8780708,
        "log_rank_p": 0.00434367109,
        "slope": 0.634179843,
        "trained_uno": 0.663590512,
        "trained_auc": [0.689125032, 0.722919458, 0.634453264],
        "trained_mean_auc": 0.673788879,
        "trained_ibs": 0.223837781,
    },
    "metabric": {
        "harrell": 0.57902207,
        "uno": 0.594681955,
        "auc": [0.541072472, 0.538035055, 0.595492588, 0.634896551, 0.671848124],
        "mean_auc": 0.601889717,
        "brier": [0.0780016232, 0.177184449, 0.240401221, 0.240281396, 0.202345982],
        "ibs": 0.210133317,
        "curves": [
            [0.951976475, 0.868951449, 0.748752032, 0.610917521, 0.477237626],
            [0.956373487, 0.880455887, 0.769315068, 0.639767055, 0.511465106],
        ],
        "km": [0.91550165, 0.778888794, 0.603500692, 0.434591048, 0.300094958],
        "low": [0.902004179, 0.759366756, 0.580319161, 0.409468121, 0.27304158],
        "high": [0.927215625, 0.797044905, 0.625841303, 0.459427336, 0.327568816],
        "median": 154.0,
        "log_rank": 121.441994,
        "log_rank_p": 4.25800351e-27,
        "slope": 0.592042209,
        "trained_uno": 0.593370706,
        "trained_auc": [0.535839085, 0.603444259, 0.639290071],
        "trained_mean_auc": 0.59494842,
        "trained_ibs": 0.215041241,
    },
    "whas500": {
        "harrell": 0.767049462,
        "uno": 0.756675882,
        "auc": [0.746050824, 0.795264, 0.813832776, 0.846269397, 0.821293836],
        "mean_auc": 0.802547044,
        "brier": [0.0845098351, 0.151529526, 0.163285074, 0.16065736, 0.174723202],
        "ibs": 0.156754348,
        "curves": [
            [0.901228683, 0.73598908, 0.630126765, 0.483388584, 0.357102124],
            [0.668808411, 0.305533085, 0.167566382, 0.0600977092, 0.0186294658],
        ],
        "km": [0.896, 0.75, 0.668461862, 0.57050637, 0.477910849],
        "low": [0.865773326, 0.709629654, 0.624444241, 0.521300918, 0.418643754],
        "high": [0.919736202, 0.785623854, 0.708565927, 0.616607408, 0.534694076],
        "median": 1627.0,
        "log_rank": 191.457244,
        "log_rank_p": 2.66432762e-42,
        "slope": 0.849786297,
        "trained_uno": 0.73798085,
        "trained_auc": [0.7656, 0.817194133, 0.791631769],
        "trained_mean_auc": 0.78764168,
        "trained_ibs": 0.173583544,
    },
}


def computed(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> dict[str, object]:
    """The same figures by our own functions."""
    at = np.quantile(time, [0.1, 0.25, 0.5, 0.75, 0.9])
    survival = breslow.breslow(time, event, risk).curves(risk, at)
    areas = auc.cumulative_dynamic_auc(time, event, risk, at)
    scores = brier.brier(time, event, survival, at)
    curve = kaplan_meier.kaplan_meier(time, event)
    alive, low, high = curve.at(at)
    group = np.searchsorted(np.quantile(risk, [1 / 3, 2 / 3]), risk, "right")
    test = log_rank.log_rank(time, event, group)
    return {
        "harrell": concordance.harrell(time, event, risk),
        "uno": concordance.uno(time, event, risk, float(at[-1])),
        "auc": areas[0],
        "mean_auc": auc.mean_auc(time, event, areas, at)[0],
        "brier": scores[0],
        "ibs": brier.integrated_brier(scores, at)[0],
        "curves": survival[[0, -1]],
        "km": alive,
        "low": low,
        "high": high,
        "median": curve.quantile(0.5),
        "log_rank": test.statistic,
        "log_rank_p": test.p,
        "slope": calibration.calibration_slope(time, event, risk)[0],
        **computed_of_trained(time, event, risk),
    }


def computed_of_trained(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> dict[str, object]:
    """Figures of every second patient, with censoring and baseline of the others."""
    known = kaplan_meier.censoring(time[0::2], event[0::2])
    inside = np.flatnonzero(time[1::2] < time[0::2].max()) * 2 + 1
    at = np.quantile(time[1::2], [0.2, 0.5, 0.8])
    curves = breslow.breslow(time[0::2], event[0::2], risk[0::2]).curves(risk[inside], at)
    outcome = time[inside], event[inside]
    training = time[0::2], event[0::2]
    areas = auc.cumulative_dynamic_auc(*outcome, risk[inside], at, known)
    scores = brier.brier(*outcome, curves, at, known)
    return {
        "trained_uno": concordance.uno(*outcome, risk[inside], float(at[-1]), training),
        "trained_auc": areas[0],
        "trained_mean_auc": auc.mean_auc(*outcome, areas, at)[0],
        "trained_ibs": brier.integrated_brier(scores, at)[0],
    }
