"""Feature vectors of files: what they hold, extraction with a cache over processes, tables, a scikit-learn step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_ser.features.cache import Cache, CacheError
from edge_ser.features.extraction import Result, extract
from edge_ser.features.functionals import FUNCTIONALS, summarise
from edge_ser.features.recordings import Recording, find_recordings
from edge_ser.features.spec import SETS, WHOLE, VectorSpec, load_spec
from edge_ser.features.table import FeatureRows, extract_rows
from edge_ser.features.vector import feature_vector, vector_names

__all__ = [
    "FUNCTIONALS",
    "SETS",
    "WHOLE",
    "Cache",
    "CacheError",
    "FeatureRows",
    "FeatureTable",
    "Recording",
    "Result",
    "VectorSpec",
    "extract",
    "extract_rows",
    "feature_vector",
    "find_recordings",
    "load_spec",
    "summarise",
    "vector_names",
]

if TYPE_CHECKING:
    from edge_ser.features.estimator import FeatureTable


def __getattr__(name: str) -> Any:
    """`FeatureTable` when it is asked for: it needs scikit-learn, and all else here does not."""
    if name == "FeatureTable":
        from edge_ser.features.estimator import FeatureTable

        return FeatureTable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
