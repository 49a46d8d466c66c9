"""Tables of documents say what the files under results/ say."""

import json
from pathlib import Path

from benchmarks.device_tables import peers
from benchmarks.evaluation_tables import bars
from benchmarks.export_tables import int8_folds
from edge_ser.bundle import DEFAULT_MODEL, load_bundle
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


def test_a_file_of_an_earlier_model_is_told_of(tmp_path: Path) -> None:
    document = json.loads((RESULTS / "bench-peers.json").read_text())
    today = load_bundle(DEFAULT_MODEL).macs_per_second
    assert document["model"] == DEFAULT_MODEL and today is not None
    for macs, told in ((today, False), (1_000_000, True)):
        for run in document["runs"]:
            run["macs_per_s"] = macs
        (tmp_path / "bench-peers.json").write_text(json.dumps(document))
        end = peers(tmp_path).splitlines()[-1]
        assert end.endswith(f"; {DEFAULT_MODEL} of 1.0 million multiply-accumulates for a second of audio, today's has "
                            f"{today / 1e6:.1f}") == told and ("today's" in end) == told  # fmt: skip
