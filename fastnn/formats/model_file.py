"""What a model file holds: the architecture, what it is trained with, its state and history; and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.constraints import Constraint
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.fit_file import FitDecoder, FitEncoder
from fastnn.formats.parts import Custom, Decoder, Encoder, Known, require_text
from fastnn.formats.strict_json import Budget, parse
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

OF_A_MODEL = ("architecture", "training", "history")  # texts
_FEW = 2**15  # inputs, of layers that look at each column, that need no arrays
_SOME = 7  # parameters
_LATER = ("transforms.", "average.")
Arrays = dict[str, Array]
Texts = dict[str, Any]


# -- to be written ----------------------------------------------------------------------------------------------------


def described(
    model: Network,
    custom: Custom | None = None,
    trains: bool = True,
    budget: Budget | None = None,
    also: Known | None = None,
    more: Mapping[str, Optimizer] | None = None,
) -> tuple[Texts, Arrays]:
    """Return the texts and the arrays of the file of a model, and take of a budget what it will cost to read them.

    Where it is not to be trained on, what it is trained with is left out, but for averages that predictions read.
    `more` are optimizers beside its own, by name, which others keep for it.
    """
    encoder, arrays = Encoder(custom, budget, also), Arrays()
    tree, trainer = model._tree, model._trainer
    trains = trains or trainer.state.averaging is not None
    architecture = {
        "layers": [encoder.part(layer, f"layer {i + 1}") for i, layer in enumerate(model.layers)],
        "penalties": [encoder.part(penalty, "a penalty") for penalty in model.penalties],
        "constraints": [encoder.part(constraint, "a constraint") for constraint in model.constraints],
        "dtype": model.dtype.name, "seed": model.seed, "n_in": model.n_in,
        "feature_names": tree.feature_names, "class_names": model.class_names,
    }  # fmt: skip
    if model.precision is not None:
        architecture["precision"] = model.precision
    for place, layer in places(model.layers):
        held = {**layer.parameters, **layer.states} if model.built else _set_before_the_build(layer)
        arrays.update((f"{place}.{name}", array) for name, array in held.items())
    loss, optimizer = (trainer.loss, trainer.optimizer) if trains else (None, None)
    training: dict[str, Any] = {
        "loss": None if loss is None else encoder.part(loss, "the loss"),
        "optimizer": None if optimizer is None else encoder.part(optimizer, "the optimizer"),
        "named": {
            name: encoder.part(own, f"the optimizer {name!r}")
            for name, own in {**trainer._named, **(more or {})}.items()
            if trains
        },
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
    if trains and trainer.begun is not None:
        texts["fit"] = FitEncoder(encoder, arrays).begun(model, trainer.begun)
    return texts, arrays


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


def object_in(metadata: Mapping[str, str], name: str) -> Texts:
    """Return what one text of a file says."""
    if name not in metadata:
        raise ModelFormatError(f"it has no {name}")
    found = parse(metadata[name], f"the {name}")
    if not isinstance(found, dict):
        raise ModelFormatError(f"the {name} is no JSON object")
    return found


def model_of(texts: Texts, arrays: Arrays, budget: Budget, custom: Custom | None, also: Known | None = None) -> Model:
    """Return the model that texts and arrays describe."""
    decoder = Decoder(custom, budget, also)
    parts = _Sections(arrays)
    of = texts["architecture"]
    layers = [decoder.part(one, Layer, f"layer {i + 1}") for i, one in enumerate(_list(of, "layers"))]
    penalties = [decoder.part(one, Penalty, "a penalty") for one in _list(of, "penalties")]
    constraints = [decoder.part(one, Constraint, "a constraint") for one in _list(of, "constraints")]
    model = Model(
        layers, _number(of, "seed"), _text(of, "dtype"), penalties=penalties, constraints=constraints,
        precision=of.get("precision"),
    )  # fmt: skip
    model._tree.feature_names = names_in(of, "feature_names")
    n_in = _number(of, "n_in")
    own = parts.take("")
    if n_in:
        most = _FEW + sum(array.size for array in own.values())
        take(model._tree, n_in, own, most)
    else:
        _write_before_the_build(model, own)
    model.class_names = names_in(of, "class_names")
    _train(model, texts["training"], parts, decoder)
    _remember(model.history, texts["history"], parts.take("history."))
    of_fit = {name: array.copy() for name, array in parts.take("fit.").items()}
    parts.require_nothing_left()
    if n_in:  # the last, which takes memory
        model._tree.adopt(model)
    if "fit" in texts:
        model._trainer.begun = FitDecoder(decoder, of_fit, model).begun(texts["fit"])
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
        if averaging._averaged not in (state.memories.get(averaging) or {}):
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
    some = np.zeros(_SOME, tree.dtype)  # parameters: no memory is taken for all
    most = type(optimizer)(**optimizer.remembers_most).init(some)
    expected = {name: (array.shape, array.dtype) for name, array in optimizer._remembers(some).items()}
    # With settings that have been changed since its last step, or have been others before
    possible = {name: (array.shape, array.dtype) for name, array in {**most, "average.params": some}.items()}
    if running:
        possible["average.running"] = (running,), tree.dtype
    for name, array in memory.items():
        shape, dtype = expected.get(name) or possible.get(name) or ((), None)
        if dtype is None and not name.startswith(_LATER):
            raise ModelFormatError(f"{optimizer!r} remembers no {name}")
        shape = (n,) if shape == (_SOME,) else shape
        if dtype is not None and (array.shape, array.dtype) != (shape, dtype):
            raise ModelFormatError(
                f"{optimizer!r} remembers {name} of shape {array.shape} and dtype {array.dtype}, expected {shape} and "
                f"{dtype}"
            )
    for name in expected.keys() - memory.keys() - possible.keys():
        if not name.startswith(_LATER):  # these begin with the next step, where they are new
            raise ModelFormatError(f"{optimizer!r} remembers {name}, and there is no such array")


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
