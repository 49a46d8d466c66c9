"""A pipeline of scikit-learn as a bundle: fitted on a corpus, written as ONNX, held to scikit-learn's own answers.

Its features are computed by our runtime, so the bundle holds their description (``vector``), and the file takes the
finished row of numbers.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_ser.bundle import Bundle, check_target
from edge_ser.corpora import Corpus
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.parity import Limit, compare
from edge_ser.evaluation.pipelines import PipelineSpec, fitted, shares_of, vectors_of
from edge_ser.features import VectorSpec, load_spec, vector_names
from edge_ser.vector_input import VectorInput
from export.calibration import Say
from export.chatter import hush
from export.description import adv_entry, model_name
from export.formats import Format
from export.gate import Exported, asked
from export.metadata import about, with_metadata
from export.onnx_graph import short_names
from export.to_onnx import IR, OPSET
from export.writing import write_files

__all__ = ["NOT_WRITTEN", "export_pipeline", "pipeline_to_onnx"]

#: Kinds of `edge_ser.evaluation.pipelines.KINDS` that do not become ONNX, and why, as the end of a sentence.
NOT_WRITTEN: Mapping[str, str] = {
    "boosting": "skl2onnx 1.20 writes its trees with an attribute that onnx 1.23 refuses",
    "trivial": "it hears nothing, and skl2onnx has no converter for it",
}
#: Answers are decisions there, and their softmax is what evaluate goes by.
_DECIDES = ("svm", "linear_svm")
_LIMIT = Limit(1e-4, rounded=True)  # of probabilities: trees and kernels are float64 in scikit-learn
_LEAST = 1e-9


def export_pipeline(
    spec: PipelineSpec,
    corpus: Corpus,
    out: str | Path,
    formats: Sequence[Format],
    *,
    hold_out: int | None = None,
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    say: Say = lambda text: None,
) -> tuple[list[Exported], Bundle | None]:
    """Fit a pipeline, convert it, compare it with scikit-learn on all of the corpus, and write a bundle.

    Parameters
    ----------
    spec : PipelineSpec
    corpus : Corpus
        What it is fitted on.
    out : path
        The bundle's folder.
    formats : sequence of Format
        Only ``onnx-fp32`` can be made; the others are refused with their reason.
    hold_out : int, optional
        A fold to leave out of the fitting.
    name, licence, overwrite, say
        As in `export.exporter.export_checkpoint`.

    Returns
    -------
    rows : list of Exported
        One a format.
    bundle : Bundle or None
        None where no format was made, or its answers are not scikit-learn's.

    Raises
    ------
    EdgeSerError
        A step cannot be written, no clip can be heard, or a bad target.
    MissingExtraError
        scikit-learn, skl2onnx or onnx is not installed.
    """
    for kind, _ in spec.steps:
        if kind in NOT_WRITTEN:
            raise EdgeSerError(f"{spec.name} cannot be exported: {kind}: {NOT_WRITTEN[kind]}")
    target = check_target(out, overwrite=overwrite)
    called = model_name(name, target)
    rows = [asked(row, row.refusal("vector"), say) for row in formats]
    if not any(row.applies for row in rows):
        return rows, None
    say(f"fitting {spec.name} on {corpus.name}")
    learnt = _learn(spec, corpus, hold_out)
    description = _describe(spec, corpus, learnt, hold_out, called, licence)
    made = [_gated(row, learnt, description, say) if row.applies else row for row in rows]
    if not all(row.ok for row in made if row.applies):
        return made, None
    return made, write_files(target, made, description, "vector", overwrite=overwrite)


class _Learnt(NamedTuple):
    model: Any  # scikit-learn's pipeline
    decides: bool
    vectors: np.ndarray  # (clips, features) float32, of all that could be read
    clips: list[Any]  # that it was fitted on


def _learn(spec: PipelineSpec, corpus: Corpus, hold_out: int | None) -> _Learnt:
    known = [clip for clip in corpus.clips if clip.emotion is not None]
    train = [clip for clip in known if hold_out is None or (clip.fold is not None and clip.fold != hold_out)]
    vectors, _ = vectors_of(spec, sorted({clip.path for clip in known}))
    heard = [clip for clip in train if clip.path in vectors]
    if not heard:
        raise EdgeSerError(f"no clip of {corpus.name} can be fitted on; see edge-ser features")
    model = fitted(spec, heard, np.stack([vectors[clip.path] for clip in heard]))
    return _Learnt(model, spec.steps[-1][0] in _DECIDES, np.stack(list(vectors.values())), heard)


def pipeline_to_onnx(model: Any, size: int, *, decides: bool) -> bytes:
    """A fitted pipeline as ONNX: ``vector`` (1, size) in; ``adv`` (1, 3), all 0.5, and ``logits`` out.

    Parameters
    ----------
    model : sklearn.pipeline.Pipeline
    size : int
        Features.
    decides : bool
        Its answers are decisions; else they are probabilities, and their logarithms become logits.

    Raises
    ------
    MissingExtraError
        skl2onnx or onnx is not installed.
    """
    onnx = require("onnx", extra="export", purpose="exporting to ONNX")
    skl = require("skl2onnx", extra="export", purpose="exporting pipelines of scikit-learn")
    types = require(
        "skl2onnx.common.data_types", extra="export", purpose="exporting pipelines of scikit-learn"
    )
    last = model.steps[-1][1]
    options = {"raw_scores": True} if decides else {"zipmap": False}
    with hush():
        proto = skl.convert_sklearn(
            model,
            name="pipeline",
            initial_types=[("vector", types.FloatTensorType([1, size]))],
            options={id(last): options | ({"zipmap": False} if type(last).__name__ == "SVC" else {})},
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
    graph, make = proto.graph, onnx.helper
    scores = graph.output[-1].name
    labels = len(model.classes_)
    constants = {"adv_middle": np.full((1, 3), 0.5, np.float32), "least": np.asarray(_LEAST, np.float32)}
    graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in constants.items())
    graph.node.append(make.make_node("Identity", ["adv_middle"], ["adv"]))
    if decides:
        graph.node.append(make.make_node("Identity", [scores], ["logits"]))
    else:
        graph.node.append(make.make_node("Max", [scores, "least"], ["above_zero"]))
        graph.node.append(make.make_node("Log", ["above_zero"], ["logits"]))
    del graph.output[:]
    number = onnx.TensorProto.FLOAT
    graph.output.append(make.make_tensor_value_info("adv", number, [1, 3]))
    graph.output.append(make.make_tensor_value_info("logits", number, [1, labels]))
    short_names(graph, {value.name: value.name for value in (*graph.input, *graph.output)})
    proto.ir_version, proto.producer_name, proto.producer_version = IR, "edge-ser", ""
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _gated(row: Exported, learnt: _Learnt, description: Mapping[str, Any], say: Say) -> Exported:
    """Made, and run by the device's engine on every vector against scikit-learn."""
    from firmware_py.engines import open_engine

    say(f"{row.format.key}: converting")
    content = pipeline_to_onnx(learnt.model, learnt.vectors.shape[1], decides=learnt.decides)
    made = dataclasses.replace(
        row,
        format=dataclasses.replace(row.format, limit=_LIMIT),
        data=with_metadata(content, row.format.engine, about(description)),
    )
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_files(Path(folder) / "bundle", [made], description, "vector")
        engine = open_engine(bundle, row.format.engine, row.format.precision)
        answers = np.array([np.concatenate(engine.step(vector, ())[0]) for vector in learnt.vectors])
    wanted = np.log(np.maximum(shares_of(learnt.model, learnt.vectors), _LEAST))
    wanted = np.concatenate([np.full((len(wanted), 3), 0.5), wanted], 1)
    error = compare(answers, wanted, rounded=True)
    done = dataclasses.replace(made, error=error, worst=f"over {len(wanted)} recordings")
    say(f"{row.format.key}: largest error {error.largest:.2g} (limit {_LIMIT.largest:g}): "
        + ("ok" if done.ok else "REFUSED"))  # fmt: skip
    return done


def _describe(
    spec: PipelineSpec, corpus: Corpus, learnt: _Learnt, hold_out: int | None, name: str, licence: str | None
) -> dict[str, Any]:
    what: VectorSpec = load_spec(spec.features)
    size = len(vector_names(what))
    labels = [str(label) for label in learnt.model.classes_]

    def tensor(tensor_name: str, length: int) -> dict[str, Any]:
        return {"name": tensor_name, "shape": [1, length], "dtype": "float32"}

    return {
        "name": name,
        "architecture": "pipeline",
        "config": {"labels": labels, "steps": [[kind, dict(parameters)] for kind, parameters in spec.steps]},
        "spec": MelSpec(sample_rate=what.frames.sample_rate).to_dict(),
        "step_frames": 1,
        "inputs": [tensor("vector", size)],
        "states": [],
        "outputs": [tensor("adv", 3), tensor("logits", len(labels))],
        "labels": labels,
        "adv": adv_entry("none: a pipeline names emotions alone", rated=False),
        "calibration": {"temperature": 1.0, "unsure_below": 0.0},
        "parameters": 0,
        "macs_per_second": 0,
        "training": {
            "clips": dict(sorted(Counter(clip.corpus for clip in learnt.clips).items())),
            "speakers": len({(clip.corpus, clip.speaker) for clip in learnt.clips}),
            "held_out_fold": hold_out,
            "seed": 0,
            "licence": corpus.licence,
            "citation": corpus.citation,
        },
        "licence": licence
        or f"non-commercial use, as the training data's ({corpus.licence or 'not recorded'})",
        "figures": [],
        "vector": VectorInput(Path(spec.features).stem, what.to_dict(), size).to_dict(),
    }
