"""A C header for tflite-micro: the int8 model as an array, and all that a program around it has to know.

The features are the program's to compute (``edge_ser/dsp/front_end.c`` does it in C); the constants say how.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from edge_ser.errors import EdgeSerError, require
from export import flatbuffer
from export.chatter import held_back

__all__ = ["arena_bytes", "to_c_header", "with_calibration"]

_ARENA = re.compile(r"Arena allocation total (\d+) bytes")
_FIRST_ARENA = 1 << 23
_ALIGN = 16
_A_LINE = 20


def to_c_header(content: bytes, entries: Mapping[str, str]) -> bytes:
    """Write a header around a model.

    Parameters
    ----------
    content : bytes
        Of `export.to_tflite_full.to_tflite_full`.
    entries : mapping
        Of `export.metadata.about`.

    Returns
    -------
    bytes
        C99 and C++11, the same for the same model.

    Raises
    ------
    EdgeSerError
        tflite-micro has not every operation of the model.
    MissingExtraError
        tflite-micro is not installed.
    """
    return "\n".join(_lines(content, entries)).encode("utf-8")


def with_calibration(header: bytes, calibration: Mapping[str, Any]) -> bytes:
    """A header that `to_c_header` wrote, with another calibration; all else stays, its arena included.

    Raises
    ------
    EdgeSerError
        It is not such a header.
    """
    lines = header.decode("utf-8").split("\n")
    for new in _calibration(calibration):
        name = new.split(" ")[1]
        places = [place for place, line in enumerate(lines) if line.startswith(f"#define {name} ")]
        if len(places) != 1:
            raise EdgeSerError(f"the C header defines {name} {len(places)} times; export the bundle again")
        lines[places[0]] = new
    return "\n".join(lines).encode("utf-8")


def arena_bytes(content: bytes) -> int:
    """What tflite-micro allocates for a model on this machine after one inference.

    Raises
    ------
    EdgeSerError
        It cannot run the model.
    """
    runtime = require("tflite_micro.python.tflite_micro.runtime", extra="micro", purpose="writing a C header")
    said = held_back()
    try:
        with said:
            run = runtime.Interpreter.from_bytes(content, arena_size=_FIRST_ARENA)
            run.invoke()
            run.print_allocations()
    except RuntimeError as error:
        raise EdgeSerError(f"tflite-micro cannot run the model: {error}") from error
    found = _ARENA.search(said.text)
    if found is None:
        raise EdgeSerError("tflite-micro says nothing of its arena; install the version in constraints.txt")
    return -(-int(found[1]) // _ALIGN) * _ALIGN


def _lines(content: bytes, entries: Mapping[str, str]) -> Iterator[str]:
    spec, labels = json.loads(entries["spec"]), json.loads(entries["labels"])
    graph = flatbuffer.read(content)
    inputs, outputs = _tensors(graph, "inputs"), _tensors(graph, "outputs")
    yield f"/* {_comment(entries['name'])}: speech emotion from log-mel features, for tflite-micro."
    yield f" * Licence: {_comment(entries['licence'])}"
    yield f" * Written by edge-ser {entries['edge_ser']} from its file model.int8-full.tflite.  A byte b of a tensor"
    yield " * stands for scale * (b - zero); a number x becomes round(x / scale) + zero, cut off at -128 and 127."
    if len(inputs) > 1:
        yield " * At first every state is its zero; after each step inputs[1 + i] becomes a copy of outputs[2 + i]."
    yield " */"
    yield "#ifndef EDGE_SER_MODEL_H"
    yield "#define EDGE_SER_MODEL_H"
    yield ""
    yield "#include <stdint.h>"
    yield ""
    yield "/* The features: MelSpec of edge-ser. */"
    for name, value in spec.items():
        yield f"#define EDGE_SER_{name.upper()} {_constant(value)}"
    yield f"#define EDGE_SER_STEP_FRAMES {entries['step_frames']} /* from one answer to the next */"
    if "window" in entries:
        yield f"#define EDGE_SER_WINDOW_SAMPLES {json.loads(entries['window'])['samples']}"
        yield f"#define EDGE_SER_NORMALISE {_constant(json.loads(entries['window'])['normalise'])}"
    yield from _calibration(json.loads(entries["calibration"]))
    yield ""
    yield f"/* Measured with tflite-micro {version('tflite-micro')} on x86-64; with pointers of 32 bits it is less. */"
    yield f"#define EDGE_SER_ARENA_BYTES {arena_bytes(content)}"
    yield f"#define EDGE_SER_MODEL_BYTES {len(content)}"
    yield ""
    yield "typedef struct {"
    yield "    const char *name;"
    yield "    int32_t bytes;"
    yield "    float scale;"
    yield "    int32_t zero;"
    yield "} edge_ser_tensor;"
    yield ""
    yield from _table("inputs", inputs)
    yield from _table("outputs", outputs)
    yield "/* The order of the logits; of adv it is arousal, dominance, valence. */"
    yield f"static const char *const edge_ser_labels[{len(labels)}] = {{"
    yield "    " + ", ".join(_constant(label) for label in labels) + ","
    yield "};"
    yield ""
    yield "#if defined(__cplusplus)"
    yield f"alignas({_ALIGN})"
    yield "#elif defined(__GNUC__)"
    yield f"__attribute__((aligned({_ALIGN})))"
    yield "#endif"
    yield "static const unsigned char edge_ser_model[EDGE_SER_MODEL_BYTES] = {"
    for start in range(0, len(content), _A_LINE):
        yield "    " + ", ".join(f"0x{byte:02x}" for byte in content[start : start + _A_LINE]) + ","
    yield "};"
    yield ""
    yield "#endif"
    yield ""


def _calibration(calibration: Mapping[str, Any]) -> Iterator[str]:
    temperature, unsure = (_constant(float(calibration[key])) for key in ("temperature", "unsure_below"))
    yield f"#define EDGE_SER_TEMPERATURE {temperature} /* logits are divided by it */"
    yield f"#define EDGE_SER_UNSURE_BELOW {unsure}"


def _tensors(graph: Any, kind: str) -> list[tuple[str, int, float, int]]:
    """Name, bytes, scale and zero point of the inputs or outputs, in the order in which tflite-micro counts them."""
    part = graph.subgraphs[0]
    names = {one.tensorIndex: one.name.decode() for one in getattr(graph.signatureDefs[0], kind)}
    rows = []
    for index in getattr(part, kind):
        tensor, size = part.tensors[index], 1
        for length in tensor.shape:
            size *= int(length)
        found = tensor.quantization
        rows.append((names[index], size, float(found.scale[0]), int(found.zeroPoint[0])))
    return rows


def _table(name: str, rows: Sequence[tuple[str, int, float, int]]) -> Iterator[str]:
    yield f"static const edge_ser_tensor edge_ser_{name}[{len(rows)}] = {{"
    for tensor, size, scale, zero in rows:
        yield f'    {{"{tensor}", {size}, {scale:.9e}f, {zero}}},'
    yield "};"
    yield ""


def _constant(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.9e}f"
    plain = re.sub(r'["\\\x00-\x1f]', "?", str(value))
    return f'"{plain}"'


def _comment(text: str) -> str:
    return " ".join(text.split()).replace("*/", "* /").replace("/*", "/ *")
