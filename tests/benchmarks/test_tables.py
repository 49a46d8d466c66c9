"""Tables of documents say what the files under results/ say."""

import json
from pathlib import Path

from benchmarks.evaluation_tables import bars
from benchmarks.export_tables import int8_folds
from edge_ser.corpora import corpus_names

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_corpora_of_speech_are_counted_without_collections_of_sounds() -> None:
    record = json.loads((RESULTS / "speech-detector.json").read_text())["speech_detector"]
    corpora = {name: one for name, one in record["by_collection"].items() if name in corpus_names()}
    assert sum(one["clips"] for one in corpora.values()) == record["speech"]
    assert f"| {record['speech']} clips of {len(corpora)} corpora " in bars(RESULTS)


def test_no_loss_has_no_sign_of_a_gain(tmp_path: Path) -> None:
    row = {
        "format": "x", "uar": 0.5, "drop": -1e-9, "ci95": [-0.01, -0.0], "by_fold": [{"drop": -0.0}],
        "same_label": 1.0, "ccc_drop": {"arousal": -1e-6, "dominance": 0.0, "valence": -0.0},
    }  # fmt: skip
    run = {"checkpoints": "a", "corpus": "b", "clips": 1, "speakers": 1, "torch_uar": 0.5, "formats": [row]}
    (tmp_path / "int8-folds.json").write_text(json.dumps({"protocol": "p", "runs": [run]}))
    text = int8_folds(tmp_path)
    assert "-0.0100 to +0.0000" in text and "**+0.0000**" in text
    assert "+0.0000 / +0.0000 / +0.0000" in text and "-0.0000" not in text and "-0.000 " not in text
