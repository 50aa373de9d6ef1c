"""Models of Keras: of this process, and of files, which need no Keras."""

from __future__ import annotations

import os
from contextlib import suppress
from math import prod
from typing import Any

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.files import shortened
from fastnn.formats.weights.described import Given, as_weights, matched, new_model, write
from fastnn.formats.weights.keras_files import Read, read
from fastnn.formats.weights.keras_layers import INSTEAD, Part, Reader, is_of_keras, parts_of
from fastnn.formats.weights.order import Kept, by_numbers
from fastnn.formats.weights.plain import require_into
from fastnn.model import Model

_WITH_OTHERS = ("BatchNormalization", "LayerNormalization", "Rescaling", "Normalization")  # numbers beside arrays


def from_keras(source: Any, *, into: Model | None = None) -> Model:
    """Return a model that predicts what a model of Keras does, from its weights.

    Sequential models, and functional ones whose layers stand in a row: dense layers, activations, dropout,
    normalizations, embeddings with `Flatten`, `Rescaling`; anything else is an error that names the layer. Files are
    read without Keras, and nothing in them is run: a Lambda is refused. Compiled losses, optimizers, regularizers and
    constraints are not taken over.

    Parameters
    ----------
    source : keras.Model, or path of a file
        What ``model.save`` has written, ``.keras`` or ``.h5`` of Keras 3 or 2, or with `into` what ``save_weights``
        has: ``.weights.h5``. Files need h5py: ``pip install 'fastnn-numpy[keras]'``. Those of a Sequential have a
        layer that comes again once, and Keras, too, reads them so: pass the model.
    into : Model or None
        Where arrays are written to, all or none; it is returned. It is built, where it is not.

    Returns
    -------
    Model
        With the dtype of the weights: float64 where any are, else float32.

    Raises
    ------
    ValueError, TypeError
        For what is not understood, and for arrays that do not fit, with the layer and the shapes.
    ModelFormatError
        For a file that is damaged, of another kind, or holds what is not understood.

    Examples
    --------
    >>> import fastnn
    >>> try:
    ...     fastnn.from_keras([1, 2])
    ... except TypeError as error:
    ...     print(error)
    from_keras: got [1, 2], expected a keras.Model, or the path of a file .keras, .weights.h5 or .h5
    """
    what = "from_keras"
    require_into(what, into, None, None)
    if isinstance(source, (str, os.PathLike)):
        try:
            return _of_file(what, source, into)
        except (ModelFormatError, ValueError, TypeError, RecursionError) as error:
            raise ModelFormatError(f"{os.fspath(source)}: {shortened(error)}") from error
    is_class = isinstance(source, type)
    if is_class or not all(hasattr(source, name) for name in ("to_json", "layers", "get_weights")):
        raise TypeError(
            f"{what}: got {shown(source)}, expected a keras.Model, or the path of a file .keras, .weights.h5 or .h5"
            f"{': make one of the class first' if is_class else ''}"
        )
    if not getattr(source, "built", True):
        raise ValueError(f"{what}: the model is not built, so it has no weights: call build or train it first")
    layers = dict(_layers_of(source, ""))
    if into is not None:
        return _made(what, [one for place, layer in layers.items() for one in _given(place, layer)], into, None)
    _require_own(source, {})
    parts = [*parts_of(_with_repeats(source, _config_of(source)))]
    keras = __import__(type(source).__module__.partition(".")[0])
    _require_named(source, keras.activations)
    arrays = [layers[part.place].get_weights() if part.place in layers else [] for part in parts]
    return _of_parts(what, parts, arrays, str(keras.__version__))


def _config_of(model: Any) -> Any:
    import json

    try:
        return json.loads(model.to_json())
    except NotImplementedError:
        raise ValueError(
            f"from_keras: the model ({type(model).__name__}), or a layer of it, is of a class of your own without a "
            f"get_config: {INSTEAD}"
        ) from None


def _is_model(layer: Any) -> bool:
    return hasattr(layer, "layers") and hasattr(layer, "to_json")


def _require_own(model: Any, seen: dict[int, str]) -> None:
    """Refuse layers with weights that come again: here they would be copies, which training moves apart."""
    for layer in model.layers:
        if _is_model(layer):
            _require_own(layer, seen)
            continue
        for variable in layer.weights:
            if id(variable) in seen:
                raise ValueError(
                    f"from_keras: layer {layer.name} ({type(layer).__name__}) shares weights with layer "
                    f"{seen[id(variable)]}, which stands before it, and here each has its own, which training would "
                    "move apart: give it weights of its own, or pass into=, a Model of the same layers, to have copies"
                )
        seen.update((id(variable), layer.name) for variable in layer.weights)


def _require_named(model: Any, activations: Any) -> None:
    """Refuse functions that are not those which Keras has by their names: a configuration says these alone."""
    for layer in model.layers:
        if _is_model(layer):
            _require_named(layer, activations)
            continue
        given = getattr(layer, "activation", None)
        name = getattr(given, "__name__", None)
        if name is not None and getattr(activations, name, None) is not given:
            raise ValueError(
                f"from_keras: layer {layer.name} ({type(layer).__name__}) has the activation {name} of "
                f"{given.__module__}, expected one of keras.activations: set layer.activation, or {INSTEAD}"
            )


def _with_repeats(model: Any, config: Any) -> Any:
    """Return the configuration of a model with layers as often as they come: Keras writes each of a Sequential once."""
    own = config["config"]
    if not isinstance(own, dict) or "layers" not in own:  # of a class of one's own
        return config
    by_name = {one["config"]["name"]: one for one in own["layers"]}
    names = [layer.name for layer in model.layers]
    by_name |= {
        layer.name: _with_repeats(layer, by_name[layer.name])
        for layer in model.layers
        if _is_model(layer) and layer.name in by_name
    }
    row = [by_name[one["config"]["name"]] for one in own["layers"]]
    if config["class_name"] == "Sequential" and len({*names}) < len(names):
        row = [one for one in row if one["config"]["name"] not in names]  # the inputs
        for i, name in enumerate(names):
            again = {"name": name if name not in names[:i] else f"{name}, again at {i}"}
            row.append({**by_name[name], "config": {**by_name[name]["config"], **again}})
    return {**config, "config": {**own, "layers": row}}


def _layers_of(model: Any, place: str) -> Any:
    """Yield the layers of a model by the places that a file has for them."""
    from fastnn.formats.weights.keras_layers import _snake

    counts: dict[str, int] = {}
    for layer in model.layers:
        snake = _snake(type(layer).__name__)
        number = counts[snake] = counts.get(snake, -1) + 1
        own = f"{place}layers/{snake}{f'_{number}' if number else ''}"
        if _is_model(layer):
            yield from _layers_of(layer, f"{own}/")
        else:
            yield own, layer


def _given(place: str, layer: Any) -> list[Given]:
    """Return the arrays of a layer, with what some compute with beside these."""
    kind, arrays = type(layer).__name__, layer.get_weights()
    if kind in _WITH_OTHERS and is_of_keras(type(layer).__module__):
        build = layer.get_build_config() if hasattr(layer, "get_build_config") else None
        part = Part(kind, layer.get_config(), place, layer.name, (build or {}).get("input_shape"))
        with suppress(ValueError):  # of what is not understood, into= says the meaning
            return [one._replace(layer=None) for one in Reader([part], [arrays], "").given()]
    return [Given(place, _numbered(arrays))]


def _of_file(what: str, path: str | os.PathLike[str], into: Model | None) -> Model:
    found = read(path)
    if into is not None:
        given = [Given(place, _numbered(own)) for place, own in found.arrays.items() if own]
        order = None if found.by_name else by_numbers
        with suppress(ValueError):  # of a configuration that is not understood
            given, order = [one._replace(layer=None) for one in Reader(*_described(found)).given()], None
        return _made(what, given, into, order)
    if found.config is None:
        raise ValueError(
            "it holds weights alone: make a Model of the same layers, and pass it, from_keras(path, into=net)"
        )
    return _of_parts(what, *_described(found))


def _described(found: Read) -> tuple[list[Part], list[list[Array]], str]:
    """Return the layers of a file, with their arrays and the version of Keras."""
    parts = [*parts_of(found.config)]
    places = [part.name if found.by_name else part.place for part in parts]
    left = {place: arrays for place, arrays in found.arrays.items() if arrays and place not in places}
    if left:
        raise ValueError(
            f"nothing takes the arrays of {next(iter(left))[:120]}: "
            + (
                "of models inside each other save a .keras file"
                if found.by_name
                else "its layers are not those of its configuration, as of a layer that comes again in a Sequential: "
                "pass the model in place of the file"
            )
        )
    return parts, [found.arrays.get(place, []) for place in places], found.version


def _numbered(arrays: list[Array]) -> dict[str, Array]:
    return {str(i): as_weights(array, "from_keras: an array") for i, array in enumerate(arrays)}


def _of_parts(what: str, parts: list[Part], arrays: list[list[Array]], version: str) -> Model:
    given = Reader(parts, arrays, version).given()
    model = new_model(what, given)
    plan = matched(what, model, given, None)
    shape = parts[0].shape if parts else None
    sizes = shape[1:] if shape is not None else ()
    if sizes and all(type(n) is int for n in sizes) and prod(sizes) != plan.n_in:
        raise parts[0].wrong(f"takes rows of shape {str(tuple(sizes))[:60]}, and the layers behind {plan.n_in} numbers")
    write(model, plan)
    return model


def _made(what: str, given: list[Given], into: Model | None, order: Kept | None) -> Model:
    model = new_model(what, given) if into is None else into
    write(model, matched(what, model, given, order))
    return model
