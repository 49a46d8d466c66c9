"""Speech corpora: what is in them, who speaks, and folds that keep speakers apart."""

from edge_ser.corpora.base import ADV, EMOTIONS, Clip, Corpus, LeftOut
from edge_ser.corpora.registry import corpus_names, load_corpus
from edge_ser.corpora.roots import data_root
from edge_ser.corpora.segments import write_table
from edge_ser.corpora.sounds import Sound, SoundCollection, load_classes, load_sounds, sound_names
from edge_ser.corpora.tables import load_csv

__all__ = [
    "ADV",
    "EMOTIONS",
    "Clip",
    "Corpus",
    "LeftOut",
    "Sound",
    "SoundCollection",
    "corpus_names",
    "data_root",
    "load_classes",
    "load_corpus",
    "load_csv",
    "load_sounds",
    "sound_names",
    "write_table",
]
