"""Tables of what issue 5 asks of the student, from the files under results/, for `scripts/write_docs.py`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import read
from benchmarks.training_tables import twins
from edge_ser.commands._output import markdown_table
from edge_ser.corpora import corpus_names
from firmware_py.machine import machine_line

__all__ = ["TABLES"]


def bars(results: Path) -> str:
    """Each limit, the student's figure in int8, on what, and whether it holds."""
    folds = read(results / "ravdess-distil-int8-calibration.json")
    one = read(results / "ravdess-distil-fold0-int8.json")
    stream = read(results / "ravdess-distil-fold0-int8-streaming.json")["streaming"]["figures"]
    speech = read(results / "speech-detector.json")["speech_detector"]
    spoken = [name for name in speech["by_collection"] if name in corpus_names()]  # the others are of sounds
    report = read(results / "reporting.json")
    fitted = folds["calibration"]["fitted"]
    by_sex = {row["group"]: row["uar"] for row in folds["sex"]}
    few = f"fold 0, {one['robustness']['protocol'].split()[0]} clips"
    every = f"all folds, {folds['clips']} clips"
    limits = {row["test"]: row for row in one["robustness"]["bars"]}
    gain = max(limits["UAR lost at +20 dB"]["figure"], limits["UAR lost at -20 dB"]["figure"])
    stable = stream["steady"]["stable_in_time"]
    [passed] = (row["passed"] for row in one["tests"]["summary"] if row["model"] != "random")
    seconds = max(run["cpu_s"] for run in report["runs"])

    def row(
        bar: str, limit: float, figure: float, shown: str, on: str, *, least: bool = False
    ) -> dict[str, str]:
        return {"requirement": bar, "figure": shown, "met": _holds(figure, limit, least), "measured on": on}

    noise = limits["UAR lost in real noise at 10 dB"]["figure"]
    phone = limits["UAR lost on a telephone"]["figure"]
    gap = abs(by_sex["f"] - by_sex["m"])
    rows = [
        row("UAR lost in real noise at 10 dB, at most .08", 0.08, noise, f"{noise:+.3f}", few),
        row("UAR lost at 20 dB more or less, at most .01", 0.01, gain, f"{gain:+.3f}", few),
        row("UAR lost on a telephone, at most .08", 0.08, phone, f"{phone:+.3f}", few),
        row("UAR between the sexes, at most .05", 0.05, gap, f"{gap:.3f}", every),
        row("ECE at most .05", 0.05, fitted["ece"], f"{fitted['ece']:.3f}", f"{every}, fitted to the others"),
        row(
            "80 % answered: accuracy at least .06 higher", 0.06, fitted["gain"],
            f"{fitted['gain']:+.3f} at {fitted['coverage']:.1%}", f"{every}, by the others' rule", least=True,
        ),
        row(
            "sounds that are no speech: no emotion for 95 %", 0.95, speech["rejected"],
            f"{speech['rejected']:.1%}", f"{speech['sounds']} sounds", least=True,
        ),
        row(
            "speech refused: at most 3 %", 0.03, speech["refused"], f"{speech['refused']:.1%}",
            f"{speech['speech']} clips of {len(spoken)} corpora",
        ),
        row(
            "paper's tests passed: more than 79 %", 0.79, passed, f"{passed:.1%}",
            f"{few}, {one['tests']['summary'][0]['tests']} tests", least=True,
        ),
        row(
            "label shown stable within 1.5 s: 80 % of those right", 0.8, stable, f"{stable:.1%}",
            f"fold 0, {stream['turns']} clips joined", least=True,
        ),
        row(
            "a report in three minutes on two cores", 180, seconds, f"{seconds:.0f} s of one core",
            f"{report['clips']} clips, {report['model']}, litert",
        ),
        {
            "requirement": "the same report twice", "figure": "bytes equal" if report["identical"] else "differ",
            "met": "yes" if report["identical"] else "**no**", "measured on": f"{report['clips']} clips",
        },
    ]  # fmt: skip
    return f"{markdown_table(rows)}\n\nThe report: {machine_line(report['machine'])}"


def _holds(figure: float, limit: float, least: bool) -> str:
    """Whether a figure is at most a limit, or at least it."""
    return "yes" if (figure >= limit if least else figure <= limit) else "**no**"


def shipped_twins(results: Path) -> str:
    """Limits of the shipped mix on speakers that its twins never heard."""
    of = {told: _twin(results, part) for part, told in twins(results).items()}
    rows = []
    for same in zip(*(twin["rows"] for twin in of.values()), strict=True):
        row = {"requirement": same[0]["requirement"], "limit": same[0]["limit"]}
        for told, one in zip(of, same, strict=True):
            row |= {told: one["figure"], f"met on {told}": one["met"]}
        rows.append(row)
    notes = "\n".join(f"- {told}: {twin['told']}" for told, twin in of.items())
    return f"{markdown_table(rows)}\n\n{notes}"


def _twin(results: Path, part: str) -> dict[str, Any]:
    one = read(results / f"stream72k-{part}-robustness.json")
    [own] = (row for row in one["tests"]["summary"] if row["model"] != "random")
    stream = one["streaming"]["figures"]
    # the record that was written where temperature and rule were fitted to these speakers
    record = read(results / ("speech-detector.json" if part == "fold0" else "stream72k-calibration.json"))
    fitted = record["speakers_left_out"]

    def row(
        asked: str, figure: float, limit: float, form: str = "+.3f", *,
        least: bool = False, ci95: Sequence[float] | None = None, of: int | None = None,
    ) -> dict[str, str]:  # fmt: skip
        told = f"{limit:.0%}" if form.endswith("%") else f"{limit:g}"
        within = f" ({ci95[0]:{form}} to {ci95[1]:{form}})" if ci95 else ""
        return {
            "requirement": asked,
            "figure": f"{figure:{form}}{within}" + ("" if of is None else f" of {of}"),
            "limit": f"at {'least' if least else 'most'} {told}",
            "met": _holds(figure, limit, least),
        }

    rows = [
        *(
            row(bar["test"], bar["figure"], bar["limit"], ci95=bar.get("ci95"))
            for bar in one["robustness"]["bars"]
        ),
        row("ECE, corpora alike, fitted to other speakers", fitted["ece"], 0.05, ".3f"),
        row("accuracy gained by being unsure of a fifth", fitted["gain"], 0.06, least=True),
        row("the paper's tests passed", own["passed"], 0.79, ".1%", least=True, of=own["tests"]),
        row(
            "the label shown stable within 1.5 s", stream["steady"]["stable_in_time"], 0.8, ".1%", least=True
        ),
        row("the model's own label stable within 1.5 s", stream["stable_in_time"], 0.8, ".1%", least=True),
    ]
    heard = [condition["uar"] for condition in one["robustness"]["conditions"]]

    def worth(one: dict[str, Any]) -> str:
        return f"ECE {one['ece']:.3f}, {one['gain']:+.3f} gained at {one['coverage']:.0%} answered"

    told = (
        f"{one['robustness']['protocol']}, UAR {heard[0]:.3f} undisturbed and {sum(heard) / len(heard):.3f} on average "
        f"over that and {len(heard) - 1} conditions; {stream['turns']} clips joined. Temperature and rule on "
        f"{fitted['clips']} clips of all six corpora, fitted to the other speakers of these: {worth(fitted)}; "
        f"with clips counting alike instead of corpora {worth(fitted['by_clips'])}"
    )
    if part != "fold0":
        told += f"; by those fitted to fold 0's speakers, before, {worth(record['as_it_was'])}"
    return {"rows": rows, "told": told}


def phases(results: Path) -> str:
    """What hearing both halves of the frames changes, from `benchmarks.phases`."""
    told = read(results / "phases.json")
    rows = [
        {
            "phases": row["phases"],
            "M MAC/s": f"{row['macs_per_s'] / 1e6:.1f}",
            "UAR": f"{row['uar']:.3f}",
            "same label": f"{row['same_label']:.1%}",
            "ratings within .05": f"{row['same_rating']:.1%}",
            "ratings move by": f"{row['moved']:.3f}",
        }
        for row in told["phases"]
    ]
    of = f"{told['corpus']}, {told['folds']} folds, {told['seeds']} seeds of `{told['checkpoints']}`"
    return f"{markdown_table(rows)}\n\n{of}, begun later by half a frame and by a whole one"


def beside_the_teacher(results: Path) -> str:
    """The paper's tests of student and teacher on the same clips."""
    student = read(results / "ravdess-distil-fold0-int8.json")
    teacher = read(results / "teacher-ravdess-fold0-robustness.json")
    rows = []
    for name, one in (("student, int8", student), ("teacher", teacher)):
        summary = {row["model"]: row for row in one["tests"]["summary"]}
        [own] = (row for model, row in summary.items() if model != "random")
        of_emotion = [row for row in one["tests"]["tests"] if row["task"] == "emotion"]
        lost = {row["condition"]: row["lost"] for row in one["robustness"]["conditions"]}
        clean = one["robustness"]["conditions"][0]["uar"]
        rows.append(
            {
                "model": name,
                "UAR clean": f"{clean:.3f}",
                "tests of emotion": len(of_emotion),
                "passed": f"**{sum(row['ok'] for row in of_emotion) / len(of_emotion):.1%}**",
                **{
                    group: f"{sum(r['ok'] for r in of_emotion if r['group'] == group)}/"
                    f"{sum(r['group'] == group for r in of_emotion)}"
                    for group in ("correctness", "fairness", "robustness")
                },
                "all tests": f"{own['passed']:.1%} of {own['tests']}",
                "lost at 10 dB": f"{lost['real noise 10 dB']:+.3f}",
                "in a real room": f"{lost['real room']:+.3f}",
            }
        )
    return f"{teacher['robustness']['protocol']}:\n\n{markdown_table(rows)}"


def rejection(results: Path) -> str:
    """What the detector of speech does with sounds and speakers that it never heard."""
    record = read(results / "speech-detector.json")["speech_detector"]
    rows = [
        {"collection": name, "clips": one["clips"], "refused as no speech": f"{one['refused']:.1%}"}
        for name, one in record["by_collection"].items()
    ]
    rows.append({"collection": "**all sounds**", "clips": record["sounds"],
                 "refused as no speech": f"**{record['rejected']:.1%}**"})  # fmt: skip
    rows.append({"collection": "**all speech**", "clips": record["speech"],
                 "refused as no speech": f"**{record['refused']:.1%}**"})  # fmt: skip
    return markdown_table(rows)


def calibrated(results: Path) -> str:
    """What calibration by other speakers does to the folds of RAVDESS."""
    one = read(results / "ravdess-distil-calibration.json")["calibration"]
    fitted = one["fitted"]
    rows = [
        {
            "": "as answered",
            "ECE": f"{one['ece']:.3f}",
            "answered": "100 %",
            "accuracy": f"{one['accuracy']:.3f}",
        },
        {
            "": "by the temperature and rule of the other folds' speakers",
            "ECE": f"**{fitted['ece']:.3f}**",
            "answered": f"{fitted['coverage']:.1%}",
            "accuracy": f"**{fitted['accuracy']:.3f}**",
        },
    ]
    return markdown_table(rows)


def conditions(results: Path) -> str:
    """What each condition costs, then the project's limits, the paper's tests and figures of the stream."""
    one = read(results / "ravdess-distil-fold0-robustness.json")
    rows = [
        {
            "condition": row["condition"],
            "UAR": f"{row['uar']:.3f}",
            "lost": f"{row['lost']:+.3f}",
            "same label": f"{row['same_label']:.0%}",
        }
        for row in one["robustness"]["conditions"]
    ]
    limits = [
        {
            "test": row["test"],
            "figure": f"{row['figure']:.3f}",
            "limit": row["limit"],
            "kept": "yes" if row["ok"] else "**no**",
        }
        for row in one["robustness"]["bars"]
    ]
    passed = [
        {key: f"{value:.1%}" if isinstance(value, float) else value for key, value in row.items()}
        for row in one["tests"]["summary"]
    ]
    stream = read(results / "ravdess-distil-fold0-streaming.json")["streaming"]["figures"]
    heard = [
        {"in a stream": asked, "the label shown": show(stream["steady"]), "the model's own": show(stream)}
        for asked, show in (
            ("right at the end", lambda x: f"{x['right_at_end']:.1%}"),
            ("of those, stable within 1.5 s", lambda x: f"{x['stable_in_time']:.1%}"),
            ("seconds to a stable label, median and 90 %",
             lambda x: " / ".join(f"{y:.2f}" for y in x["seconds_to_stable"])),
            ("flips a minute of speech", lambda x: f"{x['flips_per_minute']:.1f}"),
        )
    ]  # fmt: skip
    tables = (rows, limits, passed, heard)
    text = f"{one['robustness']['protocol']}:\n\n" + "\n\n".join(markdown_table(table) for table in tables)
    return f"{text}\n\n{stream['turns']} turns; {stream['in_pauses']:.1%} of the steps in pauses name an emotion."


def shown_label(results: Path) -> str:
    """What each rule for the label that is shown makes of the same answers, and the one that ships."""
    file = read(results / "shown-label.json")
    parts = {"folds 1 to 4": file["chosen_by"], "the shipped model's twin": file["looked_at"]}

    def row(name: str, pick: Callable[[Any], Mapping[str, float]]) -> dict[str, str]:
        figures = {on: pick(part) for on, part in parts.items()}
        return {"label": name} | {
            f"{on}: {told}": format(figures[on][key], form)
            for on in parts
            for told, key, form in (
                ("right at the end", "right_at_end", ".3f"),
                ("stable in 1.5 s", "stable_in_time", ".1%"),
                ("flips a minute", "flips_per_minute", ".0f"),
            )
        }

    def by(smooth_s: float, margin: float, settle_s: float) -> Callable[[Any], Mapping[str, float]]:
        wanted = {"smooth_s": smooth_s, "margin": margin, "settle_s": settle_s}
        return lambda part: next(r for r in part["rules"] if wanted.items() <= r.items())

    rows = [
        row("the model's own", lambda part: part["raw"]),
        *(row(f"another must be ahead by {m:g}", by(0.0, m, 0.5)) for m in (0.1, 0.2, 0.3)),
        row("ahead by 0.1, first after 1 s", by(0.0, 0.1, 1.0)),
        row("ahead by 0.1, first after 1 s, smoothed over 1.5 s", by(1.5, 0.1, 1.0)),
    ]
    turns = " and ".join(f"{part['turns']} turns of {on}" for on, part in parts.items())
    return f"{markdown_table(rows)}\n\n{turns}, int8."


TABLES = {
    "bars": bars,
    "shipped_twins": shipped_twins,
    "shown_label": shown_label,
    "phases": phases,
    "beside_the_teacher": beside_the_teacher,
    "rejection": rejection,
    "calibrated": calibrated,
    "conditions": conditions,
}
