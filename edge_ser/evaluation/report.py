"""A report: one HTML page that needs no network, the figures and every answer as JSON."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.audio import load_audio, wav_bytes
from edge_ser.corpora import ADV
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.calibrate import calibration
from edge_ser.evaluation.drawings import pictures
from edge_ser.evaluation.figures import details
from edge_ser.evaluation.metrics import FEW
from edge_ser.evaluation.page import cards, heading, page, picture, table, warning, write_pages

__all__ = ["all_figures", "write_report"]

_PLAYED = 8  # worst clips with a player
_LONGEST_S = 15  # of a clip that is put into the page
_NOT_FITTED = (
    "not fitted across the parts of the split: it leaks speakers, so no part has a temperature and a rule of other "
    "people's clips"
)

_HEADINGS = {
    "confusion": ("Confusion", "Share of the true class, and clips."),
    "curves": ("Curves", "Each class against the others."),
    "speakers": ("Speakers", ""),
    "calibration": (
        "Calibration",
        "How often an answer of each confidence is right, and what is gained by silence.",
    ),
    "adv": ("Arousal, dominance, valence", "Thin lines: the ends of the scale."),
    "robustness": ("Robustness", ""),
    "streaming": ("In a stream", ""),
}


def all_figures(
    answers: Answers, result: Mapping[str, Any], *, coverage: float = 0.8, **more: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures of an evaluation, `details` and `calibration` of its answers, and others by name.

    Where speakers stand on both sides of the split nothing is fitted, and ``calibration`` says so in ``not_fitted``.
    """
    figures: dict[str, Any] = {**result, **details(answers), **more}
    if (answers.truth >= 0).any():
        if result.get("leaks"):  # as one fold, of which there are no others to fit to
            answers = dataclasses.replace(answers, folds=np.zeros_like(answers.folds))
        figures["calibration"] = calibration(answers, coverage)
        if result.get("leaks"):
            figures["calibration"]["not_fitted"] = _NOT_FITTED
    return figures


def write_report(folder: str | Path, answers: Answers, figures: Mapping[str, Any]) -> Path:
    """Write ``report.html``, ``figures.json`` and ``predictions.json``, each whole or not at all.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of those names are replaced.
    answers : Answers
    figures : mapping
        Of `all_figures`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    EdgeSerError
        It cannot be written.
    MissingExtraError
        matplotlib is not installed.
    """
    written = _page(answers, figures, pictures(answers, figures))
    return write_pages(folder, written, {"predictions": answers.to_dict(), "figures": figures})


def _page(answers: Answers, figures: Mapping[str, Any], drawn: Mapping[str, bytes]) -> str:
    f = figures
    title = f"{f['model']} on {f['corpus']}"
    parts = [
        f"<h1>{html.escape(title)}</h1><p class=soft>{html.escape(str(f['protocol']))}; {f.get('params') or 'unknown'} "
        f"parameters; {answers.recordings} clips of {len(set(answers.speakers))} speakers</p>",
        *_warnings(f),
        _cards(f),
    ]
    if "folds" in f:
        parts += ["<h2>Folds</h2>", table(f["folds"])]
    if "classes" in f:
        areas = [{**row, **f["curves"].get(row["label"], {})} for row in f["classes"]]
        parts += ["<h2>Classes</h2>", table(areas)]
    for name in ("confusion", "curves", "speakers"):
        parts += _picture(name, drawn)
    if "speakers" in f:
        parts.append(table(f["speakers"]))
    for name in ("sex", "language", "intensity", "corpus"):
        if isinstance(f.get(name), list):
            parts += [f"<h2>By {name}</h2>", table(f[name])]
    parts += _picture("adv", drawn)
    if "adv" in f:
        parts += [table([_adv_row(name, f["adv"][name]) for name in ADV])]
    parts += _picture("calibration", drawn)
    if fitted := f.get("calibration", {}).get("fitted"):
        parts.append(table([{k: v for k, v in fitted.items() if k != "reliability"}]))
    if reason := f.get("calibration", {}).get("not_fitted"):
        parts.append(f"<p>Calibration is {html.escape(reason)}.</p>")
    for name in ("robustness", "streaming"):
        parts += _picture(name, drawn)
    if robust := f.get("robustness"):
        parts += [
            f"<p>{html.escape(robust['protocol'])}</p>",
            table(robust["conditions"]),
            table(robust["bars"]),
        ]
    if tests := f.get("tests"):
        parts += [
            "<h2>Tests of correctness, fairness and robustness</h2>",
            f"<p>{html.escape(tests['protocol'])}</p>",
        ]
        parts += [table(tests["summary"]), table(tests["tests"])]
    if stream := f.get("streaming"):
        if "streaming" not in drawn:
            parts.append(f"<h2>{_HEADINGS['streaming'][0]}</h2>")
        parts += [f"<p>{html.escape(stream['protocol'])}</p>", table([stream["figures"]])]
    if session := f.get("session"):
        kinds = {
            "in random order": "uar", "each emotion in one piece": "by_mood",
            "one emotion alone, as if nothing else were ever heard": "one_mood",
            "all speakers in turn, taken for one": "together", "four clips of five neutral or calm": "everyday",
        }  # fmt: skip
        parts += [
            "<h2>Used to the speaker</h2>",
            f"<p>Each clip after others, which nobody labelled, in {session['orders']} random orders.</p>",
            table(
                [
                    {
                        "clips": told,
                        "UAR": session[key],
                        "each alone": session.get(f"{key}_alone", session["uar_alone"]),
                    }
                    for told, key in kinds.items()
                    if key in session
                ]
            ),
            table(session["heard"]),
        ]
    if curve := f.get("learning_curve"):
        parts += ["<h2>By the number of speakers in training</h2>", table(curve)]
    parts += _worst(answers)
    parts += _left_out(f)
    return page(title, parts)


def _warnings(f: Mapping[str, Any]) -> list[str]:
    told = []
    if f.get("leaks"):
        told.append(
            "Speakers stand on both sides of the split: these figures say nothing about new speakers."
        )
    if f.get("seen_in_training"):
        told.append(
            "The model was trained on these recordings: this is no measure of how it does on new speakers."
        )
    if f.get("absent"):
        told.append(f"No clips of {', '.join(f['absent'])}: averages over classes do not cover them.")
    return [warning(text) for text in told]


def _cards(f: Mapping[str, Any]) -> str:
    shown = []
    if "uar" in f:
        low_high = f["uar"]["ci95"]
        note = f"95 % over speakers {low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else FEW
        shown.append(("UAR", f"{f['uar']['mean']:.3f}", f"{note}; trivial {f['baseline_uar']:.3f}"))
        shown.append(("accuracy", f"{f['accuracy']:.3f}", f"macro F1 {f['macro_f1']:.3f}"))
        shown.append(("ECE", f"{f['calibration']['ece']:.3f}", "as answered"))
    for name in ADV if "adv" in f else ():
        one = f["adv"][name]
        ci = one.get("ccc_ci95")
        shown.append((f"CCC {name}", f"{one['ccc']:.3f}", f"{ci[0]:.3f} to {ci[1]:.3f}" if ci else ""))
    return cards(shown)


def _picture(name: str, drawn: Mapping[str, bytes]) -> list[str]:
    return picture(drawn[name], *_HEADINGS[name], kind=name) if name in drawn else []


def _adv_row(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    ends = one["extremes"]
    row = {"dimension": name, **{k: one[k] for k in ("ccc", "pcc", "mae", "trivial_mae")}}
    row["range of answers / ratings"] = ends["range_ratio"]
    for end in ("low", "high"):
        row[f"{end} end reached"] = ends[end] and ends[end]["reached"]
    return row


def _worst(answers: Answers) -> list[str]:
    """The clips that were answered wrongly with most confidence, to be listened to."""
    wrong = np.flatnonzero((answers.truth >= 0) & (answers.said != answers.truth))
    worst = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:_PLAYED]
    if not len(worst):
        return []
    rows = []
    for i in worst:
        clip = answers.clips[i]
        said = answers.labels[int(answers.said[i])]
        rows.append(
            f"<tr><td>{_player(clip.path)}</td><td>{html.escape(clip.path.name)}</td><td>{html.escape(clip.speaker)}"
            f"</td><td>{html.escape(clip.emotion or '')}</td><td>{html.escape(said)}</td>"
            f"<td class=n>{answers.confidence[i]:.2f}</td></tr>"
        )
    head = (
        "<tr><th>listen</th><th>clip</th><th>speaker</th><th>true</th><th>said</th><th>confidence</th></tr>"
    )
    return [heading("Worst clips", "Wrong, and most sure of it."), f"<table>{head}{''.join(rows)}</table>"]


def _player(path: Path) -> str:
    if not path.is_file():
        return "the audio is not at hand"
    data = base64.b64encode(wav_bytes(load_audio(path)[: _LONGEST_S * 16000])).decode("ascii")
    return f'<audio controls preload="none" src="data:audio/wav;base64,{data}"></audio>'


def _left_out(f: Mapping[str, Any]) -> list[str]:
    rows = [{"what": one["file"], "why": one["reason"]} for one in f.get("excluded", ())]
    unscored = f.get("not_scored") or {}
    rows += [
        {"what": f"{n} clips", "why": f"the model does not know {label}"} for label, n in unscored.items()
    ]
    rows += [{"what": one["what"], "why": one["reason"]} for one in f.get("left_out", ())]
    rows += [
        {"what": one["file"], "why": f"of the stream: {one['reason']}"}
        for one in f.get("streaming", {}).get("excluded", ())
    ]
    parts = ["<h2>Left out</h2>", table(rows) if rows else "<p>Nothing.</p>"]
    if read := f.get("read_as"):
        parts += [
            "<h2>Words of the table, and what they were read as</h2>",
            table([{"word": word, "read as": ours} for word, ours in read.items()]),
        ]
    return parts
