"""Banks: the first view is the clip, the same plan is made once, and another one anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from edge_ser.audio import load_audio  # noqa: E402
from edge_ser.corpora import Clip, load_corpus  # noqa: E402
from edge_ser.dsp import MelSpec, log_mel  # noqa: E402
from edge_ser.perturb import Perturb  # noqa: E402
from edge_ser.teachers.linear import statistics  # noqa: E402
from edge_ser.training.live.bank import Bank, BankPlan  # noqa: E402
from edge_ser.training.live.hearing import BatchListener  # noqa: E402
from edge_ser.training.live.pool import Pool  # noqa: E402
from tests.edge_ser.training.live.made import encoder  # noqa: E402
from tests.edge_ser.training.live.test_views import only  # noqa: E402
from tests.edge_ser.training.tones import write_tones  # noqa: E402

CPU = torch.device("cpu")
PLAN = BankPlan(2, 1.0, only(p_speed=1.0, speed=0.2), MelSpec(mean=-50.0, scale=20.0))


@pytest.fixture(scope="module")
def listener() -> BatchListener:
    return BatchListener(encoder())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return list(load_corpus(str(write_tones(tmp_path_factory.mktemp("tones"), clips=6))).clips)


def test_the_first_view_is_the_clip_and_the_second_another(
    clips: list[Clip], listener: BatchListener
) -> None:
    bank = Bank.make(clips, PLAN, listener, CPU)
    assert bank.features.shape == (2, 6, 80, 64) and bank.heard.shape == (2, 6, listener.size)
    for i, clip in enumerate(clips):
        wave = load_audio(clip.path)
        own = log_mel(wave, PLAN.spec)
        assert bank.frames[0, i] == len(own)
        np.testing.assert_allclose(bank.features[0, i, : len(own)].float().numpy(), own, atol=2e-3)
        heard = statistics(listener.whisper, wave)
        assert np.linalg.norm(bank.heard[0, i].float().numpy() - heard) < 0.02 * np.linalg.norm(heard)
    assert (bank.frames[1] != bank.frames[0]).sum() >= 4
    again = Bank.make(clips, PLAN, listener, CPU)
    assert torch.equal(bank.features, again.features) and torch.equal(bank.heard, again.heard)


def test_longer_clips_are_cut(clips: list[Clip], listener: BatchListener) -> None:
    bank = Bank.make(clips, dataclasses.replace(PLAN, seconds=0.4), listener, CPU)
    assert bank.features.shape[2] == 32 and (bank.frames[0] == 32).all()


def test_a_bank_is_made_once_for_the_same_clips_and_plan(
    clips: list[Clip], listener: BatchListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Bank.load(clips, PLAN, listener, CPU, tmp_path)
    made: list[Any] = []
    monkeypatch.setattr(Bank, "make", lambda *words: made.append(words) or first)
    again = Bank.load(clips, PLAN, listener, CPU, tmp_path)
    assert (
        not made and torch.equal(first.features, again.features) and torch.equal(first.frames, again.frames)
    )
    for plan in (dataclasses.replace(PLAN, perturb=Perturb(p_codec=0)), dataclasses.replace(PLAN, seed=1)):
        Bank.load(clips, plan, listener, CPU, tmp_path)
    Bank.load(clips[1:], PLAN, listener, CPU, tmp_path)
    assert len(made) == 3
    assert not list(tmp_path.glob("*.part"))


def test_a_pool_has_the_rows_of_every_corpus(
    clips: list[Clip], listener: BatchListener, tmp_path: Path
) -> None:
    other = list(load_corpus(str(write_tones(tmp_path, "more", clips=3))).clips)
    pool = Pool.load([*clips, *other], lambda mine: Bank.make(mine, PLAN, listener, CPU))
    assert len(pool.features) == 2 * 6 + 2 * 3
    first, stride = pool.rows([other[2], clips[1]])
    assert first.tolist() == [12 + 2, 1] and stride.tolist() == [3, 6]
    heard = pool.statistics([other[2], clips[1]], 2)
    assert torch.equal(heard[1], pool.heard[[12 + 2 + 3, 1 + 6]])
