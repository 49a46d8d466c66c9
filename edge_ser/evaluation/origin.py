"""Whose answers these are: what evaluations say of the models that gave them, and which bundle they may calibrate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ser.bundle import Bundle
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.recognizer import Recognizer

__all__ = ["check_fits", "heard_before", "learnt_corpora", "of_bundle", "of_checkpoints"]


def learnt_corpora(training: Mapping[str, Any]) -> set[str]:
    """Names of the corpora that a network learnt from, and those of the network that it began from."""
    return {*training.get("clips", ()), *training.get("began", {}).get("clips", ())}


def of_checkpoints(metas: Sequence[Mapping[str, Any]], *, held_out: bool = False) -> dict[str, Any]:
    """``answered_by`` of a result, where checkpoints gave the answers.

    Parameters
    ----------
    metas : sequence of mapping
        Descriptions of the checkpoints, at least one.
    held_out : bool
        Each answered the fold alone that its training held out.

    Returns
    -------
    dict
        ``architecture``; ``recipe``, the name of what they were trained by, None where they do not say; ``trained_on``,
        names of all corpora that they learnt from; ``held_out``, those of which they answer no speaker that they heard.
    """
    training = [meta["training"] for meta in metas]
    recipes = [one.get("recipe") or {} for one in training]
    heard = {name for one in training for name in one.get("clips", ())}
    return {
        "architecture": metas[0]["architecture"],
        # several names where somebody put checkpoints of several recipes into one folder: they fit no bundle
        "recipe": ", ".join(sorted({str(recipe["name"]) for recipe in recipes if "name" in recipe})) or None,
        "trained_on": sorted(set().union(*map(learnt_corpora, training))),
        "held_out": sorted(heard - {name for recipe in recipes for name in _heard_whole(recipe)})
        if held_out
        else [],
    }


def _heard_whole(recipe: Mapping[str, Any]) -> set[str]:
    """Corpora beside those of ``[data]``, of which no fold is held out; a table or a folder by its name."""
    beside = [*recipe.get("live", {}).get("others", ()), *recipe.get("beside", {}).get("corpora", ())]
    return {name for one in map(Path, beside) for name in (one.name, one.stem)}


def of_bundle(recognizer: Recognizer) -> dict[str, Any]:
    """``answered_by`` of a result, where a bundle gave the answers; with the SHA-256 of the ``file`` that was run."""
    bundle, engine = recognizer.bundle, recognizer.engine
    return {
        "architecture": bundle.architecture,
        "recipe": _recipe(bundle),
        "trained_on": sorted(learnt_corpora(bundle.training)),
        "held_out": [],
        "file": bundle.model_file(engine.name, engine.precision).sha256,
    }


def _recipe(bundle: Bundle) -> str | None:
    return (bundle.training.get("recipe") or {}).get("name")


def check_fits(answers: Answers, bundle: Bundle, source: str) -> None:
    """Refuse answers that say nothing of a bundle.

    Its own say something, and those of models of its architecture and recipe: folds of the training that it comes
    from. Networks whose recipe is not told, as in reports of before, are taken for such.

    Parameters
    ----------
    answers : Answers
    bundle : Bundle
    source : str
        Where the answers come from, for the sentence that refuses them.

    Raises
    ------
    EdgeSerError
        Another model gave them.
    """
    by = _answered_by(answers)
    alike = by["architecture"] == bundle.architecture
    if by["recipe"] is not None:
        alike = alike and by["recipe"] == _recipe(bundle)
    elif "file" in by:  # a bundle that nobody trained here is like no other
        alike = False
    if alike or by.get("file") in {file.sha256 for file in bundle.files}:
        return
    said = " of the recipe ".join(filter(None, (by["architecture"] or "no network", by["recipe"])))
    own = " of the recipe ".join(filter(None, (bundle.architecture, _recipe(bundle))))
    raise EdgeSerError(
        f"{source} is of another model ({answers.about['model']}: {said}) than {bundle.name} ({own}); evaluate the "
        "bundle, or checkpoints of folds of its recipe"
    )


def heard_before(answers: Answers, source: str) -> str:
    """What is known of whether the answering models had heard the speakers, in words that follow ``clips of NAME``.

    Parameters
    ----------
    answers : Answers
    source : str
        As `check_fits` takes it.

    Raises
    ------
    EdgeSerError
        They learnt from these recordings.
    """
    by, corpora = _answered_by(answers), {clip.corpus for clip in answers.clips}
    learnt = corpora & (set(by["trained_on"]) - set(by["held_out"]))
    if learnt or answers.about.get("seen_in_training") or answers.about.get("leaks"):
        raise EdgeSerError(
            f"{source} holds answers to speakers that the model learnt from; evaluate checkpoints of folds instead"
        )
    if corpora <= set(by["held_out"]):
        return "each answered by a model that never heard its speaker"
    if by["trained_on"]:
        return "which the model's training does not list (whether it heard their speakers is not known)"
    return "answered by a model that does not say whose speech it learnt from"


def _answered_by(answers: Answers) -> dict[str, Any]:
    """What the answers say of their models; of reports of before, what follows from the rest of them."""
    about = answers.about
    if "answered_by" in about:
        return dict(about["answered_by"])
    whose: dict[str, Any] = {"architecture": None, "recipe": None, "trained_on": [], "held_out": []}
    if "seeds" in about:  # networks: pipelines and bundles have none
        whose["architecture"] = about["model"]
        if "trained_on" in about:
            whose["trained_on"] = about["trained_on"]
        else:  # of folds, each held out by the network that answered it
            whose["trained_on"] = whose["held_out"] = sorted({clip.corpus for clip in answers.clips})
    return whose
