"""Cases of losses."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, Scale, unset
from cases.elementwise import EXTREMES, normal, uniform
from cases.layers import row_sum
from fastnn import reference


def row_factor(a: SimpleNamespace) -> np.ndarray:
    rows = max(len(a.y), 1)
    return np.full((len(a.y), 1), 1 / rows) if a.weight is None else a.weight[:, None] / rows


def loss(
    op: str,
    pair: Callable[..., tuple[np.ndarray, np.ndarray]],
    dy: Scale | None = None,
    value: Scale | None = None,
    kinks: tuple[float, ...] = (),
    kink_at: Scale = lambda a: a.y,
    **parameters: float,
) -> tuple[Case, ...]:
    """The rows of a loss, with and without weights and gradient; ``pair`` makes y and t."""

    def case(variant: str, with_weight: bool, with_dy: bool) -> Case:
        def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
            y, t = pair(rows, width, dtype, rng)
            weight = rng.uniform(0.5, 2, rows).astype(dtype) if with_weight else None
            gradient = unset((rows, width), dtype) if with_dy else None
            return {"y": y, "t": t, "weight": weight, "dy": gradient, "value": unset(1, np.float64), **parameters}

        scale = {} if dy is None else {"dy": lambda a: row_factor(a) * dy(a)}
        if value is not None:
            scale["value"] = lambda a: np.sum(row_factor(a) * value(a))
        outputs = ("dy", "value") if with_dy else ("value",)
        return Case(op, make, outputs, scale, kinks=kinks, kink_at=kink_at, derivative_of=op, variant=variant)

    return (case("weighted", True, True), case("", False, True), case("value only", False, False))


def distant(*kinks: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Targets and predictions whose differences are random, or one of the kinks."""

    def pair(rows: int, width: int, dtype: type, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        # Quarters add up without rounding, so that y - t is a planted kink exactly.
        t = np.round(4 * rng.normal(0, 2, (rows, width))) / 4
        return (t + normal(2, *kinks)(t.shape, np.float64, rng)).astype(dtype), t.astype(dtype)

    return pair


def pairs(y: Callable[..., np.ndarray], t: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return lambda rows, width, dtype, rng: (y((rows, width), dtype, rng), t((rows, width), dtype, rng))


def labelled(y: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return lambda rows, width, dtype, rng: (y((rows, width), dtype, rng), rng.integers(0, width, rows))


def probabilities_of(a: SimpleNamespace) -> np.ndarray:
    y = np.empty_like(a.y)
    reference.softmax_forward(a.y, y)
    return y


def bce_gradient(a: SimpleNamespace) -> np.ndarray:
    eps = np.finfo(a.y.dtype).eps
    p = np.clip(a.y, eps, 1 - eps)
    return (a.t / p + (1 - a.t) / (1 - p)) / a.y.shape[1]


def target_sum(a: SimpleNamespace) -> np.ndarray:
    return row_sum(a.t)


def difference(a: SimpleNamespace) -> np.ndarray:
    return a.y - a.t


probabilities = uniform(0.1, 0.9, 0.0, 1.0, 1e-30)
targets = uniform(0, 1, 0.0, 1.0)
logits = normal(3, *EXTREMES)

LOSSES = (
    *loss("mse", distant(0.0)),
    *loss("mae", distant(0.0), kinks=(0.0,), kink_at=difference),
    *loss("huber", distant(0.0, 0.75, -0.75), kinks=(0.75, -0.75), kink_at=difference, delta=0.75),
    *loss("binary_cross_entropy", pairs(probabilities, targets), bce_gradient, kinks=(0.0, 1.0)),
    *loss(
        "binary_cross_entropy_from_logits",
        pairs(logits, targets),
        dy=lambda a: (reference.activations._sigmoid(a.y) + a.t) / a.y.shape[1],
        value=lambda a: (reference.activations._softplus(a.y) + np.abs(a.y * a.t)) / a.y.shape[1],
    ),
    *loss("cross_entropy", pairs(probabilities, targets), kinks=(0.0,)),
    *loss(
        "cross_entropy_from_logits",
        pairs(logits, targets),
        dy=lambda a: probabilities_of(a) * np.sqrt(a.y.shape[1]) * target_sum(a) + a.t,
    ),
    *loss("cross_entropy_labels", labelled(probabilities), kinks=(0.0,)),
    *loss(
        "cross_entropy_labels_from_logits",
        labelled(logits),
        dy=lambda a: np.sqrt(a.y.shape[1]) * probabilities_of(a) + (np.arange(a.y.shape[1]) == a.t[:, None]),
    ),
)
