"""Classes' shares that were taken out of a network's answers, put back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.shares import put_back  # noqa: E402
from edge_ser.audio import write_wav  # noqa: E402
from edge_ser.corpora import Corpus, load_corpus  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models import build_model  # noqa: E402
from edge_ser.models.checkpoint import save_checkpoint  # noqa: E402
from tests.support import CONFIG, SPEC  # noqa: E402

#: Clips of each emotion in fold 0, which fold 1's network learnt from; and in fold 1.
COUNTS = ({"angry": 4, "calm": 1, "sad": 3}, {"angry": 1, "calm": 2, "sad": 1})


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    rng = np.random.default_rng(0)
    lines = ["file,speaker,emotion,fold"]
    for fold, counts in enumerate(COUNTS):
        for emotion, count in counts.items():
            for i in range(count):
                name = f"{fold}-{emotion}-{i}.wav"
                write_wav(tmp_path / name, 0.01 * rng.standard_normal(8000))
                lines.append(f"{name},s{fold},{emotion},{fold}")
    write_wav(tmp_path / "none.wav", np.zeros(8000))
    lines.append("none.wav,s2,calm,")  # in no fold, so that it trained nothing here
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    return load_corpus(str(tmp_path / "mine.csv"))


def saved(folder: Path, strength: float, **more: object) -> Path:
    """A network without any bias, as if a run had written it."""
    model = build_model("stream72k", CONFIG | {"labels": ["angry", "calm", "sad"]}).eval()
    with torch.no_grad():
        model.emotion.bias.zero_()
    recipe = {"data": {"corpora": [str(folder / "mine.csv")]}, "fit": {"logit_adjustment": strength}} | more
    training = {"recipe": recipe, "held_out_fold": 1, "heard": ["s0"]}
    path = folder / "fold1-seed0.safetensors"
    meta = {"architecture": "stream72k", "config": model.config.to_dict(), "spec": SPEC.to_dict()}
    save_checkpoint(path, model, meta | {"training": training})
    return path


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_shares_of_the_training_speakers_come_back_as_far_as_they_were_taken_out(
    corpus: Corpus, tmp_path: Path, strength: float
) -> None:
    model, _ = put_back(saved(tmp_path, strength), 1, corpus)
    logs = np.log([4 / 8, 1 / 8, 3 / 8])
    np.testing.assert_allclose(
        model.emotion.bias.detach().numpy(), strength * (logs - logs.mean()), rtol=1e-5
    )


def test_where_none_were_taken_out_there_is_nothing_to_put_back(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="its recipe has no logit_adjustment"):
        put_back(saved(tmp_path, 0.0), 1, corpus)


def test_shares_of_a_live_run_are_not_guessed(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="learnt beside other corpora"):
        put_back(saved(tmp_path, 1.0, live={"views": 2}), 1, corpus)
