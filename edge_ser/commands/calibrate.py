"""``edge-ser calibrate``: a bundle with fitted probabilities, a rule for being unsure, and a detector of speech."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle import DEFAULT_MODEL, Bundle, check_target, load_bundle, write_bundle
from edge_ser.commands._arguments import count
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.corpora import load_corpus
from edge_ser.errors import EdgeSerError
from edge_ser.files import check_place, parse_json_object, write_json

__all__ = ["add_arguments", "run"]

_GROUPS = 5  # of speakers, each calibrated by the others
_COVERAGE = 0.8
_SPEECH = "ravdess,emodb,emotale,aesdd,nemo,urdu"
_SOUNDS = "esc10,noise"
_PER_SPEAKER = 5  # clips


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Write a copy of a bundle that says how far it can be believed. The temperature of its probabilities and the "
        "confidence under which it is unsure come from answers to speakers that the answering models never heard: "
        "those of edge-ser evaluate --checkpoints DIR --report DIR, of folds of the recipe that the bundle comes from, "
        "or those of the bundle itself to recordings that are new to it. The detector of speech is fitted on "
        "speech and other sounds and measured on held-out ones. What model files say of it follows; their networks "
        "stay as they are."
    )
    parser.epilog = """\
examples:
  edge-ser evaluate --corpus ravdess --checkpoints runs/stream72k-mean --report out/ravdess
  edge-ser calibrate stream72k --predictions out/ravdess --coverage 0.8 --out out/stream72k
  edge-ser calibrate stream72k --no-detector --predictions out/ravdess --out out/stream72k
  edge-ser calibrate stream72k --no-detector --figures results/ravdess.json --out out/stream72k   other figures alone
  edge-ser calibrate out/own --predictions out/own-report --detector-of stream72k --out out/mine  no sounds are needed
"""
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, help=f"a bundle (default {DEFAULT_MODEL})")
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="reports of models on speakers they never heard",
    )
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help=f"share to be sure of, by --predictions (default {_COVERAGE})",
    )
    detector = parser.add_mutually_exclusive_group()
    detector.add_argument("--no-detector", action="store_true", help="fit no detector of speech")
    detector.add_argument(
        "--detector-of",
        metavar="MODEL",
        help=f"fit none, but take that of another bundle with the same front end, such as {DEFAULT_MODEL}",
    )
    parser.add_argument(
        "--figures",
        nargs="+",
        metavar="FILE",
        help="results of edge-ser train or evaluate to record in the place of the bundle's, as edge-ser export does",
    )
    parser.add_argument(
        "--speech",
        metavar="CORPUS,...",
        help=f"speech for the detector (default {_SPEECH})",
    )
    parser.add_argument("--sounds", metavar="NAME,...", help=f"what is no speech (default {_SOUNDS})")
    parser.add_argument(
        "--per-speaker", type=count, metavar="N", help=f"clips of each speaker (default {_PER_SPEAKER})"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new bundle's folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write what was fitted and measured as JSON too"
    )
    add_output_argument(parser, forms=("md", "json"))


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if not args.predictions and args.no_detector and not args.figures:
        raise EdgeSerError(
            "there is nothing to do: name --predictions or --figures, or leave --no-detector out"
        )
    _check_use(args)
    bundle = load_bundle(args.model)
    # What hinders that is told before anything is fitted: a detector takes minutes.
    check_target(args.out, overwrite=args.overwrite)
    if args.record is not None:
        check_place(args.record)
    _renewed(bundle, _manifest(bundle))
    made: dict[str, Any] = {}
    if args.detector_of is not None:
        made["speech_detector"] = _detector_of(args.detector_of, bundle)
    worth: dict[str, Any] = {"speakers_left_out": None, "as_it_was": None}
    if args.figures:
        made["figures"] = _figures(args.figures)
    if args.predictions:
        made["calibration"], worth = _calibration(bundle, args.predictions, args.coverage or _COVERAGE)
    if not (args.no_detector or args.detector_of):
        made["speech_detector"] = _detector(bundle, args)
    _write(bundle, made, args.out, overwrite=args.overwrite)
    print(f"bundle: {args.out}", file=sys.stderr)
    detector = made.get("speech_detector")
    told = {
        "calibration": made.get("calibration"),
        **worth,
        "speech_detector": detector and detector["record"],
    }
    if args.record is not None:
        write_json(args.record, told)
    if args.output == "json":
        write_table([], "json", document=told)
    else:
        if args.predictions:
            write_table([{k: v for k, v in made["calibration"].items() if k != "typical"}], "md")
        for one in filter(None, worth.values()):
            print(f"\nby the temperature and rule of {one['protocol']}:\n")
            write_table([{key: one[key] for key in ("clips", "ece", "coverage", "accuracy", "gain")}], "md")
        if detector:
            keys = ("sounds", "rejected", "speech", "refused")
            write_table([{key: detector["record"][key] for key in keys}], "md")
    return 0


def _check_use(args: argparse.Namespace) -> None:
    """Refuse what has no effect."""
    if args.coverage is not None and not 0 < args.coverage <= 1:
        raise EdgeSerError(f"--coverage lies above 0 and is at most 1, not {args.coverage:g}")
    if args.coverage is not None and not args.predictions:
        raise EdgeSerError("--coverage is of the rule that --predictions give: name some, or leave it out")
    fitted = [name for name in ("speech", "sounds", "per_speaker") if getattr(args, name) is not None]
    if fitted and (args.no_detector or args.detector_of):
        none = "--no-detector" if args.no_detector else "--detector-of"
        raise EdgeSerError(
            f"--{fitted[0].replace('_', '-')} is of a detector that is fitted, and {none} fits none: leave one out"
        )


def _figures(files: list[str]) -> list[dict[str, Any]]:
    from export.figures import read_figures

    return [read_figures(path) for path in files]


def _calibration(
    bundle: Bundle, folders: list[Path], coverage: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Temperature and threshold from answers to one or more corpora, each corpus counting as much.

    With them what they are worth. ``speakers_left_out`` has figures of speakers whose answers had no part in a
    temperature and threshold fitted in the same way; None where there is one speaker only. ``as_it_was`` has those of
    the bundle's own, which says something where it was fitted on other speakers. Under ``by_clips`` clips count alike,
    in fitting and in figures.
    """
    from edge_ser.evaluation.answers import Answers
    from edge_ser.evaluation.calibrate import (
        fit_temperature,
        unsure_threshold,
        with_temperature,
        without_temperature,
    )
    from edge_ser.evaluation.origin import check_fits, heard_before
    from edge_ser.evaluation.session import typical_answers

    parts = []
    told: dict[str, list[str]] = {}
    for folder in folders:
        answers = Answers.read(folder)
        told.setdefault(heard_before(answers, str(folder)), []).append(answers.about["corpus"])
        if unknown := [label for label in answers.labels if label not in bundle.labels]:
            raise EdgeSerError(
                f"{folder} is of another model: {bundle.name} does not know {', '.join(unknown)}"
            )
        part = answers.take(answers.truth >= 0)
        wide = np.full((len(part), len(bundle.labels)), 1e-12)
        wide[:, [bundle.labels.index(label) for label in part.labels]] = without_temperature(part)
        check_fits(answers, bundle, str(folder))
        truth = np.array([bundle.labels.index(part.labels[i]) for i in part.truth])
        known = np.tile([label in part.labels for label in bundle.labels], (len(part), 1))
        speakers = np.array([f"{part.about['corpus']}/{speaker}" for speaker in part.speakers])
        parts.append((wide, truth, known, speakers, part.about["corpus"]))
    scores, truths, known, named = (np.concatenate([part[i] for part in parts]) for i in range(4))
    corpora = [part[4] for part in parts for _ in part[1]]
    sizes = Counter(corpora)
    # of mean 1, so that the clips of one corpus count as they do by themselves
    weights = np.array([len(corpora) / len(sizes) / sizes[name] for name in corpora])
    crossed = _crossed(scores, truths, named, coverage, weights)
    if crossed is not None:
        crossed["by_clips"] = _crossed(scores, truths, named, coverage)
    before = _before(bundle, scores, truths, weights)
    before["by_clips"] = _before(bundle, scores, truths)
    worth = {"speakers_left_out": crossed, "as_it_was": before}
    temperature = round(fit_temperature(scores, truths, weights), 4)
    confidence = with_temperature(scores, temperature).max(1)
    # rounded down, so that the stated share stays sure
    unsure_below = int(unsure_threshold(confidence, coverage, weights) * 10_000) / 10_000
    clips = (f"clips of {', '.join(dict.fromkeys(names))}, {heard}" for heard, names in told.items())
    fitted = {
        "temperature": temperature,
        "unsure_below": unsure_below,
        "coverage": round(float(np.average(confidence >= unsure_below, weights=weights)), 4),
        "fitted_on": "; ".join(clips),
    }
    covered = np.any(known, axis=0).tolist()
    if missing := [label for label, some in zip(bundle.labels, covered, strict=True) if not some]:
        print(f"no typical answers for listen --adapt: no clip knows {', '.join(missing)}", file=sys.stderr)
        return fitted, worth
    typical = typical_answers(scores, truths, known, weights)
    return fitted | {"typical": typical.round(4).tolist()}, worth


def _crossed(
    scores: NDArray[np.float64],
    truth: NDArray[np.int64],
    speakers: NDArray[np.str_],
    coverage: float,
    weights: NDArray[np.float64] | None = None,
) -> dict[str, Any] | None:
    from edge_ser.evaluation.calibrate import abstention, by_others

    names = sorted(set(speakers.tolist()))
    groups = min(_GROUPS, len(names))
    if groups < 2:
        return None
    group = np.searchsorted(names, speakers) % groups
    calibrated, sure = by_others(scores, truth, group, coverage, weights)
    protocol = f"other speakers, {len(names)} in {groups} groups"
    return {"protocol": protocol, "clips": len(truth), **abstention(calibrated, truth, sure, weights)}


def _before(
    bundle: Bundle,
    scores: NDArray[np.float64],
    truth: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    from edge_ser.evaluation.calibrate import abstention, with_temperature

    own = bundle.calibration
    shares = with_temperature(scores, own.temperature)
    protocol = f"the bundle, fitted on {own.fitted_on}" if own.fitted_on else "the bundle, fitted on nothing"
    sure = shares.max(1) >= own.unsure_below
    return {"protocol": protocol, "clips": len(truth), **abstention(shares, truth, sure, weights)}


def _detector(bundle: Bundle, args: argparse.Namespace) -> dict[str, Any]:
    from edge_ser.evaluation.rejection import fit_detector, made_sounds, sound_samples, speech_samples

    clips = [clip for name in (args.speech or _SPEECH).split(",") for clip in load_corpus(name).clips]
    samples = speech_samples(clips, args.per_speaker or _PER_SPEAKER)
    samples += sound_samples((args.sounds or _SOUNDS).split(",")) + made_sounds()
    detector, _ = fit_detector(samples, bundle.spec, bundle.step_frames)
    return detector.to_dict()


def _detector_of(model: str, bundle: Bundle) -> dict[str, Any]:
    """Another bundle's detector, which knows nothing of its network: it hears the front end alone, step by step."""
    other = load_bundle(model)
    detector = _manifest(other).get("speech_detector")
    if detector is None:
        raise EdgeSerError(f"{other.name} has no detector of speech")
    if (other.spec, other.step_frames) != (bundle.spec, bundle.step_frames):
        raise EdgeSerError(
            f"the detector of {other.name} hears another front end than {bundle.name}'s: fit one, or take that of a "
            "bundle with the same spectra and steps"
        )
    assert isinstance(detector, dict)
    return detector


def _write(bundle: Bundle, made: dict[str, Any], out: Path, *, overwrite: bool) -> None:
    """The bundle's own manifest and files with what was made, which the files and a card say too."""
    from export.card import card_text

    manifest = _manifest(bundle) | made
    files = _renewed(bundle, manifest)
    if bundle.card is not None:
        files[bundle.card.name] = card_text(manifest).encode("utf-8")
    manifest["files"] = [
        {k: v for k, v in entry.items() if k not in ("sha256", "bytes")} for entry in manifest["files"]
    ]
    write_bundle(out, manifest, files, overwrite=overwrite)


def _manifest(bundle: Bundle) -> dict[str, Any]:
    return parse_json_object((bundle.path / "bundle.json").read_bytes(), str(bundle.path)) | {
        "name": bundle.name
    }


def _renewed(bundle: Bundle, manifest: dict[str, Any]) -> dict[str, bytes]:
    """The bundle's files, with what the manifest says in those that say it too."""
    from export.metadata import renewed

    return {
        file.path: renewed((bundle.path / file.path).read_bytes(), file.engine, manifest)
        for file in bundle.files
    }
