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
name = "beside"
perturb = "{perturb}"
[data]
corpora = ["own"]
folds = [0]
[live]
views = 2
fitted = 2
[head]
components = 8
hint = 4
[distil]
soft = 0.5
[augment]
mixup = 0.0
"""


def answers(folder: Path, louder: float) -> torch.Tensor:
    """What is said of the clips of two folds, of whose one speaker all statistics are higher."""
    path = folder / "beside.toml"
    path.write_text(RECIPE.format(perturb=PERTURB))
    clips, bank = clips_of("own", 30), bank_of(30)
    heard = bank.heard.float()
    heard[:, [i for i, clip in enumerate(clips) if clip.speaker == "own-1"]] += louder
    pool = Pool([(clips, dataclasses.replace(bank, heard=heard.half()))])
    live = Live(Recipe.read(path), clips, LABELS, {"own": LABELS}, pool, None)
    return live.clip_set(0).taught.logits


def test_beside_a_speakers_others_what_all_of_them_have_in_common_says_nothing(tmp_path: Path) -> None:
    calm, loud = (answers(tmp_path, louder) for louder in (0.0, 4.0))
    torch.testing.assert_close(calm, loud, rtol=0, atol=0.05)  # half precision
