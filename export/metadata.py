"""What a model file says of itself once it has left its bundle: name, labels, front end, licence, version."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from edge_ser import __version__
from edge_ser.errors import EdgeSerError, require

__all__ = ["METADATA", "about", "read_metadata", "renewed", "with_metadata"]

#: Name of the TFLite file's metadata entry, whose buffer holds JSON; keys of an ONNX file begin with it and a dot.
METADATA = "edge-ser"
_EXTRA = f"archive/extra/{METADATA}.json"  # where torch.export.load(extra_files=) looks
_KEPT = (
    "name",
    "architecture",
    "labels",
    "adv",
    "spec",
    "step_frames",
    "window",
    "vector",
    "calibration",
    "licence",
)


def about(description: Mapping[str, Any]) -> dict[str, str]:
    """The entries of a bundle's description that go into its model files: text as it is, the rest as JSON.

    Parameters
    ----------
    description : mapping
        Of `export.description.describe`.

    Returns
    -------
    dict of str to str
        The same for the same description, and ``edge_ser``, the version that wrote the file.
    """
    entries = {"edge_ser": __version__}
    # What hears feature vectors has a front end in their description, and no other.
    unsaid = ("spec", "step_frames") if description.get("vector") is not None else ()
    for key in _KEPT:
        if description.get(key) is not None and key not in unsaid:
            value = description[key]
            entries[key] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return entries


def with_metadata(content: bytes, engine: str, entries: Mapping[str, str]) -> bytes:
    """A model file with entries in it; where there were such, they are replaced.

    ONNX has a place for texts by key, ``metadata_props``. TFLite's standard has a list of named buffers; the entry
    is JSON rather than the TFLite Support library's own schema, which knows no log-mel front end. A program of torch
    has a folder for files of others. A model for tflite-micro becomes the C header that holds it.

    Parameters
    ----------
    content : bytes
        Of a header, the model alone; `renewed` changes what a header says.
    engine : str
        ``onnx``, ``litert``, ``torch`` or ``micro``; a file of another engine stays as it is.
    entries : mapping of str to str

    Raises
    ------
    MissingExtraError
        The file's package is not installed.
    """
    if engine == "onnx":
        onnx = require("onnx", extra="export", purpose="exporting to ONNX")
        model = onnx.load_from_string(content)
        del model.metadata_props[:]
        for key in sorted(entries):
            model.metadata_props.add(key=f"{METADATA}.{key}", value=entries[key])
        return bytes(model.SerializeToString(deterministic=True))
    if engine == "litert":
        return _tflite(content, entries)
    if engine == "torch":
        return _archive(content, entries)
    if engine == "micro":
        from export.to_c import to_c_header

        return to_c_header(content, entries)
    return content


def renewed(content: bytes, engine: str | None, description: Mapping[str, Any]) -> bytes:
    """A bundle's file after its description was changed: what it says of itself is what the bundle says.

    Parameters
    ----------
    content : bytes
    engine : str or None
        What runs it.
    description : mapping
        The bundle's, as it is now.

    Returns
    -------
    bytes
        The network is the same. A file that says nothing of itself stays as it is: what was imported is its maker's.

    Raises
    ------
    MissingExtraError
        The file's package is not installed.
    EdgeSerError
        The file is none of its kind, or not as edge-ser writes it.
    """
    if engine == "micro":
        from export.to_c import with_calibration

        return with_calibration(content, description["calibration"])
    try:
        there = read_metadata(content, engine)
    except EdgeSerError:
        raise
    except Exception as error:  # protobuf's own classes derive from Exception alone
        raise EdgeSerError(
            f"cannot read what the {engine} file says of itself: {error}; export the bundle again"
        ) from error
    if engine is None or not there:
        return content
    version = {key: value for key, value in there.items() if key == "edge_ser"}  # it wrote the network
    entries = about(description) | version
    return content if entries == there else with_metadata(content, engine, entries)


def read_metadata(content: bytes, engine: str | None) -> dict[str, str]:
    """The entries that `with_metadata` wrote; empty where there are none, and of a C header."""
    if engine == "onnx":
        onnx = require("onnx", extra="export", purpose="reading an ONNX file")
        props = {prop.key: prop.value for prop in onnx.load_from_string(content).metadata_props}
        mark = f"{METADATA}."
        return {key.removeprefix(mark): value for key, value in props.items() if key.startswith(mark)}
    if engine == "torch":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            kept: dict[str, str] = json.loads(archive.read(_EXTRA)) if _EXTRA in archive.namelist() else {}
            return kept
    if engine != "litert":
        return {}
    from export import flatbuffer

    model = flatbuffer.read(content)
    for entry in model.metadata or ():
        if entry.name == METADATA.encode():
            found: dict[str, str] = json.loads(bytes(model.buffers[entry.buffer].data))
            return found
    return {}


def _archive(content: bytes, entries: Mapping[str, str]) -> bytes:
    data = io.BytesIO(content)
    with zipfile.ZipFile(data, "a") as archive:
        if archive.filelist[-1].filename == _EXTRA:  # ours is the last: what follows is written over it
            old = archive.filelist.pop()
            del archive.NameToInfo[old.filename]
            archive.start_dir = old.header_offset
        about = zipfile.ZipInfo(_EXTRA, (1980, 1, 1, 0, 0, 0))  # no time of day: the same bytes
        archive.writestr(about, json.dumps(dict(sorted(entries.items())), separators=(",", ":")))
    return data.getvalue()


def _tflite(content: bytes, entries: Mapping[str, str]) -> bytes:
    from export import flatbuffer

    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="exporting to TFLite")
    model = flatbuffer.read(content)
    data = json.dumps(dict(sorted(entries.items())), separators=(",", ":")).encode()
    for entry in model.metadata or ():
        if entry.name == METADATA.encode():
            model.buffers[entry.buffer].data = list(data)
            return flatbuffer.pack(model)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(data)
    entry.name, entry.buffer = METADATA.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return flatbuffer.pack(model)
