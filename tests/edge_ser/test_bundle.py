"""A bundle is whole or refused, and written whole or not at all."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge_ser.bundle as module
from edge_ser.bundle import bundle_names, list_bundles, load_bundle, write_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.manifest import VERSION
from tests.support import SPEC, manifest

FILES = {"weights.safetensors": b"weights", "MODEL_CARD.md": b"# card\n"}
ENTRIES = [
    {"path": "weights.safetensors", "engine": "numpy", "precision": "fp32"},
    {"path": "MODEL_CARD.md", "engine": None, "precision": None},
]


def write(folder, files=FILES, **changes):
    overwrite = changes.pop("overwrite", False)
    return write_bundle(folder, manifest(ENTRIES) | changes, files, overwrite=overwrite)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "tiny").path


def edit(folder, change):
    """Apply a function to bundle.json's object."""
    path = folder / "bundle.json"
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def test_fields(folder):
    bundle = load_bundle(folder)
    assert bundle.path == folder
    assert bundle.spec == SPEC
    assert bundle.step_frames == 20
    assert bundle.states[0].name == "stem0"
    assert bundle.states[-1].shape == (1, 20, 196)
    assert bundle.variants() == [("numpy", "fp32")]
    assert bundle.variants("window") == []
    assert bundle.file("numpy", "fp32") == folder / "weights.safetensors"
    assert bundle.card == folder / "MODEL_CARD.md"
    assert bundle.calibration.temperature == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.name = "other"


def test_a_file_it_lacks(folder):
    with pytest.raises(EdgeSerError, match=r"no model file for litert int8; it has: numpy fp32"):
        load_bundle(folder).file("litert", "int8")
    with pytest.raises(EdgeSerError, match=r"nothing in the form 'clip'"):
        load_bundle(folder).file("numpy", "fp32", "clip")


def test_what_it_prefers(folder, tmp_path):
    bundle = load_bundle(folder)
    assert bundle.preferred == {} and bundle.preferred_precision("onnx") == "fp32"
    bundle = write(tmp_path / "told", preferred={"numpy": "fp32"})
    assert load_bundle(bundle.path).preferred == {"numpy": "fp32"}
    kept = [file for file in bundle.files if file.engine is None]
    eight = dataclasses.replace(bundle.files[0], engine="litert", precision="int8")
    half = dataclasses.replace(eight, precision="fp16")
    odd = dataclasses.replace(bundle, files=(*kept, eight, half), preferred={})
    assert odd.preferred_precision("litert") == "int8" and odd.preferred_precision("numpy") == "fp32"
    assert dataclasses.replace(odd, preferred={"litert": "fp16"}).preferred_precision("litert") == "fp16"
    assert json.loads((bundle.path / "bundle.json").read_text())["version"] == 1  # older readers let it be
    for wrong in ({"numpy": "int8"}, {"litert": "fp32"}, {"numpy": "fp8"}, {"numpy": 32}, ["numpy"], "fp32"):
        edit(bundle.path, lambda entries, wrong=wrong: entries.update(preferred=wrong))
        refused(bundle.path, "preferred")


def test_names(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    (tmp_path / ".aside").mkdir()
    assert bundle_names() == ["tiny"]
    assert [bundle.name for bundle in list_bundles()] == ["tiny"]
    assert load_bundle("tiny").path == folder
    with pytest.raises(EdgeSerError, match=r"no model or bundle folder 'tyni'; the models here are tiny"):
        load_bundle("tyni")
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "nothing")
    with pytest.raises(EdgeSerError, match="no model comes with"):
        load_bundle("tiny")


def test_light_to_import():
    code = (
        "import sys, edge_ser.bundle, edge_ser.tensors;"
        "print(*{m.split('.')[0] for m in sys.modules} & {'torch','numba','scipy','librosa','sklearn','pandas'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def refused(path, *words):
    with pytest.raises(EdgeSerError) as caught:
        load_bundle(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 600
    for word in words:
        assert word in sentence, sentence


def test_damaged_files(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(b"Weights")
    refused(folder, "SHA-256", "get a fresh copy")
    weights.write_bytes(b"weights and more")
    refused(folder, "16 bytes, not 7")
    weights.unlink()
    refused(folder, "lacks its file weights.safetensors")
    weights.mkdir()
    refused(folder, "lacks its file weights.safetensors")


def test_a_link_out_of_the_folder(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"weights")
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(outside)
    refused(folder, "lacks its file")


def test_no_bundle(tmp_path):
    refused(tmp_path / "nothing", "no model or bundle folder")
    refused(tmp_path, "has no bundle.json")
    refused("nul\0byte", "no model or bundle folder")
    (tmp_path / "bundle.json").write_bytes(b"\xff\xfe")
    refused(tmp_path, "damaged")
    (tmp_path / "bundle.json").write_text("[]")
    refused(tmp_path, "not a JSON object")
    (tmp_path / "bundle.json").write_text('{"format": "somebody-else"}')
    refused(tmp_path, "not a bundle of edge-ser")
    (tmp_path / "bundle.json").write_text(" " * (5 << 20))
    refused(tmp_path, "damaged")


def test_a_newer_version(folder):
    edit(folder, lambda entries: entries.update(version=VERSION + 1))
    refused(folder, f"version {VERSION + 1}", "update edge-ser")


def test_a_model_may_have_learnt_no_ratings(folder):
    assert load_bundle(folder).adv.learnt
    edit(folder, lambda entries: entries["adv"].update(learnt=False))
    assert not load_bundle(folder).adv.learnt
    edit(folder, lambda entries: entries["adv"].update(learnt="no"))
    refused(folder, "learnt", "true or false")


def test_what_a_later_toolkit_adds_is_let_be(folder):
    edit(folder, lambda entries: entries.update(more={"a": 1}))
    load_bundle(folder)


WRONG = [None, True, -1, 1.5, 10**17, "", "\x1b[2J", "text", [], [1], {}, {"a": 1}]


def keys(value, path=()):
    """The place of every entry in nested objects and lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from keys(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from keys(item, (*path, index))


FREE = {"config", "training"}  # the architecture's and the trainer's own


def test_every_missing_entry_is_named(folder):
    whole = json.loads((folder / "bundle.json").read_text())
    for path in keys(whole):
        if path[0] in FREE and len(path) > 1:
            continue
        if isinstance(path[-1], int) or path[-2:] in {("files", "engine"), ("files", "precision")}:
            continue
        entries = copy.deepcopy(whole)
        place = entries
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        (folder / "bundle.json").write_text(json.dumps(entries))
        if path[0] == "files" and path[-1] in ("engine", "precision") and path[1] == 1:
            load_bundle(folder)  # the card's may be left out: they are null
        else:
            refused(folder, "format" if path == ("format",) else str(path[-1]))


@settings(max_examples=500)
@given(st.integers(0, 2**32))
def test_mutated_entries_never_crash(tmp_path_factory, seed):
    chance = random.Random(seed)
    entries = json.loads(json.dumps(manifest(ENTRIES)))
    entries |= {"format": "edge-ser-bundle", "version": 1}
    for file in entries["files"]:
        file |= {"sha256": "0" * 64, "bytes": 7}
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(list(keys(entries)))
        place = entries
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = copy.deepcopy(chance.choice(WRONG))  # the next change may be inside it
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "bundle.json").write_text(json.dumps(entries))
    refused(folder)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_mutated_bytes_never_crash(tmp_path_factory, seed):
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("hostile") / "tiny"
    path = write(folder).path / "bundle.json"
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[at] = chance.randrange(256)
        else:
            del data[at : at + chance.randint(1, 40)]
    path.write_bytes(data)
    try:
        load_bundle(folder)
    except EdgeSerError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "path",
    ["../secret", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "a\\b", "C:x", "bundle.json", "a\0b", "é"],
)
def test_paths_stay_in_the_folder(folder, path):
    edit(folder, lambda entries: entries["files"][0].update(path=path))
    refused(folder, "files[0].path")


def test_entries_that_contradict_each_other(folder):
    whole = (folder / "bundle.json").read_text()
    changes = {
        "features": lambda e: e.update(step_frames=10),
        "logits": lambda e: e.update(labels=["a", "b"]),
        "repetitions": lambda e: e["files"].append(e["files"][0]),
        "names differ": lambda e: e["states"].append(e["states"][0]),
        "adv": lambda e: e["adv"].update(order=["valence", "arousal", "dominance"]),
        "one model file": lambda e: e.update(files=e["files"][1:]),
        "protocol": lambda e: e["figures"].append({"uar": 0.9}),
        "batch of one": lambda e: e["states"][0].update(shape=[2, 1, 2, 64]),
        "at most": lambda e: e["states"][0].update(shape=[1, 1 << 20, 1 << 20]),
        "n_fft": lambda e: e["spec"].update(n_fft=1 << 20),
        "no more bands than points": lambda e: e["spec"].update(n_fft=512, n_mels=513),
        "bands times bins": lambda e: e["spec"].update(n_fft=1 << 15, n_mels=1 << 15),
        "config.labels must be the same as labels": lambda e: e["labels"].reverse(),
        "config.labels": lambda e: e["config"].update(labels=e["config"]["labels"][::-1]),
        "config.step_frames": lambda e: e["config"].update(step_frames=10**8),
        "config.n_mels must be the same as spec.n_mels": lambda e: e["config"].update(n_mels=None),
    }
    for word, change in changes.items():
        (folder / "bundle.json").write_text(whole)
        edit(folder, change)
        refused(folder, word)


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\r", "\x7f", "\x9b2J", "\u202e", "\ud800"], ids=ascii)
def test_text_that_terminals_would_obey_is_refused_wherever_it_is(folder, hidden):
    whole = (folder / "bundle.json").read_text()
    changes = {
        "figures[0].corpus must be": lambda e: e["figures"].append(
            {"protocol": "x", "corpus": f"{hidden}red"}
        ),
        "training.data[0].name must be": lambda e: e["training"]["data"][0].update(name=hidden),
        "training.data must be": lambda e: e.update(training={"data": {f"a{hidden}": hidden}}),
        "more[0][0] must be": lambda e: e.update(more=[[hidden]]),
    }
    for words, change in changes.items():
        (folder / "bundle.json").write_text(whole)
        edit(folder, change)
        refused(folder, words, "control characters")
    (folder / "bundle.json").write_text(whole)
    edit(folder, lambda e: e["training"].update(citation="A. Müller,\n\tيك ر‌ا\u00a0… 音声"))
    load_bundle(folder)


def test_a_config_may_be_silent_on_what_the_rest_says(folder):
    edit(folder, lambda entries: entries.update(config={"layers": 3}))
    assert load_bundle(folder).config == {"layers": 3}


def test_write_refuses_what_exists(folder):
    with pytest.raises(EdgeSerError, match="exists"):
        write(folder)
    write(folder, overwrite=True, licence="other")
    assert load_bundle(folder).licence == "other"
    assert sorted(os.listdir(folder.parent)) == ["tiny"]


def test_overwriting_spares_what_is_no_part_of_a_bundle(folder, tmp_path):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(EdgeSerError, match=r"notes\.txt"):
        write(folder, overwrite=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter").write_text("dear")
    with pytest.raises(EdgeSerError, match="not a bundle"):
        write(home, overwrite=True)
    with pytest.raises(EdgeSerError, match="is a file"):
        write(home / "letter", overwrite=True)
    assert (home / "letter").read_text() == "dear"
    (home / "letter").unlink()
    write(home, overwrite=True)  # an empty folder is nobody's


def test_overwriting_without_exchange(folder, monkeypatch):
    monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    write(folder, overwrite=True, licence="other")
    assert load_bundle(folder).licence == "other"
    assert sorted(os.listdir(folder.parent)) == ["tiny"]


def test_a_write_that_fails_leaves_what_was_there(folder, monkeypatch):
    before = (folder / "bundle.json").read_bytes()
    monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    real = module.Path.rename

    def rename(self, target):
        if self.name.startswith(".tiny.") and target == folder:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(module.Path, "rename", rename)
    with pytest.raises(EdgeSerError, match="No space left"):
        write(folder, overwrite=True, licence="other")
    monkeypatch.undo()
    assert (folder / "bundle.json").read_bytes() == before
    load_bundle(folder)
    assert sorted(os.listdir(folder.parent)) == ["tiny"]


def test_write_checks_the_manifest(tmp_path):
    cases = {
        "does not list": lambda: write(tmp_path / "x", files={**FILES, "other": b""}),
        "no such file": lambda: write(tmp_path / "x", files={"MODEL_CARD.md": b""}),
        "parameters": lambda: write(tmp_path / "x", parameters="many"),
        "JSON": lambda: write(tmp_path / "x", training={"x": float("nan")}),
        "no folder": lambda: write(tmp_path / "no" / "x"),
    }
    for word, action in cases.items():
        with pytest.raises(EdgeSerError, match=word):
            action()
    assert list(tmp_path.iterdir()) == []


def test_readable_by_others(folder):
    mask = os.umask(0)
    os.umask(mask)
    assert folder.stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_bundle_can_be_moved(folder, tmp_path):
    shutil.move(folder, tmp_path / "elsewhere")
    assert load_bundle(tmp_path / "elsewhere").name == "tiny"
