"""MODEL_CARD.md, written from the manifest alone, so that the card cannot say what the bundle does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_ser.manifest import CARD
from export.card_failures import failures_told
from export.card_words import interval, nested, number, table
from export.licences import of_published, stated

__all__ = ["card_text", "with_card"]

_RATERS = {
    "emotale": (
        "In EmoTale, the recordings were rated by three people each on scales from 1 to 5. The raters agree with one "
        "another at a CCC of .76 to .78 (arousal), .75 to .80 (dominance) and .56 to .76 (valence); a model "
        "cannot be expected to do better, least of all in valence."
    ),
}

_RESPONSIBLE = """\
- **Ask first.** Tell people that a machine rates how they sound, what for, and how to say no; keep no audio that
  they did not agree to. The model runs on the device, and nothing of it sends audio anywhere.
- **It hears how a voice sounds, not what a person feels.** Its answer is what listeners of acted speech would say of
  such a sound; it is no evidence of a state of mind, of truthfulness, of health or of character.
- **It must not decide about people**: not on hiring, pay, school marks, insurance, credit, treatment, policing,
  borders or access to anything, alone or as a part of a score.
- **The law.** The EU's AI Act (Regulation (EU) 2024/1689), article 5(1)(f), prohibits systems that infer emotions at
  the workplace and in education, but for medical or safety reasons; elsewhere such systems count as high-risk
  (annex III), and those who are exposed to them must be told (article 50). A voice can be personal data (GDPR). Other
  countries have laws of their own. This is no legal advice.
"""


def with_card(
    manifest: Mapping[str, Any], files: Mapping[str, bytes]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A manifest and the content of its files, each with the card that follows from the manifest."""
    entries = [*manifest["files"], {"path": CARD, "engine": None, "precision": None}]
    whole = {**manifest, "files": entries}
    return whole, {**files, CARD: card_text(whole).encode("utf-8")}


def card_text(manifest: Mapping[str, Any]) -> str:
    """Write the card of a bundle.

    Parameters
    ----------
    manifest : mapping
        As `export.description.describe` gives it.

    Returns
    -------
    str
        Markdown.
    """
    m = manifest
    seconds = m["step_frames"] * m["spec"]["hop_length"] / m["spec"]["sample_rate"]
    parts = [
        f"# {m['name']}",
        _summary(m, seconds),
        table(
            ("", ""),
            (
                ("architecture", m["architecture"]),
                ("parameters", f"{m['parameters']:,}"),
                (
                    "multiply-accumulates for one second of audio",
                    f"{m['macs_per_second']:,} (front end not counted)"
                    if m["macs_per_second"]
                    else "not counted",
                ),
                ("input", _input(m)),
                ("looks back", _window(m, seconds)),
                ("licence", m["licence"]),
            ),
        ),
        "## Trained on",
        _training(m["training"]),
        "## Where arousal, dominance and valence come from",
        _adv(m["adv"]["source"]),
        "## Figures",
        _figures(m["figures"], m["training"].get("held_out_fold")),
        "## Where it fails",
        failures_told(m["figures"]),
        "## Limits",
        _limits(m),
        "## Responsible use",
        _RESPONSIBLE.strip(),
        "## Files",
        _files(m["files"], m.get("preferred") or {}),
        *([_rounded(m["quantisation"])] if "quantisation" in m else []),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(m: Mapping[str, Any], seconds: float) -> str:
    emotions = f"one of {len(m['labels'])} emotions ({', '.join(m['labels'])})"
    if m.get("vector") is not None:
        return f"Speech emotion from a whole recording: {emotions}."
    low, high = m["adv"]["range"]
    rated = (
        f"arousal, dominance and valence in {low:g}..{high:g}, and " if m["adv"].get("learnt", True) else ""
    )
    return f"Speech emotion from a voice, in a stream: every {1000 * seconds:.0f} ms {rated}{emotions}."


def _input(m: Mapping[str, Any]) -> str:
    if m.get("vector") is not None:
        return f"{m['vector']['size']} features of the set {m['vector']['name']}, of the whole recording"
    return f"{m['spec']['n_mels']} log-mel bands of {m['spec']['sample_rate']} Hz mono"


def _window(m: Mapping[str, Any], seconds: float) -> str:
    if m.get("window") is not None:
        return f"{m['window']['samples'] / m['spec']['sample_rate']:g} s, heard as a whole at each step"
    if m.get("vector") is not None:
        return "all of the recording"
    segments = m["config"].get("window_segments")
    return f"{segments * seconds:g} s, weighted by attention" if segments else "all of the recording"


def _training(training: Mapping[str, Any]) -> str:
    if "imported" in training:
        return (
            f"Not known to edge-ser: the file `{training['imported']}` was made by somebody else and imported as it is."
            f" {training['description']}"
        ).strip()
    lines = []
    clips = training.get("clips")
    if isinstance(clips, Mapping) and clips:
        lines.append(table(("corpus", "clips"), [(name, f"{count:,}") for name, count in clips.items()]))
    facts = [
        ("speakers", training.get("speakers")),
        ("held-out fold", training.get("held_out_fold", "not recorded")),
        ("seed", training.get("seed")),
        *_averaged(training.get("averaged")),
        ("licences of the corpora", _stated(training, "licence")),
        ("citations", _stated(training, "citation")),
        *_began(training.get("began")),
    ]
    texts = {"held-out fold": "none: trained on all speakers"}
    lines.append(
        "\n".join(
            f"- {name}: {texts.get(name, 'not recorded') if value is None else value}"
            for name, value in facts
        )
    )
    lines.append(
        "**The corpora are for research and other non-commercial use**, and so is what was learnt from them as far "
        "as their licences reach; none of their audio is in this bundle. Whoever needs more trains on recordings "
        "that allow it."
        if of_published(training)
        else "**What was learnt from recordings may be used as their licences and their speakers allow**; none of "
        "their audio is in this bundle."
    )
    return "\n\n".join(lines)


def _stated(part: Mapping[str, Any], name: str) -> str | None:
    return None if part.get(name) is None else stated(part[name])


def _began(before: Mapping[str, Any] | None) -> list[tuple[str, str | None]]:
    """What the network that this one began from had learnt."""
    if not before:
        return []
    clips = ", ".join(f"{count:,} clips of {name}" for name, count in before["clips"].items())
    return [
        ("began from a network that had learnt", clips),
        ("licences of these", _stated(before, "licence")),
        ("citations of these", _stated(before, "citation")),
    ]


def _averaged(networks: Sequence[Mapping[str, Any]] | None) -> list[tuple[str, str]]:
    """What a mean of networks is of."""
    return [("weights", f"a mean of networks that began alike: {_parts(networks)}")] if networks else []


def _parts(networks: Sequence[Mapping[str, Any]]) -> str:
    told = []
    for one in networks:
        name = (one.get("recipe") or {}).get("name", "no recipe")
        inner = f"a mean ({_parts(one['averaged'])})" if one.get("averaged") else name
        told.append(f"{one.get('share', 1 / len(networks)):.0%} {inner}")
    return ", ".join(told)


def _adv(source: str) -> str:
    details = [text for corpus, text in _RATERS.items() if corpus in source.lower()]
    sentence = source[:1].upper() + source[1:] + ("" if source.endswith(".") else ".")
    return "\n\n".join([sentence, *details])


def _figures(figures: Sequence[Mapping[str, Any]], held_out: int | None) -> str:
    if not figures:
        return (
            "None were recorded with this bundle: measure it on your own recordings with `edge-ser evaluate`."
        )
    rows, notes, tested = [], [], set()
    for figure in figures:
        rows.append(
            (
                figure.get("corpus", ""),
                figure["protocol"],
                number(nested(figure, "uar", "mean")),
                interval(nested(figure, "uar", "ci95")),
                number(figure.get("baseline_uar")),
                " / ".join(
                    number(nested(figure, "adv", d, "ccc")) for d in ("arousal", "dominance", "valence")
                ),
            )
        )
        folds = [fold for fold in figure.get("folds") or () if isinstance(fold, Mapping) and "uar" in fold]
        tested |= {fold.get("fold") for fold in folds} or {None}
        if len(folds) > 1:
            values = ", ".join(f"{fold.get('fold')}: {number(fold['uar'])}" for fold in folds)
            notes.append(f"UAR by fold, {figure.get('corpus', '')}: {values}.")
    head = ("corpus", "protocol", "UAR", "95 % interval", "trivial UAR", "CCC arousal / dominance / valence")
    notes.append(
        "UAR is the unweighted mean of the classes' recalls, CCC the concordance with the raters' means, trivial "
        "UAR that of always naming one class. "
        + (
            f"All are of fold {held_out}, whose speakers took no part in the training of the weights here."
            if held_out is not None and tested == {held_out}
            else "Figures of speaker-disjoint folds are of models trained in the same way without the speakers that "
            "they are tested on; the weights here may have heard all of them."
        )
    )
    return "\n\n".join([table(head, rows), *notes])


def _limits(m: Mapping[str, Any]) -> str:
    if "imported" in m["training"]:
        return "Nothing was measured here: ask who made the file, and measure it with `edge-ser evaluate`."
    before = (m["training"].get("began") or {}).get("clips") or {}
    corpora = ", ".join({**(m["training"].get("clips") or {}), **before}) or "its corpora"
    return "\n".join(
        (
            f"- It learnt from {corpora}: for the most part acted emotions, few speakers, few sentences, quiet rooms. "
            "Everyday speech is subtler, and answers to it are worse than any figure above.",
            "- Other languages, ages, accents, illnesses, microphones, noise and distance were tested little or "
            "not at all; expect it to be worse for groups that the corpora lack, and measure before relying on it.",
            _rejects(m.get("speech_detector")),
            "- Probabilities are " + _calibrated(m["calibration"]),
            *_adapts(m["calibration"]),
        )
    )


def _rejects(detector: Mapping[str, Any] | None) -> str:
    if detector is None:
        return (
            "- It names one of its emotions for any sound, music and noise included; the listening program marks "
            "silence and uncertain answers, the model itself does not know that it does not know."
        )
    r = detector["record"]
    return (
        f"- A detector of speech goes with it: of {r['sounds']} sounds that are no speech and that it had not heard "
        f"it gave {r['rejected']:.1%} no emotion, and refused {r['refused']:.1%} of {r['speech']} clips of speech. "
        "Crying, laughter and animals are closest to speech, and may be taken for it."
    )


def _adapts(c: Mapping[str, Any]) -> list[str]:
    if c.get("typical") is None:
        return []
    return [
        "- `edge-ser listen --adapt` gets used to one speaker's voice, and to a room and a language that the training "
        "lacked. Whoever is angry for the whole time is in part taken to sound like that."
    ]


def _calibrated(c: Mapping[str, Any]) -> str:
    if c["temperature"] == 1.0 and not c["unsure_below"]:
        return "not calibrated."
    text = f"calibrated with a temperature of {c['temperature']:g}"
    if c.get("coverage") is None:
        return text + "."
    return (
        f"{text}; below {c['unsure_below']:g} an answer counts as unsure, which leaves {c['coverage']:.0%} sure of the "
        f"{c['fitted_on']}. With other speakers, rooms and languages the share differs."
    )


def _files(files: Iterable[Mapping[str, Any]], preferred: Mapping[str, str]) -> str:
    rows = [
        (
            f"`{file['path']}`",
            file["engine"] or "-",
            (file["precision"] or "-") + (", OVER ITS LIMIT" if "over_limit" in file else ""),
        )
        for file in files
        if file["path"] != CARD
    ]
    told = "".join(
        f"\n\nOn {engine} {precision} runs where no precision is named: what is rounded takes longer there."
        for engine, precision in sorted(preferred.items())
    )
    return (
        table(("file", "engine", "precision"), rows)
        + told
        + "\n\nSizes and SHA-256 of all files are in `bundle.json`; `edge-ser verify` runs each against the others."
    )


def _rounded(quantisation: Mapping[str, Any]) -> str:
    """How int8 files came about."""
    seen = quantisation["calibration"]
    clips = ", ".join(f"{count} of {name}" for name, count in seen["clips"].items())
    ranges = f", ranges by {seen['method']}" if "method" in seen else ""
    mixed = "".join(
        f" In `{key}` so are {', '.join(layers)}." for key, layers in quantisation.get("mixed", {}).items()
    )
    methods = "\n".join(f"- `{key}`: {method}" for key, method in quantisation["methods"].items())
    return (
        f"Files in int8:\n\n{methods}\n\n"
        f"Ranges and corrections were learnt from {seen['source']}: {clips}, {seen['steps']:,} steps"
        + ("" if seen["seed"] is None else f", drawn with seed {seen['seed']}")
        + f"{ranges}. States, sums and heads are float32, and so are the layers "
        + f"{', '.join(quantisation['float_layers'])}."
        + mixed
    )
