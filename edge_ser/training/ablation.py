"""What each ingredient of a recipe is worth: the recipe without it, several times, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.corpora.base import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_toml, write_json
from edge_ser.training.recipe import Recipe
from edge_ser.training.run import pooled, run_recipe
from edge_ser.training.tables import check_name

__all__ = ["Ablation", "run_ablation"]


@dataclasses.dataclass(frozen=True)
class Ablation:
    """A recipe and its variants.

    Attributes
    ----------
    name : str
    recipe : Path
        The whole of which parts are left out.
    always : tuple of str
        Changes of every variant, as `Recipe.read` takes them: fewer folds or epochs than the recipe's own.
    variants : dict
        From what a variant is called to its changes.
    """

    name: str
    recipe: Path
    always: tuple[str, ...]
    variants: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: str | Path) -> Ablation:
        """Read and check a TOML file: ``recipe``, ``always`` and ``[variants]``; the recipe lies beside the file.

        Raises
        ------
        EdgeSerError
            Not readable, or not of that form, a variant that is no recipe, or two whose runs would have one name.
        """
        path = Path(path)
        fields = parse_toml(path)
        variants = fields.get("variants", {})
        good = isinstance(variants, dict)
        lists = [fields.get("always", []), *(variants.values() if good else ())]
        good = (
            good
            and set(fields) <= {"name", "recipe", "always", "variants"}
            and isinstance(fields.get("name", ""), str)
            and isinstance(fields.get("recipe"), str)
            and len(variants) > 1
            and all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists)
        )
        if not good:
            raise EdgeSerError(
                f'{path} must say recipe = "FILE.toml", perhaps always = ["fit.epochs=50"], and two [variants] or '
                'more: name = ["TABLE.FIELD=VALUE", ...]'
            )
        check_name(path, fields.get("name", path.stem))
        made = cls(
            fields.get("name", path.stem),
            path.parent / fields["recipe"],
            tuple(fields.get("always", [])),
            {name: tuple(changes) for name, changes in variants.items()},
        )
        runs: dict[str, str] = {}
        for name in made.variants:
            if (before := runs.setdefault(made._run_name(name), name)) != name:
                raise EdgeSerError(
                    f"{path}: the runs of {before!r} and {name!r} would both be called {made._run_name(name)}: call "
                    "one variant something else"
                )
            if not made.read_variant(name).data.folds:
                raise EdgeSerError(f"{path}: {name} holds no fold out, so it has no figure: give data.folds")
        return made

    def read_variant(self, variant: str) -> Recipe:
        """A variant's recipe, under a name of its own."""
        own = f"name={self._run_name(variant)}"
        return Recipe.read(self.recipe, (*self.always, *self.variants[variant], own))

    def _run_name(self, variant: str) -> str:
        return f"{self.name}-{variant.replace(' ', '-')}"


def run_ablation(
    ablation: Ablation,
    runs_dir: Path,
    results_dir: Path,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train and score every variant; what is trained already is not trained again.

    Parameters
    ----------
    ablation : Ablation
    runs_dir, results_dir : Path
        As `edge_ser.training.run.run_recipe` takes them; ``NAME.json`` is written when all variants are done, and
        ``NAME-VARIANT.json`` for each.
    report : callable
        Called with a variant's name before it is run.

    Returns
    -------
    dict
        ``name``, ``recipe``, ``always``, and ``variants``: a row for each with ``variant``, ``changes``, ``uar`` (mean
        over folds and seeds), ``seeds`` (the mean over folds of each seed), ``spread`` (their standard deviation;
        None of one seed) and, where clips are rated, ``ccc`` of ``arousal``, ``dominance`` and ``valence``.
    """
    for name in ablation.variants:  # what is wrong with the last one is said before the first is trained
        pooled(ablation.read_variant(name))
    rows = []
    for name, changes in ablation.variants.items():
        report(name)
        figures = run_recipe(ablation.read_variant(name), runs_dir, results_dir)
        assert figures is not None  # every variant has folds, and all of them were run
        by_seed: dict[int, list[float]] = {}
        for fold in figures["folds"]:
            by_seed.setdefault(fold["seed"], []).append(fold["uar"])
        means = [float(np.mean(one)) for one in by_seed.values()]
        rows.append(
            {
                "variant": name,
                "changes": list(changes),
                "uar": float(np.mean(means)),
                "seeds": means,
                "spread": float(np.std(means, ddof=1)) if len(means) > 1 else None,
                **({"ccc": {d: figures["adv"][d]["ccc"] for d in ADV}} if "adv" in figures else {}),
            }
        )
    result = {
        "name": ablation.name,
        "recipe": ablation.recipe.name,
        "always": list(ablation.always),
        "variants": rows,
    }
    write_json(results_dir / f"{ablation.name}.json", result)
    return result
