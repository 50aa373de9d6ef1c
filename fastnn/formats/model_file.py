"""What a model file holds: the architecture, what it is trained with, its state and history; and back."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from fastnn import __version__
from fastnn.arena import Array
from fastnn.checks import flag, shown
from fastnn.constraints import Constraint
from fastnn.formats import safely
from fastnn.formats.container import Container, encoded, size_of
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.fit_file import FitDecoder, FitEncoder
from fastnn.formats.parts import Custom, Decoder, Encoder, require_custom, require_text
from fastnn.formats.strict_json import Budget, parse, write
from fastnn.layers import Layer
from fastnn.layers.contract import OF_THE_CONTRACT
from fastnn.layers.taking import places, take
from fastnn.layers.tree import running_of
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.penalties import Penalty
from fastnn.schedules.moving import Moving
from fastnn.settings import Part
from fastnn.signatures import is_ours, parameters_of
from fastnn.training.history import History

FORMAT, VERSION = "fastnn", 1
_FEW = 2**15  # inputs, of layers that look at each column, that need no arrays
_MOST_OF_AN_ERROR = 600  # letters
_SOME = 7  # parameters
_LATER = ("transforms.", "average.")
Arrays = dict[str, Array]


def save(model: Network, path: str | os.PathLike[str], custom: Custom | None = None) -> None:
    """Write a model to a file: `Model.save`."""
    _require_path("save", path)
    require_custom("save", custom)
    model._trainer.claim.run(_save, model, path, custom)


def _save(model: Network, path: str | os.PathLike[str], custom: Custom | None) -> None:
    metadata, arrays = described(model, custom)
    head, ordered = encoded(metadata, arrays)
    size = len(head) + sum(array.nbytes for array in ordered)
    try:
        texts_of(Container(io.BytesIO(head), size))
    except ModelFormatError as error:
        raise ValueError(f"save: the file could not be read again: {error}") from None
    safely.replace(path, [head, *[array.reshape(-1).view(np.uint8) for array in ordered]])


def _require_path(what: str, path: object) -> None:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise TypeError(f"{what}: path is {shown(path)}, expected the name of a file, as in 'net.safetensors'")


# -- to be written ----------------------------------------------------------------------------------------------------


def described(model: Network, custom: Custom | None = None) -> tuple[dict[str, str], Arrays]:
    """Return the texts and the arrays of the file of a model."""
    encoder, arrays = Encoder(custom), Arrays()
    tree, trainer = model._tree, model._trainer
    architecture = {
        "layers": [encoder.part(layer, f"layer {i + 1}") for i, layer in enumerate(model.layers)],
        "penalties": [encoder.part(penalty, "a penalty") for penalty in model.penalties],
        "constraints": [encoder.part(constraint, "a constraint") for constraint in model.constraints],
        "dtype": model.dtype.name, "seed": model.seed, "n_in": model.n_in,
        "feature_names": tree.feature_names, "class_names": model.class_names,
    }  # fmt: skip
    for place, layer in places(model.layers):
        held = {**layer.parameters, **layer.states} if model.built else _set_before_the_build(layer)
        arrays.update((f"{place}.{name}", array) for name, array in held.items())
    loss, optimizer = trainer.loss, trainer.optimizer
    training: dict[str, Any] = {
        "loss": None if loss is None else encoder.part(loss, "the loss"),
        "optimizer": None if optimizer is None else encoder.part(optimizer, "the optimizer"),
        "named": {name: encoder.part(own, f"the optimizer {name!r}") for name, own in trainer._named.items()},
        "fits": int(trainer.state.fits[0]),
    }
    remembering = [optimizer for optimizer, _ in trainer.state.memories.items() if encoder.knows(optimizer)]
    training["memories"] = [encoder.reference(optimizer) for optimizer in remembering]
    for i, own in enumerate(remembering):
        arrays.update((f"optimizer.{i}.{k}", array) for k, array in (trainer.state.memories.get(own) or {}).items())
    averaging = trainer.state.averaging
    if averaging is not None and encoder.knows(averaging):
        training["averaging"] = encoder.reference(averaging)
    training["schedules"] = _standings(model, encoder, arrays)
    encoder.require_made_again()
    history, numbers = history_of(trainer.history)
    arrays.update((f"history.{name}", array) for name, array in numbers.items())
    texts = {"architecture": architecture, "training": training, "history": history}
    if trainer.begun is not None:
        texts["fit"] = FitEncoder(encoder, arrays).begun(model, trainer.begun)
    metadata = {
        "format": FORMAT, "version": str(VERSION), "fastnn": __version__, "numpy": np.__version__,
        **{name: write(value) for name, value in texts.items()},
    }  # fmt: skip
    return metadata, arrays


def _set_before_the_build(layer: Layer) -> Arrays:
    """Return what a user has written into a layer that is not built yet: weights to begin with."""
    settings = parameters_of(type(layer)).all
    found = {}
    for name, value in vars(layer).items():
        if name[0] != "_" and name not in settings and name not in OF_THE_CONTRACT:
            array = np.asarray(value) if isinstance(value, (np.ndarray, list, tuple)) else np.zeros(0, object)
            if array.dtype.kind in "fiu":
                found[name] = array
    return found


def _standings(model: Network, encoder: Encoder, arrays: Arrays) -> list[Any]:
    """Return which numbers follow schedules that have begun, and add where these stand."""
    found: list[Any] = []
    for part in encoder.parts():
        for name, moving in part._schedules.items() if isinstance(part, Part) else ():
            standing = model._trainer.state.standings.get(moving)
            if standing is not None:
                arrays.update((f"schedule.{len(found)}.{key}", array) for key, array in standing.items())
                found.append({"of": encoder.reference(part), "number": name})
    return found


def history_of(history: History) -> tuple[dict[str, Any], Arrays]:
    """Return what a history holds: texts and numbers, and arrays of the numbers of its epochs."""
    texts: dict[str, Any] = {}
    arrays = Arrays()
    for name, value in vars(history).items():
        if isinstance(value, list):
            arrays[name] = np.array(value, np.float64)
        elif isinstance(value, dict):
            arrays.update((f"{name}.{key}", np.array(numbers, np.float64)) for key, numbers in value.items())
        else:
            texts[name] = value
    return texts, arrays


# -- to be read -------------------------------------------------------------------------------------------------------


class Read(NamedTuple):
    """What a file holds, taken apart."""

    texts: dict[str, Any]
    arrays: Arrays
    budget: Budget


def load(path: str | os.PathLike[str], custom: Custom | None = None, mmap: bool = False) -> Model:
    """Return the model of a file that `Model.save` has written, as it was: trained on, it is as if never saved.

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
    Model

    Raises
    ------
    ModelFormatError
        Where the file is no model file, is damaged, is of a newer version, or holds parts that are unknown.
    OSError
        Where it cannot be read.

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
        except (OSError, MemoryError):
            raise
        except Exception as error:  # whatever a class says of what it would be made with
            raise ModelFormatError(f"{os.fspath(path)}: {shortened(error)}") from error


def shortened(error: object) -> str:
    """Return an error in not too many words: what a file holds may stand in it."""
    text = str(error)
    return text if len(text) <= _MOST_OF_AN_ERROR else f"{text[:_MOST_OF_AN_ERROR]}..."


def opened(file: IO[bytes], mapped: bool = False) -> Read:
    """Return what a file holds, checked: its version is known here."""
    container = Container(file, size_of(file))
    texts = texts_of(container)
    return Read(texts, container.arrays(mapped), container.budget)


def texts_of(container: Container) -> dict[str, Any]:
    """Return what the texts of a file say, whose version is known here."""
    metadata = container.metadata
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
    texts = {name: _object(metadata, name) for name in ("architecture", "training", "history")}
    if "fit" in metadata:
        texts["fit"] = _object(metadata, "fit")
    return texts


def _object(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    if name not in metadata:
        raise ModelFormatError(f"it has no {name}")
    found = parse(metadata[name], f"the {name}")
    if not isinstance(found, dict):
        raise ModelFormatError(f"the {name} is no JSON object")
    return found


def _loaded(file: IO[bytes], custom: Custom | None, mapped: bool) -> Model:
    read = opened(file, mapped)
    decoder = Decoder(custom, read.budget)
    parts = _Sections(read.arrays)
    of = read.texts["architecture"]
    layers = [decoder.part(one, Layer, f"layer {i + 1}") for i, one in enumerate(_list(of, "layers"))]
    penalties = [decoder.part(one, Penalty, "a penalty") for one in _list(of, "penalties")]
    constraints = [decoder.part(one, Constraint, "a constraint") for one in _list(of, "constraints")]
    model = Model(layers, _number(of, "seed"), _text(of, "dtype"), penalties=penalties, constraints=constraints)
    model._tree.feature_names = names_in(of, "feature_names")
    n_in = _number(of, "n_in")
    own = parts.take("")
    if n_in:
        most = _FEW + sum(array.size for array in own.values())
        take(model._tree, n_in, own, most)
    else:
        _write_before_the_build(model, own)
    model.class_names = names_in(of, "class_names")
    _train(model, read.texts["training"], parts, decoder)
    _remember(model.history, read.texts["history"], parts.take("history."))
    of_fit = {name: array.copy() for name, array in parts.take("fit.").items()}
    parts.require_nothing_left()
    if n_in:  # the last, which takes memory
        model._tree.adopt(model)
    if "fit" in read.texts:
        model._trainer.begun = FitDecoder(decoder, of_fit, model).begun(read.texts["fit"])
    elif of_fit:
        raise ModelFormatError("it has arrays of a fit, and no fit")
    if n_in:
        model._predictors.read(model._trainer.averages.layers)
    return model


class _Sections:
    """The arrays of a file by what they belong to."""

    def __init__(self, arrays: Arrays) -> None:
        self._left = dict(arrays)

    def take(self, before: str) -> Arrays:
        """Return those whose names begin so, without that; "" stands for those of layers, which begin with a number."""
        found = {}
        for name in [*self._left]:
            if name.startswith(before) if before else name[:1].isdigit():
                found[name[len(before) :]] = self._left.pop(name)
        return found

    def require_nothing_left(self) -> None:
        for name in self._left:
            raise ModelFormatError(f"nothing takes the array {name!r}")


def _write_before_the_build(model: Model, arrays: Arrays) -> None:
    for place, layer in places(model.layers):
        for name in [name for name in arrays if name.rpartition(".")[0] == place]:
            setattr(layer, name.rpartition(".")[2], arrays.pop(name).copy())
    for name in arrays:
        raise ModelFormatError(f"nothing takes the array {name!r}")


def _train(model: Model, of: dict[str, Any], parts: _Sections, decoder: Decoder) -> None:
    """Give a model what it trains with, and where that stands."""
    trainer, state = model._trainer, model._trainer.state
    if of.get("loss") is not None:
        trainer.loss = decoder.part(of["loss"], Loss, "the loss")
    if of.get("optimizer") is not None:
        trainer.optimizer = decoder.part(of["optimizer"], Optimizer, "the optimizer")
    named = of.get("named", {})
    if not isinstance(named, dict):
        raise ModelFormatError("its optimizers by name are none")
    trainer._named.update(
        (name, decoder.part(own, Optimizer, f"the optimizer {name!r}")) for name, own in named.items()
    )
    fits = _number(of, "fits")
    if not 0 <= fits < 2**53:
        raise ModelFormatError(f"it has begun {fits} fits, expected a number from 0")
    state.fits[0] = fits
    for i, reference in enumerate(_list(of, "memories")):
        optimizer = decoder.part(reference, Optimizer, "an optimizer that remembers")
        memory = parts.take(f"optimizer.{i}.")
        if not model.n_in:
            raise ModelFormatError("an optimizer remembers something of a model that is not built")
        _require_memory(model, optimizer, memory)
        state.memories.set(optimizer, memory)
    if "averaging" in of:
        averaging = decoder.part(of["averaging"], Optimizer, "the optimizer that averages")
        if not averaging.averages or averaging._averaged not in (state.memories.get(averaging) or {}):
            raise ModelFormatError("the optimizer that averages remembers no average")
        state.averaging = averaging
    for i, entry in enumerate(_list(of, "schedules")):
        part = decoder.part(entry["of"], Part, "what follows a schedule")
        moving = part._schedules.get(_text(entry, "number"))
        if moving is None:
            raise ModelFormatError(f"{part!r} follows no schedule with its {_text(entry, 'number')}")
        standing = {name: array.copy() for name, array in parts.take(f"schedule.{i}.").items()}
        _require_standing(moving, standing)
        state.standings.set(moving, standing)
        moving.show(standing)


def _require_memory(model: Model, optimizer: Optimizer, memory: Arrays) -> None:
    """Raise ModelFormatError unless an optimizer of this package may remember these arrays of this model.

    What those of users do is known to them alone.
    """
    tree = model._tree
    n = sum(array.size for layer in tree.all for array in layer.parameters.values())
    running = sum(array.size for array in running_of(tree.all))
    if not is_ours(type(optimizer)):
        return
    expected = {  # from a few parameters, so that no memory is taken for all
        name: ((n,) if array.shape == (_SOME,) else array.shape, array.dtype)
        for name, array in optimizer._remembers(np.zeros(_SOME, tree.dtype)).items()
    }
    if optimizer.averages and running:
        expected["average.running"] = (running,), tree.dtype
    for name, (shape, dtype) in expected.items():
        given = memory.get(name)
        if given is None and not name.startswith(_LATER):  # which begin with the next step, where they are new
            raise ModelFormatError(f"{optimizer!r} remembers {name}, and there is no such array")
        if given is not None and (given.shape, given.dtype) != (shape, dtype):
            raise ModelFormatError(
                f"{optimizer!r} remembers {name} of shape {given.shape} and dtype {given.dtype}, expected {shape} and "
                f"{dtype}"
            )
    for name in memory.keys() - expected.keys():
        if not name.startswith(_LATER):
            raise ModelFormatError(f"{optimizer!r} remembers no {name}")


def _require_standing(moving: Moving, standing: Arrays) -> None:
    expected = moving.begin()
    if {name: array.shape for name, array in standing.items()} != {k: array.shape for k, array in expected.items()}:
        raise ModelFormatError(f"{moving.title} follows {moving.schedule!r}, which does not stand like that")
    place = standing["place"]
    if any(array.dtype != np.float64 for array in standing.values()) or not (np.isfinite(place) & (place >= 0)).all():
        raise ModelFormatError(f"{moving.title} follows {moving.schedule!r}: expected where it stands in numbers >= 0")


def _remember(history: History, of: dict[str, Any], arrays: Arrays) -> None:
    known = vars(history)
    for name, value in of.items():
        if type(value) not in (str, float) or type(value) is not type(known.get(name)):
            raise ModelFormatError(f"the history has {name[:40]} = {shown(value)}, which it may not have")
        known[name] = value
    for name, array in arrays.items():
        own, _, key = name.partition(".")
        if array.dtype != np.float64 or array.ndim != 1 or type(known.get(own)) is not (dict if key else list):
            raise ModelFormatError(f"the history has an array {name[:40]!r}, {shown(array)}, which it may not have")
        if key:
            known[own][key] = array.tolist()
        else:
            known[own] = array.tolist()


def _list(of: dict[str, Any], name: str) -> Iterator[Any]:
    found = of.get(name)
    if not isinstance(found, list):
        raise ModelFormatError(f"its {name} are {str(found)[:60]}, expected a list")
    return iter(found)


def _number(of: dict[str, Any], name: str) -> int:
    found = of.get(name)
    if type(found) is not int:
        raise ModelFormatError(f"its {name} is {str(found)[:60]}, expected a whole number")
    return found


def _text(of: dict[str, Any], name: str) -> str:
    found = of.get(name)
    if not isinstance(found, str):
        raise ModelFormatError(f"its {name} is {str(found)[:60]}, expected a text")
    return found


def names_in(of: dict[str, Any], name: str) -> tuple[str, ...] | None:
    """Return names of columns or classes, which have to be texts."""
    found = of.get(name)
    if found is not None and not (isinstance(found, list) and all(isinstance(one, str) for one in found)):
        raise ModelFormatError(f"its {name} are {str(found)[:60]}, expected texts")
    for one in found or ():
        require_text(one, f"one of its {name}")
    return None if found is None else tuple(found)
