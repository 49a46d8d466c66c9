"""Reading the files that commands leave under results/, for the tables of documents."""

import json
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError

__all__ = ["read"]


def read(path: Path) -> Any:
    """A results file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EdgeSerError(f"{path} is not there: make it first, CONTRIBUTING.md says how") from None
    except ValueError as error:  # cut short, as by `> FILE` of a command that failed
        raise EdgeSerError(f"{path} is no JSON ({error}): make it again, CONTRIBUTING.md says how") from None
