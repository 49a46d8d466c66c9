"""Where models lie: folders, and names on a hub that stands in for the real one."""

from __future__ import annotations

import logging
import pickle

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")
hub = pytest.importorskip("huggingface_hub", reason="transformers is not installed (extra 'teach')")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.published import Dawn  # noqa: E402
from edge_ser.teachers.sources import Source  # noqa: E402
from tests.edge_ser.teachers.small import noise, save_dawn  # noqa: E402


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A hub with one model, owner/dawn; gives the names that were asked for."""
    save_dawn(tmp_path / "shelf")
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        if repository != "owner/dawn":
            raise hub.errors.LocalEntryNotFoundError("cannot reach the hub\nmore lines")
        if not (tmp_path / "shelf" / name).exists():
            raise hub.errors.RemoteEntryNotFoundError.__new__(hub.errors.RemoteEntryNotFoundError)
        return str(tmp_path / "shelf" / name)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    return asked


def test_a_name_on_the_hub_gives_what_its_folder_gives(shelf, tmp_path):
    fetched = Dawn.load("owner/dawn")
    assert fetched.identity == Dawn.load(tmp_path / "shelf").identity
    assert fetched.targets(noise(0.2)).adv.shape == (3,)
    assert ("owner/dawn", "model.safetensors") in shelf  # asked for first, and not there
    assert ("owner/dawn", "pytorch_model.bin") in shelf


def test_a_hub_that_is_out_of_reach_is_one_sentence(shelf):
    with pytest.raises(
        EdgeSerError, match="there is no folder models/dawn, and the hub does not give config.json"
    ) as e:
        Dawn.load("models/dawn")
    assert "\n" not in str(e.value) and "check the name and the network" in str(e.value)


@pytest.mark.parametrize("name", ["/no/such/folder", "dawn", "./models/dawn", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_name_is_said(name):
    with pytest.raises(EdgeSerError, match="there is no folder .*or its name on the hub"):
        Source(name)


class _Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("what", ["not a pickle", "evil", "a list", "numbers"])
def test_weights_that_are_no_tensors_are_refused_and_never_run(tmp_path, what, capsys):
    path = tmp_path / "pytorch_model.bin"
    if what == "not a pickle":
        path.write_bytes(b"rubbish")
    elif what == "evil":
        path.write_bytes(pickle.dumps(_Evil(), protocol=2))
    else:
        torch.save([torch.zeros(2)] if what == "a list" else {"a": 1.0}, path)
    with pytest.raises(EdgeSerError, match="pytorch_model.bin .*get ") as error:
        Source(tmp_path).weights()
    assert "\n" not in str(error.value) and "must not run" not in capsys.readouterr().out


def test_weights_come_in_single_precision_under_todays_names(tmp_path):
    torch.save(
        {"a.weight_g": torch.ones(2, dtype=torch.float16), "b": torch.ones(1)}, tmp_path / "pytorch_model.bin"
    )
    weights = Source(tmp_path).weights()
    assert set(weights) == {"a.parametrizations.weight.original0", "b"}
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_chatter_of_an_import_is_kept_back_and_what_comes_later_is_not(monkeypatch, caplog):
    import edge_ser.teachers.sources as module

    loud = [logging.getLogger(name) for name in ("torchao.kernel.intmm", "torch.utils._pytree")]

    class Package:
        def __getattr__(self, name):
            for logger in loud:
                logger.warning("chatter")
            loud[0].error("trouble")
            return name

    monkeypatch.setattr(module, "require", lambda *_, **__: Package())
    assert module.transformers_class("WavLMModel") == "WavLMModel"
    loud[1].warning("later")
    assert [record.message for record in caplog.records] == ["trouble", "later"]
