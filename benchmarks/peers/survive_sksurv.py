"""scikit-survival on the omics of a TCGA cohort, on its published folds.

Usage, in an environment with scikit-survival (GPL, so no dependency of mmtool):
python benchmarks/peers/survive_sksurv.py DATA COHORT [coxnet|rsf|gbsa...]

Columns are standardised on the training patients and clipped at 5; medians stand for unknown
values. Prints mean and standard deviation of Harrell's C, and processor seconds, of each model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV, KFold
from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.metrics import concordance_index_censored
from sksurv.util import Surv


def coxnet(x: np.ndarray, y: np.ndarray) -> CoxnetSurvivalAnalysis:
    """Elastic net; its penalty by three folds."""
    path = CoxnetSurvivalAnalysis(l1_ratio=0.1, n_alphas=15, alpha_min_ratio=0.05).fit(x, y)
    grid = {"alphas": [[a] for a in path.alphas_]}
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(CoxnetSurvivalAnalysis(l1_ratio=0.1), grid, cv=folds, error_score=0.5)
    return search.fit(x, y).best_estimator_


def rsf(x: np.ndarray, y: np.ndarray) -> RandomSurvivalForest:
    """Random survival forest."""
    model = RandomSurvivalForest(100, min_samples_leaf=10, max_features="sqrt", random_state=0)
    return model.fit(x, y)


def gbsa(x: np.ndarray, y: np.ndarray) -> GradientBoostingSurvivalAnalysis:
    """Gradient boosting."""
    model = GradientBoostingSurvivalAnalysis(
        n_estimators=100, max_depth=2, subsample=0.5, max_features="sqrt", random_state=0
    )
    return model.fit(x, y)


MODELS = {"coxnet": coxnet, "rsf": rsf, "gbsa": gbsa}


def harrell(y: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C."""
    return float(concordance_index_censored(y["event"], y["time"], risk)[0])


def main() -> None:
    """Run."""
    data, cohort = Path(sys.argv[1]), sys.argv[2]
    table = pd.read_csv(data / "tcga" / f"tcga_{cohort}_all_clean.csv.zip", compression="zip")
    omics = [c for c in table if c.endswith(("_rnaseq", "_cnv", "_mut"))]
    table = table.groupby("case_id")[[*omics, "survival_months", "censorship"]].mean()
    table = table[table["survival_months"] > 0]
    y = Surv.from_arrays(table["censorship"] < 0.5, table["survival_months"])
    folds = sorted((data / "splits/porpoise_5fold" / f"tcga_{cohort}").glob("*.csv"))
    for name in sys.argv[3:] or MODELS:
        begun, scores = time.process_time(), []
        for file in folds:
            split = pd.read_csv(file)
            train = table.index.isin(split["train"].dropna())
            held = table.index.isin(split["val"].dropna())
            x = table[omics].to_numpy(np.float64)
            x = np.where(np.isnan(x), np.nanmedian(x[train], axis=0), x)
            spread = x[train].std(axis=0)
            x = (x - x[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
            x = np.clip(x, -5, 5)[:, spread > 0]
            risk = MODELS[name](x[train], y[train]).predict(x[held])
            scores.append(harrell(y[held], risk))
        seconds = time.process_time() - begun
        print(f"{cohort}\t{name}\t{np.mean(scores):.3f} ± {np.std(scores):.3f}\t{seconds:.0f} s")


if __name__ == "__main__":
    main()
