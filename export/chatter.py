"""What converters print: lines we know are kept back, each for a written reason; any other is shown."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any, TextIO

__all__ = ["EXPLAINED", "held_back", "hush", "unexplained"]

#: Patterns of whole lines, and why they are no cause for worry.
EXPLAINED: tuple[tuple[str, str], ...] = (
    (r"\[torch\.onnx\] .*", "progress of torch's exporter"),
    (r"\(\d\d:\d\d\) \[( DONE|START)\] .*", "progress of litert-torch"),
    (r"(ExportedProgram )?(Run )?Decompositions( \(\+\d\d:\d\d\))?", "progress of litert-torch, wrapped"),
    (r"MLIR Module( \(\+\d\d:\d\d\))?", "progress of litert-torch, wrapped"),
    (r".*torchvision is not installed\. Skipping torchvision::.*", "no layer of ours is of torchvision"),
    (
        r"Failed to load .*torchao.*\.so.*",
        "torchao's GPU kernels; litert-torch imports torchao for quantisation that runs elsewhere",
    ),
    (
        r".*<enum '.*'> is an Enum subclass and is now natively supported.*",
        "torchao registers a class in a way that torch calls old; it is theirs to change",
    ),
    (
        r".*FutureWarning: `isinstance\(treespec, LeafSpec\)` is deprecated.*",
        "torch copying its own object",
    ),
    (r"WARNING: All log messages before absl::InitializeLog\(\) .*", "a note on where the next lines go"),
    (
        r"[IW]\d{4} .*oneDNN custom operations are on.*",
        "it concerns TensorFlow's own kernels; the converter computes nothing with them",
    ),
    (r"I\d{4} .*Estimated count of arithmetic ops.*", "the converter's count; ours is in bundle.json"),
    (r".*\d+%\|.*\| \d+/\d+ \[.*\]", "a progress bar of ai-edge-quantizer"),
    (r"INFO: Created TensorFlow Lite XNNPACK delegate for CPU\.", "LiteRT says which kernels it uses"),
    (
        r"UserWarning: Warning: Enabling `experimental_preserve_all_tensors` .*",
        "ai-edge-quantizer opens the file to list its tensors, which takes a few MB",
    ),
    (
        r"FutureWarning: Attribute `prob[AB]_` was deprecated in version 1\.9 .*",
        "skl2onnx looks at all that an SVM has; its probabilities are not used",
    ),
    (
        r"Skipping constant folding for op Split with multiple outputs\.",
        "torch's exporter leaves a Split of a constant to the runtime, which computes it once",
    ),
    (r"\s*", "an empty line"),
)
_EXPLAINED = re.compile("|".join(f"(?:{pattern})" for pattern, _ in EXPLAINED))


def unexplained(text: str) -> list[str]:
    """The lines of a converter's output that nothing in `EXPLAINED` accounts for."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return [line for line in plain.splitlines() if not _EXPLAINED.fullmatch(line)]


@contextlib.contextmanager
def hush(file: TextIO | None = None) -> Iterator[None]:
    """Hold back what is printed inside, from Python or native code, then show what is not explained.

    Standard output is held back too: there a converter's progress would spoil ``-o json``. Where the
    block fails, all of it is shown.

    Parameters
    ----------
    file : text file, optional
        Where lines are shown; standard error when left out.
    """
    out = sys.stderr if file is None else file
    with tempfile.TemporaryFile() as kept, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)  # for the authors of a library; Python hides them too
        try:
            with _redirected(kept.fileno()):
                yield
        except BaseException:
            print(_text(kept, warned), file=out)
            raise
        text = _text(kept, warned)
    for line in unexplained(text):
        print(f"converter: {line}", file=out)


class held_back(contextlib.AbstractContextManager["held_back"]):
    """Hold back what is printed inside, from Python or native code; afterwards it is in `text`."""

    text = ""

    def __enter__(self) -> held_back:
        self._kept = tempfile.TemporaryFile()
        self._way = _redirected(self._kept.fileno())
        self._way.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._way.__exit__(*error)
        self.text = _text(self._kept, ())
        self._kept.close()


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    """File descriptors 1 and 2, which native code writes to, and Python's streams go to `target`."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        with (
            open(os.dup(target), "w", encoding="utf-8", errors="replace") as stream,
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(stream),
        ):
            yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        os.close(saved[0])
        os.close(saved[1])


def _text(kept: IO[bytes], warned: Sequence[warnings.WarningMessage] | None) -> str:
    """What was printed, then each Python warning once, on one line."""
    kept.seek(0)
    lines = [f"{w.category.__name__}: {' '.join(str(w.message).split())}" for w in warned or ()]
    return "\n".join([kept.read().decode("utf-8", "replace"), *dict.fromkeys(lines)])
