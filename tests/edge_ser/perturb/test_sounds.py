"""Sounds in memory: what is read, what is left out, and a digest that tells them apart."""

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.corpora import load_sounds
from edge_ser.errors import EdgeSerError
from edge_ser.perturb import Sounds, load_sounds_of
from tests.edge_ser.perturb.signals import noise_of, tone
from tests.support import need_corpus


@pytest.fixture
def folders(tmp_path):
    for name, files in {
        "noises": {"hum": tone(100), "hiss": noise_of(4000)},
        "rooms": {"hall": noise_of(800) * np.exp(-np.arange(800) / 40), "filter-low": np.ones(10) / 10},
        "voices": {"one": tone(200)},
    }.items():
        (tmp_path / name).mkdir()
        for stem, wave in files.items():
            write_wav(tmp_path / name / f"{stem}.wav", wave)
    return tmp_path


def test_folders_are_read_in_order_and_filters_are_no_rooms(folders):
    sounds = Sounds.load([folders / "noises"], [folders / "rooms"], sorted((folders / "voices").iterdir()))
    assert [len(wave) for wave in sounds.noises] == [4000, 16000]
    assert len(sounds.rooms) == len(sounds.voices) == 1
    # 60 dB below: seven times the 40 samples in which the amplitude falls to a third
    assert 230 < len(sounds.rooms[0]) < 330
    assert all(wave.dtype == np.float32 for wave in (*sounds.noises, *sounds.rooms, *sounds.voices))


def test_the_digest_is_of_the_content():
    one, other = Sounds((tone(100), tone(200))), Sounds((tone(100), tone(300)))
    assert one == Sounds([tone(100), tone(200)])
    assert len({s.digest for s in (one, other, Sounds(), Sounds((), (tone(100), tone(200))))}) == 4
    assert "array" not in repr(one)


def test_only_what_is_wanted(folders):
    sounds = Sounds.load([folders / "noises"], [], wanted=lambda sound: sound.path.stem == "hum")
    assert [len(wave) for wave in sounds.noises] == [16000]
    with pytest.raises(EdgeSerError, match="none of the sounds"):
        Sounds.load([folders / "noises"], [], wanted=lambda sound: False)


def test_silence_is_refused_by_its_file(folders):
    write_wav(folders / "noises" / "nothing.wav", np.zeros(100))
    with pytest.raises(EdgeSerError, match=r"nothing\.wav is silent"):
        Sounds.load([folders / "noises"], [])
    write_wav(folders / "voices" / "nobody.wav", np.zeros(100))
    with pytest.raises(EdgeSerError, match=r"nobody\.wav is silent"):
        Sounds.load([], [], [folders / "voices" / "nobody.wav"])
    with pytest.raises(EdgeSerError, match="one of the rooms is silent"):
        Sounds(rooms=(np.zeros(10),))


def test_named_collections_are_looked_for_under_the_root(tmp_path):
    for file in ("noise/n1", "esc10/audio/1-100032-A-0", "rir/kitchen"):
        (tmp_path / file).parent.mkdir(parents=True)
        write_wav(tmp_path / f"{file}.wav", noise_of(len(file)))
    sounds = Sounds.load(root=tmp_path)
    assert [len(wave) for wave in sounds.noises] == [8, 24] and len(sounds.rooms) == 1


def test_what_speech_is_mixed_with_sounds_and_is_not_learnt_from(folders):
    write_wav(folders / "noises" / "nothing.wav", np.zeros(100))
    assert [len(wave) for wave in load_sounds_of([str(folders / "noises")]).others] == [4000, 16000]
    (folders / "still").mkdir()
    write_wav(folders / "still" / "nothing.wav", np.zeros(100))
    with pytest.raises(EdgeSerError, match="all of .*still is silent"):
        load_sounds_of([str(folders / "noises"), str(folders / "still")])
    # one file of several, and that under another name
    table = folders / "mine.csv"
    table.write_text("file,speaker,emotion\nvoices/one.wav,a,sad\n")
    (folders / "noises" / "other.wav").symlink_to(folders / "voices" / "one.wav")
    with pytest.raises(EdgeSerError, match="which the recipe learns from"):
        load_sounds_of([str(folders / "noises")], [str(table)])


def test_the_collections_can_be_loaded():
    need_corpus("noise")
    need_corpus("rir")
    sounds = Sounds.load(["noise"])
    assert len(sounds.noises) == 100
    assert len(sounds.rooms) == len(load_sounds("rir")) - 2
