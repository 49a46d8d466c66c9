"""What a live teacher goes by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_ser.training.live.pool import Pool  # noqa: E402
from edge_ser.training.live.source import Live  # noqa: E402
from edge_ser.training.recipe import Recipe  # noqa: E402
from tests.edge_ser.training.live.made import LABELS, bank_of, clips_of  # noqa: E402

PERTURB = Path(__file__).resolve().parents[4] / "recipes" / "ravdess-live.toml"
RECIPE = """
name = "alone"
perturb = "{perturb}"
[data]
corpora = ["own"]
folds = [0]
[live]
views = 2
fitted = 2
{more}
[head]
components = 8
hint = 4
[distil]
soft = 0.5
[augment]
mixup = 0.0
"""


def answers(folder: Path, more: str, louder: float) -> torch.Tensor:
    """What is said of the clips of two folds, of whose one speaker all statistics are higher."""
    path = folder / "alone.toml"
    path.write_text(RECIPE.format(more=more, perturb=PERTURB))
    clips, bank = clips_of("own", 30), bank_of(30)
    heard = bank.heard.float()
    heard[:, [i for i, clip in enumerate(clips) if clip.speaker == "own-1"]] += louder
    pool = Pool([(clips, dataclasses.replace(bank, heard=heard.half()))])
    live = Live(Recipe.read(path), clips, LABELS, {"own": LABELS}, pool, None)
    return live.clip_set(0).taught.logits


def test_beside_a_speakers_others_what_all_of_them_have_in_common_says_nothing(tmp_path: Path) -> None:
    calm, loud = (answers(tmp_path, "", louder) for louder in (0.0, 4.0))
    torch.testing.assert_close(calm, loud, rtol=0, atol=0.05)  # half precision


def test_alone_a_clip_is_all_that_a_teacher_goes_by(tmp_path: Path) -> None:
    calm, loud = (answers(tmp_path, "alone = true", louder) for louder in (0.0, 4.0))
    assert (calm - loud).abs().max() > 0.5
    assert not torch.equal(calm, answers(tmp_path, "", 0.0))


def test_a_recipe_that_says_nothing_of_it_is_the_one_it_was(tmp_path: Path) -> None:
    path = tmp_path / "alone.toml"
    path.write_text(RECIPE.format(more="", perturb=PERTURB))
    assert "alone" not in Recipe.read(path).to_dict()["live"]
    assert Recipe.read(path, ["live.alone=true"]).to_dict()["live"]["alone"] is True
