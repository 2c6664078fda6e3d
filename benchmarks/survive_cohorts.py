"""TCGA cohorts as tables that a user would have: one of patients, one of omics, one of images.

The outcome and the omics are those of the published tables; the clinical columns are those of
TCGA-CDR (10.1016/j.cell.2018.02.052) that are known when the tumour has been operated on. Left out:
what came later (treatment, tumour status), the year and the centre, race, and the Karnofsky score,
of which some are 0, the score of the dead.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

FIVE = ("blca", "brca", "gbmlgg", "luad", "ucec")
OTHERS = ("coadread", "hnsc", "kirc", "kirp", "lihc", "lusc", "paad", "skcm")
CLINICAL = {
    "age": "age_at_initial_pathologic_diagnosis",
    "sex": "gender",
    "stage": "ajcc_pathologic_tumor_stage",
    "clinical_stage": "clinical_stage",
    "pathologic_T": "pathologic_T_combined",
    "pathologic_N": "pathologic_N_combined",
    "pathologic_M": "pathologic_M_combined",
    "grade": "histological_grade",
    "histology": "histological_type",
    "residual_tumor": "residual_tumor",
    "margin": "margin_status",
    "menopause": "menopause_status",
    "estrogen_receptor": "breast_carcinoma_estrogen_receptor_status",
    "progesterone_receptor": "breast_carcinoma_progesterone_receptor_status",
    "her2": "lab_proc_her2_neu_immunohistochemistry_receptor_status",
    "pack_years": "number_pack_years_smoked",
}


def omics_table(data: Path, cohort: str) -> Path:
    """The published table of a cohort: outcome, and ``_rnaseq``, ``_cnv``, ``_mut`` columns."""
    return data / "tcga" / f"tcga_{cohort}_all_clean.csv.zip"


def image_table(data: Path, cohort: str) -> Path | None:
    """Image features of a cohort, one row a patient, where there are any."""
    path = data / "hif" / f"tcga_{cohort}_hif.csv.gz"
    return path if path.exists() else None


def write_patients(data: Path, cohort: str, target: Path) -> Path:
    """Write ``<cohort>.csv``: patient, outcome and clinical columns; give its path."""
    known = {row["bcr_patient_barcode"]: row for row in _clinical(data)}
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{cohort}.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["patient_id", "survival_months", "censorship", "oncotree_code", *CLINICAL])
        done = set()
        for row in _published(omics_table(data, cohort)):
            name = row["case_id"]
            if name in done:
                continue
            done.add(name)
            clinical = known.get(name, {})
            cells = [clinical.get(column, "") for column in CLINICAL.values()]
            cells[0] = cells[0] or row["age"]
            out.writerow(
                [name, row["survival_months"], row["censorship"], row["oncotree_code"], *cells]
            )
    return path


def _clinical(data: Path) -> list[dict[str, str]]:
    with gzip.open(data / "clinical" / "tcga_cdr.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def _published(path: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as raw:
        text = io.TextIOWrapper(raw, newline="")
        rows = csv.reader(text)
        header = next(rows)[:12]
        return [dict(zip(header, row[:12], strict=True)) for row in rows]


def published_folds(data: Path, cohort: str) -> Path:
    """Folder of the published five folds."""
    return data / "splits" / "porpoise_5fold" / f"tcga_{cohort}"
