"""Tables of what was trained: networks, teachers and students, from the files under results/."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import read
from edge_ser.commands._output import markdown_table
from edge_ser.corpora.base import ADV
from edge_ser.evaluation.evaluate import by_seed
from edge_ser.evaluation.folds import named_folds
from edge_ser.evaluation.metrics import FEW
from firmware_py.machine import machine_line

__all__ = ["TABLES", "twins"]

# Corpora beside RAVDESS on whose own folds the student is trained, and those that were left out of a mix.
OWN = ("emodb", "aesdd", "emotale", "nemo")
LEFT_OUT = ("ravdess", "emodb", "aesdd", "emotale", "nemo")
# Students, as far as they have been made, each with what `edge-ser export` says of its fold 0; rivals taught alike.
STUDENTS = (
    ("ravdess-distil", "export"),
    ("ravdess-session", "export-session"),
    ("ravdess-live", "export-live"),
    ("ravdess-six", "export-six"),
)
RIVALS = ("rival-wav2small-72k", "rival-wav2small-17k", "rival-mobilenetv4-s")
# The corpora of the shipped model's training mix.
MIX = ("ravdess", "emodb", "emotale", "aesdd", "nemo", "urdu")


def accuracy(results: Path) -> str:
    """Figures over all folds of a corpus, each fold by a model that never heard its speakers."""
    return markdown_table([_score(read(results / f"{name}.json")) for name in ("ravdess", "emotale")])


def twins(results: Path) -> dict[str, str]:
    """The shipped model's twins: what files call the folds that they held out, and what tables do."""
    told = {}
    for part in ("fold0", "others"):  # the mix was chosen by the first, among others
        folds = read(results / f"stream72k-{part}-ravdess.json")["folds"]
        told[part] = named_folds([one["fold"] for one in folds])
    return told


def shipped(results: Path) -> str:
    """Figures of the shipped model's training mix on the folds that its twins held out of every corpus."""
    return markdown_table(
        [
            _score(read(results / f"stream72k-{part}-{name}.json"), {"held out": told})
            for name in MIX
            for part, told in twins(results).items()
        ]
    )


def _score(one: Mapping[str, Any], told: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        "corpus": one["corpus"],
        **(told or {}),
        "classes": sum(any(row) for row in one["confusion"]),  # those that the folds' speakers show
        "clips": sum(fold["n"] for fold in one["folds"]),
        **_uar(one),
        "folds": " ".join(f"{fold['uar']:.3f}" for fold in one["folds"]),
        "trivial": f"{one['baseline_uar']:.3f}",
        "CCC A / D / V": _ccc(one),
    }


def teachers(results: Path) -> str:
    """What teachers are worth on the folds that they never heard."""
    rows = []
    for name, heard in (
        ("teacher-ravdess", "beside its speaker's others"),
        ("teacher-ravdess-alone", "by itself"),
        ("teacher-emodb", "beside its speaker's others"),
        ("teacher-aesdd", "beside its speaker's others"),
        ("teacher-emotale", "beside its speaker's others"),
        ("teacher-nemo", "beside its speaker's others"),
    ):
        one = read(results / f"{name}.json")
        rows.append(
            {
                "corpus": one["corpus"],
                "teacher": one["model"],
                "a clip is heard": heard,
                **_uar(one),
                "CCC A / D / V": _ccc(one),
                "folds": " ".join(f"{fold['uar']:.3f}" for fold in one["folds"]),
            }
        )
    return markdown_table(rows)


def _uar(figures: Mapping[str, Any]) -> dict[str, str]:
    """The mean, and its interval where there is one."""
    interval = figures["uar"]["ci95"]
    return {
        "UAR": f"**{figures['uar']['mean']:.3f}**",
        "95 % over speakers": "{:.3f} to {:.3f}".format(*interval) if interval else FEW,
    }


def _ccc(figures: Mapping[str, Any]) -> str:
    return _three({d: figures["adv"][d]["ccc"] for d in ADV}) if "adv" in figures else "-"


def _three(ccc: Mapping[str, float]) -> str:
    return " / ".join(f"{ccc[d]:.3f}" for d in ADV)


def students(results: Path) -> str:
    """The same network on labels alone and from a teacher, on the folds that it never heard."""
    rows = []
    for name in ("ravdess", *(recipe for recipe, _ in STUDENTS), "ravdess-live-alone"):
        one = read(results / f"{name}.json")
        alone = name.endswith("-alone")
        at = results / f"{name}-int8.json"
        on_device = read(at) if at.exists() else {}
        rows.append(
            {
                "recipe": f"`recipes/{name.removesuffix('-alone')}.toml`" + ", no others" * alone,
                "parameters": one["params"],
                "epochs": one["recipe"]["fit"]["epochs"],
                "seeds": " ".join(f"{seed['uar']:.3f}" for seed in by_seed(one["folds"])),
                **_uar(one),
                "folds": " ".join(f"{value:.3f}" for value in by_fold(one["folds"])),
                "int8": f"{on_device['uar']['mean']:.3f}" if on_device else "-",
                "int8, used to the speaker": f"{on_device['session']['uar']:.3f}"
                if "session" in on_device
                else "-",
            }
        )
    return markdown_table(rows)


def own(results: Path) -> str:
    """One's own recordings, RAVDESS standing for them: labels alone, from other corpora's network and from nothing."""
    rows = []
    for name in ("own-ravdess", "own-fresh"):
        one = read(results / f"{name}.json")
        fit = one["recipe"]["fit"]
        rows.append(
            {
                "begun from": "five other corpora" if fit.get("start") else "fresh weights",
                "epochs": fit["epochs"],
                **_uar(one),
                "folds": " ".join(f"{value:.3f}" for value in by_fold(one["folds"])),
            }
        )
    return markdown_table(rows)


def adjusted(results: Path) -> str:
    """The answers with the classes' shares and without, and which of both the speakers of the other folds choose."""
    plain, level = (by_fold(read(results / f"ravdess-session{end}.json")["folds"]) for end in ("-plain", ""))
    rows = []
    for fold, pair in enumerate(zip(plain, level, strict=True)):
        others = [statistics.fmean(one[:fold] + one[fold + 1 :]) for one in (plain, level)]
        rows.append(
            {
                "fold": str(fold),
                "as trained": f"{pair[0]:.3f}",
                "shares taken out": f"{pair[1]:.3f}",
                "the other folds": f"{others[0]:.3f} / {others[1]:.3f}",
                "they choose": ("as trained", "taken out")[others[1] > others[0]],
            }
        )
    mean = {"fold": "**all**", "as trained": f"**{statistics.fmean(plain):.3f}**"}
    rows.append(
        mean
        | {"shares taken out": f"**{statistics.fmean(level):.3f}**", "the other folds": "", "they choose": ""}
    )
    return markdown_table(rows)


def beside_student(results: Path) -> str:
    """The student and networks of the literature on the same fold, and what each costs."""
    pairs = [*STUDENTS, *((name, f"{name}-export") for name in RIVALS)]
    rows = []
    for name, made in pairs:
        if not all((results / f"{file}.json").exists() for file in (name, made)):
            continue
        one, cost = read(results / f"{name}.json"), read(results / f"{made}.json")
        formats = {(row["format"], row["precision"]): row for row in cost["formats"]}
        eight = formats["tflite", "int8"]
        fold = [run for run in one["folds"] if run["fold"] == 0]
        rows.append(
            {
                "network": one["model"],
                "recipe": f"`recipes/{name}.toml`",
                "parameters": one["params"],
                "M MAC for a second of audio": f"{cost['macs_per_step'] * 1e3 / cost['step_ms'] / 1e6:.1f}",
                "int8 file, kB": f"{eight['bytes'] / 1e3:.0f}",
                "kB at work": f"{eight['working_memory']['total'] / 1e3:.0f}",
                "epochs": one["recipe"]["fit"]["epochs"],
                "UAR": f"**{statistics.fmean(run['uar'] for run in fold):.3f}**",
                "int8 file's": f"{eight['validation']['uar']:.3f}",
            }
        )
    clips = fold[0]["n"]
    note = (
        f"RAVDESS, fold 0 of five held out ({clips} clips), one seed; of several, UAR is their mean and the file "
        "the first's. UAR is the float network's, of whole recordings, of the student step by step; the int8 file "
        "(TFLite) of a network that does not stream hears the last 5 s. Multiply-accumulates and memory are those of "
        "that file with an answer every 250 ms."
    )
    return f"{markdown_table(rows)}\n\n{note}"


def corpora(results: Path) -> str:
    """The student on each corpus's own folds, begun on the others."""
    rows = []
    ways = dict.fromkeys(OWN, ("distil", "live")) | {"emotale": ("distil", "live", "six", "three")}
    for made in (f"{name}-{how}" for name, hows in ways.items() for how in hows):
        one = read(results / f"{made}.json")
        seeds = one["recipe"]["fit"]["seeds"]
        at = results / f"{made}-int8.json"
        on_device = read(at) if at.exists() else {}
        rows.append(
            {
                "corpus": one["corpus"],
                "recipe": f"`recipes/{made}.toml`",
                "held out": f"{len(one['recipe']['data']['folds'])} folds of speakers",
                "clips": sum(fold["n"] for fold in one["folds"]) // len(seeds),
                "epochs": one["recipe"]["fit"]["epochs"],
                "seeds": len(seeds),
                **_uar(one),
                "int8": f"{on_device['uar']['mean']:.3f}" if on_device else "-",
                "int8, used to the speaker": f"{on_device['session']['uar']:.3f}" if on_device else "-",
                "CCC A / D / V": _ccc(one),
            }
        )
    return markdown_table(rows)


def unheard(results: Path) -> str:
    """The student on a corpus that neither it nor its teacher was trained on."""
    rows = []
    for name in LEFT_OUT:
        one = read(results / f"unheard-{name}.json")
        rows.append(
            {
                "corpus": one["corpus"],
                "classes": ", ".join(one["labels"]),
                "clips": sum(fold["n"] for fold in one["folds"]),
                **_uar(one),
                "trivial": f"{one['baseline_uar']:.3f}",
            }
        )
    return markdown_table(rows)


def by_fold(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    """UAR of each fold, the mean over seeds."""
    folds = sorted({run["fold"] for run in runs})
    return [statistics.fmean(run["uar"] for run in runs if run["fold"] == fold) for fold in folds]


def training_step(results: Path) -> str:
    """A batch forth and back by the compiled layers beside torch's own."""
    one = read(results / "training_step.json")
    rows = [
        {
            "shape": row["shape"],
            "precision": row["precision"],
            "torch's layers, ms": f"{row['ms']['torch']['median']:.0f}",
            "ours, ms": f"{row['ms']['ours']['median']:.0f}",
            "times faster": "{median:.2f} ({q1:.2f} to {q3:.2f})".format(**row["times_ours"]),
        }
        for row in one["rows"]
    ]
    return f"{machine_line(one['machine'])}; 32 crops of three seconds, one thread:\n\n{markdown_table(rows)}"


def live_views(results: Path) -> str:
    """A view of a live teacher, compiled and by torch's operations."""
    one = read(results / "live_views.json")
    rows = [
        {
            "part of a view": row["step"],
            "torch's operations, ms": f"{row['ms']['torch']['median']:.1f}" if "torch" in row["ms"] else "-",
            "ours, ms": f"{row['ms']['ours']['median']:.1f}",
            "times faster": "{median:.1f} ({q1:.1f} to {q3:.1f})".format(**row["times_ours"])
            if "times_ours" in row
            else "-",
            "agree to, dB": f"{row['agreement_db']:.0f}" if "agreement_db" in row else "-",
        }
        for row in one["rows"]
    ]
    heard = "the encoder in " + ("bfloat16" if one["bfloat16"] else "float32")
    about = f"{machine_line(one['machine'])}; two to three seconds of sound, one thread, {heard}"
    return f"{about}:\n\n{markdown_table(rows)}"


def ablation(results: Path) -> str:
    """What a recipe is worth without one thing or with one thing more."""
    return _variants(read(results / "ablation.json"))


def ablation_rated(results: Path) -> str:
    """The same where clips are rated."""
    return _variants(read(results / "ablation-emotale.json"))


def _variants(one: Mapping[str, Any]) -> str:
    whole = one["variants"][0]
    rows = []
    for row in one["variants"]:
        apart = [a - b for a, b in zip(row["seeds"], whole["seeds"], strict=True)]
        rows.append(
            {
                "variant": row["variant"],
                "UAR": f"**{row['uar']:.3f}**",
                "spread over seeds": f"{row['spread']:.3f}",
                "against everything": "" if row is whole else f"{statistics.fmean(apart):+.3f}",
                "by seed": "" if row is whole else " ".join(f"{value:+.3f}" for value in apart),
                **({"CCC A / D / V": _three(row["ccc"])} if "ccc" in row else {}),
            }
        )
    always = ", ".join(f"`{change}`" for change in one["always"])
    return f"{markdown_table(rows)}\n\n`recipes/{one['recipe']}` with {always}."


def condensed(results: Path) -> str:
    """Students of a few synthetic clips beside those of real ones."""
    one = read(results / "condense-ravdess.json")
    names = {
        "synthetic": "synthetic clips",
        "real": "real clips, drawn at random",
        "means": "means of real clips",
        "all": f"all {one['trained_on']} real clips",
    }
    rows = [
        {
            "learns from": names[row["kind"]],
            "of each class": row["clips"] or "all",
            "UAR": f"**{row['uar']:.3f}**",
            "spread over seeds": "-" if row["spread"] is None else f"{row['spread']:.3f}",
            "runs": row["runs"],
        }
        for row in one["rows"]
    ]
    return f"{markdown_table(rows)}\n\n{one['corpus']}, {one['protocol']}; a network of {one['params']} parameters."


TABLES: dict[str, Callable[[Path], str]] = {
    table.__name__: table
    for table in (
        accuracy,
        shipped,
        teachers,
        students,
        beside_student,
        corpora,
        unheard,
        own,
        adjusted,
        ablation,
        ablation_rated,
        training_step,
        live_views,
        condensed,
    )
}
