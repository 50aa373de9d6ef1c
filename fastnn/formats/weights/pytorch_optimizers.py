"""Optimizers of PyTorch, with what they remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.weights.described import Match
from fastnn.formats.weights.memory import Of, Remembered, names_of
from fastnn.formats.weights.pytorch_tensors import array_of
from fastnn.model import Model
from fastnn.optimizers import SGD, Adam, AdamW, Group, Optimizer

_REFUSED = ("maximize", "differentiable")  # what no optimizer here does
_OF_GROUPS = ("lr", "weight_decay")  # what groups may have of their own
_MEMORY = {  # what PyTorch calls what is remembered here
    "m": "exp_avg", "v": "exp_avg_sq", "largest": "max_exp_avg_sq", "velocity": "momentum_buffer",
}  # fmt: skip
_OF_ADAM = ("lr", "betas", "eps", "weight_decay", "amsgrad")
_OF_SGD = ("lr", "momentum", "dampening", "weight_decay", "nesterov")
_SAME = {*_OF_ADAM, *_OF_SGD, "decoupled_weight_decay"} - {*_OF_GROUPS}
_BESIDES = {  # what changes no step: how it is computed, and what schedules keep there
    "params", "param_names", "name", "foreach", "capturable", "fused", "decoupled_weight_decay", *_REFUSED,
    "initial_lr", "max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum",
}  # fmt: skip
_BUFFERS = ("running_mean", "running_var")


def remembered(what: str, model: Model, matches: Sequence[Match], optimizer: Any, module: Any) -> Remembered:
    """Return the optimizer that the parameters of a module, or of a state, have had."""
    kind = type(optimizer).__name__
    for match in matches:
        left_out = [word for word in match.words.values() if word in match.given.missing]
        if left_out and match.layer.trainable:
            raise ValueError(
                f"{what}: {match.given.where} has no {left_out[0]}, and {match.layer.title} trains one, so that steps "
                "would be others: leave optimizer out, and set net.optimizer"
            )
    if isinstance(optimizer, Mapping):
        state = optimizer
        params = [one for match in matches for one in _parameters(match)]
        by_index: dict[int, Of] = dict(enumerate(params))
    else:
        if kind not in ("Adam", "AdamW", "SGD") or not type(optimizer).__module__.startswith("torch.optim."):
            raise TypeError(
                f"{what}: optimizer is {shown(optimizer)}, expected a torch.optim.Adam, AdamW or SGD, or its "
                "state_dict()"
            )
        state = optimizer.state_dict()
        by_index = _by_index(what, matches, optimizer, module)
    if not isinstance(state.get("param_groups"), (list, tuple)) or not isinstance(state.get("state"), Mapping):
        raise ValueError(f"{what}: optimizer has no 'state' and 'param_groups', as the state_dict() of one has")
    groups = list(state["param_groups"])
    _require_known(what, groups, state["state"])
    indices = [index for group in groups for index in group["params"]]
    if isinstance(optimizer, Mapping) and len(indices) != len(by_index):
        raise ValueError(f"{what}: optimizer is of {len(indices)} parameters, and the model has {len(by_index)}")
    _require_all(what, by_index, indices)
    made = _made(what, kind, model, groups, by_index)
    known = {index: one for index, one in state["state"].items() if index in by_index}
    arrays: dict[str, list[tuple[Of, Array]]] = {}
    for key, word in _MEMORY.items():
        there = {index: one[word] for index, one in known.items() if one.get(word) is not None}
        for match, name in [by_index[index] for index in indices if there and index not in there]:
            if match.layer.trainable:
                raise ValueError(
                    f"{what}: the optimizer remembers nothing of the {match.words[name]} of {match.given.where}, as of "
                    f"what was frozen, and {match.layer.title} is trained: freeze it by requires_grad_(False) of the "
                    "module, or trainable=False of the layer of into=, or leave optimizer out"
                )
        if there:
            arrays[key] = [(by_index[index], _array(what, word, one)) for index, one in there.items()]
    counted = {index: float(one["step"]) for index, one in known.items() if "step" in one}
    trained = {n for index, n in counted.items() if by_index[index][0].layer.trainable}
    steps = trained or {*counted.values()}
    if len(steps) > 1:
        raise ValueError(
            f"{what}: the optimizer has taken {sorted(steps)} steps, of different parameters, expected the same of all "
            "that are trained: leave it out, and set net.optimizer"
        )
    found = Remembered(made, steps.pop() if steps else float(bool(arrays)), arrays)
    found.require_fit(what)
    return found


def _require_known(what: str, groups: Sequence[Any], state: Mapping[Any, Any]) -> None:
    """Raise unless groups, and what is remembered, are those of Adam, AdamW or SGD."""
    expected = "expected the state_dict() of a torch.optim.Adam, AdamW or SGD: leave it out, and set net.optimizer"
    if not groups:
        raise ValueError(f"{what}: optimizer has no groups of parameters, {expected}")
    for group in groups:
        if not isinstance(group, Mapping) or not isinstance(group.get("params"), (list, tuple)):
            raise ValueError(f"{what}: a group of the optimizer is {shown(group)}, without a list 'params', {expected}")
        rules = [rule for rule in (_OF_ADAM, _OF_SGD) if all(name in group for name in rule)]
        unknown = sorted(str(name) for name in group if not rules or name not in {*rules[0], *_BESIDES})
        if not rules or unknown:
            raise ValueError(
                f"{what}: optimizer is none of Adam, AdamW and SGD: a group of it has {', '.join(unknown)}; {expected}"
            )
        for name in rules[0]:
            values = group[name] if name == "betas" else [group[name]]
            if not isinstance(values, (list, tuple)) or len(values) != 1 + (name == "betas"):
                raise ValueError(f"{what}: the optimizer's betas is {shown(values)}, expected two numbers")
            for value in values:
                _require_number(value, f"{what}: the optimizer's {name}")
    for index, one in state.items():
        if not isinstance(one, Mapping):
            raise ValueError(f"{what}: the optimizer's state of {shown(index)} is {shown(one)}, {expected}")
        unknown = sorted(str(word) for word in one if word not in ("step", *_MEMORY.values()))
        if unknown:
            raise ValueError(f"{what}: the optimizer remembers {', '.join(unknown)}, {expected}")


def _require_number(value: Any, where: str) -> None:
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{where} is {shown(value)}, expected a number") from None


def _parameters(match: Match) -> list[Of]:
    """Return the parameters of a layer, in the order of the source."""
    by_word = {word: name for name, word in match.words.items()}
    return [(match, by_word[word]) for word in match.given.arrays if word in by_word and word not in _BUFFERS]


def _array(what: str, word: str, tensor: Any) -> Array:
    return array_of(tensor, f"{what}: the optimizer's {word}")


def _by_index(what: str, matches: Sequence[Match], optimizer: Any, module: Any) -> dict[int, Of]:
    """Return the parameters by the numbers that an optimizer gives them: it knows them as objects of the module."""
    if module is None:
        raise ValueError(
            f"{what}: optimizer holds parameters of a module, which is not here: pass the module, or "
            "optimizer.state_dict()"
        )
    of_model = [one for match in matches for one in _parameters(match)]
    there = list(module.parameters())
    if len(there) != len(of_model):
        raise ValueError(f"{what}: the module has {len(there)} parameters, and the model {len(of_model)}")
    by_id = {id(parameter): one for parameter, one in zip(there, of_model, strict=True)}
    found: dict[int, Of] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in by_id:
                raise ValueError(f"{what}: optimizer has a parameter {shown(parameter)} that the module does not have")
            found[len(found)] = by_id.pop(id(parameter))
    for one in by_id.values():
        if one[0].layer.trainable:
            raise ValueError(
                f"{what}: optimizer does not have the parameter {one[0].words[one[1]]} of {one[0].given.where}: give "
                "it all, or freeze this one (requires_grad_(False)), so that the layer is frozen here, too"
            )
    return found


def _require_all(what: str, by_index: Mapping[int, Of], indices: Sequence[int]) -> None:
    for index in indices:
        if index not in by_index:
            raise ValueError(f"{what}: optimizer has a parameter {index}, and the model has {len(by_index)}")


def _made(
    what: str, kind: str, model: Model, groups: Sequence[Mapping[str, Any]], by_index: Mapping[int, Of]
) -> Optimizer:
    """Return the optimizer of these groups."""
    first = groups[0]
    for group in groups:
        for name in _REFUSED:
            if group.get(name):
                raise ValueError(f"{what}: optimizer has {name}={group[name]}, which no optimizer here has")
        for name, value in group.items():
            if name in _SAME and value != first.get(name):
                raise ValueError(f"{what}: groups of the optimizer have different {name}, expected the same in all")
    lr, decay = (float(first[name]) for name in _OF_GROUPS)
    own: list[Group] = []
    for group in groups[1:]:
        factor = float(group["lr"]) / lr if lr else 1.0
        of_group = [by_index[index] for index in group["params"]]
        own += [Group(name, factor, float(group["weight_decay"])) for name in names_of(model, of_group)]
    if "momentum" in first:
        return SGD(lr, float(first["momentum"]), bool(first["nesterov"]), decay, float(first["dampening"]), groups=own)
    decays = any(float(group["weight_decay"]) for group in groups)
    if kind not in ("Adam", "AdamW") and decays and "decoupled_weight_decay" not in first:
        raise ValueError(
            f"{what}: optimizer has a weight_decay, and does not say whether it is that of Adam or AdamW: pass the "
            "optimizer in place of its state_dict(), or add decoupled_weight_decay=True to each group for AdamW"
        )
    beta1, beta2 = map(float, first["betas"])
    decoupled = bool(first.get("decoupled_weight_decay", kind == "AdamW"))
    rule: type[Adam] = AdamW if decoupled else Adam
    return rule(lr, beta1, beta2, float(first["eps"]), decay, amsgrad=bool(first["amsgrad"]), groups=own)
