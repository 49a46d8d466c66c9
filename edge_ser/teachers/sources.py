"""Where a published model lies: a folder on disk or a name on the hub; its description and its weights."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError, require
from edge_ser.files import expand_user, parse_json_object

__all__ = [
    "Source",
    "described",
    "fill",
    "first_line",
    "identity_of",
    "load_pretrained",
    "transformers_class",
]

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# Before torch had parametrizations, weight normalisation named its two tensors so.
_OLD_NAMES = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}
# Where litert-torch has brought torchao, transformers imports it, and it warns of GPU kernels that do not load here and
# of a name of its own that torch calls old. Neither concerns a teacher.
_CHATTER = ("torchao", "torch.utils._pytree")


class Source:
    """A model's files.

    Parameters
    ----------
    name : str or Path
        A folder, or a name on the hub (``"owner/model"``), whose files are then fetched as they are asked for and
        kept in the hub's cache.

    Raises
    ------
    EdgeSerError
        Neither a folder that is there nor a name that the hub could have.
    """

    def __init__(self, name: str | Path) -> None:
        self.name = str(name)
        self.folder = expand_user(name)
        if not self.folder.is_dir() and not _HUB_NAME.fullmatch(self.name):
            raise EdgeSerError(
                f"there is no folder {name}; give a model's folder, or its name on the hub (owner/model)"
            )

    def __str__(self) -> str:
        return self.name

    def find(self, *names: str) -> Path | None:
        """The first of these files that the model has, or None.

        Raises
        ------
        EdgeSerError
            The hub does not know the model or cannot be reached.
        """
        if self.folder.is_dir():
            return next((self.folder / name for name in names if (self.folder / name).is_file()), None)
        hub = require("huggingface_hub", extra="teach", purpose="fetching teachers")
        # imported by its own name: the package gives its modules as attributes only once somebody has
        absent = require(
            "huggingface_hub.errors", extra="teach", purpose="fetching teachers"
        ).RemoteEntryNotFoundError
        for name in names:
            try:
                return Path(hub.hf_hub_download(self.name, name))
            except absent:
                continue
            except (OSError, ValueError) as error:
                raise EdgeSerError(
                    f"there is no folder {self.name}, and the hub does not give {name} of such a model "
                    f"({first_line(error)}); check the name and the network"
                ) from error
        return None

    def path(self, *names: str) -> Path:
        """As `find`, but its absence is an EdgeSerError."""
        found = self.find(*names)
        if found is None:
            raise EdgeSerError(
                f"{self.name} has no {' and no '.join(names)}; it is not a whole model: get it again"
            )
        return found

    def json(self, name: str) -> dict[str, Any]:
        """A description, ``config.json`` or ``preprocessor_config.json``.

        Raises
        ------
        EdgeSerError
            Absent or damaged.
        """
        path = self.path(name)
        return parse_json_object(path.read_bytes(), str(path))

    def standardises(self) -> bool:
        """Whether recordings are brought to mean 0 and variance 1 first, as ``preprocessor_config.json`` says.

        Raises
        ------
        EdgeSerError
            It does not say so.
        """
        about = self.json("preprocessor_config.json")
        if not isinstance(about.get("do_normalize"), bool):
            raise EdgeSerError(
                f"{self.name}/preprocessor_config.json does not say do_normalize; get the model's own"
            )
        if about.get("sampling_rate", 16000) != 16000:
            raise EdgeSerError(
                f"{self.name} hears {about['sampling_rate']} Hz; only models of 16000 Hz can teach here"
            )
        return bool(about["do_normalize"])

    def weights(self) -> dict[str, Tensor]:
        """All tensors by their names, float32, under the names that torch gives them today.

        Raises
        ------
        EdgeSerError
            No such file, or damaged.
        """
        path = self.path(*WEIGHTS)
        load_file = require("safetensors.torch", extra="teach", purpose="teachers' weights").load_file
        try:
            if path.suffix == ".safetensors":
                found = load_file(path)
            else:
                found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle may raise any, says pickle's documentation
            raise EdgeSerError(
                f"{path} cannot be read as tensors and nothing else ({type(error).__name__}); get a fresh copy"
            ) from error
        if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
            raise EdgeSerError(f"{path} is not a dictionary of tensors; get the model's own file")
        return {_today(name): value.float() for name, value in found.items()}


def transformers_class(name: str) -> Any:
    """A class of transformers by its name, or the sentence that says how to install it."""
    package = require("transformers", extra="teach", purpose="teachers")
    loggers = [logging.getLogger(chatter) for chatter in _CHATTER]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        return getattr(package, name)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def described(at: Source) -> Iterator[None]:
    """What transformers does not take of a ``config.json`` becomes an EdgeSerError."""
    strict = require("huggingface_hub.errors", extra="teach", purpose="teachers").StrictDataclassError
    try:
        yield
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError, strict) as error:
        raise EdgeSerError(
            f"{at}/config.json is not one that transformers takes ({first_line(error)}); get the model's own"
        ) from error


def fill(
    module: nn.Module, weights: Mapping[str, Tensor], what: str, *, unused: frozenset[str] = frozenset()
) -> None:
    """Load weights that must fit a module exactly.

    Parameters
    ----------
    module : torch.nn.Module
    weights : mapping of str to Tensor
    what : str
        Start of an error's sentence.
    unused : frozenset of str
        Tensors of `module` that inference does not use; where they are absent they become zero.

    Raises
    ------
    EdgeSerError
        A tensor is missing, of another shape, or not one of the module's.
    """
    own = module.state_dict()
    given = {**{name: torch.zeros_like(own[name]) for name in unused & set(own)}, **weights}
    for verb, names in (("lacks", set(own) - set(given)), ("has unknown tensors:", set(given) - set(own))):
        if names:
            raise EdgeSerError(
                f"{what} {verb} {_some(names)}; it is not a model of this kind, or not a whole one"
            )
    wrong = {name for name, value in given.items() if value.shape != own[name].shape}
    if wrong:
        name = min(wrong)
        raise EdgeSerError(
            f"{what}: {name} is of shape {tuple(given[name].shape)}, its config.json asks for "
            f"{tuple(own[name].shape)}; the two are not of one model"
        )
    module.load_state_dict(given)


def load_pretrained(kind: Any, at: Source, **options: Any) -> Any:
    """A model of transformers in inference mode and single precision; tensors that are missing are an error.

    Parameters
    ----------
    kind : type
        A class of transformers.
    at : Source
    **options
        For its ``from_pretrained``.

    Raises
    ------
    EdgeSerError
        Nothing of the kind is there, or not whole.
    """
    logs = require("transformers", extra="teach", purpose="teachers").utils.logging
    damage = require("safetensors", extra="teach", purpose="teachers").SafetensorError
    before = logs.get_verbosity()
    logs.set_verbosity_error()  # its report of tensors is a table; ours is a sentence
    try:
        model, about = kind.from_pretrained(
            str(at), dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    except (OSError, RuntimeError, TypeError, ValueError, damage) as error:
        raise EdgeSerError(f"{at} cannot be loaded ({first_line(error)}); get a fresh copy") from error
    finally:
        logs.set_verbosity(before)
    absent = {str(name) for name in about["missing_keys"]}
    if (
        "masked_spec_embed" in absent
    ):  # inference does not use it, and no value of chance belongs into `identity_of`
        absent.remove("masked_spec_embed")
        model.masked_spec_embed.data.zero_()
    if absent:
        raise EdgeSerError(f"{at} lacks {_some(absent)}; it is not a whole {kind.__name__}: get it again")
    if about["mismatched_keys"]:
        wrong = sorted(str(entry[0]) for entry in about["mismatched_keys"])[0]
        raise EdgeSerError(f"{at}: {wrong} does not fit its config.json; the two are not of one model")
    return model.eval()


def identity_of(module: nn.Module, about: str) -> str:
    """SHA-256, in hexadecimal, over a description and every tensor of a module with its name.

    Parameters
    ----------
    module : torch.nn.Module
    about : str
        Whatever else the module's answers depend on.
    """
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(module.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"\0{name} {values.dtype} {tuple(values.shape)}\0".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def _today(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def first_line(error: BaseException) -> str:
    """What an error says first, to stand inside a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _some(names: set[str], most: int = 3) -> str:
    first = sorted(names)[:most]
    return ", ".join(first) + (f" and {len(names) - most} more" if len(names) > most else "")
