"""Whisper's encoder: its front end and layers against transformers, and faster-whisper's file."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra 'teach')")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.whisper import WhisperEncoder  # noqa: E402
from tests.edge_ser.teachers.small import (  # noqa: E402
    WIDTH,
    ct2_variables,
    noise,
    pack_ct2,
    small_whisper,
    write_json,
)


@pytest.fixture(scope="module")
def encoder():
    return WhisperEncoder(small_whisper().encoder)


def test_the_front_end_is_whispers(encoder):
    wave = noise(1.3)
    loud = (wave * (0.7 / np.abs(wave).max())).astype(np.float32)
    theirs = transformers.WhisperFeatureExtractor()(
        loud, sampling_rate=16000, return_tensors="pt"
    ).input_features[0]
    ours = encoder.mels(wave)
    assert ours.shape == (80, 130)
    # theirs is padded to 30 s, so that its last frames see zeros where ours see a reflection
    np.testing.assert_allclose(ours[:, :-2], theirs[:, :128], atol=1e-4)


def test_level_does_not_matter_and_silence_is_heard(encoder):
    wave = noise(0.5)
    np.testing.assert_allclose(encoder.mels(wave), encoder.mels(wave * np.float32(0.01)), atol=1e-4)
    silent = encoder.mels(np.zeros(8000, np.float32))
    assert torch.isfinite(silent).all() and silent.max() == silent.min()


def test_thirty_seconds_give_the_states_of_transformers(encoder):
    mels = encoder.mels(noise(30.0))[None]
    with torch.inference_mode():
        reference = encoder.encoder(mels).last_hidden_state
        states = encoder.run(encoder.embed(mels))
        assert torch.allclose(encoder.encoder.layer_norm(states[-2]), states[-1], atol=1e-6)
    assert len(states) == encoder.states == encoder.depth + 1 == 3
    assert torch.allclose(states[-1], reference, atol=1e-5)


def test_a_batch_is_its_recordings_and_layers_can_be_run_from_the_middle(encoder):
    waves = [noise(0.4, seed) for seed in (1, 2)]
    with torch.inference_mode():
        together = encoder(waves)
        for i, wave in enumerate(waves):
            for one, both in zip(encoder.hidden(wave), together, strict=True):
                assert torch.allclose(one, both[i], atol=1e-5)
        assert torch.allclose(encoder.run(together[0], first=1)[-1], together[-1], atol=1e-6)
    assert together[0].shape == (2, 20, WIDTH)


@pytest.mark.parametrize(
    ("wave", "says"),
    [
        (np.zeros(16000 * 30 + 16, np.float32), "longer than the 30 s that the teacher hears; cut it"),
        (np.zeros(319, np.float32), "319 samples are too few"),
        (np.array([np.inf] * 400, np.float32), "no numbers"),
    ],
)
def test_what_cannot_be_heard_is_refused(encoder, wave, says):
    with pytest.raises(EdgeSerError, match=says):
        encoder.hidden(wave)


def test_more_frames_than_positions_are_refused(encoder):
    with pytest.raises(EdgeSerError, match="longer than Whisper's 30 s"):
        encoder.embed(torch.zeros(1, 80, 3002))


def test_a_model_of_128_bands_gets_128(tmp_path):
    config = small_whisper().config
    config.num_mel_bins = 128
    transformers.WhisperModel(config).save_pretrained(tmp_path)
    large = WhisperEncoder.load(tmp_path)
    assert large.mels(noise(0.2)).shape == (128, 20)
    with torch.inference_mode():
        assert large.hidden(noise(0.2))[0].shape == (10, WIDTH)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_faster_whispers_file_holds_the_same_encoder(tmp_path, encoder, kind):
    variables = {
        name: value.astype(kind) if value.dtype == np.float32 else value
        for name, value in ct2_variables(encoder.encoder).items()
    }
    (tmp_path / "model.bin").write_bytes(pack_ct2(variables))
    loaded = WhisperEncoder.load(tmp_path)
    assert not loaded.training and (loaded.width, loaded.depth) == (encoder.width, encoder.depth)
    wave = noise(0.5)
    with torch.inference_mode():
        for ours, theirs in zip(loaded.hidden(wave), encoder.hidden(wave), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5 if kind is np.float32 else 2e-2)
    if kind is np.float32:
        assert loaded.identity == encoder.identity


def test_a_half_precision_model_is_loaded_in_single_precision(tmp_path):
    small_whisper().half().save_pretrained(tmp_path)
    loaded = WhisperEncoder.load(tmp_path)
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}


def _damaged(variables, how):
    if how == "quantised":
        name = "encoder/layer_0/ffn/linear_0/weight"
        return variables | {name: variables[name].astype(np.int8)}
    if how == "missing":
        return {
            name: value for name, value in variables.items() if name != "encoder/layer_1/ffn/linear_1/bias"
        }
    if how == "other":
        return {"encoder/embeddings/weight": np.zeros((2, 2), np.float32)}
    if how == "thirds":
        name = "encoder/layer_0/self_attention/linear_0/bias"
        return variables | {name: variables[name][:-1]}
    assert how == "shape"
    return variables | {"encoder/layer_norm/gamma": np.zeros(5, np.float32)}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("quantised", "model.bin is quantised .*linear_0/weight.*get it in float16 or float32"),
        ("missing", "no Whisper encoder .*it has no encoder/layer_1/ffn/linear_1/bias"),
        ("other", "no Whisper encoder .*it has no encoder/conv1/weight"),
        ("thirds", "no Whisper encoder .*equal division"),
        ("shape", r"layer_norm.weight is of shape \(5,\)"),
    ],
)
def test_a_file_of_something_else_is_one_sentence(tmp_path, encoder, how, says):
    (tmp_path / "model.bin").write_bytes(pack_ct2(_damaged(ct2_variables(encoder.encoder), how)))
    with pytest.raises(EdgeSerError, match=says):
        WhisperEncoder.load(tmp_path)


def test_another_family_is_refused(tmp_path):
    write_json(tmp_path / "config.json", {"model_type": "wavlm"})
    with pytest.raises(EdgeSerError, match="family 'wavlm', not a Whisper"):
        WhisperEncoder.load(tmp_path)
