"""What study R's report draws and tables beside its lines."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.drawings import as_svg, curves, svg
from edge_ser.evaluation.portrait import plot_recording
from edge_ser.studies import Part, Section
from edge_ser.studies.networks import confusions, learning_curves
from edge_ser.studies.recipes._ravdess_parts import Material

__all__ = ["sections"]


def sections(
    material: Material,
    titles: Mapping[str, str],
    answers: Mapping[str, Mapping[str, ClassAnswers]],
    done: Mapping[str, Mapping[str, Sequence[Part]]],
) -> list[Section]:
    """Confusions, curves, recalls, importances and pictures; answers and parts of each line under each protocol."""
    last = {key: (protocol, own[protocol]) for key, own in answers.items() for protocol in list(own)[-1:]}
    best = max(last, key=lambda key: last[key][1].figure(interval=False).value)
    named = {f"{titles[key]}, {last[key][0]}": last[key][1] for key in dict.fromkeys(("random-forest", best))}
    each = {key: one.recalls() for key, (_, one) in last.items()}
    labels = material.labelled.labels
    records = {
        f"{titles[key]}, {protocol.replace('-', ' ')}": of[0]["records"]
        for key, own in done.items()
        for protocol, of in own.items()
        if "records" in of[0]
    }
    forest = next(iter(done["random-forest"].values()))[0]
    counted = Counter((clip.emotion, clip.intensity, clip.sex) for clip in material.clips)
    clips = {label: next(c for c in material.clips if c.emotion == label) for label in labels}
    return [
        confusions(named),
        Section(
            "Curves",
            "Each class against the others.",
            {f"ROC and precision-recall of {name}": curves(one.labels, one.truth, one.scores)
             for name, one in named.items()},
        ),
        Section(
            "Right answers of each emotion",
            "Recall, " + " / ".join(sorted({protocol for protocol, _ in last.values()})),
            rows=[{"emotion": label, **{key: one[label] for key, one in each.items()}} for label in labels],
        ),
        Section(
            "What the forest looks at",
            "Share of the impurity that each feature takes away, the first twenty.",
            {"importances of features": svg((8.0, 4.4), functools.partial(_bars, forest))},
        ),
        learning_curves(records),
        Section(
            "Clips",
            "From the fields of the file names.",
            rows=[
                {"emotion": emotion, "intensity": intensity, "sex": sex, "clips": n}
                for (emotion, intensity, sex), n in sorted(counted.items(), key=str)
            ],
        ),
        Section(
            "A clip of each emotion",
            "",
            {
                f"{label}: waveform and mel spectrogram": as_svg(
                    plot_recording, load_audio(clip.path), what=["waveform", "mel"], title=label
                )
                for label, clip in clips.items()
            },
        ),
    ]  # fmt: skip


def _bars(forest: Part, figure: Any) -> None:
    axes, importances = figure.subplots(), forest["importances"]
    order = np.argsort(-importances)[:20]
    axes.barh(np.arange(len(order))[::-1], importances[order], color="#3f72b0", height=0.7)
    axes.set_yticks(np.arange(len(order))[::-1], [forest["names"][i] for i in order], fontsize=7)
    axes.set(xlabel="importance")
