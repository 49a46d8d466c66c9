"""Study R in miniature: a forest, networks, and large encoders of a few numbers."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from edge_ser.models.checkpoint import load_checkpoint  # noqa: E402
from edge_ser.studies import StudyRun, find_study, write_study  # noqa: E402
from tests.edge_ser.studies.made import write_ravdess  # noqa: E402


def test_it_runs_in_miniature(tmp_path: Path) -> None:
    study = find_study("ravdess")
    data = write_ravdess(tmp_path / "data")
    run = StudyRun(study.name, tmp_path / "out", scale="miniature", data=data)
    outcome = study.run(run)
    lines = {line.key: line for line in outcome.lines}
    ran = ["random-forest", "random-forest-bands", "mlp", "cnn-3", "cnn-3-pretrained-25", "cnn+mlp"]
    assert list(lines) == [*ran, "wav2vec2", "xlsr"]
    for key in ran:
        line = lines[key]
        assert line.as_published is not None and line.honest is not None and line.honest.ci95 is not None
        assert line.gap == line.as_published.value - line.honest.value
    assert lines["wav2vec2"].honest is None and "--set wav2vec2=" in lines["wav2vec2"].note
    assert "max_depth 3" in lines["random-forest"].note
    for key in ran[:3]:
        figure = lines[key].as_published
        assert figure is not None and figure.spread is not None and "2 random splits, 0." in lines[key].note
    assert "1 epoch, best in 1" in lines["cnn-3"].note and "splits" not in lines["cnn-3"].note
    page, figures = write_study(study, run, outcome)
    assert "ROC and precision-recall" in page.read_text()
    assert sum(row["clips"] for row in figures["tables"]["Clips"]) == 64
    # what was trained can be exported as any other network
    model, meta = load_checkpoint(tmp_path / "out" / "models" / "cnn-3-honest-fold0-seed0.safetensors")
    assert meta["training"]["held_out_fold"] == 0 and len(model.config.labels) == 8


def test_each_line_stands_once_in_a_quick_run_whatever_is_run_in_full(tmp_path: Path) -> None:
    from edge_ser.studies.recipes import ravdess

    keys = {}
    for full in ((), ("cnn-4-augmented", "cnn-3-pretrained-25")):
        run = StudyRun("ravdess", tmp_path, scale="quick", full=full)
        made = [one.key for one in ravdess._settings(run)]
        keys[full] = [*made, *(line.key for line in ravdess._absent(run))]
        assert set(full) <= set(made)
        assert len(set(keys[full])) == len(keys[full])
    assert set(keys[()]) == set(keys["cnn-4-augmented", "cnn-3-pretrained-25"])


def test_large_encoders_from_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from edge_ser.studies.recipes import _ravdess_parts as parts
    from tests.edge_ser.teachers.small import save_dawn

    save_dawn(tmp_path / "encoder")
    data = write_ravdess(tmp_path / "data")
    run = StudyRun("ravdess", tmp_path / "out", scale="miniature", data=data)
    source = str(tmp_path / "encoder")
    common = {"source": source, "protocol": "honest", "fold": 0, "seed": 0}
    heads = run.part("heads", parts.encoder, cache="", **common)
    tuned = run.part("tuned", parts.finetuned, epochs=1, tuned=1, **common)
    for part in (heads, tuned):
        assert part["scores"].shape[1] == 8 and len(part["truth"]) == len(part["scores"]) > 0
    assert len(tuned["records"]) == 1
