"""Models as modules of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import flag, shown
from fastnn.formats.unchanged import unchanged
from fastnn.formats.weights.torch_nodes import module_of_nodes
from fastnn.layers import BatchNorm, Dense, Flatten, Layer, LayerNorm, PReLU, RMSNorm, Sequential
from fastnn.model import Model
from fastnn.optimizers import SGD, Adam, AdamW

# Layers of one module, with those of its arguments that are numbers of the layer
_PLAIN: dict[str, tuple[str, dict[str, str]]] = {
    "Identity": ("Identity", {}), "ReLU": ("ReLU", {}), "ReLU6": ("ReLU6", {}), "SELU": ("SELU", {}),
    "LeakyReLU": ("LeakyReLU", {"negative_slope": "negative_slope"}), "ELU": ("ELU", {"alpha": "alpha"}),
    "CELU": ("CELU", {"alpha": "alpha"}), "GELU": ("GELU", {"approximate": "approximate"}), "SiLU": ("SiLU", {}),
    "Mish": ("Mish", {}), "HardSwish": ("Hardswish", {}), "Tanh": ("Tanh", {}), "TanhShrink": ("Tanhshrink", {}),
    "HardTanh": ("Hardtanh", {"min_val": "min_val", "max_val": "max_val"}), "Sigmoid": ("Sigmoid", {}),
    "HardShrink": ("Hardshrink", {"lambd": "threshold"}), "SoftShrink": ("Softshrink", {"lambd": "threshold"}),
    "LogSigmoid": ("LogSigmoid", {}), "Softsign": ("Softsign", {}), "Dropout": ("Dropout", {"p": "rate"}),
    "Threshold": ("Threshold", {"threshold": "threshold", "value": "value"}),
    "AlphaDropout": ("AlphaDropout", {"p": "rate"}),
}  # fmt: skip
_OF_ROWS = {"Softmax": "Softmax", "LogSoftmax": "LogSoftmax", "Softmin": "Softmin", "GLU": "GLU"}
_NAMES: dict[type[Layer], dict[str, str]] = {  # what PyTorch calls arrays
    Dense: {"w": "weight", "b": "bias"},
    BatchNorm: {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"},
    LayerNorm: {"scale": "weight", "shift": "bias"},
    RMSNorm: {"scale": "weight"},
    PReLU: {"alpha": "weight"},
}


@unchanged
def to_torch(net: Model, *, optimizer: bool = False) -> Any:
    """Return an nn.Sequential of PyTorch that computes what a model does, with copies of its weights.

    Layers that PyTorch has are its own modules, so that it can be trained on there; of others it is a small module that
    computes their prediction, whose arrays that are parameters here are parameters there. ``module.eval()`` is set.

    Parameters
    ----------
    net : Model
        Built.
    optimizer : bool
        Whether a torch.optim.Adam, AdamW or SGD is returned, too, that goes on where ``net.optimizer`` stands.

    Returns
    -------
    torch.nn.Sequential, or a tuple of it and an optimizer
        With the dtype of the net, on the CPU.

    Raises
    ------
    ValueError, TypeError
        For layers of one's own without a formula, and optimizers that PyTorch does not have, with their names.
    ImportError
        Without PyTorch.

    Examples
    --------
    >>> import fastnn
    >>> try:
    ...     fastnn.to_torch([1, 2])
    ... except TypeError as error:
    ...     print(error)
    to_torch: got [1, 2], expected a Model
    """
    what = "to_torch"
    if not isinstance(net, Model):
        hint = ", such as one of its nets, estimator.nets_[0] or estimator.net_" if hasattr(net, "get_params") else ""
        raise TypeError(f"{what}: got {shown(net)}, expected a Model{hint}")
    flag(f"{what}: optimizer", optimizer)
    if not net.built:
        raise ValueError(f"{what}: the model is not built, so it has no parameters yet: train it, or call build(n_in)")
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch needs PyTorch: pip install torch") from None
    kind = torch.float64 if net.dtype == np.float64 else torch.float32
    parameters: dict[tuple[int, str], Any] = {}
    layers = net._trainer.averages.layers if optimizer is False and net._trainer.averages.optimizer else net.layers
    modules = [one for layer in layers or net.layers for one in _modules(torch, layer, kind, parameters)]
    module = torch.nn.Sequential(*modules).eval()
    return (module, _optimizer(torch, what, net, parameters)) if optimizer else module


def _modules(torch: Any, layer: Layer, kind: Any, parameters: dict[tuple[int, str], Any]) -> Iterator[Any]:
    """Yield the modules that a layer is."""
    nn, name, own = torch.nn, type(layer).__name__, type(layer)
    if not own.__module__.startswith("fastnn."):
        yield module_of_nodes(torch, layer, kind, parameters)
        return
    make = _WITH_ARRAYS.get(own)
    if make is not None:
        module = make(nn, layer).to(kind)
        _write(torch, module, layer, parameters)
        yield module
        if isinstance(layer, Dense) and layer.activation is not None:
            yield from _modules(torch, layer.activation, kind, parameters)
    elif own is Sequential:
        inside = [one for child in layer._children for one in _modules(torch, child, kind, parameters)]
        yield nn.Sequential(*inside)
    elif own is Flatten:
        yield nn.Flatten()
    elif name in _PLAIN:
        torch_name, numbers = _PLAIN[name]
        yield getattr(nn, torch_name)(**{word: getattr(layer, number) for word, number in numbers.items()})
    elif name in _OF_ROWS:
        yield getattr(nn, _OF_ROWS[name])(dim=1)
    else:
        yield module_of_nodes(torch, layer, kind, parameters)


_WITH_ARRAYS: dict[type[Layer], Callable[[Any, Any], Any]] = {
    Dense: lambda nn, layer: nn.Linear(layer.n_in, layer.units, bias=layer.bias),
    BatchNorm: lambda nn, layer: nn.BatchNorm1d(layer.n_in, layer.eps, layer.momentum),
    LayerNorm: lambda nn, layer: nn.LayerNorm(layer.n_in, layer.eps),
    RMSNorm: lambda nn, layer: nn.RMSNorm(layer.n_in, layer.eps),
    PReLU: lambda nn, layer: nn.PReLU(layer.n_in if layer.per_column else 1),
}


def _write(torch: Any, module: Any, layer: Layer, parameters: dict[tuple[int, str], Any]) -> None:
    """Copy the arrays of a layer into its module."""
    own = _NAMES[type(layer)]
    with torch.no_grad():
        for name, array in {**layer.parameters, **layer.states}.items():
            tensor = getattr(module, own[name])
            tensor.copy_(torch.from_numpy(_turned(layer, name, array).copy()))
            if name in layer.parameters:
                parameters[id(layer), name] = tensor
                tensor.requires_grad_(layer.trainable)
            elif own[name] == "weight":
                tensor.requires_grad_(False)


def _turned(layer: Layer, name: str, array: Array) -> Array:
    return array.T if type(layer) is Dense and name == "w" else array


# -- the optimizer ----------------------------------------------------------------------------------------------------


def _optimizer(torch: Any, what: str, net: Model, parameters: dict[tuple[int, str], Any]) -> Any:
    """Return the optimizer of a net as one of PyTorch, with what it remembers."""
    rule = net.optimizer
    if type(rule) not in (Adam, AdamW, SGD) or getattr(rule, "eps_hat", False):
        raise ValueError(f"{what}: the optimizer is {rule!r}, expected Adam or AdamW without eps_hat, or SGD")
    if rule.groups or rule.transforms or rule.average is not None or rule.decay != "all":  # type: ignore[union-attr]
        raise ValueError(f"{what}: the optimizer, {rule!r}, has groups, transforms, an average or decay='weights'")
    entries = net._tree.entries()
    pairs = []
    for entry in entries:
        tensor = parameters.get((id(entry.layer), entry.name.rpartition(".")[2]))
        if tensor is None:
            raise ValueError(f"{what}: PyTorch has no {entry.layer.title}, so its {entry.name} has no optimizer there")
        if entry.trains:
            pairs.append((entry, tensor))
    tensors = [tensor for _, tensor in pairs]
    state = net._trainer.state.memories.get(rule) or {}
    n = float(state["step"][0]) if "step" in state else 0.0
    if isinstance(rule, SGD):
        made = torch.optim.SGD(tensors, rule.lr, rule.momentum, rule.dampening, rule.weight_decay, bool(rule.nesterov))
        words = {"momentum_buffer": "velocity"} if n else {}
    else:
        assert isinstance(rule, Adam)
        kind = torch.optim.AdamW if rule.decoupled else torch.optim.Adam
        made = kind(tensors, rule.lr, (rule.beta1, rule.beta2), rule.eps, rule.weight_decay, amsgrad=bool(rule.amsgrad))
        words = {"exp_avg": "m", "exp_avg_sq": "v", **({"max_exp_avg_sq": "largest"} if rule.amsgrad else {})}
    for entry, tensor in pairs if n else ():
        own = {"step": torch.tensor(n)} if isinstance(rule, Adam) else {}
        for word, name in words.items():
            array = state[name][entry.start : entry.stop].reshape(entry.shape)
            own[word] = torch.from_numpy(_turned(entry.layer, entry.name.rpartition(".")[2], array).copy())
        made.state[tensor] = own
    return made
