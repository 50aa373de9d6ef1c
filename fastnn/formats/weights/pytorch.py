"""Models of PyTorch: its modules, their states, and files of safetensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import takewhile
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.container import Container, size_of
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.weights.described import Given, has_one_slope, matched, new_model, write
from fastnn.formats.weights.order import Kept, by_numbers
from fastnn.formats.weights.plain import Activations, dense_layers, require_into
from fastnn.formats.weights.pytorch_optimizers import remembered
from fastnn.formats.weights.pytorch_tensors import array_of
from fastnn.layers import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    AlphaDropout,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    Flatten,
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
    PReLU,
    ReLU,
    ReLU6,
    RMSNorm,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    SoftShrink,
    Softsign,
    Tanh,
    TanhShrink,
    Threshold,
)
from fastnn.model import Model

Module = Any
_COUNTED = "num_batches_tracked"  # a state that no layer here needs
_NORMS = {"BatchNorm1d": ("weight", "bias"), "LayerNorm": ("weight", "bias"), "RMSNorm": ("weight",)}
_INSTEAD = (
    "pass an nn.Sequential of what it does, or its state_dict() with into=, a Model of the same layers: "
    "from_torch(module.state_dict(), into=net)"
)


def from_torch(
    source: Any,
    *,
    into: Model | None = None,
    activation: Activations = None,
    last: str | Layer | None = None,
    optimizer: Any = None,
) -> Model:
    """Return a model that predicts what a module of PyTorch does in evaluation, from its weights.

    A module is a Linear, an activation, a normalization, ... or an nn.Sequential of these; anything else is an error
    that names it. A state_dict, and a file, hold arrays alone: with `activation`, they are taken as those of dense
    layers in a row, and with `into` as those of the layers of a model. Files with pickles are not read.

    Parameters
    ----------
    source : torch.nn.Module, dict of tensors by names, or path of a file of safetensors
        In a dict, layers stand in the order of its entries. In a file, they have to be ordered by numbers in their
        names, or by their shapes.
    into : Model or None
        Where arrays are written to, all or none; it is returned. It is built, where it is not.
    activation : str, Layer, sequence of these, or None
        What stands behind all dense layers but the last, or behind each of these.
    last : str, Layer or None
        What stands behind the last one.
    optimizer : torch.optim.Adam, AdamW or SGD, or its state_dict(), or None
        It becomes ``net.optimizer``, which takes the steps that it would have taken.

    Returns
    -------
    Model
        With the dtype of the weights: float64 where any are, else float32. The softmax that PyTorch's cross-entropy
        contains is added by ``last="softmax"``, or by hand.

    Raises
    ------
    ValueError, TypeError
        For what is not understood, and for arrays that do not fit, with the names of both and the shapes.
    ModelFormatError
        For a file that is damaged, or of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> rng = np.random.default_rng(0)
    >>> state = {"0.weight": rng.normal(size=(8, 4)), "0.bias": np.zeros(8), "2.weight": rng.normal(size=(1, 8))}
    >>> fastnn.from_torch(state, activation="relu", last="sigmoid")
    <Model: Dense(8, 'relu'), Dense(1, 'sigmoid', bias=False); 4 inputs, 48 parameters, float64>
    """
    what = "from_torch"
    require_into(what, into, activation, last)
    if isinstance(source, (str, os.PathLike)):
        try:
            state = tensors_of(source)
            return _of_state(what, state, into, activation, last, optimizer, from_file=True)
        except ModelFormatError:
            raise
        except (ValueError, TypeError) as error:
            raise ModelFormatError(f"{os.fspath(source)}: {error}") from error
    if isinstance(source, Mapping):
        return _of_state(what, source, into, activation, last, optimizer)
    if isinstance(source, type) or not hasattr(source, "named_children") or not hasattr(source, "state_dict"):
        hint = ": make one of the class first" if isinstance(source, type) else ""
        raise TypeError(
            f"{what}: got {shown(source)}, expected a torch.nn.Module, a state_dict, or the path of a file of "
            f"safetensors{hint}"
        )
    if into is not None:
        return _of_state(what, source.state_dict(), into, activation, last, optimizer, source)
    if activation is not None or last is not None:
        raise ValueError(f"{what}: activation and last are for a state_dict or a file: a module has its own")
    is_double = any(str(getattr(tensor, "dtype", "")) == "torch.float64" for tensor in source.state_dict().values())
    given = _with_columns(what, [*_given(source, "", "float64" if is_double else "float32", {})])
    return _made(what, given, None, None, optimizer, source)


def _of_state(
    what: str,
    state: Mapping[str, Any],
    into: Model | None,
    activation: Activations,
    last: str | Layer | None,
    optimizer: Any,
    module: Any = None,
    from_file: bool = False,
) -> Model:
    given, order = groups(what, state), by_numbers if from_file else None
    if module is not None:
        given = _with_missing(module, given)
    if not given and into is None:
        raise ValueError(f"{what}: there are no arrays, expected those of one layer at least, by names as '0.weight'")
    if into is None:
        given, order = dense_layers(what, given, activation, last, order), None
    return _made(what, given, into, order, optimizer, module)


def _made(what: str, given: list[Given], into: Model | None, order: Kept | None, optimizer: Any, module: Any) -> Model:
    model = new_model(what, given) if into is None else into
    plan = matched(what, model, given, order)
    memory = None if optimizer is None else remembered(what, model, plan.matches, optimizer, module)
    write(model, plan)
    if memory is not None:
        memory.give_to(model)
    return model


def groups(what: str, state: Mapping[str, Any]) -> list[Given]:
    """Return the arrays of a state by the layers that their names name, in their order."""
    found: dict[str, dict[str, Array]] = {}
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise TypeError(f"{what}: a name of the state is {shown(name)}, expected a text")
        layer, _, word = name.rpartition(".")
        if word == _COUNTED:
            continue
        found.setdefault(layer, {})[word] = array_of(tensor, f"{what}: {name}")
    return [Given(layer, arrays) for layer, arrays in found.items()]


def tensors_of(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return the arrays of a file of safetensors.

    Raises
    ------
    ModelFormatError
        Where it is none, before more memory is taken than it is long, and some.
    """
    with open(path, "rb") as file:
        try:
            container = Container(file, size_of(file))
            if container.metadata.get("format") == "fastnn":
                raise ModelFormatError("it is a model of fastnn: fastnn.load reads it")
            arrays = container.arrays(False)
            for name, same in container.metadata.items():  # safetensors.torch writes tensors that are shared once
                if same in arrays:
                    arrays.setdefault(name, arrays[same])
            return arrays
        except ModelFormatError as error:
            hint = "" if str(error).startswith("it is a model") else "; from_torch reads files of safetensors"
            raise ModelFormatError(f"{os.fspath(path)}: {error}{hint}") from None


# -- modules ----------------------------------------------------------------------------------------------------------


def _given(module: Module, name: str, dtype: str, seen: dict[Any, str]) -> Iterator[Given]:
    """Yield the layers of a module, in the order in which they run, and note whose the tensors are."""
    kind = type(module)
    where = f"module {name} ({kind.__name__})" if name else f"the module ({kind.__name__})"
    is_torch = kind.__module__.startswith("torch.nn.modules.")
    if kind.__name__ == "Sequential" and is_torch:
        _require_plain(module, where)
        for i, child in module._modules.items():  # named_children leaves out what comes again
            yield from _given(child, f"{name}.{i}" if name else i, dtype, seen)
        return
    make = _LAYERS.get(kind.__name__) if is_torch else None
    if make is None:
        what = "a class of your own" if not kind.__module__.startswith("torch.") else "not understood"
        raise ValueError(f"from_torch: {where} is {what}: {_INSTEAD}")
    _require_plain(module, where)
    _require_own(module, where, seen)
    try:
        layer = make(module)
    except (ValueError, TypeError) as error:
        raise ValueError(f"from_torch: {where}: {error}") from None
    arrays = {
        word: array_of(tensor, f"from_torch: {where}: {word}")
        for word, tensor in module.state_dict().items()
        if word != _COUNTED
    }
    if isinstance(layer, RMSNorm):
        layer.eps = np.finfo(dtype).eps if module.eps is None else float(module.eps)
    layer.trainable = _trains(module, where)
    yield Given(where, arrays, layer, missing=_missing(module))


def _missing(module: Module) -> dict[str, Array]:
    """Return the factors and sums that a normalization of PyTorch leaves out."""
    kind = type(module)
    if not kind.__module__.startswith("torch.nn.modules.") or kind.__name__ not in _NORMS:
        return {}
    n = module.num_features if kind.__name__ == "BatchNorm1d" else module.normalized_shape[0]
    values = {"weight": np.ones(n, np.float32), "bias": np.zeros(n, np.float32)}
    return {word: values[word] for word in _NORMS[kind.__name__] if getattr(module, word) is None}


def _with_missing(module: Module, given: list[Given]) -> list[Given]:
    """Return the arrays of a state, with those that normalizations of its module leave out."""
    found = {one.where: one for one in given}
    names = [name for name, _ in module.named_modules(remove_duplicate=False)]
    if not found.keys() <= {*names}:  # a state of other names than those of the modules
        return given
    for name, one in module.named_modules(remove_duplicate=False):
        if missing := _missing(one):
            found[name] = found.get(name, Given(name, {}))._replace(missing=missing)
    return [found[name] for name in names if name in found]


def _require_plain(module: Module, where: str) -> None:
    """Refuse what changes what a module computes, and cannot be seen in it."""
    for hooks in ("_forward_hooks", "_forward_pre_hooks"):
        if getattr(module, hooks, None):
            raise ValueError(
                f"from_torch: {where} has {hooks[1:]}, which may change what it computes: remove them (of weight_norm "
                "and its kin by torch.nn.utils.remove_weight_norm, or parametrize.remove_parametrizations)"
            )
    if "forward" in vars(module):
        raise ValueError(f"from_torch: {where} has a forward of its own: {_INSTEAD}")


def _require_own(module: Module, where: str, seen: dict[Any, str]) -> None:
    """Refuse tied weights, and averages: here they would be copies, which training moves apart."""
    own: set[Any] = set()
    for word, tensor in (*module.named_parameters(), *module.named_buffers()):
        if word == _COUNTED:
            continue
        keys: set[Any] = {id(tensor)}
        if hasattr(tensor, "data_ptr") and not getattr(tensor, "is_meta", False):
            with suppress(RuntimeError, ValueError):  # of what has no memory of its own
                keys |= {("at", tensor.data_ptr())} - {("at", 0)}
        for key in keys & seen.keys():
            raise ValueError(
                f"from_torch: {where} shares its {word} with {seen[key]}, and here each layer has weights of its own, "
                "which training would move apart: put a copy.deepcopy of the layer there, or pass module.state_dict() "
                "with into=, a Model of the same layers, to have copies"
            )
        own |= keys
    seen.update(dict.fromkeys(own, where))


def _trains(module: Module, where: str) -> bool:
    flags = {parameter.requires_grad for parameter in module.parameters()}
    if len(flags) > 1:
        raise ValueError(
            f"from_torch: {where} has parameters that are frozen, and others that are not: here layers are frozen as a "
            "whole, so give all the same requires_grad"
        )
    is_norm = hasattr(module, "running_mean") or hasattr(module, "normalized_shape")
    return flags != {False} and not (is_norm and not flags)


def _dense(module: Module) -> Layer:
    return Dense(module.out_features, bias=module.bias is not None)


def _batch_norm(module: Module) -> Layer:
    if not module.track_running_stats or module.running_mean is None:
        raise ValueError("it has no running averages (track_running_stats=False), so predictions depend on the batch")
    if module.momentum is None:
        raise ValueError("its momentum is None, a cumulative average: set a number, such as module.momentum = 0.1")
    return BatchNorm(float(module.momentum), float(module.eps))


def _one_dimension(module: Module) -> None:
    if len(module.normalized_shape) != 1:
        raise ValueError(
            f"it normalizes over {tuple(module.normalized_shape)}, expected one dimension, that of columns"
        )


def _layer_norm(module: Module) -> Layer:
    _one_dimension(module)
    return LayerNorm(float(module.eps))


def _rms_norm(module: Module) -> Layer:
    _one_dimension(module)
    return RMSNorm(1.0 if module.eps is None else float(module.eps), elementwise_affine=module.weight is not None)


def _embedding(module: Module) -> Layer:
    for name in ("max_norm", "sparse"):
        if getattr(module, name):
            raise ValueError(f"its {name} is {getattr(module, name)}, which no layer here has")
    if module.scale_grad_by_freq or module.padding_idx is not None:
        raise ValueError(
            "it has padding_idx or scale_grad_by_freq, whose gradients no layer here has: set them to None and False"
        )
    return Embedding(module.num_embeddings, module.embedding_dim)


def _flatten(module: Module) -> Layer:
    if (module.start_dim, module.end_dim) not in ((1, -1), (-1, -1)):
        raise ValueError(
            f"it flattens dimensions {module.start_dim} to {module.end_dim}, expected 1 to -1: all but rows"
        )
    return Flatten()


def _over_rows(kind: type[Layer]) -> Callable[[Module], Layer]:
    def make(module: Module) -> Layer:
        if module.dim not in (None, 1, -1):
            raise ValueError(f"its dim is {module.dim}, expected 1 or -1: over the columns of each row")
        return kind()

    return make


_OVER_ROWS = (Softmax, LogSoftmax, Softmin, GLU)


def _plain(kind: type[Layer], *names: str) -> Callable[[Module], Layer]:
    """Return what makes a layer of a module, with these of its attributes."""
    return lambda module: kind(*[getattr(module, name) for name in names])


_LAYERS: dict[str, Callable[[Module], Layer]] = {
    "Linear": _dense,
    "NonDynamicallyQuantizableLinear": _dense,
    "BatchNorm1d": _batch_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "Identity": _plain(Identity),
    "Dropout": _plain(Dropout, "p"),
    "AlphaDropout": _plain(AlphaDropout, "p"),
    "PReLU": lambda module: PReLU(module.num_parameters > 1, module.init),
    "Softmax": _over_rows(Softmax),
    "LogSoftmax": _over_rows(LogSoftmax),
    "Softmin": _over_rows(Softmin),
    "GLU": _over_rows(GLU),
    "ReLU": _plain(ReLU),
    "ReLU6": _plain(ReLU6),
    "LeakyReLU": _plain(LeakyReLU, "negative_slope"),
    "Threshold": _plain(Threshold, "threshold", "value"),
    "ELU": _plain(ELU, "alpha"),
    "CELU": _plain(CELU, "alpha"),
    "SELU": _plain(SELU),
    "GELU": _plain(GELU, "approximate"),
    "SiLU": _plain(SiLU),
    "Mish": _plain(Mish),
    "Hardswish": _plain(HardSwish),
    "Hardsigmoid": _plain(HardSigmoid),
    "Hardtanh": _plain(HardTanh, "min_val", "max_val"),
    "Hardshrink": _plain(HardShrink, "lambd"),
    "Softshrink": _plain(SoftShrink, "lambd"),
    "Tanhshrink": _plain(TanhShrink),
    "Tanh": _plain(Tanh),
    "Sigmoid": _plain(Sigmoid),
    "LogSigmoid": _plain(LogSigmoid),
    "Softplus": _plain(Softplus, "beta", "threshold"),
    "Softsign": _plain(Softsign),
}


def _with_columns(what: str, given: list[Given]) -> list[Given]:
    """Say of an embedding at the beginning how many columns of codes it has: as many as the product behind takes."""
    for i, one in enumerate(given):
        if isinstance(one.layer, Embedding):
            if any(other.all or not isinstance(other.layer, (Flatten, Identity)) for other in given[:i]):
                raise ValueError(f"{what}: {one.where} stands behind other layers, expected it at the beginning")
            size, n, rest = one.layer.size, 1, given[i + 1 :]
            row = [*takewhile(lambda other: not other.all or has_one_slope(other.layer), rest)]
            kinds = [type(other.layer) for other in row]
            if Flatten in kinds:
                for other in row[: kinds.index(Flatten)]:
                    if isinstance(other.layer, _OVER_ROWS):
                        raise ValueError(f"{what}: {other.where} stands before a Flatten of codes, expected it behind")
                for behind in rest[len(row) : len(row) + 1]:
                    array = next(iter(behind.all.values()))
                    n = array.shape[-1] // size if array.ndim and isinstance(size, int) else 1
            given = [*given[:i], one._replace(n_in=max(1, n)), *rest]
    return given
