"""Layers of Keras, as their configurations describe them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from fastnn.arena import Array
from fastnn.formats.weights.described import Given, as_weights
from fastnn.layers import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    AlphaDropout,
    BatchNorm,
    Bias,
    Dense,
    Dropout,
    Embedding,
    Exponential,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    Normalization,
    PReLU,
    ReLU,
    ReLU6,
    RMSNorm,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftShrink,
    Softsign,
    SparsePlus,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
)

Config = dict[str, Any]
INSTEAD = "make a Model of layers that compute the same, and pass it, from_keras(source, into=net)"
_DEEPEST = 16  # models inside each other

_ACTIVATIONS: dict[str, Callable[[], Layer]] = {
    "relu": ReLU, "relu6": ReLU6, "leaky_relu": partial(LeakyReLU, 0.2), "elu": ELU, "selu": SELU, "celu": CELU,
    "gelu": GELU, "silu": SiLU, "swish": SiLU, "mish": Mish, "softplus": Softplus, "softsign": Softsign,
    "sigmoid": Sigmoid, "hard_sigmoid": HardSigmoid, "hard_silu": HardSwish, "hard_swish": HardSwish,
    "hard_tanh": HardTanh, "hard_shrink": HardShrink, "soft_shrink": SoftShrink, "tanh_shrink": TanhShrink,
    "tanh": Tanh, "squareplus": Squareplus, "sparse_plus": SparsePlus, "sparse_sigmoid": partial(HardSigmoid, 0.5),
    "exponential": Exponential, "log_sigmoid": LogSigmoid, "log_softmax": LogSoftmax, "softmax": Softmax, "glu": GLU,
}  # fmt: skip


class Part(NamedTuple):
    """A layer of a configuration.

    Attributes
    ----------
    kind : str
        Its class.
    config : dict
    place : str
        Where a file of weights has its arrays.
    name : str
    shape : sequence or None
        Of its inputs, with the rows, where it is known.
    """

    kind: str
    config: Config
    place: str
    name: str
    shape: Sequence[Any] | None

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"layer {self.name[:80]} ({self.kind[:80]})"

    def wrong(self, why: str) -> ValueError:
        """Return an error."""
        return ValueError(f"from_keras: {self.where} {why}")


def parts_of(config: Any, place: str = "", depth: int = 0) -> Iterator[Part]:
    """Yield the layers of a model in the order in which they run."""
    if depth > _DEEPEST:
        raise ValueError(f"from_keras: models are nested more than {_DEEPEST} deep")
    kind, own = _dict(config, "the model").get("class_name"), _dict(config, "the model").get("config")
    _require_of_keras(config, f"the model ({str(kind)[:80]})")
    if kind not in ("Sequential", "Functional", "Model"):
        raise ValueError(f"from_keras: the model is {str(kind)[:80]}, expected Sequential or Functional: {INSTEAD}")
    if isinstance(own, list):  # Sequential of early versions
        own = {"layers": own}
    layers = [_dict(one, "a layer") for one in _list(_dict(own, "the model"), "layers")]
    counts: dict[str, int] = {}
    found: dict[str, tuple[Config, str]] = {}
    for one in layers:
        kind = one.get("class_name")
        name = _dict(one.get("config"), "a layer").get("name", one.get("name", len(found)))
        if not isinstance(kind, str) or str(name) in found:
            raise ValueError(
                f"from_keras: layer {str(name)[:80]} ({str(kind)[:80]}) comes twice, or is no layer: expected layers "
                f"of different names: {INSTEAD}"
            )
        snake = _snake(kind)
        number = counts[snake] = counts.get(snake, -1) + 1
        found[str(name)] = one, f"{place}layers/{snake}{f'_{number}' if number else ''}"
    order = [*found] if _dict(config, "the model")["class_name"] == "Sequential" else _chain(_dict(own, ""), found)
    for name in order:
        one, own_place = found[name]
        if one["class_name"] in ("Sequential", "Functional", "Model"):
            yield from parts_of(one, f"{own_place}/", depth + 1)
            continue
        own_config, build = _dict(one["config"], "a layer"), one.get("build_config")
        shape = own_config.get("batch_shape", own_config.get("batch_input_shape"))
        if shape is None and isinstance(build, dict):
            shape = build.get("input_shape")
        part = Part(one["class_name"], own_config, own_place, name, shape if isinstance(shape, list) else None)
        _require_of_keras(one, part.where)
        yield part


def _require_of_keras(one: Config, where: str) -> None:
    """Refuse a class of one's own, also one of the same name: its module is None or its own, in .h5 files none is."""
    module = one.get("module", "keras")
    if not is_of_keras(module):
        of = "" if module is None else f"of {str(module)[:80]}, "
        raise ValueError(f"from_keras: {where} is {of}a class of your own: {INSTEAD}")


def is_of_keras(module: Any) -> bool:
    """Whether a class of this module is one of Keras."""
    return isinstance(module, str) and bool(re.match(r"(keras|tf_keras|tensorflow\.(python\.)?keras)\b", module))


def _chain(config: Config, layers: dict[str, tuple[Config, str]]) -> list[str]:
    """Return the names of layers in a row, which those of a functional model have to be."""
    behind: dict[str, str] = {}
    starts = []
    for name, (one, _) in layers.items():
        nodes = one.get("inbound_nodes", [])
        sources = _sources(nodes, 0) if isinstance(nodes, list) else []
        if one["class_name"] == "InputLayer" and not sources:
            starts.append(name)
            continue
        if len(sources) != 1 or len(nodes) != 1 or sources[0] not in layers or sources[0] in behind:
            raise ValueError(
                f"from_keras: layer {name[:80]} reads {len(sources)} others, or one that others read, too: expected "
                f"layers in a row: {INSTEAD}"
            )
        behind[sources[0]] = name
    if len(starts) != 1:
        raise ValueError(f"from_keras: the model has {len(starts)} inputs, expected one: {INSTEAD}")
    row = [starts[0]]
    while row[-1] in behind:
        row.append(behind[row[-1]])
        if len(row) > len(layers):
            break
    if len(row) != len(layers):
        raise ValueError(f"from_keras: {len(layers) - len(row)} layers do not stand in the row: {INSTEAD}")
    given = config.get("output_layers")
    if isinstance(given, list):
        outputs = given[:1] if given and isinstance(given[0], str) else [one[0] for one in given if one]
        if outputs != row[-1:]:
            raise ValueError(
                f"from_keras: the outputs are not those of the last layer alone, {row[-1][:80]}: {INSTEAD}"
            )
    return row


def _sources(node: Any, depth: int) -> list[str]:
    """Return the names of the layers that a node reads, in the forms of Keras 2 and 3."""
    if depth > 12:
        raise ValueError("from_keras: the inputs of a layer are nested too deep")
    if isinstance(node, dict):
        if "keras_history" in node:
            history = node["keras_history"]
            return [str(history[0])] if isinstance(history, list) and history else []
        return [name for one in node.values() for name in _sources(one, depth + 1)]
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            return [node[0], *_sources(node[3:], depth + 1)]
        return [name for one in node for name in _sources(one, depth + 1)]
    return []


def _snake(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _dict(value: Any, what: str) -> Config:
    if not isinstance(value, dict):
        raise ValueError(f"from_keras: {what} is described by {str(value)[:60]}, expected a class and its config")
    return value


def _list(config: Config, name: str) -> list[Any]:
    found = config.get(name)
    if not isinstance(found, list):
        raise ValueError(f"from_keras: the {name} of the model are {str(found)[:60]}, expected a list")
    return found


# -- layers -----------------------------------------------------------------------------------------------------------


class Reader:
    """Makes layers here of those of a configuration, one behind the other.

    Parameters
    ----------
    parts : list of Part
    arrays : list of list of ndarray
        Those of each.
    version : str
        Of Keras.
    """

    def __init__(self, parts: Sequence[Part], arrays: Sequence[list[Array]], version: str) -> None:
        self._parts, self._arrays, self._old = parts, arrays, version.startswith(("1.", "2."))
        self._rank = 2  # of what flows
        self._n: int | None = None  # of the columns that flow, where it is known
        self._is_flat = False  # whether rows of other shapes have become flat

    def given(self) -> list[Given]:
        """Return the layers of a model."""
        found: list[Given] = []
        for i, part in enumerate(self._parts):
            if i == 0 and part.shape is not None and len(part.shape) > 1:
                self._rank = len(part.shape)
                if all(type(n) is int for n in part.shape[1:]):
                    self._n = prod(part.shape[1:])
            make = _LAYERS.get(part.kind)
            if make is None:
                raise part.wrong(
                    f"runs code that the file holds, which is not done here: {INSTEAD}"
                    if part.kind == "Lambda"
                    else f"is not understood: {INSTEAD}"
                )
            arrays = [as_weights(one, f"from_keras: {part.where}") for one in self._arrays[i]]
            try:
                made = [*make(self, part, arrays, i)]
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                if str(error).startswith("from_keras"):
                    raise
                raise part.wrong(f"cannot be made: {type(error).__name__} {str(error)[:200]}") from error
            for one in made:
                if one.layer is not None and part.config.get("trainable") is False:
                    one.layer.trainable = False
            found += made
        return [Given("the inputs", {}, Flatten()), *found] if self._is_flat else found

    def _require_rows(self, part: Part) -> None:
        if self._rank != 2:
            raise part.wrong(f"takes inputs of {self._rank} dimensions, expected 2, rows: put a Flatten before it")

    def _take(self, part: Part, arrays: list[Array], names: Sequence[str]) -> dict[str, Array]:
        if len(arrays) != len(names):
            raise part.wrong(f"has {len(arrays)} arrays, expected {len(names)} ({', '.join(names)})")
        return dict(zip(names, arrays, strict=True))

    def _behind(self, i: int) -> int | None:
        """Return how many columns the next layer with arrays takes, where it says that."""
        for other, arrays in zip(self._parts[i + 1 :], self._arrays[i + 1 :], strict=True):
            if arrays and arrays[0].ndim and other.kind in ("Dense", "BatchNormalization", "LayerNormalization"):
                return int(arrays[0].shape[0])
            if arrays:
                break
        return None

    def _columns(self, part: Part, i: int) -> int:
        """Return how many columns a layer has."""
        found = self._n or self._behind(i)
        if found is None:
            raise part.wrong(f"has no Input before and no dense layer behind it that says its columns: {INSTEAD}")
        return found

    def activation(self, given: Any, part: Part) -> Layer | None:
        """Return an activation by its name, or by the description of one."""
        if isinstance(given, dict):
            kind, config = given.get("class_name"), given.get("config")
            if kind != "function":
                _require_of_keras(given, f"the activation {str(kind)[:80]} of {part.where}")
                made = _LAYERS.get(kind) if kind in _OF_ACTIVATIONS else None
                if made is None or not isinstance(config, dict):
                    raise part.wrong(f"has the activation {str(kind)[:80]}, which is not understood: {INSTEAD}")
                return next(iter(made(self, Part(str(kind), config, "", part.name, None), [], 0))).layer
            given = config
        if given in (None, "linear"):
            return None
        if given == "hard_sigmoid" and self._old:
            return HardSigmoid(0.2)
        if not isinstance(given, str) or given not in _ACTIVATIONS:
            differs = ", whose rows need not sum to 1 there" if given == "sparsemax" else ""
            raise part.wrong(f"has the activation {str(given)[:80]!r}{differs}, which is not understood: {INSTEAD}")
        return _ACTIVATIONS[given]()

    # what makes each kind: the layers, with the arrays

    def dense(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a Dense."""
        self._require_rows(part)
        config = part.config
        if config.get("quantization_config") or config.get("lora_rank"):
            raise part.wrong("is quantized, or has LoRA: save it without")
        bias = bool(config.get("use_bias", True))
        taken = self._take(part, arrays, ("kernel", "bias")[: 1 + bias])
        activation = self.activation(config.get("activation"), part)
        self._n = None if isinstance(activation, GLU) else config["units"]
        yield Given(part.where, taken, Dense(config["units"], activation, bias=bias))

    def rowless(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make nothing of the description of inputs."""
        return iter(())

    def of_function(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make an activation by its name."""
        layer = self.activation(part.config.get("activation"), part)
        if isinstance(layer, (Softmax, LogSoftmax, GLU)):
            self._require_rows(part)
        self._n = None if isinstance(layer, GLU) else self._n
        yield Given(part.where, {}, Identity() if layer is None else layer)

    def relu(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a ReLU with its bound, slope or threshold, of which one may be set."""
        most, threshold = _number(part, "max_value", None), _number(part, "threshold", 0.0)
        slope = _number(part, "negative_slope", 0.0)
        if (most is not None) + bool(slope) + bool(threshold) > 1:
            raise part.wrong(f"has max_value, negative_slope and threshold, of which one may be set: {INSTEAD}")
        if most == 0:
            raise part.wrong(f"has max_value=0, behind which all is 0, which no layer here makes: {INSTEAD}")
        layer: Layer = ReLU()
        if most is not None:
            layer = ReLU6() if most == 6 else HardTanh(0.0, most)
        elif slope:
            layer = LeakyReLU(slope)
        elif threshold:
            layer = Threshold(threshold, 0.0)
        yield Given(part.where, {}, layer)

    def leaky(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a LeakyReLU."""
        slope = _number(part, "negative_slope", _number(part, "alpha", 0.3))
        yield Given(part.where, {}, LeakyReLU(slope))  # type: ignore[arg-type]

    def elu(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make an ELU."""
        yield Given(part.where, {}, ELU(_number(part, "alpha", 1.0)))  # type: ignore[arg-type]

    def prelu(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a PReLU."""
        self._require_rows(part)
        taken = self._take(part, arrays, ("alpha",))
        yield Given(part.where, taken, PReLU(not part.config.get("shared_axes"), 0.0), self._n)

    def softmax(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a Softmax."""
        self._require_rows(part)
        _require_columns(part)
        yield Given(part.where, {}, Softmax())

    def dropout(
        self, kind: Callable[..., Layer], name: str, part: Part, arrays: list[Array], i: int
    ) -> Iterator[Given]:
        """Make what is drawn in training."""
        if part.config.get("noise_shape") is not None:
            raise part.wrong(f"has a noise_shape, which is not understood: {INSTEAD}")
        yield Given(part.where, {}, kind(_number(part, name, None)))

    def norm(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a BatchNorm or a LayerNorm."""
        self._require_rows(part)
        _require_columns(part)
        config, is_batch = part.config, part.kind == "BatchNormalization"
        for name in ("rms_scaling", "renorm", "virtual_batch_size"):
            if config.get(name):
                raise part.wrong(f"has {name}, which is not understood: {INSTEAD}")
        own = [name for name, flag in (("gamma", "scale"), ("beta", "center")) if config.get(flag, True)]
        taken = self._take(part, arrays, [*own, *(("moving_mean", "moving_variance") if is_batch else ())])
        eps = _number(part, "epsilon", 1e-3)
        layer: Layer = BatchNorm(1 - (_number(part, "momentum", 0.99) or 0.0), eps) if is_batch else LayerNorm(eps)  # type: ignore[arg-type]
        missing, n = {}, None
        if len(own) < 2:
            n = len(arrays[0]) if arrays and arrays[0].ndim else self._columns(part, i)
            missing = {word: _all(value, n) for word, value in (("gamma", 1.0), ("beta", 0.0)) if word not in own}
        layer.trainable = bool(own)
        yield Given(part.where, taken, layer, n, missing)

    def rms_norm(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make an RMSNorm."""
        self._require_rows(part)
        _require_columns(part)
        taken = self._take(part, arrays, ("scale",))
        yield Given(part.where, taken, RMSNorm(_number(part, "epsilon", 1e-6)))  # type: ignore[arg-type]

    def embedding(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make an Embedding, of as many columns as the product behind takes."""
        taken = self._take(part, arrays, ("embeddings",))
        if i > 1 or (i == 1 and self._parts[0].kind != "InputLayer") or self._rank != 2:
            raise part.wrong("stands behind other layers, or takes no rows, expected it at the beginning")
        size, behind = part.config["output_dim"], self._behind(i)
        n = self._columns(part, i) if behind is None else max(1, behind // size)
        self._rank, self._n = 3, None
        yield Given(part.where, taken, Embedding(part.config["input_dim"], size), n)

    def flatten(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a Flatten."""
        was, self._rank = self._rank, 2
        if was > 2 and part.config.get("data_format") == "channels_first":
            raise part.wrong(f"has data_format='channels_first', which puts the last dimension first: {INSTEAD}")
        if was > 2 and not any(other.kind == "Embedding" for other in self._parts[:i]):
            self._is_flat = True  # from the beginning: what stands before looks at single numbers
            return
        yield Given(part.where, {}, Flatten())

    def rescaling(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a Scale and a Bias that are not trained."""
        n = self._columns(part, i)
        for name, word, layer in (
            ("scale", "s", Scale(trainable=False)),
            ("offset", "b", Bias(trainable=False)),
        ):
            values = _numbers(part, part.config.get(name, 1.0 if word == "s" else 0.0))
            if values.size != 1 and (values.size != n or self._rank != 2):
                raise part.wrong(f"has a {name} of {values.size} numbers, expected 1 or {n}")
            if name == "scale" or values.any():
                yield Given(part.where, {}, layer, n, {word: _all(values, n)})

    def normalization(self, part: Part, arrays: list[Array], i: int) -> Iterator[Given]:
        """Make a Normalization that has been fitted."""
        self._require_rows(part)
        config, n = part.config, self._columns(part, i)
        if config.get("invert"):
            raise part.wrong(f"has invert=True, which is not understood: {INSTEAD}")
        is_given = config.get("mean") is not None
        if is_given:
            mean, variance = (_numbers(part, config.get(name)) for name in ("mean", "variance"))
        elif len(arrays) in (2, 3):
            mean, variance = arrays[0].reshape(-1), arrays[1].reshape(-1)
        else:
            raise part.wrong(f"has {len(arrays)} arrays, expected its mean and variance: call adapt before saving")
        if mean.size not in (1, n) or variance.size not in (1, n):
            raise part.wrong(f"has {mean.size} means and {variance.size} variances, expected 1 or {n}")
        with np.errstate(all="ignore"):
            factor = 1 / np.maximum(np.sqrt(np.asarray(variance, np.float64)), 1e-7)
        taken = {"center": _all(mean, n), "factor": _all(factor.astype(mean.dtype), n)}
        missing = {"replacement": _all(np.float32(np.nan), n), "rows": np.ones(1, np.float32)}
        if is_given:
            taken, missing = {}, {**taken, **missing}
        yield Given(part.where, taken, Normalization(), n, missing)


def _all(values: Any, n: int) -> Array:
    return np.broadcast_to(values, (n,))


def _require_columns(part: Part) -> None:
    axis = part.config.get("axis", -1)
    if axis not in (-1, 1, [-1], [1]):
        raise part.wrong(f"has axis={str(axis)[:40]}, expected -1 or 1: columns")


def _number(part: Part, name: str, default: float | None) -> float | None:
    value = part.config.get(name, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise part.wrong(f"has {name}={str(value)[:40]}, expected a number")
    return None if value is None else float(value)


def _numbers(part: Part, value: Any) -> Array:
    if isinstance(value, dict):  # an array in a configuration
        own = value.get("config")
        value = own.get("value") if isinstance(own, dict) else None
    found = np.asarray(value)
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise part.wrong(f"has {str(value)[:60]}, expected numbers")
    return found.astype(np.float64).reshape(-1)


_LAYERS: dict[Any, Callable[[Reader, Part, list[Array], int], Iterator[Given]]] = {
    "InputLayer": Reader.rowless,
    "Dense": Reader.dense,
    "Activation": Reader.of_function,
    "Identity": Reader.of_function,
    "ReLU": Reader.relu,
    "LeakyReLU": Reader.leaky,
    "ELU": Reader.elu,
    "PReLU": Reader.prelu,
    "Softmax": Reader.softmax,
    "Dropout": lambda reader, *rest: reader.dropout(Dropout, "rate", *rest),
    "AlphaDropout": lambda reader, *rest: reader.dropout(AlphaDropout, "rate", *rest),
    "GaussianDropout": lambda reader, *rest: reader.dropout(GaussianDropout, "rate", *rest),
    "GaussianNoise": lambda reader, *rest: reader.dropout(GaussianNoise, "stddev", *rest),
    "BatchNormalization": Reader.norm,
    "LayerNormalization": Reader.norm,
    "RMSNormalization": Reader.rms_norm,
    "Embedding": Reader.embedding,
    "Flatten": Reader.flatten,
    "Rescaling": Reader.rescaling,
    "Normalization": Reader.normalization,
}
_OF_ACTIVATIONS = ("ReLU", "LeakyReLU", "ELU", "Softmax", "Activation")
