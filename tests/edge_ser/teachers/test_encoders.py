"""One door to encoders: each family against transformers' own answers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra 'teach')")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.encoders import load_encoder  # noqa: E402
from tests.edge_ser.teachers.small import (  # noqa: E402
    KINDS,
    WIDTH,
    noise,
    save_dawn,
    save_encoder,
    small_whisper,
    write_json,
)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
def test_states_are_those_of_transformers(tmp_path, family, large):
    model = save_encoder(tmp_path, family, large=large)
    encoder = load_encoder(tmp_path)
    wave = noise(0.6)
    with torch.inference_mode():
        states = encoder.hidden(wave)
        x = torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None]
        reference = model(x).last_hidden_state[0]
        assert (reference - states[-1]).abs().max() < 1e-5
        if not large:  # one less layer of the same network gives the state before
            model.encoder.layers = model.encoder.layers[:-1]
            assert (model(x).last_hidden_state[0] - states[-2]).abs().max() < 1e-5
    assert encoder.depth == 3 and encoder.width == WIDTH and encoder.frame_rate == 50.0
    assert len(states) == encoder.states == 3 + large
    assert {tuple(state.shape) for state in states} == {(29, WIDTH)}
    assert not encoder.training


@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
def test_the_closing_norm_is_the_last_state_where_there_is_one(tmp_path, large):
    save_encoder(tmp_path, "wav2vec2", large=large)
    encoder = load_encoder(tmp_path)
    with torch.inference_mode():
        states = encoder.hidden(noise(0.3))
        if large:
            assert torch.allclose(encoder.network.encoder.layer_norm(states[-2]), states[-1], atol=1e-5)
        else:
            assert not torch.allclose(states[-2], states[-1])


def test_the_preprocessor_says_whether_recordings_are_standardised(tmp_path):
    save_encoder(tmp_path / "plain", "wavlm", large=False, normalise=False)
    save_encoder(tmp_path / "standardised", "wavlm", large=False, normalise=True)
    plain, standardised = (load_encoder(tmp_path / name) for name in ("plain", "standardised"))
    wave = noise(0.3)
    x = ((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)).astype(np.float32)
    with torch.inference_mode():
        assert torch.allclose(plain.hidden(x)[-1], standardised.hidden(wave)[-1], atol=1e-5)
        assert not torch.allclose(plain.hidden(wave)[-1], standardised.hidden(wave)[-1], atol=1e-5)
    assert plain.identity != standardised.identity == load_encoder(tmp_path / "standardised").identity
    (tmp_path / "plain" / "preprocessor_config.json").unlink()
    with pytest.raises(EdgeSerError, match="has no preprocessor_config.json"):
        load_encoder(tmp_path / "plain")


def test_a_checkpoint_with_a_head_on_top_and_dawn_itself_are_encoders_too(tmp_path):
    model = save_encoder(tmp_path / "ctc", "hubert", large=False, head=True)
    encoder = load_encoder(tmp_path / "ctc")
    own = model.hubert.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in encoder.network.state_dict().items())
    dawn = save_dawn(tmp_path / "dawn")
    wave = noise(0.3)
    with torch.inference_mode():
        state = load_encoder(tmp_path / "dawn").hidden(wave)[-1]
        reference = dawn.wav2vec2(torch.from_numpy(dawn.prepare(wave))[None]).last_hidden_state[0]
    assert torch.allclose(state, reference, atol=1e-6)


def test_gradients_flow_and_hooks_do_not_pile_up(tmp_path):
    save_encoder(tmp_path, "wavlm", large=True)
    encoder = load_encoder(tmp_path)
    for _ in range(2):
        assert len(encoder.hidden(noise(0.2))) == 4
    encoder.hidden(noise(0.2))[1].sum().backward()
    layers = encoder.network.encoder.layers
    assert layers[1].feed_forward.output_dense.weight.grad is not None
    assert layers[2].feed_forward.output_dense.weight.grad is None


def test_an_adapter_on_top_does_not_change_the_rate(tmp_path):
    save_encoder(tmp_path, "wav2vec2", large=True, add_adapter=True)
    with torch.inference_mode():
        assert {len(state) for state in load_encoder(tmp_path).hidden(noise(0.6))} == {29}


def test_whisper_comes_through_the_same_door(tmp_path):
    small_whisper().save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path)
    with torch.inference_mode():
        states = encoder.hidden(noise(0.5))
    assert len(states) == encoder.states == 3 and states[0].shape == (25, encoder.width)
    assert encoder.frame_rate == 50.0 and encoder.identity == load_encoder(tmp_path).identity


def test_a_recording_too_short_for_a_frame_is_refused_and_the_shortest_is_heard(tmp_path):
    save_encoder(tmp_path, "hubert", large=False)
    encoder = load_encoder(tmp_path)
    with torch.inference_mode():
        assert len(encoder.hidden(noise(0.025))[0]) == 1
    with pytest.raises(EdgeSerError, match="399 samples are too few .* needs 400"):
        encoder.hidden(noise(0.025)[:-1])
    with pytest.raises(EdgeSerError, match="longer than the 60 s"):
        encoder.hidden(np.zeros(16000 * 61, np.float32))


@pytest.mark.parametrize("family", ["bert", None])
def test_an_unknown_family_names_the_known(tmp_path, family):
    write_json(tmp_path / "config.json", {"model_type": family} if family else {})
    with pytest.raises(EdgeSerError, match=f"family {family!r}.*wav2vec2, wavlm, hubert, whisper"):
        load_encoder(tmp_path)


def _unlike(tmp_path, change):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def test_missing_and_wrong_tensors_are_never_replaced_by_chance(tmp_path):
    save_encoder(tmp_path, "wavlm", large=True)
    _unlike(tmp_path, lambda t: t.update({"encoder.layer_norm.weight": torch.zeros(7)}))
    with pytest.raises(EdgeSerError, match="encoder.layer_norm.weight does not fit its config.json"):
        load_encoder(tmp_path)
    _unlike(tmp_path, lambda t: t.pop("encoder.layer_norm.weight"))
    with pytest.raises(EdgeSerError, match="lacks encoder.layer_norm.weight; it is not a whole WavLMModel"):
        load_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(EdgeSerError) as error:
        load_encoder(tmp_path)
    assert "\n" not in str(error.value)


def test_an_absent_masking_vector_does_not_make_the_identity_a_matter_of_chance(tmp_path):
    save_encoder(tmp_path, "wavlm", large=False)
    _unlike(tmp_path, lambda t: t.pop("masked_spec_embed"))
    assert load_encoder(tmp_path).identity == load_encoder(tmp_path).identity
