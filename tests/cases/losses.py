"""Cases of losses."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, Scale, unset
from cases.elementwise import EXTREMES, normal, uniform
from cases.layers import row_sum
from fastnn import reference


def counted(weight: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Weighted terms: those of no weight are left out, whatever they are."""
    return np.where(weight == 0, 0, weight * terms)


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
    mixed: bool = False,
    name: str = "",
    **parameters: object,
) -> tuple[Case, ...]:
    """The rows of a loss, with and without weights and gradient; ``pair`` makes y and t.

    ``dy`` and ``value`` are what errors of the gradient and of single losses are relative to, without weights. Where
    losses are ``of_rows``, a row has one; without ``elements``, its numbers have no weights; where they are ``mixed``,
    the gradient of one comes from others, too. ``more`` are the arguments of one row for a width. ``name`` begins the
    variants' names. Parameters may be functions of the width and the dtype.
    """

    def factor(a: SimpleNamespace, largest: bool = False) -> np.ndarray:
        weights = np.ones((len(a.y), 1)) if a.weight is None else a.weight
        if largest and mixed and len(weights):
            weights = np.fmax.reduce(weights, axis=1, keepdims=True)
        weights = weights * np.nanmax(getattr(a, "positive", 1))
        return weights if getattr(a, "total", False) else weights / max(len(a.y) if of_rows else a.y.size, 1)

    def of_dy(a: SimpleNamespace) -> np.ndarray:
        factors, terms = factor(a, largest=True), dy(a)
        return counted(np.tile(factors, (1, terms.shape[1] // factors.shape[1])), terms)

    def of_each(a: SimpleNamespace) -> np.ndarray:
        each = value(a) if a.weight is None else counted(a.weight, value(a))
        return row_sum(each)[:, 0] if of_rows else each

    def case(variant: str, with_dy: bool = True, columns: Callable[[int], int] | None = None, **options) -> Case:
        def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
            y, t = pair(rows, width, dtype, rng)
            weight = None if columns is None else rng.uniform(0.5, 2, (rows, columns(width))).astype(dtype)
            if options:  # some weights are 0: what is left out may be anything
                weight.reshape(-1)[::3] = 0
                if t.dtype.kind == "f" and weight.shape == t.shape:
                    t[weight == 0] = np.nan
            made = {"y": y, "t": t, "weight": weight, "dy": unset(y.shape, dtype) if with_dy else None}
            made |= {"value": unset(1, np.float64)}
            made |= {key: x(width, dtype) if callable(x) else x for key, x in parameters.items()}
            if columns is not None:
                made["each"] = unset(rows if of_rows else t.shape, dtype)
            made |= options and {**options, **more(width)}
            of_twin = inspect.signature(getattr(reference, op)).parameters
            last = max([*of_twin].index(name) for name in made)
            return {name: made.get(name, of_twin[name].default) for name in [*of_twin][: last + 1]}

        scale = {} if dy is None else {"dy": of_dy}
        if value is not None:
            scale |= {"value": lambda a: np.sum(counted(factor(a), value(a))), "each": of_each}
        outputs = (*(["dy"] if with_dy else []), "value", *(["each"] if columns is not None else []))
        return Case(
            op,
            make,
            outputs,
            scale,
            kinks=kinks,
            kink_at=kink_at,
            derivative_of=op,
            variant=f"{name} {variant}".strip(),
        )

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


def present(a: SimpleNamespace) -> np.ndarray:
    """Targets, 0 where there are none, and what smoothing adds to them."""
    return np.nan_to_num(a.t) + getattr(a, "smoothing", 0) / a.t.shape[1]


def target_sum(a: SimpleNamespace) -> np.ndarray:
    return row_sum(present(a))


def difference(a: SimpleNamespace) -> np.ndarray:
    return a.y - a.t


probabilities = uniform(0.1, 0.9, 0.0, 1.0, 1e-30)
targets = uniform(0, 1, 0.0, 1.0)
logits = normal(3, *EXTREMES)


def smoothed(width: int) -> Arguments:
    return {"smoothing": 0.2}


def smoothed_binaries(width: int) -> Arguments:
    return {"smoothing": 0.2, "positive": np.linspace(0.5, 3, width)}


def counts(shape: tuple[int, int], dtype: type, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(2, shape).astype(dtype)


def signs(shape: tuple[int, int], dtype: type, rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-1, 1], shape).astype(dtype)


def negative(shape: tuple[int, int], dtype: type, rng: np.random.Generator) -> np.ndarray:
    return -np.abs(normal(2, -80.0, -1e-6)(shape, dtype, rng))


def halves(rows: int, width: int, dtype: type, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Means beside variances, or their logarithms."""
    y = np.hstack([rng.normal(size=(rows, width)), rng.uniform(0.2, 2, (rows, width))])
    return y.astype(dtype), rng.normal(size=(rows, width)).astype(dtype)


def levels(width: int, dtype: type) -> np.ndarray:
    """As many quantiles as go into the width."""
    k = next((k for k in (3, 4, 5, 7, 19) if width % k == 0), 1)
    return np.linspace(0.1, 0.9, k)


def logs_of(y: np.ndarray) -> np.ndarray:
    return np.log(np.where(y > 0, y, 1))


def stirling(a: SimpleNamespace) -> np.ndarray:
    return np.where(a.t > 1, a.t * (logs_of(a.t) + 1) + 2, 0)


def tweedie_terms(z: np.ndarray, t: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three terms of the deviance, as often as their exponents are large."""
    of_mean, of_product = np.exp((2 - p) * z) * (1 + np.abs(z)), t * np.exp((1 - p) * z) * (1 + np.abs(z))
    return 4 * of_mean, 4 * of_product, 4 * t ** (2 - p) * (1 + np.abs(logs_of(t)) + np.abs(z))


def log_mean(a: SimpleNamespace) -> np.ndarray:
    return np.log(np.maximum(a.y, np.finfo(a.y.dtype).eps))


def power_error(x: np.ndarray, gamma: float) -> np.ndarray:
    """x^gamma, as often as its exponent is large."""
    x = np.maximum(x, np.finfo(x.dtype).tiny)
    return x**gamma * (1 + gamma * np.abs(np.log(x)))


def binary_focal_scales(p: np.ndarray, q: np.ndarray, entropy: np.ndarray, a: SimpleNamespace) -> tuple[Scale, Scale]:
    """Of the gradient by y of sigmoid(y), and of the loss."""
    wrong = np.maximum(a.t * q + (1 - a.t) * p, np.finfo(p.dtype).tiny)
    size = power_error(wrong, a.gamma)
    return size * (a.gamma * p * q * entropy / wrong + (1 - a.t) * p + a.t * q), size * entropy


def of_probabilities(a: SimpleNamespace) -> tuple[Scale, Scale]:
    eps = np.finfo(a.y.dtype).eps
    p = np.clip(a.y, eps, 1 - eps)
    entropy = -(a.t * np.log(p) + (1 - a.t) * np.log1p(-p))
    by_logit, value = binary_focal_scales(p, 1 - p, entropy, a)
    return by_logit / (p * (1 - p)), value


def of_logits(a: SimpleNamespace) -> tuple[Scale, Scale]:
    sigmoid, softplus = reference.activations._sigmoid, reference.activations._softplus
    return binary_focal_scales(sigmoid(a.y), sigmoid(-a.y), softplus(a.y) + np.abs(a.y * a.t), a)


def focal_scales(a: SimpleNamespace, log_p: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wrong = np.maximum(wrong, np.finfo(wrong.dtype).tiny)
    factor = a.alpha * a.t * power_error(wrong, a.gamma)
    return factor * (1 + a.gamma * np.exp(log_p) * np.abs(log_p) / wrong), factor * np.abs(log_p)


def of_clipped(a: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    eps = np.finfo(a.y.dtype).eps
    p = np.clip(a.y, eps, 1 - eps)
    by_log, value = focal_scales(a, np.log(p), 1 - p)
    return by_log / p, value


def margin_gradient(a: SimpleNamespace) -> np.ndarray:
    short = np.maximum(a.margin - np.take_along_axis(a.y, a.t[:, None], 1) + a.y, 0)
    gradient = (2 * short if a.squared else ~(short <= 0)) / a.y.shape[1]
    return np.where(np.arange(a.y.shape[1]) == a.t[:, None], row_sum(gradient), gradient)


def cosine_scales(a: SimpleNamespace) -> np.ndarray:
    of_y, of_t = (np.sqrt((x * x).sum(axis=1, keepdims=True)) for x in (a.y, a.t))
    return np.sqrt(a.y.shape[1]) * (np.abs(a.t) / (of_y * of_t) + np.abs(a.y) / of_y**2)


def gaussian_scales(a: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = np.hsplit(a.y, 2)
    spread = spread if a.log_variance else np.maximum(spread, a.eps)
    precision = np.exp(-spread) if a.log_variance else 1 / spread
    square = (np.abs(mean) + np.abs(a.t)) ** 2 * precision
    of_spread = (1 + square) * (1 if a.log_variance else precision)
    return np.hstack([(np.abs(mean) + np.abs(a.t)) * precision, of_spread]), 2 + np.abs(spread) + square


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
        dy=lambda a: probabilities_of(a) * np.sqrt(a.y.shape[1]) * target_sum(a) + present(a),
        of_rows=True,
        mixed=True,
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
    *(
        Case(
            "share_weights",
            lambda rows, width, dtype, rng, columns=columns: {
                "weight": rng.uniform(0.5, 2, (rows, columns or width)).astype(dtype),
                "mean": 1.5,
                "share": unset(1, np.float64),
            },
            ("weight", "share"),
            variant="of rows" if columns else "of numbers",
        )
        for columns in (0, 1)
    ),
    *loss("smooth_l1", distant(0.0, 0.75, -0.75), kinks=(0.75, -0.75), kink_at=difference, beta=0.75),
    *loss("log_cosh", distant(0.0, 1e-6, 1.0, -1.0, 80.0)),
    *loss("quantile", distant(0.0), kinks=(0.0,), kink_at=difference, q=0.3),
    *loss("expectile", distant(0.0), kinks=(0.0,), kink_at=difference, tau=0.3),
    *loss(
        "msle",
        pairs(normal(3, *EXTREMES), uniform(0, 5, 0.0)),
        dy=lambda a: 4 * (np.abs(a.y) + np.log1p(a.t)),
        value=lambda a: (np.abs(a.y) + np.log1p(a.t)) ** 2,
    ),
    *loss("mape", distant(0.0), kinks=(0.0,), kink_at=difference, eps=0.5),
    *loss(
        "poisson",
        pairs(uniform(0.1, 5), counts),
        dy=lambda a: 1 + a.t / a.y,
        value=lambda a: a.y + a.t * np.abs(np.log(a.y)) + stirling(a),
        eps=1e-3,
        full=1.0,
    ),
    *loss(
        "poisson_of_logs",
        pairs(normal(2, -80.0, 0.0, 1e-6), counts),
        dy=lambda a: np.exp(a.y) + a.t,
        value=lambda a: np.exp(a.y) + np.abs(a.t * a.y) + stirling(a),
        full=1.0,
    ),
    *loss(
        "tweedie",
        pairs(uniform(0.1, 5), uniform(0, 5, 0.0)),
        dy=lambda a: sum(tweedie_terms(log_mean(a), a.t, a.power)[:2]) / np.exp(log_mean(a)),
        value=lambda a: sum(tweedie_terms(log_mean(a), a.t, a.power)),
        power=1.4,
    ),
    *loss(
        "tweedie_of_logs",
        pairs(normal(2, 0.0, 1e-6), uniform(0, 5, 0.0)),
        dy=lambda a: sum(tweedie_terms(a.y, a.t, a.power)[:2]),
        value=lambda a: sum(tweedie_terms(a.y, a.t, a.power)),
        power=1.4,
    ),
    *(
        case
        for log_variance in (True, False)
        for case in loss(
            "gaussian_nll",
            halves,
            dy=lambda a: gaussian_scales(a)[0],
            value=lambda a: gaussian_scales(a)[1],
            name="log" if log_variance else "variance",
            eps=0.1,
            full=True,
            log_variance=log_variance,
        )
    ),
    *loss(
        "kl_divergence",
        pairs(probabilities, targets),
        value=lambda a: a.t * (1 + np.abs(logs_of(a.t)) + np.abs(np.log(np.maximum(a.y, 1e-16)))),
        kinks=(0.0,),
        of_rows=True,
    ),
    *loss(
        "kl_divergence_of_logs",
        pairs(negative, targets),
        value=lambda a: a.t * (1 + np.abs(logs_of(a.t)) + np.abs(a.y)),
        of_rows=True,
    ),
    *loss(
        "binary_focal",
        pairs(probabilities, targets),
        dy=lambda a: of_probabilities(a)[0],
        value=lambda a: of_probabilities(a)[1],
        kinks=(0.0, 1.0),
        gamma=1.5,
        alpha=0.25,
    ),
    *loss(
        "binary_focal_from_logits",
        pairs(logits, targets),
        dy=lambda a: of_logits(a)[0],
        value=lambda a: of_logits(a)[1],
        gamma=1.5,
        alpha=-1.0,
    ),
    *loss(
        "focal",
        pairs(probabilities, targets),
        dy=lambda a: of_clipped(a)[0],
        value=lambda a: of_clipped(a)[1],
        kinks=(0.0, 1.0),
        of_rows=True,
        gamma=1.5,
        alpha=0.25,
    ),
    *loss(
        "focal_of_logs",
        pairs(negative, targets),
        dy=lambda a: focal_scales(a, a.y, -np.expm1(a.y))[0],
        value=lambda a: focal_scales(a, a.y, -np.expm1(a.y))[1],
        of_rows=True,
        gamma=1.5,
        alpha=0.25,
    ),
    *loss("hinge", pairs(normal(2, 1.0, -1.0), signs), kinks=(1.0,), kink_at=lambda a: a.t * a.y),
    *loss("squared_hinge", pairs(normal(2, 1.0, -1.0), signs), kinks=(1.0,), kink_at=lambda a: a.t * a.y),
    *(
        case
        for squared in (False, True)
        for case in loss(
            "multi_margin",
            labelled(normal(1)),
            dy=margin_gradient,
            value=lambda a: 1 + margin_gradient(a) ** 2,
            of_rows=True,
            elements=False,
            name="squared" if squared else "plain",
            margin=1.0,
            squared=squared,
        )
    ),
    *loss(
        "cosine_similarity",
        pairs(normal(1), normal(1)),
        dy=cosine_scales,
        value=lambda a: np.sqrt(a.y.shape[1]) + 0 * a.y,
        of_rows=True,
        elements=False,
        eps=1e-8,
    ),
    *loss(
        "quantiles",
        pairs(normal(1), normal(1)),
        lambda a: np.full(a.y.shape, 2),
        lambda a: 2 * (1 + np.abs(a.y)),
        mixed=True,
        q=levels,
        crossing=0.7,
    ),
)
