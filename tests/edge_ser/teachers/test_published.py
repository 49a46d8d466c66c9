"""Dawn, Odyssey and their mean: the published layout, its names, and the mathematics."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")
pytest.importorskip("transformers", reason="transformers is not installed (extra 'teach')")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.odyssey import AttentiveStatistics  # noqa: E402
from edge_ser.teachers.published import Dawn, MeanTeacher, Odyssey, load_published  # noqa: E402
from edge_ser.teachers.targets import Targets  # noqa: E402
from tests.edge_ser.teachers.small import (  # noqa: E402
    DAWN_CONFIG,
    ODYSSEY_CONFIG,
    noise,
    save_dawn,
    save_odyssey,
    write_json,
)


@pytest.fixture(scope="module")
def dawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers") / "dawn"
    return folder, save_dawn(folder)


@pytest.fixture(scope="module")
def odyssey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers") / "odyssey"
    return folder, save_odyssey(folder)


def _copy(folder, to):
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


ATTENTION = [f"{part}_proj.{kind}" for part in "qkv" for kind in ("weight", "bias")]


def _encoder_names(prefix, layers, conv_bias, wavlm):
    """Every name of a wav2vec 2.0 or WavLM of the large kind."""
    both = ("weight", "bias")
    names = {f"{prefix}.masked_spec_embed"}
    for i in range(7):
        conv = f"{prefix}.feature_extractor.conv_layers.{i}"
        names |= {f"{conv}.conv.weight"} | {f"{conv}.layer_norm.{kind}" for kind in both}
        names |= {f"{conv}.conv.bias"} if conv_bias else set()
    names |= {
        f"{prefix}.feature_projection.{part}.{kind}" for part in ("layer_norm", "projection") for kind in both
    }
    names |= {f"{prefix}.encoder.layer_norm.{kind}" for kind in both}
    position = f"{prefix}.encoder.pos_conv_embed.conv"
    names |= {f"{position}.bias"} | {f"{position}.parametrizations.weight.original{i}" for i in (0, 1)}
    for i in range(layers):
        layer = f"{prefix}.encoder.layers.{i}"
        names |= {f"{layer}.attention.{part}" for part in ATTENTION}
        names |= {f"{layer}.attention.out_proj.{kind}" for kind in both}
        parts = (
            "layer_norm",
            "final_layer_norm",
            "feed_forward.intermediate_dense",
            "feed_forward.output_dense",
        )
        names |= {f"{layer}.{part}.{kind}" for part in parts for kind in both}
        if wavlm:
            names |= {f"{layer}.attention.gru_rel_pos_const"}
            names |= {f"{layer}.attention.gru_rel_pos_linear.{kind}" for kind in both}
            names |= {f"{layer}.attention.rel_attn_embed.weight"} if i == 0 else set()
    return names


def test_dawns_tensors_have_the_published_names(dawn):
    _, model = dawn
    head = {f"classifier.{part}.{kind}" for part in ("dense", "out_proj") for kind in ("weight", "bias")}
    assert set(model.state_dict()) == _encoder_names("wav2vec2", 2, True, False) | head


def test_odysseys_tensors_have_the_published_names(odyssey):
    _, model = odyssey
    head = {"pool_model.sap_linear.weight", "pool_model.sap_linear.bias", "pool_model.attention"}
    head |= {
        f"ser_model.{part}.{kind}" for part in ("fc.0.0", "fc.0.1", "out.0") for kind in ("weight", "bias")
    }
    assert set(model.state_dict()) == _encoder_names("ssl_model", 2, False, True) | head
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["pool_model.attention"] == (32, 1) and shapes["ser_model.fc.0.0.weight"] == (32, 64)


def test_in_full_size_they_have_the_published_numbers_of_parameters():
    from transformers import Wav2Vec2Config, WavLMConfig

    large = {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
    large |= {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
    with torch.device("meta"):
        dawn = Dawn(Wav2Vec2Config(num_hidden_layers=12, conv_bias=True, **large))
        odyssey = Odyssey(WavLMConfig(num_hidden_layers=24, mask_time_prob=0.075, **large), 0.0, 1.0)
    counts = [sum(value.numel() for value in model.parameters()) for model in (dawn, odyssey)]
    # arXiv 2408.13920: 165.3 M, 318.6 M and 483.9 M together
    assert [round(count / 1e6, 1) for count in (*counts, sum(counts))] == [165.3, 318.6, 483.9]
    shapes = {name: tuple(value.shape) for name, value in odyssey.state_dict().items()}
    assert shapes["pool_model.sap_linear.weight"] == (1024, 1024)
    assert shapes["ser_model.fc.0.0.weight"] == (1024, 2048) and shapes["ser_model.out.0.weight"] == (3, 1024)


@pytest.mark.parametrize("old", [True, False], ids=["pytorch_model.bin", "model.safetensors"])
def test_what_was_saved_is_loaded(tmp_path, old):
    for save, kind in ((save_dawn, Dawn), (save_odyssey, Odyssey)):
        folder = tmp_path / kind.__name__
        saved = save(folder, old=old)
        loaded = load_published(folder)
        assert type(loaded) is kind and not loaded.training
        state = loaded.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in saved.state_dict().items())
        answer = loaded.targets(noise(0.5))
        assert answer.adv.shape == (3,) and answer.logits is None and answer.hint is None
        assert np.array_equal(answer.adv, saved.targets(noise(0.5)).adv)


def test_dawn_is_the_mean_of_states_and_a_head_of_two_layers(dawn):
    from transformers import Wav2Vec2FeatureExtractor

    folder, model = dawn
    wave = noise(0.4)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    x = extractor(wave, sampling_rate=16000, return_tensors="pt").input_values
    np.testing.assert_allclose(model.prepare(wave), x[0], atol=1e-5)
    state = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
    with torch.inference_mode():
        pooled = model.wav2vec2(x).last_hidden_state[0].numpy().astype(np.float64).mean(0)
    hidden = np.tanh(state["classifier.dense.weight"] @ pooled + state["classifier.dense.bias"])
    expected = state["classifier.out_proj.weight"] @ hidden + state["classifier.out_proj.bias"]
    np.testing.assert_allclose(model.targets(wave).adv, expected, atol=1e-5)


def test_odyssey_normalises_pools_and_answers_as_described(odyssey):
    _, model = odyssey
    wave = noise(0.4)
    x = (wave + 8.278621631819787e-05) / (0.08485510250851999 + 1e-6)
    np.testing.assert_allclose(model.prepare(wave), x, rtol=1e-6)
    s = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
    with torch.inference_mode():
        h = model.ssl_model(torch.from_numpy(x.astype(np.float32))[None]).last_hidden_state[0].numpy()
    pooled = _statistics(
        h, s["pool_model.sap_linear.weight"], s["pool_model.sap_linear.bias"], s["pool_model.attention"]
    )
    y = s["ser_model.fc.0.0.weight"] @ pooled + s["ser_model.fc.0.0.bias"]
    y = (y - y.mean()) / np.sqrt(y.var() + 1e-5) * s["ser_model.fc.0.1.weight"] + s["ser_model.fc.0.1.bias"]
    expected = s["ser_model.out.0.weight"] @ np.maximum(y, 0) + s["ser_model.out.0.bias"]
    np.testing.assert_allclose(model.targets(wave).adv, expected, atol=1e-4)


def _statistics(x, weight, bias, attention):
    x = x.astype(np.float64)
    score = np.tanh(x @ weight.T + bias) @ attention
    share = np.exp(score - score.max())
    share /= share.sum()
    mean = (share * x).sum(0)
    return np.concatenate([mean, np.sqrt(np.maximum((share * x**2).sum(0) - mean**2, 1e-5))])


def test_attentive_statistics_against_numpy_and_where_the_deviation_is_clamped():
    torch.manual_seed(3)
    pool = AttentiveStatistics(6)
    x = torch.randn(2, 9, 6)
    x[1] = x[1, :1]  # no deviation at all
    with torch.no_grad():
        pooled = pool(x).numpy()
        weights = pool.sap_linear.weight.numpy(), pool.sap_linear.bias.numpy(), pool.attention.numpy()
    for row, one in zip(pooled, x.numpy(), strict=True):
        np.testing.assert_allclose(row, _statistics(one, *weights), atol=1e-4)
    np.testing.assert_allclose(pooled[1, 6:], np.sqrt(1e-5), rtol=1e-3)


@pytest.mark.parametrize(("save", "config"), [(save_dawn, DAWN_CONFIG), (save_odyssey, ODYSSEY_CONFIG)])
def test_outputs_come_in_the_projects_order(tmp_path, save, config):
    plain = save(tmp_path / "plain")
    save(tmp_path / "turned", id2label={"0": "valence", "1": "arousal", "2": "dominance"})
    turned = load_published(tmp_path / "turned")
    np.testing.assert_array_equal(turned.targets(noise(0.3)).adv, plain.targets(noise(0.3)).adv[[1, 2, 0]])
    assert turned.identity != load_published(tmp_path / "plain").identity


def test_an_identity_is_of_content_not_of_place(tmp_path, dawn):
    folder, model = dawn
    same = load_published(_copy(folder, tmp_path / "copy"))
    assert same.identity == Dawn.load(folder).identity == model.identity
    save_dawn(tmp_path / "other", seed=9)
    assert Dawn.load(tmp_path / "other").identity != same.identity
    assert len(same.identity) == 64


def test_a_masking_vector_that_is_absent_is_not_missed(tmp_path, odyssey):
    from safetensors.torch import load_file, save_file

    folder, model = odyssey
    copy = _copy(folder, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors["ssl_model.masked_spec_embed"]
    save_file(tensors, copy / "model.safetensors")
    one, two = load_published(copy), load_published(copy)
    assert np.array_equal(one.targets(noise(0.3)).adv, model.targets(noise(0.3)).adv)
    assert one.identity == two.identity


def test_the_mean_is_plain_and_not_clipped(dawn, odyssey):
    members = [load_published(dawn[0]), load_published(odyssey[0])]
    mean = MeanTeacher(members)
    wave = noise(0.3)
    one, two = (member.targets(wave).adv for member in members)
    np.testing.assert_allclose(mean.targets(wave).adv, (one + two) / 2, atol=1e-6)
    assert mean.identity == MeanTeacher(members[::-1]).identity != members[0].identity
    assert mean.labels == () and mean.hint_size == 0

    class Loud:
        identity, labels, hint_size = "loud", (), 0

        def targets(self, wave):
            return Targets(np.array([3.0, -1.0, 0.5], np.float32))

    np.testing.assert_allclose(MeanTeacher([Loud(), Loud()]).targets(wave).adv, [3.0, -1.0, 0.5])


def test_a_mean_of_one_or_of_a_teacher_without_answers_is_refused():
    class Mute:
        identity, labels, hint_size = "mute", ("sad",), 0

        def targets(self, wave):
            return Targets(logits=np.zeros(1, np.float32))

    with pytest.raises(EdgeSerError, match="two teachers or more, not 1"):
        MeanTeacher([Mute()])
    with pytest.raises(EdgeSerError, match="gives no arousal"):
        MeanTeacher([Mute(), Mute()]).targets(noise(0.1))


@pytest.mark.parametrize(
    ("wave", "says"),
    [
        (np.zeros(399, np.float32), "399 samples are too few for the teacher, which needs 400"),
        (np.zeros(16000 * 60 + 1, np.float32), "longer than the 60 s"),
        (np.full(800, np.nan, np.float32), "no numbers"),
        (np.zeros((2, 800), np.float32), "one row"),
        (np.zeros(800, np.int16), "one row of floating point samples"),
    ],
)
def test_a_recording_that_cannot_be_heard_is_refused(dawn, wave, says):
    with pytest.raises(EdgeSerError, match=says):
        dawn[1].targets(wave)


def test_silence_and_one_frame_give_numbers(dawn, odyssey):
    for _, model in (dawn, odyssey):
        for wave in (np.zeros(4000, np.float32), noise(0.025)):
            assert np.isfinite(model.targets(wave).adv).all()


def _damage(folder, how):
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    config = json.loads((folder / "config.json").read_text())
    if how == "no config":
        (folder / "config.json").unlink()
    elif how == "no weights":
        weights.unlink()
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how in ("missing", "more", "shape"):
        tensors = load_file(weights)
        name = next(n for n in tensors if n.endswith("encoder.layer_norm.weight"))
        if how == "missing":
            del tensors[name]
        elif how == "more":
            tensors["lm_head.weight"] = tensors[name].clone()
        else:
            tensors[name] = torch.zeros(7)
        save_file(tensors, weights)
    elif how == "unnamed":
        write_json(
            folder / "config.json", config | {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}
        )
    elif how == "type":
        write_json(folder / "config.json", config | {"model_type": "bert"})
    elif how == "json":
        (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no config", "has no config.json; it is not a whole model"),
        ("no weights", "has no model.safetensors and no pytorch_model.bin"),
        ("cut", "model.safetensors cannot be read .*get a fresh copy"),
        ("missing", "lacks .*encoder.layer_norm.weight; it is not a model of this kind"),
        ("more", "has unknown tensors: lm_head.weight"),
        ("shape", r"encoder.layer_norm.weight is of shape \(7,\)"),
        ("unnamed", "names the outputs .*they should be arousal, dominance, valence"),
        ("type", "'bert'"),
        ("json", "config.json is damaged"),
    ],
)
@pytest.mark.parametrize("save", [save_dawn, save_odyssey])
def test_a_folder_that_is_not_whole_is_one_sentence(tmp_path, save, how, says):
    folder = tmp_path / "teacher"
    save(folder, old=False)
    _damage(folder, how)
    with pytest.raises(EdgeSerError, match=says) as error:
        load_published(folder)
    assert "\n" not in str(error.value)


def test_each_loader_refuses_the_others_model(dawn, odyssey):
    with pytest.raises(EdgeSerError, match="not the 'ser' on 'microsoft/wavlm-large'"):
        Odyssey.load(dawn[0])
    with pytest.raises(EdgeSerError, match="not the wav2vec2 that Dawn is built on"):
        Dawn.load(odyssey[0])


@pytest.mark.parametrize("name", ["mean", "std", "hidden_size", "classifier_hidden_layers"])
def test_odysseys_first_description_without_its_constants_is_refused(tmp_path, odyssey, name):
    copy = _copy(odyssey[0], tmp_path / "copy")
    write_json(copy / "config.json", {k: v for k, v in ODYSSEY_CONFIG.items() if k != name})
    with pytest.raises(EdgeSerError, match=f"config.json lacks {name}"):
        Odyssey.load(copy)


def test_dawn_says_when_the_preprocessor_is_unknown_or_hears_another_rate(tmp_path, dawn):
    copy = _copy(dawn[0], tmp_path / "copy")
    write_json(copy / "preprocessor_config.json", {"mean": 10})
    with pytest.raises(EdgeSerError, match="does not say do_normalize"):
        Dawn.load(copy)
    write_json(copy / "preprocessor_config.json", {"do_normalize": True, "sampling_rate": 8000})
    with pytest.raises(EdgeSerError, match="hears 8000 Hz"):
        Dawn.load(copy)


@pytest.mark.parametrize("change", [{"hidden_size": "large"}, {"num_attention_heads": 5}])
def test_a_description_that_transformers_refuses_is_a_sentence(tmp_path, dawn, change):
    copy = _copy(dawn[0], tmp_path / "copy")
    write_json(copy / "config.json", DAWN_CONFIG | change)
    with pytest.raises(EdgeSerError, match="config.json"):
        Dawn.load(copy)
