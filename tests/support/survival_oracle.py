"""Print what scikit-survival and lifelines say, to be kept as literals in the tests.

scikit-survival is under the GPL and no dependency. Run this in an environment of its own:

    pip install scikit-survival==0.28.0 lifelines==0.30.3
    python tests/support/survival_oracle.py [folder of metabric.csv.gz and whas500.csv.gz]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lifelines
import numpy as np
import pandas as pd
from lifelines.statistics import multivariate_logrank_test
from sksurv import metrics
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.linear_model.coxph import BreslowEstimator
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv
from survival_cohort import PREDICTORS, made_cohort


def facts(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> dict[str, object]:
    """Every figure of one cohort, at times of these shares of the patients."""
    outcome = Surv.from_arrays(event, time)
    at = np.quantile(time, [0.1, 0.25, 0.5, 0.75, 0.9])
    tau = float(at[-1])
    curves = BreslowEstimator().fit(risk, event, time).get_survival_function(risk)
    survival = np.stack([[f(t) for t in at] for f in curves])
    auc, mean_auc = metrics.cumulative_dynamic_auc(outcome, outcome, risk, at)
    _, score = metrics.brier_score(outcome, outcome, survival, at)
    times, km, ends = kaplan_meier_estimator(event, time, conf_type="log-log")
    place = np.searchsorted(times, at, "right") - 1
    group = np.searchsorted(np.quantile(risk, [1 / 3, 2 / 3]), risk, "right")
    ranks = multivariate_logrank_test(time, group, event)
    cox = CoxPHSurvivalAnalysis(ties="breslow", tol=1e-12).fit(risk[:, None], outcome)
    fitter = lifelines.KaplanMeierFitter().fit(time, event)
    return {
        "harrell": metrics.concordance_index_censored(event, time, risk)[0],
        "uno": metrics.concordance_index_ipcw(outcome, outcome, risk, tau=tau)[0],
        "auc": auc.tolist(),
        "mean_auc": float(mean_auc),
        "brier": score.tolist(),
        "ibs": float(metrics.integrated_brier_score(outcome, outcome, survival, at)),
        "curves": survival[[0, -1]].round(10).tolist(),
        "km": km[place].tolist(),
        "low": ends[0][place].tolist(),
        "high": ends[1][place].tolist(),
        "median": float(fitter.median_survival_time_),
        "log_rank": float(ranks.test_statistic),
        "log_rank_p": float(ranks.p_value),
        "slope": float(cox.coef_[0]),
        **trained_facts(time, event, risk),
    }


def trained_facts(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> dict[str, object]:
    """Figures of every second patient, with censoring and baseline of the others."""
    train, test = (Surv.from_arrays(event[k::2], time[k::2]) for k in (0, 1))
    at = np.quantile(time[1::2], [0.2, 0.5, 0.8])
    inside = time[1::2] < time[0::2].max()
    curves = BreslowEstimator().fit(risk[0::2], event[0::2], time[0::2])
    survival = np.stack([[f(t) for t in at] for f in curves.get_survival_function(risk[1::2])])
    test, survival, own = test[inside], survival[inside], risk[1::2][inside]
    areas, mean_area = metrics.cumulative_dynamic_auc(train, test, own, at)
    return {
        "trained_uno": metrics.concordance_index_ipcw(train, test, own, tau=at[-1])[0],
        "trained_auc": areas.tolist(),
        "trained_mean_auc": float(mean_area),
        "trained_ibs": float(metrics.integrated_brier_score(train, test, survival, at)),
    }


def main() -> None:
    """Print one JSON object a cohort."""
    print(json.dumps({"made": facts(*made_cohort())}))
    if len(sys.argv) < 2:
        return
    for name, predictor in PREDICTORS.items():
        table = pd.read_csv(Path(sys.argv[1]) / f"{name}.csv.gz")
        risk = sum(table[c].to_numpy(float) * b for c, b in predictor.items())
        time, event = table["time"].to_numpy(float), table["event"].to_numpy(bool)
        print(json.dumps({name: facts(time, event, np.asarray(risk))}))


if __name__ == "__main__":
    main()
