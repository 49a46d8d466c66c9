"""The table of models/README.md: every bundle of this repository, from its own bundle.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_ser.bundle import SHIPPED, Bundle, load_bundle
from edge_ser.commands._output import markdown_table

__all__ = ["TABLES", "bundles"]

MODELS = Path(__file__).resolve().parents[1] / "models"


def bundles() -> list[Bundle]:
    """Those that come with the package, then those below models/."""
    folders = [*sorted(SHIPPED.iterdir()), *sorted(MODELS.iterdir())]
    return [load_bundle(folder) for folder in folders if (folder / "bundle.json").exists()]


def models(_: Path) -> str:
    """What there is, what it costs, and what it is worth on speakers that it, or its twin, never heard."""
    rows = []
    for one in bundles():
        place = one.path.relative_to(MODELS.parent)
        files = [file for file in one.files if file.engine is not None]
        fold = one.training.get("held_out_fold")
        rows.append(
            {
                "model": f"[`{place.as_posix()}`](../{place.as_posix()}/MODEL_CARD.md)",
                "parameters": one.parameters,
                "M MAC for a second of audio": f"{(one.macs_per_second or 0) / 1e6:.1f}",
                "streams": "yes" if one.window is None else f"no, hears {_seconds(one):g} s",
                "files, kB": ", ".join(
                    f"{file.engine} {file.precision} {file.bytes / 1e3:.0f}" for file in files
                ),
                "learnt from": f"{', '.join(one.training['clips'])}, "
                + ("all speakers" if fold is None else f"fold {fold} held out"),
                "UAR": "; ".join(_figures(one)) or "no held-out figure",
            }
        )
    return markdown_table(rows)


def _seconds(one: Bundle) -> float:
    assert one.window is not None
    return one.window.samples / one.spec.sample_rate


def _figures(one: Bundle) -> list[str]:
    """The first figure of each corpus, by the folds that it is of."""
    said: dict[str, dict[str, str]] = {}
    for figure in one.figures:
        folds = ", ".join(dict.fromkeys(str(fold["fold"]) for fold in figure["folds"]))
        value = f"{figure['corpus']} {figure['uar']['mean']:.3f}"
        said.setdefault(folds, {}).setdefault(figure["corpus"], value)
    return [
        f"fold{'s' if ',' in folds else ''} {folds}: {', '.join(values.values())}"
        for folds, values in said.items()
    ]


TABLES: dict[str, Callable[[Path], str]] = {"models": models}
