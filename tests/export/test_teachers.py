"""Large encoders with linear heads as bundles: small random ones of each family."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_ser.cli import main
from edge_ser.evaluation.parity import hard_sounds
from edge_ser.recognizer import Recognizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.encoders import load_encoder  # noqa: E402
from edge_ser.teachers.linear import HeadPart, LinearHeads, LinearTeacher  # noqa: E402
from edge_ser.teachers.registry import TEACHERS  # noqa: E402
from export.formats import FORMATS, choose_formats  # noqa: E402
from export.teachers import NOT_EXPORTED, NamedTeacher, export_teacher  # noqa: E402

LABELS = ("angry", "happy", "sad")
WAVES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
FAMILIES = {
    "wav2vec2": ("Wav2Vec2", WAVES | {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}),
    "hubert": ("Hubert", WAVES),
    "wavlm": ("WavLM", WAVES),
    "whisper": (
        "Whisper",
        {
            "d_model": 32,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_layers": 1,
            "decoder_attention_heads": 4,
            "decoder_ffn_dim": 48,
            "vocab_size": 60,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
        },
    ),
}


def save_encoder(family, folder):
    """A folder as transformers writes it."""
    name, fields = FAMILIES[family]
    torch.manual_seed(1)
    config = getattr(transformers, f"{name}Config")(**fields)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    if family != "whisper":
        (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": family != "hubert"}))
    return folder


def save_heads(folder, path, *, rated=True, centred="", about=None):
    """Heads fitted on noise, as large in their answers as real ones."""
    encoder = load_encoder(folder)
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(24, 2 * encoder.states * encoder.width)).astype(np.float32)
    classes = np.arange(24) % 3
    adv = rng.uniform(size=(24, 3)).astype(np.float32) if rated else np.full((24, 3), np.nan, np.float32)
    how = HeadPart(components=6, hint=2)
    heads = LinearHeads.fit(rows, classes, np.ones((24, 3), bool), adv, LABELS, how)
    LinearTeacher(encoder, heads, centred).save(path, about or {"held_out_fold": 2, "licence": "mine"})
    return path


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavlm")
    return save_encoder("wavlm", folder / "encoder"), save_heads(
        folder / "encoder", folder / "heads.safetensors"
    )


@pytest.mark.parametrize(
    ("family", "form"), [("wav2vec2", "clip"), ("hubert", "window"), ("whisper", "clip")]
)
def test_every_family_becomes_onnx(family, form, tmp_path):
    encoder = save_encoder(family, tmp_path / "encoder")
    heads = save_heads(encoder, tmp_path / "heads.safetensors", rated=family != "hubert")
    teacher = LinearTeacher.load(heads, encoder)
    sounds = {name: hard_sounds(2.0)[name] for name in ("voice-like", "noise", "silence")}
    rows, bundle = export_teacher(
        teacher, tmp_path / "out", choose_formats("onnx,int8"), sounds, {}, window_s=2.0, form=form
    )
    assert bundle is not None, [row.worst for row in rows]
    [made] = [row for row in rows if row.ok]
    assert made.format.key == "onnx-fp32" and made.error.largest < 1e-4
    assert all("is for boards" in row.worst for row in rows if not row.applies) and len(rows) == 4
    assert bundle.adv.source.startswith("none") == (family == "hubert") == (not bundle.adv.learnt)
    # The teacher's own answer, whose encoder computes in bfloat16.
    wave = sounds["voice-like"]
    said, wanted = Recognizer.load(bundle.path, "onnx").predict(wave), teacher.targets(wave)
    shares = np.exp(wanted.logits - wanted.logits.max())
    np.testing.assert_allclose(list(said.emotion.values()), shares / shares.sum(), atol=0.06)
    if family == "hubert":
        assert not said.rated
    else:
        np.testing.assert_allclose([said.arousal, said.dominance, said.valence], wanted.adv, atol=0.06)


def test_the_command(wavlm, tmp_path, capsys):
    import soundfile

    encoder, heads = wavlm
    out = tmp_path / "large"
    options = ["--teacher", str(encoder), "--window", "2", "--hop", "0.5", "--out", str(out), "-o", "json"]
    assert main(["export", str(heads), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["format"] for row in document["formats"] if row["ok"]] == ["onnx"]
    assert len(document["formats"]) == len(FORMATS)
    text = (out / "bundle.json").read_text()
    assert str(tmp_path) not in text and str(encoder) not in text
    entries = json.loads(text)
    assert entries["training"] == {"held_out_fold": 2, "licence": "mine"}
    assert entries["window"] == {"samples": 32000, "normalise": "none"}
    file = tmp_path / "a.wav"
    soundfile.write(file, hard_sounds(1.6)["voice-like"], 16000)
    assert main(["predict", str(file), "--model", str(out), "--over-time", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3  # each half second


def test_the_same_teacher_gives_the_same_bytes(tmp_path):
    from export.to_onnx import convert

    encoder = save_encoder("hubert", tmp_path / "encoder")  # of the families the soonest converted
    heads = save_heads(encoder, tmp_path / "heads.safetensors")
    one, other = (convert(NamedTeacher(LinearTeacher.load(heads, encoder), 32000, "clip")) for _ in range(2))
    assert one == other
    assert not any(word in one for word in (b"/root", b"/work", b"site-packages", b"/tmp", b".py"))


def test_what_cannot_be_exported_says_why(wavlm, tmp_path, capsys):
    encoder, _ = wavlm
    assert set(NOT_EXPORTED) == set(TEACHERS) - {"linear"}
    for kind, reason in NOT_EXPORTED.items():
        path = save_heads(encoder, tmp_path / f"{kind}.safetensors", about={"kind": kind})
        assert main(["export", str(path), "--teacher", str(encoder), "--out", str(tmp_path / "x")]) == 2
        assert f"it is {kind}: {reason}" in capsys.readouterr().err
    centred = save_heads(encoder, tmp_path / "centred.safetensors", centred="speaker")
    with pytest.raises(EdgeSerError, match="hears a recording beside its speaker's others"):
        export_teacher(LinearTeacher.load(centred, encoder), tmp_path / "x", FORMATS, {}, {})
    plain = save_heads(encoder, tmp_path / "plain.safetensors")
    for options, words in (
        (["--input", "features"], "--input says nothing of a teacher"),
        (["--calibrate", "sample"], "--calibrate says nothing of a teacher"),
    ):
        argv = ["export", str(plain), "--teacher", str(encoder), "--out", str(tmp_path / "x"), *options]
        assert main(argv) == 2
        assert words in capsys.readouterr().err
