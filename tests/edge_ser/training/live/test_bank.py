"""Banks: the first view is the clip, the same plan is made once, and another one anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from edge_ser.audio import load_audio, write_wav  # noqa: E402
from edge_ser.corpora import Clip, load_corpus  # noqa: E402
from edge_ser.dsp import MelSpec, log_mel  # noqa: E402
from edge_ser.teachers.linear import statistics  # noqa: E402
from edge_ser.training.live import bank as bank_module  # noqa: E402
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
    clips: list[Clip], listener: BatchListener, tmp_path: Path
) -> None:
    bank = Bank.load(clips, PLAN, listener, CPU, tmp_path)
    assert bank.features.shape == (2, 6, 80, 64) and bank.heard.shape == (2, 6, listener.size)
    for i, clip in enumerate(clips):
        wave = load_audio(clip.path)
        own = log_mel(wave, PLAN.spec)
        assert bank.frames[0, i] == len(own)
        np.testing.assert_allclose(bank.features[0, i, : len(own)].float().numpy(), own, atol=2e-3)
        heard = statistics(listener.whisper, wave)
        assert np.linalg.norm(bank.heard[0, i].float().numpy() - heard) < 0.02 * np.linalg.norm(heard)
    assert (bank.frames[1] != bank.frames[0]).sum() >= 4
    again = Bank.load(clips, PLAN, listener, CPU, tmp_path / "again")
    assert torch.equal(bank.features, again.features) and torch.equal(bank.heard, again.heard)


def test_longer_clips_are_cut(clips: list[Clip], listener: BatchListener, tmp_path: Path) -> None:
    bank = Bank.load(clips, dataclasses.replace(PLAN, seconds=0.4), listener, CPU, tmp_path)
    assert bank.features.shape[2] == 32 and (bank.frames[0] == 32).all()
    for i, clip in enumerate(clips):  # the first view at its end
        own = log_mel(load_audio(clip.path)[:6400], PLAN.spec)
        np.testing.assert_allclose(bank.features[0, i].float().numpy(), own, atol=2e-3)
    calm = dataclasses.replace(PLAN, seconds=0.4, perturb=only(p_speed=0.0))
    bank = Bank.load(clips, calm, listener, CPU, tmp_path)
    assert (bank.features[1] - bank.features[0]).abs().amax((1, 2)).min() > 0.1


def test_clips_are_heard_alone_however_short_and_soft(listener: BatchListener, tmp_path: Path) -> None:
    """Beside others in a batch, and one that is shorter than anybody hears."""
    rng = np.random.default_rng(0)
    waves = [(level * rng.standard_normal(n)).astype(np.float32) for level, n in ((1e-3, 8000), (0.3, 16000))]
    waves.append((0.1 * rng.standard_normal(1000)).astype(np.float32))
    for i, wave in enumerate(waves):
        write_wav(tmp_path / f"{i}.wav", wave)
    some = [Clip(tmp_path / f"{i}.wav", "made", "s", "sad") for i in range(3)]
    plan = dataclasses.replace(PLAN, perturb=only(p_speed=1.0, speed=0.5))
    bank = Bank.load(some, plan, listener, CPU, tmp_path)
    for i, clip in enumerate(some):
        wave = load_audio(clip.path)
        wave = np.pad(wave, (0, max(0, 4000 - len(wave))))
        heard = statistics(listener.whisper, wave)
        assert np.linalg.norm(bank.heard[0, i].float().numpy() - heard) < 0.02 * np.linalg.norm(heard)
    assert bank.frames[0].tolist() == [40, 80, 20] and bank.frames[1].min() >= 20


def test_batches_of_a_view_have_chances_of_their_own(
    clips: list[Clip], listener: BatchListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_module, "_BATCH", 3)
    bank = Bank.load(clips, PLAN, listener, CPU, tmp_path)
    assert bank.frames[1, :3].tolist() != bank.frames[1, 3:].tolist()  # all clips are of one length


def test_each_view_is_made_once_and_more_of_them_add_to_what_there_is(
    clips: list[Clip], listener: BatchListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = bank_module._Maker.view

    def view(self: Any, number: int) -> Any:
        if len(made) == 2 and number == 2:
            made.append(-1)
            raise KeyboardInterrupt  # stopped on the way
        made.append(number)
        return make(self, number)

    monkeypatch.setattr(bank_module._Maker, "view", view)
    first = Bank.load(clips, PLAN, listener, CPU, tmp_path)
    three = dataclasses.replace(PLAN, views=3)
    with pytest.raises(KeyboardInterrupt):
        Bank.load(clips, three, listener, CPU, tmp_path)
    more = Bank.load(clips, three, listener, CPU, tmp_path)
    assert made == [0, 1, -1, 2]
    assert torch.equal(first.features, more.features[:2]) and torch.equal(first.heard, more.heard[:2])
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("field", ["perturb", "seed", "seconds", "spec"])
def test_whatever_a_view_follows_from_makes_another(field: str, clips: list[Clip]) -> None:
    other = {"perturb": only(), "seed": 1, "seconds": 2.0, "spec": MelSpec()}[field]
    plan = dataclasses.replace(PLAN, **{field: other})  # type: ignore[arg-type]
    assert plan.key(clips, "ears") != PLAN.key(clips, "ears")
    assert PLAN.key(clips[1:], "ears") != PLAN.key(clips, "ears") != PLAN.key(clips, "eyes")
    assert PLAN.key(clips[::-1], "ears") != PLAN.key(clips, "ears")  # rows stand in the order of the clips
    assert dataclasses.replace(PLAN, views=9).key(clips, "ears") == PLAN.key(clips, "ears")


def test_a_pool_has_the_rows_of_every_corpus(
    clips: list[Clip], listener: BatchListener, tmp_path: Path
) -> None:
    other = list(load_corpus(str(write_tones(tmp_path, "more", clips=3))).clips)
    pool = Pool.load([*clips, *other], lambda mine: Bank.load(mine, PLAN, listener, CPU, tmp_path))
    assert len(pool.features) == 2 * 6 + 2 * 3
    first, stride = pool.rows([other[2], clips[1]])
    assert first.tolist() == [12 + 2, 1] and stride.tolist() == [3, 6]
    heard = pool.statistics([other[2], clips[1]], 2)
    assert torch.equal(heard[1], pool.heard[[12 + 2 + 3, 1 + 6]])
