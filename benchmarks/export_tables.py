"""Tables of formats and what they cost, from the table of formats and the files under results/."""

from pathlib import Path
from typing import Any

from benchmarks.results import read
from edge_ser.commands._output import markdown_table
from edge_ser.corpora import ADV
from export.formats import FORMATS
from firmware_py.machine import machine_line

__all__ = ["TABLES"]


def formats(results: Path) -> str:
    """The table of formats as it is in the code."""
    rows = []
    for row in FORMATS:
        limit = f"{row.limit.largest:g}"
        if row.limit.mean is not None:
            limit += f", mean {row.limit.mean:g}, same emotion {row.limit.agreement:.0%}"
        rows.append(
            {
                "format": f"`{row.key}`",
                "file": f"`{row.file}`",
                "run by": row.engine,
                "forms": ", ".join(row.forms),
                "limit": limit,
                "for": row.device,
                "rounded": row.method or "-",
            }
        )
    return markdown_table(rows)


def beside_wav2small(results: Path) -> str:
    """What a step costs beside Wav2Small's, from `python -m benchmarks.beside_wav2small`."""
    data = read(results / "beside-wav2small.json")
    peer = data["peer"]
    rows = [
        {
            "engine": f"{run['engine']} {run['precision']}",
            "model ms": f"{run['model_ms']:.3f}",
            "of Wav2Small's": _share(run, "model"),
            "pipeline ms": f"{run['pipeline_ms']:.3f}",
            "of Wav2Small's in its own": _share(run, "pipeline"),
        }
        for run in data["runs"]
    ]
    note = (
        f"Processor time of a step of 250 ms, medians over {data['rounds']} rounds in one process; Wav2Small 72 K on "
        f"ONNX Runtime takes {peer['model_ms']:.1f} ms for its window of {peer['window_s']:g} s. "
        f"{machine_line(data['machine'])}"
    )
    return f"{markdown_table(rows)}\n\n{note}"


def _share(run: dict[str, Any], what: str) -> str:
    """The student's part of the peer's time, and whether it is within the limit."""
    return f"1/{run[f'{what}_cheaper']:.0f}" + ("" if run[f"{what}_ok"] else " (over)")


def rivals(results: Path) -> str:
    """What eight bits cost the networks that do not stream, from `python -m benchmarks.rivals_int8`."""
    data = read(results / "rivals-int8.json")
    rows = [
        {
            "network": one["model"],
            "format": row["format"],
            "takes": row["input"],
            "KB": row["kb"],
            "UAR": f"{row['uar']:.3f}",
            "drop": _lost(row["drop"]),
            "same emotion": f"{row['same_label']:.1%}",
        }
        for one in data["models"]
        for row in one["rows"]
    ]
    whole = "; ".join(
        f"{one['model']}, {one['epochs']} epochs: {one['torch_uar_whole_clip']:.3f} in torch on whole recordings"
        for one in data["models"]
    )
    return f"{markdown_table(rows)}\n\n{data['protocol']}. {whole}."


def int8_folds(results: Path) -> str:
    """What every int8 format costs on all speakers of a corpus, from `python -m benchmarks.int8_folds`."""
    data = read(results / "int8-folds.json")
    tables = []
    for run in data["runs"]:
        rows = []
        for row in run["formats"]:
            low, high = row["ci95"]
            line = {
                "format": f"`{row['format']}`",
                "UAR": f"{row['uar']:.4f}",
                "lost": f"**{_lost(row['drop'])}**",
                "95 % over speakers": f"{_lost(low)} to {_lost(high)}",
                "by fold": " ".join(_lost(one["drop"], 3) for one in row["by_fold"]),
                "same emotion": f"{row['same_label']:.1%}",
            }
            if row["ccc_drop"] is not None:
                line["CCC lost A / D / V"] = " / ".join(_lost(row["ccc_drop"][name]) for name in ADV)
            rows.append(line)
        head = (
            f"`{run['checkpoints']}` on {run['corpus']}: {run['clips']} clips of {run['speakers']} speakers, UAR "
            f"{run['torch_uar']:.4f} in torch."
        )
        tables.append(f"{head}\n\n{markdown_table(rows)}")
    return "\n\n".join(tables) + f"\n\n{data['protocol'][0].upper()}{data['protocol'][1:]}."


def _lost(value: float, digits: int = 4) -> str:
    """With its sign; nothing is no loss, whichever way it was rounded to nothing."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def exported(results: Path) -> str:
    """Every format of a checkpoint: errors, figures on new speakers, cost; from ``edge-ser export -o json``."""
    one = read(results / "export.json")
    rows = [
        {
            "format": f"`{row['format']}-{row['precision']}`",
            "kB": f"{row['bytes'] / 1e3:.1f}",
            "largest error": f"{row['max_abs_error']:.1e}",
            "mean": f"{row['mean_abs_error']:.1e}",
            "same emotion": f"{row['agreement']:.1%}",
            "UAR lost": "-" if row["validation"] is None else f"{row['validation']['uar_drop']:+.4f}",
            "kB at work": f"{row['working_memory']['total'] / 1e3:.0f}" if row["working_memory"] else "-",
            "ms a step": f"{row['latency_ms']['p50']:.2f}",
        }
        for row in one["formats"]
        if row["bytes"]
    ]
    drop = one["formats"][0]["validation"]
    note = (
        f"\n\n{drop['corpus']}: {drop['clips']} clips, UAR {drop['torch_uar']:.3f} in torch." if drop else ""
    )
    return markdown_table(rows) + note


def sensitivity(results: Path) -> str:
    """Layers alone in int8, then files that keep the first of them; from ``edge-ser export --sensitivity``."""
    tables = []
    for row in read(results / "export-sensitivity.json")["formats"]:
        if row["sweep"] is None:
            continue
        layers = [
            {
                f"`{row['format']}-{row['precision']}`, alone in int8": f"`{one['layer']}`",
                "weights": one["weights"],
                "mean error": f"{one['mean_abs_error']:.1e}",
                "largest": f"{one['max_abs_error']:.1e}",
                "all but the first n in int8": n,
                "kB": f"{kept['bytes'] / 1e3:.1f}",
                "its mean error": f"{kept['mean_abs_error']:.1e}",
            }
            for n, (one, kept) in enumerate(zip(row["sweep"]["layers"], row["sweep"]["mixed"], strict=False))
        ]
        tables.append(markdown_table(layers))
    return "\n\n".join(tables)


def ranges(results: Path) -> str:
    """Static int8 by each way to choose ranges; from ``edge-ser export --calibration``."""
    files = {"minmax": "export", "percentile": "export-percentile", "mse": "export-mse"}
    return markdown_table(
        [
            {
                "ranges": f"`{method}`",
                "format": f"`{row['format']}-{row['precision']}`",
                "largest error": f"{row['max_abs_error']:.1e}",
                "at": row["note"].removeprefix("largest at "),
                "mean": f"{row['mean_abs_error']:.1e}",
                "UAR lost": f"{row['validation']['uar_drop']:+.4f}",
                "same label": f"{row['validation']['same_label']:.1%}",
            }
            for method, name in files.items()
            for row in read(results / f"{name}.json")["formats"]
            if row["precision"] == "int8" and row["format"] != "numpy"
        ]
    )


TABLES = {
    "exported": exported,
    "sensitivity": sensitivity,
    "ranges": ranges,
    "formats": formats,
    "beside_wavsmall": beside_wav2small,
    "rivals": rivals,
    "int_folds": int8_folds,
}
