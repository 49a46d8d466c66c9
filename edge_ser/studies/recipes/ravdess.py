"""Study R: RAVDESS, eight emotions, from a random forest to large encoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.studies import Line, Outcome, Part, Study, StudyRun, Unit, line_of
from edge_ser.studies.networks import course, short_of, splits_note, splits_reason
from edge_ser.studies.recipes import _ravdess_parts as parts
from edge_ser.studies.recipes._ravdess_sections import sections

__all__ = ["STUDY"]

#: Published is the search over these, 5-fold.
_GRID = {
    "n_estimators": [100, 300],
    "max_depth": [10, 20, None],
    "min_samples_split": [2, 5],
    "min_samples_leaf": [1, 2],
    "criterion": ["gini", "entropy"],
}
_NOT_QUICKLY = {
    "cnn-4-augmented": ("CNN-4, masks and noise", 0.595),
    "cnn-5-augmented": ("CNN-5, masks and noise", 0.599),
    "cnn-3-pretrained-25": ("CNN-3 pretrained as autoencoders, 25 epochs", 0.7005),
}
#: Of the training clips that networks on images learn from where it is quick.
_QUICK_SHARE = 0.4
#: Random splits of lines that cost little, as published: one says little of 217 clips.
_SPLITS = 5
_QUICK_GRID = {"n_estimators": [300], "max_depth": [None], "min_samples_leaf": [1, 2]}


@dataclasses.dataclass(frozen=True)
class _Setting:
    """A line of the table: which part makes it, and with what."""

    key: str
    title: str
    published: float | None
    function: Callable[..., Part]
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    splits: int = 1


def _settings(run: StudyRun) -> list[_Setting]:
    """The lines at this scale; those of large encoders only with a checkpoint."""
    splits = run.pick(full=_SPLITS, quick=_SPLITS, miniature=2)
    grid = run.at("random-forest").pick(
        full=_GRID, quick=_QUICK_GRID, miniature={"n_estimators": [10], "max_depth": [3]}
    )
    mlp = {
        "key": "mlp",
        "epochs": run.pick(full=100, quick=100, miniature=2),
        "bfloat16": False,
        "bands": False,
    }

    def on_images(key: str, network: str, epochs: int, **more: Any) -> dict[str, Any]:
        share = run.at(key).pick(full=1.0, quick=_QUICK_SHARE, miniature=1.0)
        long = run.at(key).scale != "quick"  # half as fast again is worth it there
        return {"key": network, "epochs": epochs, "bfloat16": long, "share": share, **more}

    # "Mel statistics" of the published table can be read in two ways. Which one lines on features have was decided by
    # cross-validation of the forest within the training clips of the first random split.
    quick = run.pick(full=_QUICK_GRID, quick=_QUICK_GRID, miniature=grid)
    made = [
        _Setting(key, title, published, parts.forest, {"grid": searched, "bands": bands}, splits)
        for key, title, published, searched, bands in (
            ("random-forest", "random forest on features", 0.62, grid, False),
            ("random-forest-bands", "random forest, statistics of each mel band", None, quick, True),
        )
    ]
    made.append(_Setting("mlp", "MLP on features", 0.699, parts.network, mlp, splits))
    for name, plain, changed in (("3", 0.751, 0.525), ("4", 0.779, 0.595), ("5", 0.673, 0.599)):
        changes: dict[str, Any] = {"augmented": True}
        for key, title, published, more in (
            (f"cnn-{name}", f"CNN-{name}", plain, {}),
            (f"cnn-{name}-augmented", f"CNN-{name}, masks and noise", changed, changes),
        ):
            # CNN-5 costs five times what CNN-3 does
            most, few = (30, 2) if name == "5" else (50, 6)
            epochs = run.at(key).pick(full=most, quick=few, miniature=1)
            fit = on_images(key, f"cnn-{name}", epochs, **more)
            splits = _SPLITS if name in "34" else 3 if more else 1  # one of masked clips says least
            again = run.at(key).pick(full=splits, quick=1, miniature=1)
            made.append(_Setting(key, title, published, parts.network, fit, again))
    for shown, published in ((25, 0.7005), (30, 0.7281)):
        key = f"cnn-3-pretrained-{shown}"
        epochs = run.at(key).pick(full=shown, quick=shown // 5, miniature=1)
        layers = run.at(key).pick(full=25, quick=3, miniature=1)
        fit = on_images(key, "cnn-3", epochs, pretrained=layers)
        title = f"CNN-3 pretrained as autoencoders, {shown} epochs"
        made.append(_Setting(key, title, published, parts.network, fit))
    joined = run.at("cnn+mlp").pick(full=8, quick=2, miniature=1)  # six times what CNN-3 costs
    fit = on_images("cnn+mlp", "cnn+mlp", joined, bands=False)
    made.append(_Setting("cnn+mlp", "CNN and MLP, joined", 0.463, parts.network, fit))
    tuned = run.pick(full=10, quick=2, miniature=1)
    for name, title, published, layers_tuned in (
        ("wav2vec2", "wav2vec2-base, its top two layers tuned", 0.868, 2),
        ("xlsr", "XLSR fine-tuned for speech emotion, top layers", 0.972, 2),
    ):
        if source := run.options.get(name):
            more = {"source": source, "epochs": tuned, "tuned": layers_tuned}
            made.append(_Setting(name, title, published, parts.finetuned, more))
    if source := run.options.get("encoder"):
        more = {"source": source, "cache": run.options.get("encoder-cache", "")}
        what = Path(source).name
        made.append(_Setting("encoder", f"linear heads on the states of {what}", None, parts.encoder, more))
    if run.scale == "quick":
        return [one for one in made if one.key not in _NOT_QUICKLY or one.key in run.full]
    return made if run.scale != "miniature" else [*made[:4], *made[9:10], *made[11:]]


def _run(run: StudyRun) -> Outcome:
    material = parts.load(run)
    folds = sorted(set(material.labelled.folds))[
        : run.pick(full=3, quick=1, miniature=2)
    ]  # within three hours
    settings = _settings(run)
    asked = [
        (one, protocol, fold, seed)
        for one in settings
        for protocol in run.protocols
        for fold in (folds if protocol == "honest" else [0])
        for seed in _seeds(run, one, protocol)
    ]
    done: dict[str, dict[str, list[Part]]] = {}
    first = run.parts([_unit(run, *each) for each in asked], "classifiers")
    for (one, protocol, _, _), part in zip(asked, first, strict=True):
        done.setdefault(one.key, {}).setdefault(protocol, []).append(part)
    if "as-published" in run.protocols:
        _split_again(run, settings, done)
    answers = {
        key: {protocol: parts.joined(own) for protocol, own in by_protocol.items()}
        for key, by_protocol in done.items()
    }
    lines = [_line(run, one, answers[one.key], done[one.key]) for one in settings]
    reasons = {
        one.key: _why(one, answers[one.key]["as-published"], done[one.key]["as-published"])
        for one in settings
        if "as-published" in run.protocols
    }
    lines += _absent(run)
    return Outcome(
        lines,
        findings=_findings(run, lines, reasons, answers, done),
        sections=sections(material, {one.key: one.title for one in settings}, answers, done),
        data=f"RAVDESS (speech): {len(material.clips)} clips of {len(set(material.labelled.groups))} actors, "
        f"{len(material.labelled.labels)} emotions",
        protocols={
            "as-published": "random shares of each class, 70:30 for the forest and 70:15:15 for networks, whose epoch "
            "is chosen on the validation share; actors stand on all sides: it LEAKS",
            "honest": f"the published folds of whole actors ({len(folds)} of {len(set(material.labelled.folds))}), "
            "settings and epochs chosen on other training actors",
        },
        left_out=material.left_out,
    )


def _unit(run: StudyRun, one: _Setting, protocol: str, fold: int, seed: int) -> Unit:
    settings = {**one.more, "protocol": protocol, "fold": fold, "seed": seed}
    return Unit(f"{one.key} {protocol} {fold} {seed}", one.function, settings, run.at(one.key).scale)


def _seeds(run: StudyRun, one: _Setting, protocol: str) -> Sequence[int]:
    """Each is a random split of its own as published; a forest's others wait for what is searched on the first."""
    if protocol == "as-published" and one.function is parts.network:
        return range(max(len(run.seeds), one.splits))
    return run.seeds[:1] if one.function is parts.encoder else run.seeds


def _split_again(
    run: StudyRun, settings: Sequence[_Setting], done: Mapping[str, Mapping[str, list[Part]]]
) -> None:
    """More random splits of the forests; what was searched for on the first split holds for the others."""
    more = []
    for one in settings:
        if one.function is parts.forest:
            found = done[one.key]["as-published"][0]["settings"]
            grid = {name: [value] for name, value in found.items()}
            one = dataclasses.replace(one, more={**one.more, "grid": grid})
            more += [(one, seed) for seed in range(len(run.seeds), one.splits)]
    units = [_unit(run, one, "as-published", 0, seed) for one, seed in more]
    for (one, _), part in zip(more, run.parts(units, "other splits") if units else [], strict=True):
        done[one.key]["as-published"].append(part)


def _line(
    run: StudyRun, one: _Setting, answers: Mapping[str, ClassAnswers], done: Mapping[str, Sequence[Part]]
) -> Line:
    first = next(iter(done.values()))[0]
    notes = [f"{first['parameters']} parameters"]
    if epochs := one.more.get("epochs"):
        notes.append(course(first["records"], epochs, first["epoch"]))
    if "as-published" in answers and (told := splits_note(answers["as-published"])):
        notes.append(told)
    if share := _share(one):
        notes.append(share)
    if layers := one.more.get("pretrained"):
        notes.append(f"{layers} a layer before (published: 50)")
    if one.function is parts.forest:
        notes.append(", ".join(f"{name} {value}" for name, value in first["settings"].items()))
    return line_of(one.key, one.title, answers, published=one.published, note="; ".join(notes))


def _absent(run: StudyRun) -> list[Line]:
    """Published lines that take longer than a quick run has, or need a checkpoint which is not at hand."""
    long = [
        Line(key, title, published, note="not run where it is quick")
        for key, (title, published) in _NOT_QUICKLY.items()
        if run.scale == "quick" and key not in run.full
    ]
    return long + [
        Line(name, title, published, note=f"not run: give its checkpoint, --set {name}={hub}")
        for name, title, published, hub in (
            ("wav2vec2", "wav2vec2-base, its top two layers tuned", 0.868, "facebook/wav2vec2-base"),
            ("xlsr", "XLSR fine-tuned for speech emotion, top layers", 0.972, "FOLDER or OWNER/MODEL"),
        )
        if not run.options.get(name)
    ]


def _findings(
    run: StudyRun,
    lines: Sequence[Line],
    reasons: Mapping[str, str],
    answers: Mapping[str, Mapping[str, ClassAnswers]],
    done: Mapping[str, Mapping[str, Sequence[Part]]],
) -> list[str]:
    told = []
    classes = len(next(iter(next(iter(answers.values())).values())).labels)
    gaps = {line.title: line.gap for line in lines if line.gap is not None}
    if gaps:
        most = max(gaps, key=lambda title: gaps[title])
        mean = float(np.mean(list(gaps.values())))
        told.append(
            f"Actors that are known from training are worth {mean:+.3f} on average over {len(gaps)} lines, most for "
            f"{most} ({gaps[most]:+.3f})."
            if mean > 0
            else f"Over {len(gaps)} lines a random split is no easier than unheard actors ({mean:+.3f} on average)."
        )
    both = [line for line in lines if line.as_published and line.honest]
    if len(both) > 1:
        ranks = [[line.title for line in sorted(both, key=key)] for key in (_leaking, _honest)]
        told.append(
            "The best line is the same under both protocols: " + ranks[0][-1] + "."
            if ranks[0][-1] == ranks[1][-1]
            else f"The split changes who wins: {ranks[0][-1]} as published, {ranks[1][-1]} honestly."
        )
    honest = [line for line in lines if line.honest]
    if honest:
        best = max(honest, key=_honest)
        assert best.honest is not None
        ends = best.honest.ci95
        interval = f" (95 % over actors {ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        told.append(f"Honestly the best is {best.title} with {best.honest.value:.3f}{interval}; "
                    f"chance is {1 / classes:.3f}.")  # fmt: skip
    told += filter(None, [short_of(lines, reasons)])
    by_key = {line.key: line for line in lines}
    for key, what in (
        ("cnn-3-augmented", "Masks and noise"),
        ("cnn-3-pretrained-30", "Layer-wise pretraining"),
    ):
        one, other = by_key.get("cnn-3"), by_key.get(key)
        if one and other and one.honest and other.honest and run.alike("cnn-3", key):
            change = other.honest.value - one.honest.value
            spread = one.honest.ci95[1] - one.honest.ci95[0] if one.honest.ci95 else 1.0
            sure = (
                "less than the interval is wide" if abs(change) < spread / 2 else "more than chance explains"
            )
            told.append(f"{what} change CNN-3 by {change:+.3f} honestly, {sure}.")
    if "random-forest" in done:
        part = next(iter(done["random-forest"].values()))[0]
        names = [part["names"][i] for i in np.argsort(-part["importances"])[:3]]
        told.append(f"What the forest looks at most: {', '.join(names)}.")
    one, other = by_key.get("random-forest"), by_key.get("random-forest-bands")
    if one and other and one.as_published and other.as_published:
        told.append(
            "With each mel band's statistics in its table, and not those of the whole mel spectrogram, the forest "
            f"gets {other.as_published.value:.3f} as published instead of {one.as_published.value:.3f}: what a "
            "published table held decides by that much."
        )
    return told


def _why(one: _Setting, answers: ClassAnswers, made: Sequence[Part]) -> str:
    """What the runs as published say of a figure under the published one."""
    told = [told for told in (splits_reason(answers, one.published), _share(one)) if told]
    if "records" in made[0]:
        told.append(course(made[0]["records"], one.more["epochs"], made[0]["epoch"]))
        # a published figure may be that of the clips that chose the epoch
        chosen = [max(record["valid_accuracy"] for record in part["records"]) for part in made]
        told.append(f"{np.mean(chosen):.3f} on the clips that chose the epoch")
    return "; ".join(told)


def _share(one: _Setting) -> str:
    share = one.more.get("share", 1.0)
    return f"{share:.0%} of the training clips" if share < 1 else ""


def _leaking(line: Line) -> float:
    return line.as_published.value if line.as_published else 0.0


def _honest(line: Line) -> float:
    return line.honest.value if line.honest else 0.0


STUDY = Study(
    "ravdess",
    "R",
    "RAVDESS: eight emotions, from a random forest to large encoders",
    "Published: librosa's features (40 MFCC, chroma, mel, contrast, tonnetz, centroid, roll-off, bandwidth, tempo, "
    "RMS, zero crossings, SNR) for a searched random forest and an MLP 256-128-64; CNNs of three to five layers on mel "
    "images of 128 x 128, with and without masks and noise, and after layer-wise pretraining as autoencoders; CNN and "
    "MLP joined; wav2vec 2.0 with its top layers tuned. Random split.",
    ("ravdess",),
    _run,
    {"full": 1, "quick": 1, "miniature": 1},
    {
        "wav2vec2": "folder or hub name of wav2vec2-base, to be tuned",
        "xlsr": "folder or hub name of an XLSR model fine-tuned for speech emotion",
        "encoder": "folder or hub name of any encoder (Whisper's too), to be read by linear heads",
        "encoder-cache": "folder with its statistics, as edge-ser teach keeps them (RUNS/cache)",
    },
    lines=(
        "random-forest",
        "mlp",
        *(f"cnn-{name}{way}" for name in "345" for way in ("", "-augmented")),
        "cnn-3-pretrained-25",
        "cnn-3-pretrained-30",
        "cnn+mlp",
    ),
)
