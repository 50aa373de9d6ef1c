"""Cases of losses."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, Scale, unset
from cases.elementwise import EXTREMES, normal, uniform
from cases.layers import row_sum
from fastnn import reference


def loss(
    op: str,
    pair: Callable[..., tuple[np.ndarray, np.ndarray]],
    dy: Scale | None = None,
    value: Scale | None = None,
    kinks: tuple[float, ...] = (),
    kink_at: Scale = lambda a: a.y,
    of_rows: bool = False,
    elements: bool = True,
    more: Callable[[int], Arguments] = lambda width: {},
    **parameters: float,
) -> tuple[Case, ...]:
    """The rows of a loss, with and without weights and gradient; ``pair`` makes y and t.

    ``dy`` and ``value`` are what errors of the gradient and of single losses are relative to, without weights. Where
    losses are ``of_rows``, a row has one; without ``elements``, its numbers have no weights. ``more`` are the arguments
    of one row for a width.
    """

    def factor(a: SimpleNamespace) -> np.ndarray:
        weights = np.ones((len(a.y), 1)) if a.weight is None else a.weight
        if of_rows and len(weights):
            weights = weights.max(axis=1, keepdims=True)  # each gradient comes from all numbers of the row
        weights = weights * np.nanmax(getattr(a, "positive", 1))
        return weights if getattr(a, "total", False) else weights / max(len(a.y) if of_rows else a.y.size, 1)

    def of_each(a: SimpleNamespace) -> np.ndarray:
        each = value(a) * (1 if a.weight is None else a.weight)
        return each.max(axis=1) if of_rows else each

    def case(variant: str, with_dy: bool = True, columns: Callable[[int], int] | None = None, **options) -> Case:
        def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
            y, t = pair(rows, width, dtype, rng)
            weight = None if columns is None else rng.uniform(0.5, 2, (rows, columns(width))).astype(dtype)
            if options:  # some weights are 0
                weight.reshape(-1)[::3] = 0
            made = {"y": y, "t": t, "weight": weight, "dy": unset(y.shape, dtype) if with_dy else None}
            made |= {"value": unset(1, np.float64), **parameters}
            if columns is not None:
                made["each"] = unset(rows if of_rows else t.shape, dtype)
            made |= options and {**options, **more(width)}
            of_twin = inspect.signature(getattr(reference, op)).parameters
            last = max([*of_twin].index(name) for name in made)
            return {name: made.get(name, of_twin[name].default) for name in [*of_twin][: last + 1]}

        scale = {} if dy is None else {"dy": lambda a: factor(a) * dy(a)}
        if value is not None:
            scale |= {"value": lambda a: np.sum(factor(a) * value(a)), "each": of_each}
        outputs = (*(["dy"] if with_dy else []), "value", *(["each"] if columns is not None else []))
        return Case(op, make, outputs, scale, kinks=kinks, kink_at=kink_at, derivative_of=op, variant=variant)

    of_numbers = case("of numbers", columns=(lambda width: width) if elements else lambda width: 1, total=True)
    return case("weighted", columns=lambda width: 1), case(""), case("value only", False), of_numbers


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
    return a.t / p + (1 - a.t) / (1 - p)


def surprise(a: SimpleNamespace) -> np.ndarray:
    """-log(softmax) of the labels, the sum of terms that are about 1 where it is small."""
    each = np.empty(len(a.y))
    with np.errstate(all="ignore"):
        reference.cross_entropy_labels_from_logits(a.y.astype(np.float64), a.t, None, None, np.empty(1), each=each)
        each += getattr(a, "smoothing", 0) * np.ptp(a.y.astype(np.float64), axis=1)
    return 1 + np.nan_to_num(each)[:, None]


def of_labels(a: SimpleNamespace) -> np.ndarray:
    """The terms of the gradient: probabilities, whose sums have errors, the label, and its share in smoothed ones."""
    n = a.y.shape[1]
    return np.sqrt(n) * probabilities_of(a) + (np.arange(n) == a.t[:, None]) + getattr(a, "smoothing", 0) / n


def target_sum(a: SimpleNamespace) -> np.ndarray:
    return row_sum(a.t)


def difference(a: SimpleNamespace) -> np.ndarray:
    return a.y - a.t


probabilities = uniform(0.1, 0.9, 0.0, 1.0, 1e-30)
targets = uniform(0, 1, 0.0, 1.0)
logits = normal(3, *EXTREMES)


def smoothed(width: int) -> Arguments:
    return {"smoothing": 0.2}


def smoothed_binaries(width: int) -> Arguments:
    return {"smoothing": 0.2, "positive": np.linspace(0.5, 3, width)}


LOSSES = (
    *loss("mse", distant(0.0)),
    *loss("mae", distant(0.0), kinks=(0.0,), kink_at=difference),
    *loss("huber", distant(0.0, 0.75, -0.75), kinks=(0.75, -0.75), kink_at=difference, delta=0.75),
    *loss(
        "binary_cross_entropy", pairs(probabilities, targets), bce_gradient, kinks=(0.0, 1.0), more=smoothed_binaries
    ),
    *loss(
        "binary_cross_entropy_from_logits",
        pairs(logits, targets),
        dy=lambda a: reference.activations._sigmoid(a.y) + a.t,
        value=lambda a: reference.activations._softplus(a.y) + np.abs(a.y * a.t),
        more=smoothed_binaries,
    ),
    *loss("cross_entropy", pairs(probabilities, targets), kinks=(0.0,), of_rows=True, more=smoothed),
    *loss(
        "cross_entropy_from_logits",
        pairs(logits, targets),
        dy=lambda a: probabilities_of(a) * np.sqrt(a.y.shape[1]) * target_sum(a) + a.t,
        of_rows=True,
        more=smoothed,
    ),
    *loss("cross_entropy_labels", labelled(probabilities), kinks=(0.0,), of_rows=True, elements=False, more=smoothed),
    *loss(
        "cross_entropy_labels_from_logits",
        labelled(logits),
        dy=of_labels,
        value=surprise,
        of_rows=True,
        more=smoothed,
        elements=False,
    ),
    *(
        Case(
            "add_loss",
            lambda rows, width, dtype, rng, first=first: {
                "part": np.array([rows + 0.5]),
                "total": np.array([0.25]),
                "weight": 1.5,
                "first": first,
            },
            ("total",),
            variant="first" * first,
        )
        for first in (False, True)
    ),
)
