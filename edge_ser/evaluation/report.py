"""A report: one HTML page that needs no network, the figures and every answer as JSON."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.audio import load_audio, wav_bytes
from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.calibrate import calibration
from edge_ser.evaluation.drawings import pictures
from edge_ser.evaluation.figures import details
from edge_ser.files import write_atomic, write_json

__all__ = ["all_figures", "write_report"]

_PLAYED = 8  # worst clips with a player
_LONGEST_S = 15  # of a clip that is put into the page

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#2b2f36;max-width:1080px;margin:24px auto;padding:0 16px}
h1{font-size:26px;margin-bottom:2px}h2{font-size:19px;margin-top:34px;border-bottom:1px solid #d9dce1}
table{border-collapse:collapse;margin:10px 0}td,th{padding:3px 10px;border-bottom:1px solid #e8eaee;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.warn{background:#fff3d6;padding:8px 12px}
.big{font-size:30px;font-weight:700}.cards{display:flex;gap:34px;flex-wrap:wrap;margin:14px 0}
.cards div{min-width:110px}
.soft{color:#666d78}.no{color:#b3261e}.yes{color:#1d7a46}img{max-width:100%}img.confusion{max-width:620px}audio{height:30px;width:260px}
"""

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
    """The figures of an evaluation, `details` and `calibration` of its answers, and others by name."""
    figures: dict[str, Any] = {**result, **details(answers), **more}
    if (answers.truth >= 0).any():
        figures["calibration"] = calibration(answers, coverage)
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
    target = Path(folder)
    drawn = pictures(answers, figures)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSerError(f"cannot make the folder {target}: {error.strerror}") from error
    write_json(target / "predictions.json", answers.to_dict())
    write_json(target / "figures.json", figures)
    page = target / "report.html"
    write_atomic(page, _page(answers, figures, drawn).encode("utf-8"))
    return page


def _page(answers: Answers, figures: Mapping[str, Any], drawn: Mapping[str, bytes]) -> str:
    f = figures
    title = f"{f['model']} on {f['corpus']}"
    parts = [
        f"<h1>{html.escape(title)}</h1><p class=soft>{html.escape(str(f['protocol']))}; "
        f"{f.get('params') or 'unknown'} parameters; {len(answers)} clips of {len(set(answers.speakers))} speakers</p>",
        *_warnings(f),
        _cards(f),
    ]
    if "folds" in f:
        parts += ["<h2>Folds</h2>", _table(f["folds"])]
    if "classes" in f:
        areas = [{**row, **f["curves"].get(row["label"], {})} for row in f["classes"]]
        parts += ["<h2>Classes</h2>", _table(areas)]
    for name in ("confusion", "curves", "speakers"):
        parts += _picture(name, drawn)
    if "speakers" in f:
        parts.append(_table(f["speakers"]))
    for name in ("sex", "language", "intensity", "corpus"):
        if isinstance(f.get(name), list):
            parts += [f"<h2>By {name}</h2>", _table(f[name])]
    parts += _picture("adv", drawn)
    if "adv" in f:
        parts += [_table([_adv_row(name, f["adv"][name]) for name in ADV])]
    parts += _picture("calibration", drawn)
    if fitted := f.get("calibration", {}).get("fitted"):
        parts.append(_table([{k: v for k, v in fitted.items() if k != "reliability"}]))
    for name in ("robustness", "streaming"):
        parts += _picture(name, drawn)
    if robust := f.get("robustness"):
        parts += [f"<p>{html.escape(robust['protocol'])}</p>", _table(robust["conditions"])]
    if tests := f.get("tests"):
        parts += [
            "<h2>Tests of correctness, fairness and robustness</h2>",
            f"<p>{html.escape(tests['protocol'])}</p>",
        ]
        parts += [_table(tests["summary"]), _table(tests["tests"])]
    if stream := f.get("streaming"):
        if "streaming" not in drawn:
            parts.append(f"<h2>{_HEADINGS['streaming'][0]}</h2>")
        parts += [f"<p>{html.escape(stream['protocol'])}</p>", _table([stream["figures"]])]
    if session := f.get("session"):
        parts += [
            "<h2>By clips of the speaker heard before</h2>",
            f"<p>Without labels, in {session['orders']} random orders: UAR {session['uar']:.3f}, each clip alone "
            f"{session['uar_alone']:.3f}, each emotion of a speaker in one piece {session['by_mood']:.3f}.</p>",
            _table(session["heard"]),
        ]
    if curve := f.get("learning_curve"):
        parts += ["<h2>By the number of speakers in training</h2>", _table(curve)]
    parts += _worst(answers)
    parts += _left_out(f)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


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
    return [f"<p class=warn>{html.escape(text)}</p>" for text in told]


def _cards(f: Mapping[str, Any]) -> str:
    cards = []
    if "uar" in f:
        low_high = f["uar"]["ci95"]
        note = f"95 % over speakers {low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else "one speaker"
        cards.append(("UAR", f"{f['uar']['mean']:.3f}", f"{note}; trivial {f['baseline_uar']:.3f}"))
        cards.append(("accuracy", f"{f['accuracy']:.3f}", f"macro F1 {f['macro_f1']:.3f}"))
        cards.append(("ECE", f"{f['calibration']['ece']:.3f}", "as answered"))
    for name in ADV if "adv" in f else ():
        one = f["adv"][name]
        ci = one.get("ccc_ci95")
        cards.append((f"CCC {name}", f"{one['ccc']:.3f}", f"{ci[0]:.3f} to {ci[1]:.3f}" if ci else ""))
    return "<div class=cards>" + "".join(
        f"<div><div class=soft>{name}</div><div class=big>{value}</div><div class=soft>{note}</div></div>"
        for name, value, note in cards
    ) + "</div>"  # fmt: skip


def _picture(name: str, drawn: Mapping[str, bytes]) -> list[str]:
    if name not in drawn:
        return []
    heading, text = _HEADINGS[name]
    data = base64.b64encode(drawn[name]).decode("ascii")
    return [
        f"<h2>{heading}</h2>" + (f"<p class=soft>{text}</p>" if text else ""),
        f'<img class="{name}" alt="{heading}" src="data:image/svg+xml;base64,{data}">',
    ]


def _adv_row(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    ends = one["extremes"]
    row = {"dimension": name, **{k: one[k] for k in ("ccc", "pcc", "mae", "trivial_mae")}}
    row["range of answers / ratings"] = ends["range_ratio"]
    for end in ("low", "high"):
        row[f"{end} end reached"] = ends[end] and ends[end]["reached"]
    return row


def _cell(value: Any) -> tuple[str, str]:
    if value is None:
        return "-", ""
    if isinstance(value, bool | np.bool_):
        return f"<span class={'yes' if value else 'no'}>{'yes' if value else 'no'}</span>", ""
    if isinstance(value, float):
        return f"{value:.3f}", " class=n"
    if isinstance(value, int):
        return str(value), " class=n"
    if isinstance(value, Mapping):
        return " / ".join(_cell(item)[0] for item in value.values()), " class=n"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item)[0] for item in value), ""
    return html.escape(str(value)), ""


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in keys)
    body = []
    for row in rows:
        cells = [_cell(row.get(key)) for key in keys]
        body.append("<tr>" + "".join(f"<td{kind}>{text}</td>" for text, kind in cells) + "</tr>")
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


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
    heading = "<h2>Worst clips</h2><p class=soft>Wrong, and most sure of it.</p>"
    return [heading, f"<table>{head}{''.join(rows)}</table>"]


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
    return ["<h2>Left out</h2>", _table(rows) if rows else "<p>Nothing.</p>"]
