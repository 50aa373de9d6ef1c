"""Files as a whole: of a model, or of an estimator with several; written, and read again."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from fastnn import __version__
from fastnn.checks import flag, shown
from fastnn.formats import safely
from fastnn.formats.container import Container, encoded, size_of
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.estimator_file import Saved, estimator_of, estimator_texts, texts_in
from fastnn.formats.model_file import OF_A_MODEL, Arrays, Texts, described, model_of, object_in
from fastnn.formats.parts import Custom, require_custom
from fastnn.formats.strict_json import NO_END, Budget, write
from fastnn.formats.unchanged import unchanged
from fastnn.network import Network

FORMAT, VERSION = "fastnn", 1
_MOST_OF_AN_ERROR = 600  # letters


@unchanged
def save(model: Network, path: str | os.PathLike[str], custom: Custom | None = None) -> None:
    """Write a model to a file: `Model.save`."""
    _require_path("save", path)
    require_custom("save", custom)
    budget = Budget(NO_END)
    _write(path, *described(model, custom, budget=budget), budget.spent)


@unchanged
def save_estimator(
    estimator: Saved, path: str | os.PathLike[str], rows: bool, trains: bool, custom: Custom | None
) -> None:
    """Write an estimator to a file, with rows for importances, and with what its models train with."""
    _require_path("save", path)
    require_custom("save", custom)
    budget = Budget(NO_END)
    _write(path, *estimator_texts(estimator, rows, trains, custom, budget), budget.spent)


def _write(path: str | os.PathLike[str], texts: Texts, arrays: Arrays, cost: int) -> None:
    """Write a file that can be read again, in the memory that one of its size may take: `cost` of it beside texts."""
    metadata = {
        "format": FORMAT, "version": str(VERSION), "fastnn": __version__, "numpy": np.__version__,
        **{name: write(value) for name, value in texts.items()},
    }  # fmt: skip
    head, ordered = encoded(metadata, arrays)
    size = len(head) + sum(array.nbytes for array in ordered)
    try:
        container = Container(io.BytesIO(head), size)
        texts_of(container)
        container.budget.spend(cost, "what its layers, other parts, labels and texts are")
    except ModelFormatError as error:
        raise ValueError(
            f"save: the file could not be read again: {error}. A file has such limits so that nobody's does harm: take "
            "fewer layers and labels, less inside each other, or pickle it for those who trust you"
        ) from None
    safely.replace(path, [head, *[array.reshape(-1).view(np.uint8) for array in ordered]])


def _require_path(what: str, path: object) -> None:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise TypeError(f"{what}: path is {shown(path)}, expected the name of a file, as in 'net.safetensors'")


def load(path: str | os.PathLike[str], custom: Custom | None = None, mmap: bool = False) -> Any:
    """Return the model of a file that `Model.save` has written, as it was: trained on, it is as if never saved.

    Where an estimator has written it, that is returned, and predicts the same, to the bit.

    Nothing that stands in the file is run or imported, no name in it is looked up but among the parts of this package
    and in `custom`. Every size is checked against the length of the file before memory is taken.

    Parameters
    ----------
    path : str or path
    custom : dict or None
        Your own classes and functions by their names, where the model has such: ``custom={"Scale": Scale}``.
    mmap : bool
        Whether parameters are read where they lie in the file, which processes then share. A training copies them
        first. As long as the model lives, the file must not be changed in place; `Model.save` replaces it, which
        leaves the model as it is.

    Returns
    -------
    Model, or an estimator

    Raises
    ------
    ModelFormatError
        Where the file is no model file, is damaged, is of a newer version, or holds parts that are unknown.
    OSError
        Where it cannot be read.
    ImportError
        Where it holds an estimator, and scikit-learn is not installed.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import Dense, Model
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0).build(3)
    >>> net.save("net.safetensors")
    >>> same = fastnn.load("net.safetensors")
    >>> bool((same.predict([[1.0, 2.0, 3.0]]) == net.predict([[1.0, 2.0, 3.0]])).all())
    True
    """
    _require_path("load", path)
    flag("load: mmap", mmap)
    require_custom("load", custom)
    with open(path, "rb") as file:
        try:
            return _loaded(file, custom, bool(mmap))
        except ModelFormatError as error:
            raise ModelFormatError(f"{os.fspath(path)}: {shortened(error)}") from error.__cause__
        except (OSError, MemoryError, ImportError):
            raise
        except Exception as error:  # whatever a class says of what it would be made with
            raise ModelFormatError(f"{os.fspath(path)}: {shortened(error)}") from error


def shortened(error: object) -> str:
    """Return an error in not too many words: what a file holds may stand in it."""
    text = str(error)
    return text if len(text) <= _MOST_OF_AN_ERROR else f"{text[:_MOST_OF_AN_ERROR]}..."


def _loaded(file: IO[bytes], custom: Custom | None, mapped: bool) -> Any:
    container = Container(file, size_of(file))
    texts, budget = texts_of(container), container.budget
    arrays = container.arrays(mapped)
    return (estimator_of if "estimator" in texts else model_of)(texts, arrays, budget, custom)


def texts_of(container: Container) -> Texts:
    """Return what the texts of a file say, whose version is known here: of a model, or of an estimator."""
    metadata = container.metadata
    _require_known(metadata)
    if "estimator" in metadata:
        models = texts_in(object_in(metadata, "models"))
        return {"estimator": object_in(metadata, "estimator"), "models": models}
    texts = {name: object_in(metadata, name) for name in OF_A_MODEL}
    if "fit" in metadata:
        texts["fit"] = object_in(metadata, "fit")
    return texts


def _require_known(metadata: Mapping[str, str]) -> None:
    """Raise ModelFormatError for a file of another package, or of a later version."""
    if metadata.get("format") != FORMAT:
        raise ModelFormatError(
            "it holds arrays (it is a file in the format of safetensors), but no model of fastnn: the safetensors "
            "package reads it"
        )
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 6 and int(version) >= 1):
        raise ModelFormatError(f"its version is {version[:40]!r}, expected a number from 1 to {VERSION}")
    if int(version) > VERSION:
        by = metadata.get("fastnn", "a newer version")[:40]
        raise ModelFormatError(
            f"it has version {version} of the format, and this fastnn, {__version__}, reads up to {VERSION}: "
            f"it needs fastnn {by} or newer: pip install --upgrade fastnn-numpy"
        )
