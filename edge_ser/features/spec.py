"""What a feature vector holds: frame features, how each is summed up, and what describes a recording as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ser.dsp.features import FEATURES, FeatureSpec
from edge_ser.errors import EdgeSerError, require_fields
from edge_ser.features.functionals import check_functionals
from edge_ser.files import parse_toml, read_part

__all__ = ["SETS", "WHOLE", "VectorSpec", "load_spec"]

#: What describes a recording as a whole: name and meaning. `edge_ser.features.vector` computes them.
WHOLE: Mapping[str, str] = {
    "duration": "seconds",
    "level": "root mean square of all samples, dB of full scale, at least -100",
    "snr": "level of the loudest tenth of the frames over that of the quietest, dB, 0 to 100",
    "voiced": "share of the frames that have a pitch",
    "tempo": "beats a minute",
}


@dataclasses.dataclass(frozen=True)
class VectorSpec:
    """A feature vector's description.

    Attributes
    ----------
    frames : FeatureSpec
        Settings of the frame features.
    names : tuple of str
        Which of `edge_ser.dsp.features.FEATURES`.
    functionals : tuple of str
        Which of `edge_ser.features.functionals.FUNCTIONALS`, or quantiles ``q00`` to ``q100``.
    whole : tuple of str
        Which of `WHOLE`.

    Raises
    ------
    EdgeSerError
        An unknown name, a name twice, or nothing at all.
    """

    frames: FeatureSpec = dataclasses.field(default_factory=FeatureSpec)
    names: tuple[str, ...] = tuple(FEATURES)
    functionals: tuple[str, ...] = ("mean", "std")
    whole: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("names", "functionals", "whole"):
            given = getattr(self, field)
            if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
                raise EdgeSerError(f"{field} must be a list of names, not {given!r}")
            object.__setattr__(self, field, tuple(given))
            if twice := sorted({name for name in given if list(given).count(name) > 1}):
                raise EdgeSerError(f"{field} holds {', '.join(twice)} twice")
        for field, known in (("names", FEATURES), ("whole", WHOLE)):
            if unknown := [name for name in getattr(self, field) if name not in known]:
                raise EdgeSerError(
                    f"there is no feature {', '.join(map(repr, unknown))} for {field}; there are {', '.join(known)}"
                )
        check_functionals(self.functionals)
        if bool(self.names) != bool(self.functionals) or not (self.names or self.whole):
            raise EdgeSerError(
                "a feature vector needs names with functionals to sum them up, or something of the whole"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return {
            "frames": self.frames.to_dict(),
            "names": list(self.names),
            "functionals": list(self.functionals),
            "whole": list(self.whole),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> VectorSpec:
        """Build from `to_dict`'s form; every field has to be there.

        Raises
        ------
        EdgeSerError
            A field is missing, unknown or out of its range.
        """
        require_fields(cls, fields, "the feature vector's description")
        if not isinstance(fields["frames"], Mapping):
            raise EdgeSerError(
                f"frames of the feature vector's description must be a table, not {fields['frames']!r}"
            )
        return cls(**{**fields, "frames": FeatureSpec.from_dict(fields["frames"])})


_SHAPE = (
    "spectral_centroid",
    "spectral_bandwidth",
    "spectral_rolloff",
    "spectral_flatness",
    "spectral_contrast",
)

#: Ready-made descriptions, by name.
SETS: Mapping[str, tuple[VectorSpec, str]] = {
    "speech": (
        VectorSpec(
            FeatureSpec(n_fft=512, hop_length=160, n_mels=40, n_mfcc=20, fmin=20.0, tuning=0.0),
            ("mfcc", "mfcc_delta", *_SHAPE, "band_energy", "zero_crossing_rate", "rms", "f0", "aperiodicity"),
            ("mean", "std", "q05", "median", "q95", "slope"),
            ("duration", "snr", "voiced"),
        ),
        "frames of 32 ms every 10 ms: voice, timbre and their course",
    ),
    "classic": (
        VectorSpec(
            FeatureSpec(),
            ("mfcc", "chroma", "log_mel", "tonnetz", *_SHAPE, "zero_crossing_rate", "rms"),
            ("mean", "std", "min", "max"),
            ("snr", "tempo"),
        ),
        "librosa's usual settings, as tables of the literature have them: 40 MFCC, chroma, mel, contrast, tonnetz ...",
    ),
    "full": (
        VectorSpec(
            FeatureSpec(),
            tuple(FEATURES),
            (
                "mean",
                "std",
                "min",
                "max",
                "q05",
                "q25",
                "median",
                "q75",
                "q95",
                "slope",
                "skewness",
                "kurtosis",
            ),
            tuple(WHOLE),
        ),
        "all features with all that sums them up",
    ),
}


def load_spec(name: str | Path | VectorSpec) -> VectorSpec:
    """A feature vector's description by name or from a TOML file.

    Parameters
    ----------
    name : str, path or VectorSpec
        One of `SETS`, or a TOML file with any of the lists ``names``, ``functionals``, ``whole``, the table
        ``frames`` (fields of `FeatureSpec`), and ``set``, the one of `SETS` that all else is taken from ("speech").

    Returns
    -------
    VectorSpec

    Raises
    ------
    EdgeSerError
        Neither is there, or the file has something that is not known; the sentence lists what is.
    """
    if isinstance(name, VectorSpec):
        return name
    if isinstance(name, str) and name in SETS:
        return SETS[name][0]
    path = Path(name)
    if path.suffix.lower() != ".toml":
        raise EdgeSerError(
            f"there is no feature set {str(name)!r}; there are {', '.join(SETS)}, or name a TOML file"
        )
    fields = parse_toml(path)
    settings = fields.pop("frames", {})
    if not isinstance(settings, dict):
        raise EdgeSerError(f"{path}: frames must be a table, [frames]")
    try:
        base = _from_toml(fields)
    except EdgeSerError as error:
        raise EdgeSerError(f"{path}: {error}") from error
    frames = read_part(FeatureSpec, base.frames.to_dict() | settings, path, "frames")
    return dataclasses.replace(base, frames=frames)


def _from_toml(fields: dict[str, Any]) -> VectorSpec:
    """What a file says, but for the table ``frames``."""
    base = fields.pop("set", "speech")
    if not isinstance(base, str) or base not in SETS:
        raise EdgeSerError(f"there is no feature set {base!r}; there are {', '.join(SETS)}")
    known = [field.name for field in dataclasses.fields(VectorSpec) if field.name != "frames"]
    if unknown := sorted(set(fields) - set(known)):
        raise EdgeSerError(f"unknown {', '.join(unknown)}; there are set, frames, {', '.join(known)}")
    return dataclasses.replace(SETS[base][0], **fields)
