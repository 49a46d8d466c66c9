"""The studies that there are: each module of `edge_ser.studies.recipes` that has a ``STUDY``."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches

from edge_ser.errors import EdgeSerError
from edge_ser.studies.base import Study

__all__ = ["find_study", "studies"]

#: Packages that are looked through; tests add their own.
HOUSES = ["edge_ser.studies.recipes"]


def studies() -> list[Study]:
    """All studies, by letter and name.

    A module whose name begins with an underscore is a part of another and not looked at.
    """
    found: dict[str, Study] = {}
    for house in HOUSES:
        package = importlib.import_module(house)
        for info in pkgutil.iter_modules(package.__path__):
            if info.name.startswith("_"):
                continue
            study = getattr(importlib.import_module(f"{house}.{info.name}"), "STUDY", None)
            if not isinstance(study, Study):
                raise TypeError(f"{house}.{info.name} has no STUDY")
            if study.name in found:
                raise ValueError(f"two studies are called {study.name}")
            found[study.name] = study
    return sorted(found.values(), key=lambda study: (study.letter, study.name))


def find_study(name: str) -> Study:
    """The study of a name.

    Raises
    ------
    EdgeSerError
        There is none of that name.
    """
    by_name = {study.name: study for study in studies()}
    if name in by_name:
        return by_name[name]
    near = get_close_matches(name, by_name, n=1)
    hint = f"did you mean {near[0]}?" if near else "`edge-ser study --list` lists them"
    raise EdgeSerError(f"there is no study {name!r}; {hint}")
