"""What ``edge-ser evaluate`` measures beside its figures: robustness, the paper's tests, quality in a stream."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from edge_ser.bundle import DEFAULT_MODEL
from edge_ser.commands._output import write_table
from edge_ser.corpora import Clip, Corpus
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.evaluate import Device
from edge_ser.evaluation.score import Scored
from edge_ser.recognizer import Recognizer

__all__ = [
    "CLIPS",
    "COVERAGE",
    "check_use",
    "measure",
    "more_than_figures",
    "print_measured",
    "teacher_figures",
]

#: What ``--clips`` and ``--coverage`` are where they are not given.
CLIPS = 480
COVERAGE = 0.8


def check_use(args: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises
    ------
    EdgeSerError
        They do not.
    """
    if args.pipeline is None and (args.protocol != "folds" or args.learning_curve):
        raise EdgeSerError(
            "--protocol and --learning-curve belong to --pipeline; checkpoints have folds of their own"
        )
    if args.calibration is not None and (args.checkpoints is None or args.precision == "fp32"):
        raise EdgeSerError(
            "--calibration is of --checkpoints that are exported: name a --precision of fewer bits"
        )
    if args.session and (args.pipeline or args.teacher or (args.fold is not None and len(args.fold) < 2)):
        raise EdgeSerError(
            "--session is of a bundle or of --checkpoints, two folds or more or one file: leave --fold out or name more"
        )
    device = (args.engine, args.precision) != ("auto", "fp32")
    one_file = args.checkpoints is not None and args.checkpoints.is_file()
    if one_file and (device or args.fold is not None or args.robustness or args.streaming):
        raise EdgeSerError(
            f"{args.checkpoints} is one file, scored by torch on all of a corpus: name a folder of folds' "
            "checkpoints, or edge-ser export it and name the bundle"
        )
    if args.pipeline is not None and args.labels is not None:
        raise EdgeSerError("--labels is of models that are there already; a pipeline learns all classes")
    if args.pipeline is not None and (args.model or args.checkpoints or args.robustness or args.streaming):
        raise EdgeSerError(
            "--pipeline is fitted here; name no model, and neither --robustness nor --streaming"
        )
    if args.pipeline is not None and (args.fold is not None or device):
        raise EdgeSerError(
            "--pipeline is fitted and scored on every part of --protocol, by scikit-learn: leave out --fold, --engine "
            "and --precision"
        )
    if (args.teacher is None) != (args.encoder is None):
        raise EdgeSerError("--teacher and --encoder go together: the heads, and what they hear with")
    if args.teacher is not None and (args.model or args.checkpoints or args.pipeline or args.streaming):
        raise EdgeSerError(
            "--teacher is tested by itself, and cannot stream; name no other model and no --streaming"
        )
    if args.teacher is not None and device:
        raise EdgeSerError("a --teacher is run by torch alone; leave out --engine and --precision")
    if args.coverage is not None and not 0 < args.coverage <= 1:
        raise EdgeSerError(f"--coverage lies above 0 and is at most 1, not {args.coverage:g}")
    if args.coverage is not None and not (more_than_figures(args) or args.pipeline):
        raise EdgeSerError("--coverage is of the figures of a report: give --report with it, or leave it out")
    if args.clips is not None and args.clips < 1:
        raise EdgeSerError(f"--clips must be at least 1, not {args.clips}")
    if args.clips is not None and not (args.robustness or args.streaming or args.teacher):
        raise EdgeSerError(
            "--clips is of --robustness, --streaming and --teacher, and all clips are scored: give one of them, or "
            "leave it out"
        )
    if args.streaming and args.checkpoints is not None and (args.engine, args.precision) == ("auto", "fp32"):
        raise EdgeSerError("--streaming hears as a device does; name an --engine for the checkpoints")


def more_than_figures(args: argparse.Namespace) -> bool:
    """Whether an option asks for what single answers are kept for."""
    return bool(args.report or args.robustness or args.streaming or args.session)


def measure(
    args: argparse.Namespace,
    corpus: Corpus,
    device_of: Callable[[str, str], Device | None],
    progress: Callable[[Iterable[Any]], Iterable[Any]],
    excluded: Iterable[str] = (),
) -> dict[str, Any]:
    """What the options ask for, by the names that reports know; `excluded` are files that could not be answered."""
    measured: dict[str, Any] = {}
    if not (args.robustness or args.streaming):
        return measured
    if gone := set(excluded):
        corpus = dataclasses.replace(
            corpus, clips=tuple(clip for clip in corpus.clips if str(clip.path) not in gone)
        )
    clips = _some(args, corpus)
    device = device_of(args.engine, args.precision) if args.checkpoints is not None else None
    if args.robustness:
        measured |= _robustness(args, corpus, clips, device, progress)
    if args.streaming:
        measured["streaming"] = _streaming(args, corpus, clips, device, progress)
    return measured


def _some(args: argparse.Namespace, corpus: Corpus) -> list[Clip]:
    from edge_ser.evaluation.battery import spread_over

    clips = [c for c in corpus.clips if c.emotion is not None and (args.fold is None or c.fold in args.fold)]
    return spread_over(clips, args.clips or CLIPS)


def teacher_figures(
    args: argparse.Namespace, corpus: Corpus, progress: Callable[[Iterable[Clip]], Iterable[Clip]]
) -> tuple[dict[str, Any], list[Scored]]:
    """A teacher's figures on ``--clips`` of a corpus, and its answers."""
    require("torch", extra="train", purpose="evaluating teachers")
    from edge_ser.evaluation.teacher import evaluate_teacher, teacher_listener

    clips = _some(args, corpus)
    listener = teacher_listener(args.teacher, args.encoder, corpus, clips, folds=args.fold)
    return evaluate_teacher(listener, corpus, clips, progress)


def _robustness(
    args: argparse.Namespace, corpus: Corpus, clips: list[Clip], device: Device | None, progress: Any
) -> dict[str, Any]:
    from edge_ser.evaluation.battery import (
        bars,
        conditions_table,
        every_condition,
        random_answers,
    )
    from edge_ser.evaluation.conditions import Material
    from edge_ser.evaluation.listeners import bundle_listener, checkpoint_listener
    from edge_ser.evaluation.paper_tests import paper_tests, pitch_groups

    with contextlib.ExitStack() as stack:
        if args.teacher is not None:
            from edge_ser.evaluation.teacher import teacher_listener

            listener = teacher_listener(args.teacher, args.encoder, corpus, clips, folds=args.fold)
        elif args.checkpoints is not None:
            listener = stack.enter_context(
                checkpoint_listener(args.checkpoints, corpus, folds=args.fold, device=device)
            )
        else:
            listener = bundle_listener(
                Recognizer.load(args.model or DEFAULT_MODEL, args.engine, args.precision), corpus
            )
        clips = [clip for clip in clips if clip.emotion in listener.labels]
        voices = Material.load([c for c in corpus.clips if c not in set(clips)] or clips)
        answers = every_condition(listener, clips, voices, progress)
    labels = listener.labels
    table = conditions_table(answers, clips, labels)
    statement = (
        f"{len(clips)} of {len(corpus)} clips, evenly over speakers and emotions; {listener.statement}"
    )
    pitch = pitch_groups(clips)
    tests = paper_tests(answers, clips, labels, pitch)
    random = paper_tests(random_answers(answers, len(clips), len(labels)), clips, labels, pitch)
    beside = list(_matched(tests, random))
    return {
        "robustness": {
            "protocol": statement, "conditions": table, "bars": bars(answers, clips, labels)
        },
        "tests": {
            "protocol": f"tests and limits of arXiv 2312.06270 that this corpus allows; {statement}. The paper's own: "
            "Wav2Small passes 74 %, its teacher 79 %, on other corpora",
            "summary": [_passed(name, rows) for name, rows in ((listener.name, tests), ("random", beside))],
            "tests": [
                {**one, "random": other["figure"], "random ok": other["ok"]}
                for one, other in zip(tests, beside, strict=True)
            ],
        },
    }  # fmt: skip


def _matched(tests: list[dict[str, Any]], random: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The random model's row of each test; one it has not (an emotion that it never named) counts as missed."""
    by = {(row["task"], row["test"]): row for row in random}
    for row in tests:
        yield by.get((row["task"], row["test"]), row | {"figure": None, "ok": False})


def _passed(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    groups = ("correctness", "fairness", "robustness")
    share = {g: [row["ok"] for row in rows if row["group"] == g] for g in groups}
    return {
        "model": name,
        "tests": len(rows),
        "passed": sum(row["ok"] for row in rows) / len(rows),
        "of emotion": float(np.mean([row["ok"] for row in rows if row["task"] == "emotion"])),
        **{g: sum(x) / len(x) for g, x in share.items() if x},
    }


def _streaming(
    args: argparse.Namespace, corpus: Corpus, clips: list[Clip], device: Device | None, progress: Any
) -> dict[str, Any]:
    from edge_ser.evaluation.streaming import by_speaker, joined, joined_by_fold, stream_quality

    if args.checkpoints is None:
        recognizer = Recognizer.load(args.model or DEFAULT_MODEL, args.engine, args.precision)
        labels = tuple(label for label in corpus.labels if label in recognizer.labels)
        known = [clip for clip in clips if clip.emotion in labels]
        parts = ((recognizer, joined(part, seed=i)) for i, part in enumerate(by_speaker(known)))
        return stream_quality(parts, labels, progress)
    assert device is not None  # `check_use` asks for an engine
    return stream_quality(joined_by_fold(args.checkpoints, corpus, clips, device), corpus.labels, progress)


def print_measured(result: dict[str, Any]) -> None:
    """For people, on standard output."""
    if fitted := result.get("calibration", {}).get("fitted"):
        print(
            f"\nECE {result['calibration']['ece']:.3f} as answered, {fitted['ece']:.3f} with the temperature of other "
            f"speakers; unsure by their rule: {fitted['coverage']:.1%} answered, accuracy {fitted['accuracy']:.3f} "
            f"(+{fitted['gain']:.3f})"
        )
    if reason := result.get("calibration", {}).get("not_fitted"):
        print(f"\nECE {result['calibration']['ece']:.3f} as answered; calibration is {reason}")
    if robust := result.get("robustness"):
        print(f"\n{robust['protocol']}\n")
        write_table(robust["conditions"], "md")
        print()
        write_table(robust["bars"], "md")
    if tests := result.get("tests"):
        print(f"\n{tests['protocol']}\n")
        write_table(tests["summary"], "md")
    if stream := result.get("streaming"):
        print(f"\n{stream['protocol']}\n")
        write_table([stream["figures"]], "md")
        for one in stream.get("excluded", ()):
            print(f"left out of the stream: {one['file']}: {one['reason']}", file=sys.stderr)
    if session := result.get("session"):
        everyday = (
            f"; mostly neutral {session['everyday']:.3f}, alone {session['everyday_alone']:.3f}"
            if "everyday" in session
            else ""
        )
        print(
            f"\nHeard after others of the speaker's clips, without labels: UAR {session['uar']:.3f}, alone "
            f"{session['uar_alone']:.3f}; each emotion in one piece {session['by_mood']:.3f}, and where nothing else "
            f"is ever heard of a speaker {session['one_mood']:.3f}; all speakers in turn, taken for one, "
            f"{session['together']:.3f}{everyday}\n"
        )
        write_table(session["heard"], "md")
    if curve := result.get("learning_curve"):
        print()
        write_table(curve, "md")
    for one in result.get("left_out", ()):
        print(f"left out: {one['what']}: {one['reason']}", file=sys.stderr)
