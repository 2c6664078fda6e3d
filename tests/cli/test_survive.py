"""``mmtool survive`` and ``mmtool train survive`` as a user meets them."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from survive_cohorts import simulated, write_tables


@pytest.fixture(scope="module")
def trained(mmtool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survive")
    cohort, _ = simulated(140, genes=12)
    patients, rna = write_tables(folder, cohort)
    done = mmtool(
        *("train", "survive", patients, "--omics", f"rnaseq={rna}", "--splits", 2),
        *("-o", folder / "run", "--name", "mine", "--horizons", "5,20"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder / 'run' / 'model'}\n"
    assert "stage: ordinal by stage" in done.stderr
    assert "note: ignored, 140 different words" in done.stderr
    return folder


def rows(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_training_tells_its_folds(trained: Path) -> None:
    folds = rows(trained / "run/folds.tsv")
    assert [f["fold"] for f in folds] == ["0", "1"]
    assert sum(int(f["held_out"]) for f in folds) == 140
    held_out = rows(trained / "run/predictions.tsv")
    assert len({r["patient_id"] for r in held_out}) == 140
    card = json.loads((trained / "run/model/card.json").read_text())
    metric = card["metrics"][0]
    assert metric["low"] < metric["value"] < metric["high"]
    assert metric["value"] == pytest.approx(sum(float(f["c_index"]) for f in folds) / 2, abs=1e-3)
    assert metric["baseline"]["name"] == "clinical columns alone"


def test_outputs_record_replay_and_resume(mmtool, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    signatures = tmp_path / "groups.csv"
    signatures.write_text("first\nG0\nG1\n")
    command = (
        *("survive", trained / "patients.csv", "--omics", f"rnaseq={trained / 'rna.csv'}"),
        *("--model", trained / "run/model", "--signatures", signatures, "-o", out),
    )
    done = mmtool(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    names = "risk.tsv curves.tsv attribution.tsv metrics.json km.png calibration.png run.json"
    assert {p.name for p in out.iterdir()} == {*names.split(), "ro-crate-metadata.json"}
    assert "may be them" in done.stderr  # the patients are the training ones
    found = rows(out / "risk.tsv")
    assert len(found) == 140
    for row in found:
        for h in ("5", "20"):
            low, middle, high = (float(row[f"survival_{h}{e}"]) for e in ("_low", "", "_high"))
            assert 0 <= low <= middle <= high <= 1
        assert row["modalities"] == "clinical,rnaseq"
    reasons = [r for r in rows(out / "attribution.tsv") if r["patient_id"] == "P0000"]
    assert {r["level"] for r in reasons} == {"modality", "group", "feature"}
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["patients"] == 140
    again = mmtool("survive", "--config", out / "run.json", "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    for name in ("risk.tsv", "attribution.tsv", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    assert "there already" in mmtool(*command, "--resume").stderr


def test_explanations_come_with_their_tests(mmtool, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("survive", trained / "patients.csv", "--omics", f"rnaseq={trained / 'rna.csv'}")
    command += ("--model", trained / "run/model", "-o", out)
    done = mmtool(*command, *(f"--explain={m}" for m in ("shap", "sensitivity", "masking")))
    assert done.returncode == 0, done.stderr
    assert "without the 10 of most effect" not in done.stderr  # of 12 genes, 4 are taken
    assert "sensitivity by feature, rnaseq: without the 4 of most effect" in done.stderr
    assert "order over 5 fits of other training patients: Spearman" in done.stderr
    found = rows(out / "explanation.tsv")
    assert {r["method"] for r in found} == {"shap", "sensitivity", "masking"}
    assert {r["name"] for r in found if r["method"] == "shap"} == {"age", "stage", "sex", "rnaseq"}
    record = json.loads((out / "run.json").read_text())
    told = record["summary"]["explanations"]
    assert told[0]["deletion"][0]["way"] == "falls"
    assert told[0]["stability"]["fits"] == 5
    wrong = mmtool(*command, "--explain", "attention", "--overwrite")
    assert wrong.returncode == 2
    assert "no map of attention" in wrong.stderr
    assert mmtool(*command, "--explain", "guess", "--overwrite").returncode == 2


def test_new_patients_of_whom_little_is_known(mmtool, trained: Path, tmp_path: Path) -> None:
    table = tmp_path / "new.tsv"
    table.write_text("patient_id\tage\tstage\nX1\t71\tStage IIIB\nX2\t\t\nX3\t50\tStage I\n")
    genes = tmp_path / "new_rna.csv"
    header = ",".join(f"G{i}" for i in range(12))
    genes.write_text(f"id,{header}\nX1,{','.join('1' * 12)}\nX9,{','.join('0' * 12)}\n")
    out = tmp_path / "out"
    done = mmtool(
        *("survive", table, "--omics", genes, "--model", trained / "run/model", "-o", out)
    )
    assert done.returncode == 0, done.stderr
    assert "'new_rna' is taken as 'rnaseq'" in done.stderr
    found = {r["patient_id"]: r for r in rows(out / "risk.tsv")}
    assert found["X1"]["status"] == "complete"
    assert found["X2"]["status"] == "nothing known"
    assert found["X2"]["risk"] == found["X2"]["survival_5"] == ""
    assert found["X3"]["modalities"] == "clinical"
    assert float(found["X3"]["risk"]) < float(found["X1"]["risk"])
    assert not (out / "metrics.json").exists()
    names = {(r["name"], r["reason"]) for r in rows(out / "unmatched.tsv")}
    assert ("X9", "not in the table of patients") in names
    assert "X9" not in done.stderr


def test_tables_may_be_parquet(mmtool, trained: Path, tmp_path: Path) -> None:
    read = pytest.importorskip("pyarrow.csv").read_csv
    write = pytest.importorskip("pyarrow.parquet").write_table
    for name in ("patients", "rna"):
        write(read(trained / f"{name}.csv"), tmp_path / f"{name}.parquet")
    model = ("--model", trained / "run/model")
    for folder, kind in ((trained, "csv"), (tmp_path, "parquet")):
        omics = f"rnaseq={folder / 'rna'}.{kind}"
        done = mmtool(
            "survive", folder / f"patients.{kind}", "--omics", omics, *model, "-o", tmp_path / kind
        )
        assert done.returncode == 0, done.stderr
    for name in ("risk.tsv", "attribution.tsv"):
        assert (tmp_path / "parquet" / name).read_bytes() == (tmp_path / "csv" / name).read_bytes()


def test_parquet_without_its_library(mmtool, trained: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow"):
        pytest.skip("pyarrow is here")
    table = tmp_path / "patients.parquet"
    table.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    done = mmtool("survive", table, "--model", trained / "run/model", "-o", tmp_path / "out")
    assert done.returncode == 3
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()[-2:]
    assert error.endswith("a Parquet file, and pyarrow is not installed")
    assert hint == "hint: pip install 'mmtool[parquet]', or save it as CSV"


def test_the_plan_of_a_shipped_model(mmtool, trained: Path, tmp_path: Path) -> None:
    table = trained / "patients.csv"
    done = mmtool("survive", table, "--cohort", "LUAD", "-n", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "tcga-luad" in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_several_tables_by_a_sheet(mmtool, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("patient_id,age\nA,60\n")
    (tmp_path / "b.csv").write_text("patient_id,colour\nB,red\n")
    sheet = tmp_path / "sheet.csv"
    (tmp_path / "rna_a.csv").write_text("id,G0,G1,G2,G3,G4,G5\nA,1,1,1,1,1,1\n")
    sheet.write_text("input,omics\na.csv,rnaseq=rna_a.csv\nb.csv,\n")
    out = tmp_path / "out"
    model = trained / "run/model"
    done = mmtool("survive", "--samplesheet", sheet, "--model", model, "-o", out)
    assert done.returncode == 6
    assert rows(out / "a/risk.tsv")[0]["status"] == "complete"
    assert not (out / "b/risk.tsv").exists()
    assert "nothing that the model knows" in (out / "failures.tsv").read_text()


def test_evaluation_beside_another_model(mmtool, trained: Path, tmp_path: Path) -> None:
    model = trained / "run/model"
    command = ("evaluate", "survive", trained / "patients.csv", "--model", model)
    done = mmtool(*command, "--compare", model, "--horizons", "5", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "out/metrics.tsv")
    c = next(r for r in found if r["measure"] == "harrell_c")
    assert float(c["low"]) < float(c["value"]) < float(c["high"])
    gap = next(r for r in found if r["measure"].startswith("harrell_c less"))
    assert (gap["value"], gap["low"], gap["high"]) == ("0.0", "0.0", "0.0")
    assert done.stdout.splitlines()[0].startswith("model\tmeasure")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("survive", "patients.csv"), 2, "which model is not clear"),
        (("survive", "patients.csv", "--cohort", "MOON"), 2, "--cohort MOON: not known"),
        (("survive", "patients.csv", "--model", "run/model", "--horizons", "x"), 2, "not times"),
        (("survive", "none.csv", "--model", "run/model"), 3, "no such file"),
        (("survive", "patients.csv", "--model", "no-such"), 4, "no survive model"),
        (("train", "survive", "patients.csv", "--splits", "1", "-o", "x"), 2, "--splits 1"),
        (("train", "survive", "rna.csv", "-o", "x"), 3, "no columns of time and event"),
    ],
)
def test_errors(mmtool, trained: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = mmtool(*arguments, cwd=trained)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_fusion_network_is_trained_and_used_by_name(
    mmtool, trained: Path, tmp_path: Path
) -> None:
    signatures = tmp_path / "groups.csv"
    signatures.write_text("first,second\nG0,G2\nG1,G3\n")
    tables = (trained / "patients.csv", "--omics", f"rnaseq={trained / 'rna.csv'}")
    done = mmtool(
        *("train", "survive", *tables, "--splits", 2, "--recipe", "multimodn"),
        *("--signatures", signatures, "-o", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "run/model/card.json").read_text())
    assert "--recipe multimodn --signatures groups.csv" in card["training"]["command"]
    out = tmp_path / "out"
    used = mmtool("survive", *tables, "--model", tmp_path / "run/model", "-o", out)
    assert used.returncode == 0, used.stderr
    found = rows(out / "risk.tsv")
    assert {r["modalities"] for r in found} == {"clinical,rnaseq"}
    for row in found:
        survival = [float(v) for k, v in row.items() if k.startswith("survival_") and k[-1] in "05"]
        assert survival == sorted(survival, reverse=True)
        assert all(0 <= s <= 1 for s in survival)
    unknown = mmtool("train", "survive", *tables, "--recipe", "magic", "-o", tmp_path / "no")
    assert unknown.returncode == 2
    assert "magic" in unknown.stderr


def test_features_of_slides_are_one_more_block(mmtool, trained: Path, tmp_path: Path) -> None:
    features = tmp_path / "features"
    features.mkdir()
    draw = np.random.default_rng(0)
    table = rows(trained / "patients.csv", ",")
    name = next(iter(table[0]))
    for row in table[:-10]:
        np.save(features / f"{row[name]}.npy", draw.normal(size=(5, 4)).astype(np.float32))
    args = (trained / "patients.csv", "--slides", features)
    done = mmtool("train", "survive", *args, "--splits", 2, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "slides: 4 columns, known of 130" in done.stderr
    out = tmp_path / "out"
    used = mmtool("survive", *args, "--model", tmp_path / "run/model", "-o", out)
    assert used.returncode == 0, used.stderr
    found = [r["modalities"] for r in rows(out / "risk.tsv")]
    assert found == ["clinical,slides"] * 130 + ["clinical"] * 10
    tiles = [r for r in rows(out / "attribution.tsv") if r["level"] == "tile"]
    assert {r["name"] for r in tiles if r["patient_id"] == table[0][name]} <= {
        f"{table[0][name]} tile {i}" for i in range(5)
    }
    assert tiles
    scores = tmp_path / "scores"
    told = mmtool("evaluate", "survive", *args, "--model", tmp_path / "run/model", "-o", scores)
    assert told.returncode == 0, told.stderr
    assert "no patient has: slides" not in told.stderr
    assert (
        "there already"
        in mmtool("survive", *args, "--model", tmp_path / "run/model", "-o", out, "--resume").stderr
    )
    named = tmp_path / "named.csv"
    head = list(table[0])
    lines = [",".join([*(r[c] for c in head), f"{table[0][name]}.npy"]) for r in table[:1]]
    named.write_text("\n".join([",".join([*head, "slide_id"]), *lines]) + "\n")
    done = mmtool(
        *("survive", named, "--slides", features, "--model", tmp_path / "run/model"),
        *("-o", tmp_path / "one"),
    )
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "one/risk.tsv")[0]["modalities"] == "clinical,slides"
    assert "belong to none" in done.stderr
    next(features.iterdir()).unlink()
    again = mmtool("survive", *args, "--model", tmp_path / "run/model", "-o", out, "--resume")
    assert "there already" not in again.stderr
