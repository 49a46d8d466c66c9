"""Attentive heads and adapters: on every family, saved and read, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")
pytest.importorskip("transformers", reason="transformers is not installed (extra 'teach')")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.attention import AttentiveHead, AttentiveShape, Listener, pad  # noqa: E402
from edge_ser.teachers.attentive import AttentiveHeads, AttentiveTeacher  # noqa: E402
from edge_ser.teachers.encoders import Encoder, load_encoder  # noqa: E402
from edge_ser.teachers.linear import LinearTeacher  # noqa: E402
from edge_ser.teachers.registry import load_teacher  # noqa: E402
from tests.edge_ser.teachers.small import WIDTH, noise, save_encoder, small_whisper  # noqa: E402

FAMILIES = ["wav2vec2", "wavlm", "hubert", "whisper"]
LABELS = ("angry", "calm", "sad")


def encoder_of(folder: Path, family: str, *, large: bool = True) -> Encoder:
    if family == "whisper":
        small_whisper().save_pretrained(folder)
    else:
        save_encoder(folder, family, large=large)
    return load_encoder(folder)


def shape_of(encoder: Encoder, **changes: object) -> AttentiveShape:
    shape = AttentiveShape(LABELS, encoder.states, encoder.width, 1, 4, 8.0, 4, 6, 0.5)
    return dataclasses.replace(shape, **changes)


def member(listener: Listener, seed: int = 0, *, adapt: float = 0.3) -> AttentiveHead:
    torch.manual_seed(seed)
    head = AttentiveHead(listener.shape, listener.projections()).eval()
    for name, up in head.up.items():
        up.data.normal_(0, adapt, generator=torch.Generator().manual_seed(len(name)))
    return head


def teacher_of(encoder: Encoder, **changes: object) -> AttentiveTeacher:
    listener = Listener(encoder, shape_of(encoder, **changes))
    members = [member(listener, seed) for seed in (0, 1)]
    pooled = np.random.default_rng(0).normal(0, 1, (20, 4 * WIDTH)).astype(np.float32)
    return AttentiveTeacher(listener, AttentiveHeads.of(members, True, pooled, 5))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
def test_upper_layers_go_on_from_the_state_below_them(tmp_path: Path, family: str, large: bool) -> None:
    encoder = encoder_of(tmp_path, family, large=large)
    with torch.inference_mode():
        states = encoder.hidden(noise(0.6))
        for first in range(1, encoder.depth):
            above = encoder.run(states[first - 1][None], first)
            assert len(above) == encoder.states - first
            for found, expected in zip(above, states[first:], strict=True):
                torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_that_are_zero_change_nothing_and_others_only_what_is_above(
    tmp_path: Path, family: str
) -> None:
    encoder = encoder_of(tmp_path, family)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    whole = Listener(encoder, shape_of(encoder, adapted=0))
    listener = Listener(encoder, shape_of(encoder))
    projections = listener.projections()
    assert len(projections) == 4 and all(f"layers.{encoder.depth - 1}." in name for name in projections)
    wave = noise(0.6)
    plain, _ = whole.hear(wave)
    heard, moments = listener.hear(wave)
    assert heard.fixed.shape[0] == encoder.depth - 1 and whole.projections() == {}
    fresh = listener.frames(AttentiveHead(listener.shape, projections), [heard])[0]
    torch.testing.assert_close(fresh, plain.fixed, atol=0.05, rtol=0.05)  # bfloat16 in between
    changed = listener.frames(member(listener), [heard])[0]
    assert torch.equal(changed[: encoder.depth - 1], plain.fixed[: encoder.depth - 1])
    assert (changed[encoder.depth - 1 :] - fresh[encoder.depth - 1 :]).abs().amax((1, 2)).min() > 0.05
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    with torch.inference_mode():
        states = torch.stack(encoder.hidden(wave))
    torch.testing.assert_close(moments[0], states.mean(1), atol=0.05, rtol=0.05)


def test_gradients_reach_adapters_and_no_weight_of_the_encoder(tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path, "wavlm")
    listener = Listener(encoder, shape_of(encoder))
    head = AttentiveHead(listener.shape, listener.projections()).train()
    heard, _ = listener.hear(noise(0.6))
    logits, adv = head(head.pool(*pad(listener.frames(head, [heard, heard]))))
    (logits.sum() + adv.sum()).backward()
    assert all(up.grad is not None and float(up.grad.abs().max()) > 0 for up in head.up.values())
    assert head.mix.grad is not None
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_a_clip_in_a_batch_is_answered_as_it_is_alone(tmp_path: Path) -> None:
    teacher = teacher_of(encoder_of(tmp_path, "whisper"))
    waves = [noise(seconds, seed) for seed, seconds in enumerate((0.3, 0.9, 0.55))]
    heard = [teacher.listener.hear(wave)[0] for wave in waves]
    together = teacher.heads.answer(teacher.listener, heard)
    for i, one in enumerate(heard):
        for batch, alone in zip(together, teacher.heads.answer(teacher.listener, [one]), strict=True):
            np.testing.assert_allclose(batch[i], alone[0], atol=1e-4)


def test_frames_are_standardised_by_all_clips_or_around_centres_of_their_own() -> None:
    rng = np.random.default_rng(1)
    clips = [torch.from_numpy(rng.normal(3 * i, 2, (2, 400, 5)).astype(np.float32)) for i in range(3)]
    moments = torch.stack([torch.stack([clip.mean(1), clip.square().mean(1)]) for clip in clips])
    head = AttentiveHead(AttentiveShape(LABELS, 2, 5, 0, 1, 1.0, 1, 4, 0.0), {})
    head.standardise_by(moments)
    every = torch.cat(clips, 1)
    torch.testing.assert_close(head.mean, every.mean(1))
    torch.testing.assert_close(head.scale, every.std(1, unbiased=False), atol=1e-3, rtol=1e-3)
    head.standardise_by(moments, moments[:, 0])
    apart = torch.cat([clip - clip.mean(1, keepdim=True) for clip in clips], 1)
    torch.testing.assert_close(head.scale, apart.std(1, unbiased=False), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("adapted", [0, 1])
def test_a_teacher_is_read_as_it_was_written(tmp_path: Path, adapted: int) -> None:
    encoder = encoder_of(tmp_path / "encoder", "wavlm")
    teacher = teacher_of(encoder, adapted=adapted)
    teacher.save(tmp_path / "teacher.safetensors", {"held_out_fold": 2})
    again = load_teacher("attentive", [str(tmp_path / "teacher.safetensors"), str(tmp_path / "encoder")])
    assert (again.identity, again.labels, again.hint_size) == (teacher.identity, LABELS, 5)
    assert isinstance(again, AttentiveTeacher) and again.params == teacher.params
    for found, expected in zip(again.targets(noise(0.7)), teacher.targets(noise(0.7)), strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-3)  # the hint's basis is in half precision
    assert teacher_of(encoder, adapted=1 - adapted).identity != teacher.identity


def test_what_is_no_such_teacher_is_a_sentence(tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path / "encoder", "whisper")
    encoder_of(tmp_path / "other", "hubert")
    path = tmp_path / "teacher.safetensors"
    teacher = teacher_of(encoder)
    teacher.save(path, {})
    with pytest.raises(EdgeSerError, match="was trained on another encoder"):
        AttentiveTeacher.load(path, tmp_path / "other")
    with pytest.raises(EdgeSerError, match="another kind than linear: name it with --kind attentive"):
        LinearTeacher.load(path, tmp_path / "encoder")
    with pytest.raises(EdgeSerError, match="is two things"):
        load_teacher("attentive", [str(path)])
    with pytest.raises(EdgeSerError, match="2 layers cannot be adapted: of this encoder, 0 to 1 can"):
        Listener(encoder, shape_of(encoder, adapted=2))
    teacher.centred = "speaker"
    with pytest.raises(EdgeSerError, match="beside its speaker's others"):
        teacher.targets(noise(0.5))
    with pytest.raises(EdgeSerError, match=r"20 recordings are too few for a hint of 30"):
        AttentiveHeads.of(teacher.heads.members, True, np.zeros((20, 40), np.float32), 30)
