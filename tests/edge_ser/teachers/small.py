"""Small random teachers of the published architectures, in the published files' layout; and a teacher of four lines."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.teachers.targets import Targets

WIDTH, HEADS, HIDDEN, CONV = 32, 4, 48, 8

# The fields of the published config.json that matter, its odd null among them.
DAWN_CONFIG: dict[str, Any] = {
    "architectures": ["Wav2Vec2ForSpeechClassification"],
    "model_type": "wav2vec2",
    "vocab_size": None,
    "conv_bias": True,
    "conv_dim": [CONV] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "final_dropout": 0.1,
    "hidden_size": WIDTH,
    "id2label": {"0": "arousal", "1": "dominance", "2": "valence"},
    "label2id": {"arousal": 0, "dominance": 1, "valence": 2},
    "intermediate_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
    "transformers_version": "4.17.0.dev0",
}
PREPROCESSOR = {
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": 16000,
}
ODYSSEY_CONFIG: dict[str, Any] = {
    "architectures": ["SERModel"],
    "auto_map": {
        "AutoConfig": "pipeline_utils.SERConfig",
        "AutoModelForAudioClassification": "pipeline_utils.SERModel",
    },
    "classifier_dropout_prob": 0.5,
    "classifier_hidden_layers": 1,
    "hidden_size": WIDTH,
    "id2label": {"0": "arousal", "1": "dominance", "2": "valence"},
    "maxlen": 192000,
    "mean": -8.278621631819787e-05,
    "model_type": "ser",
    "num_attention_heads": HEADS,
    "num_classes": 3,
    "num_hidden_layers": 2,
    "sampling_rate": 16000,
    "ssl_type": "microsoft/wavlm-large",
    "std": 0.08485510250851999,
    "torch_dtype": "float32",
    "transformers_version": "4.34.0.dev0",
}


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """A waveform that tells mean and deviation from 0 and 1."""
    rng = np.random.default_rng(seed)
    n = round(16000 * seconds)
    return (level * rng.normal(0.3, 1, n) * np.sin(np.arange(n) / 900)).astype(np.float32)


def save_weights(folder: Path, tensors: dict[str, Any], *, old: bool) -> None:
    """As ``pytorch_model.bin`` with the names of its time, or as ``model.safetensors``."""
    import torch
    from safetensors.torch import save_file

    if not old:
        save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "model.safetensors")
        return
    names = {
        ".parametrizations.weight.original0": ".weight_g",
        ".parametrizations.weight.original1": ".weight_v",
    }
    renamed = {}
    for name, value in tensors.items():
        for new, before in names.items():
            name = name.replace(new, before)
        renamed[name] = value
    torch.save(renamed, folder / "pytorch_model.bin")


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def save_dawn(folder: Path, seed: int = 0, *, old: bool = True, **changes: Any) -> Any:
    """A small Dawn in its published layout; gives the module that was saved."""
    import torch
    from transformers import Wav2Vec2Config

    from edge_ser.teachers.published import Dawn

    torch.manual_seed(seed)
    model = Dawn(Wav2Vec2Config(**DAWN_CONFIG | {"vocab_size": 32})).eval()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", DAWN_CONFIG | changes)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    write_json(folder / "vocab.json", {})
    save_weights(folder, model.state_dict(), old=old)
    return model


def save_odyssey(folder: Path, seed: int = 1, *, old: bool = False, **changes: Any) -> Any:
    """A small Odyssey in its published layout; gives the module that was saved."""
    import torch
    from transformers import WavLMConfig

    from edge_ser.teachers.published import Odyssey

    torch.manual_seed(seed)
    config = WavLMConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        conv_dim=[CONV] * 7,
        conv_kernel=[10, 3, 3, 3, 3, 2, 2],
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        mask_time_prob=0.075,
    )
    model = Odyssey(config, ODYSSEY_CONFIG["mean"], ODYSSEY_CONFIG["std"]).eval()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", ODYSSEY_CONFIG | changes)
    write_json(folder / "preprocessor_config.json", {"mean": 10})
    save_weights(folder, model.state_dict(), old=old)
    return model


KINDS = {"wav2vec2": "Wav2Vec2", "wavlm": "WavLM", "hubert": "Hubert"}


def save_encoder(
    folder: Path, family: str, *, large: bool, normalise: bool = True, head: bool = False, **changes: Any
) -> Any:
    """A small encoder of a family in its published layout; gives the model that was saved."""
    import torch
    import transformers

    torch.manual_seed(4)
    config = getattr(transformers, f"{KINDS[family]}Config")(
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=HEADS,
        intermediate_size=HIDDEN,
        conv_dim=[CONV] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        do_stable_layer_norm=large,
        feat_extract_norm="layer" if large else "group",
        vocab_size=11,
        **changes,
    )
    model = getattr(transformers, KINDS[family] + ("ForCTC" if head else "Model"))(config).eval()
    model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR | {"do_normalize": normalise})
    return model


def small_whisper(seed: int = 0) -> Any:
    """A small Whisper of transformers, its encoder's positions 1500 as published."""
    import torch
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=HIDDEN,
        decoder_ffn_dim=HIDDEN,
        vocab_size=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return WhisperModel(config).eval()


def ct2_variables(encoder: Any) -> dict[str, np.ndarray]:
    """Faster-whisper's variables of transformers' encoder, by the format's description."""
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    out = {
        "encoder/num_heads": np.int16(encoder.config.encoder_attention_heads),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
        "decoder/embeddings/weight": np.zeros((3, 2), np.float32),  # to be passed over
    }
    for name in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            out[f"encoder/{name}/{kind}"] = state[f"{name}.{kind}"]

    def norm(to: str, at: str) -> None:
        out[f"encoder/{to}/gamma"], out[f"encoder/{to}/beta"] = state[f"{at}.weight"], state[f"{at}.bias"]

    norm("layer_norm", "layer_norm")
    for i in range(encoder.config.encoder_layers):
        to, at = f"layer_{i}", f"layers.{i}"
        norm(f"{to}/self_attention/layer_norm", f"{at}.self_attn_layer_norm")
        norm(f"{to}/ffn/layer_norm", f"{at}.final_layer_norm")
        for kind in ("weight", "bias"):
            query, value = (state[f"{at}.self_attn.{x}_proj.{kind}"] for x in "qv")
            key = state.get(f"{at}.self_attn.k_proj.{kind}", np.zeros_like(query))
            out[f"encoder/{to}/self_attention/linear_0/{kind}"] = np.concatenate([query, key, value])
            out[f"encoder/{to}/self_attention/linear_1/{kind}"] = state[f"{at}.self_attn.out_proj.{kind}"]
            for n in (0, 1):
                out[f"encoder/{to}/ffn/linear_{n}/{kind}"] = state[f"{at}.fc{n + 1}.{kind}"]
    return out


def pack_ct2(variables: dict[str, Any], version: int = 6) -> bytes:
    """Variables as the bytes of a ``model.bin``."""
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def text(string: str) -> bytes:
        return struct.pack("<H", len(string) + 1) + string.encode() + b"\0"

    parts = [struct.pack("<I", version), text("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, value in variables.items():
        array = np.asarray(value)
        data = array.tobytes()
        head = text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        parts += [head, struct.pack("<BI", codes[array.dtype.name], len(data)), data]
    parts.append(struct.pack("<I", 0))  # no aliases
    return b"".join(parts)


class Counting:
    """A teacher of a fixed random projection of a few statistics; it counts what it hears."""

    labels = ("angry", "calm", "happy")
    hint_size = 5

    def __init__(self, seed: int = 0) -> None:
        self.identity = f"counting-{seed}"
        self.weights = np.random.default_rng(seed).normal(0, 1, (11, 4))
        self.heard = 0

    def targets(self, wave: np.ndarray) -> Targets:
        self.heard += 1
        facts = np.array([wave.mean(), wave.std(), np.abs(wave).max(), len(wave) / 16000], np.float64)
        values = np.tanh(self.weights @ facts)
        return Targets(values[:3], values[3:6], values[6:])
