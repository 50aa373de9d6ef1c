"""Cases of optimizers."""

import inspect
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from cases.contract import Arguments, Case, unset
from fastnn import reference


def rule(
    op: str,
    memory: str,
    variant: str = "",
    cells: dict[str, float] | None = None,
    idle: tuple[str, ...] = (),
    **options: Any,
) -> Case:
    """The row of an optimizer: what it remembers, by name, numbers that are given as cells, others as they are.

    The scale of what it writes is what the twin makes of the magnitudes of all: nothing cancels there.
    """
    names = memory.split()

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw = rng.normal(size=(2, rows * width)).astype(dtype)
        made = {
            name: (rng.normal(size=w.size) if name in SIGNED else rng.uniform(1, 2, w.size)).astype(dtype)
            for name in names
        }
        numbers = {name: np.array([value]) for name, value in {"lr": 0.05, **(cells or {})}.items()}
        given = {"w": w, "dw": dw, **made, **numbers, **options}
        parameters = list(inspect.signature(getattr(reference, op)).parameters.values())
        while parameters[-1].name not in given:
            parameters.pop()
        return {parameter.name: given.get(parameter.name, parameter.default) for parameter in parameters}

    def magnitudes(a: SimpleNamespace, output: str) -> np.ndarray:
        sizes = {name: np.abs(value, dtype="float64") for name, value in arrays_of(vars(a)).items()}
        before = sizes["w"].copy()
        getattr(reference, op)(**{**vars(a), **sizes})
        step = np.abs(before - sizes["w"])
        return before + np.where(np.isnan(step), 0, step) if output == "w" else sizes[output]

    outputs = ("w", *names)
    return Case(
        op, make, outputs, {name: partial(magnitudes, output=name) for name in outputs}, variant=variant, idle=idle
    )


def arrays_of(arguments: Arguments) -> Arguments:
    return {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}


SIGNED = ("m", "previous")  # what optimizers remember that may be below 0


def sgd(variant: str, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, velocity = rng.normal(size=(3, rows * width)).astype(dtype)
        options = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        return {"w": w, "dw": dw, "velocity": velocity if momentum else None, "lr": np.array([0.05]), **options}

    def velocity_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.dw) + weight_decay * np.abs(a.w) + (momentum * np.abs(a.velocity) if momentum else 0)

    scale = {"w": lambda a: np.abs(a.w) + 2 * a.lr[0] * velocity_scale(a), "velocity": velocity_scale}
    return Case("sgd", make, ("w", "velocity") if momentum else ("w",), scale, variant=variant)


def adam(
    variant: str,
    step: float,
    weight_decay: float = 0.0,
    decoupled: bool = True,
    amsgrad: bool = False,
    eps_hat: bool = False,
) -> Case:
    beta1, beta2, eps = 0.9, 0.999, 0.1 if eps_hat else 1e-8

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, m = rng.normal(size=(3, rows * width)).astype(dtype)
        v = rng.uniform(0, 2, rows * width).astype(dtype)
        if step == 1:
            m[:], v[:] = 0, 0
        cells = {"lr": np.array([0.05]), "step": np.array([float(step)])}
        options = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        largest = {"largest": rng.uniform(0, 2, rows * width).astype(dtype)} if amsgrad else {}
        hat = {"largest": None, "eps_hat": True} if eps_hat else {}
        return {"w": w, "dw": dw, "m": m, "v": v, **cells, **options, **largest, **hat}

    def gradient_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.dw) + weight_decay * np.abs(a.w)

    def m_scale(a: SimpleNamespace) -> np.ndarray:
        return beta1 * np.abs(a.m) + (1 - beta1) * gradient_scale(a)

    def v_scale(a: SimpleNamespace) -> np.ndarray:
        return beta2 * a.v + (1 - beta2) * np.square(gradient_scale(a))

    def w_scale(a: SimpleNamespace) -> np.ndarray:
        g = a.dw + (0 if decoupled else weight_decay * a.w)
        v = beta2 * a.v + (1 - beta2) * g * g
        v = (np.maximum(v, a.largest) if amsgrad else v) / (1 - beta2**step)
        hat = eps / np.sqrt(1 - beta2**step) if eps_hat else eps
        return np.abs(a.w) + a.lr[0] * m_scale(a) / (1 - beta1**step) / (np.sqrt(v) + hat)

    scale = {"w": w_scale, "m": m_scale, "v": v_scale, "largest": v_scale}
    return Case("adam", make, ("w", "m", "v", *(["largest"] if amsgrad else [])), scale, variant=variant)


def rmsprop(variant: str, momentum: float = 0.0, weight_decay: float = 0.0, centered: bool = False) -> Case:
    alpha, eps = 0.9, 1e-8

    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, velocity = rng.normal(size=(3, rows * width)).astype(dtype)
        mean = rng.uniform(-0.5, 0.5, rows * width).astype(dtype)
        square = rng.uniform(1, 2, rows * width).astype(dtype)  # more than mean^2, so that the variance has digits
        memory = {"square": square, "mean": mean if centered else None, "velocity": velocity if momentum else None}
        options = {"momentum": momentum, "weight_decay": weight_decay, "centered": centered}
        return {"w": w, "dw": dw, **memory, "lr": np.array([0.05]), "alpha": alpha, "eps": eps, **options}

    def gradient_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.dw) + weight_decay * np.abs(a.w)

    def square_scale(a: SimpleNamespace) -> np.ndarray:
        return alpha * a.square + (1 - alpha) * np.square(gradient_scale(a))

    def mean_scale(a: SimpleNamespace) -> np.ndarray:
        return np.abs(a.mean) + (1 - alpha) * gradient_scale(a)

    def velocity_scale(a: SimpleNamespace) -> np.ndarray:
        g = a.dw + weight_decay * a.w
        square = variance = alpha * a.square + (1 - alpha) * g * g
        lost = 1
        if centered:
            variance = np.maximum(square - np.square(a.mean + (1 - alpha) * (g - a.mean)), 0)
            lost = 1 + np.nan_to_num((square_scale(a) + np.square(mean_scale(a))) / variance)  # by the difference
        old = momentum * np.abs(a.velocity) if momentum else 0
        return old + lost * gradient_scale(a) / (np.sqrt(variance) + eps)

    scale = {
        "w": lambda a: np.abs(a.w) + a.lr[0] * velocity_scale(a),
        "square": square_scale, "mean": mean_scale, "velocity": velocity_scale,
    }  # fmt: skip
    outputs = ("w", "square", *(["mean"] if centered else []), *(["velocity"] if momentum else []))
    return Case("rmsprop", make, outputs, scale, variant=variant)


def lamb(variant: str, weight_decay: float = 0.0, step: float = 7.0) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        n = rows * width
        w, dw, m = rng.normal(size=(3, n)).astype(dtype)
        written = {"v": rng.uniform(1, 2, n).astype(dtype), "u": unset(n, dtype)}
        squares = unset((2, -(-n // reference.SQUARES)), np.float64)
        return {
            "w": w, "dw": dw, "m": m, **written, "squares": squares, "step": np.array([step]), "beta1": 0.9,
            "beta2": 0.99, "eps": 1e-3, "weight_decay": weight_decay,
        }  # fmt: skip

    def terms(a: SimpleNamespace) -> np.ndarray:
        """Return the sizes of what u consists of, which may cancel."""
        v = (a.beta2 * a.v + (1 - a.beta2) * np.square(a.dw)) / (1 - a.beta2**step)
        return m_scale(a) / (1 - a.beta1**step) / (np.sqrt(v) + a.eps) + weight_decay * np.abs(a.w)

    def m_scale(a: SimpleNamespace) -> np.ndarray:
        return a.beta1 * np.abs(a.m) + (1 - a.beta1) * np.abs(a.dw)

    def squares_scale(a: SimpleNamespace) -> np.ndarray:
        sums = np.empty(a.squares.shape)
        reference.block_squares(a.w, sums[0])
        reference.block_squares(terms(a), sums[1])
        return 2 * sums

    scale = {"m": m_scale, "u": terms, "squares": squares_scale}
    return Case("lamb", make, ("m", "v", "u", "squares"), scale, variant=variant)


def schedule_free(variant: str, weight_decay: float = 0.0, part: float = 0.1, before: float = 0.9) -> Case:
    def make(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
        w, dw, z, x = rng.normal(size=(4, rows * width)).astype(dtype)
        cells = {"lr": 0.05, "step": 7.0, "part": part, "before": before}
        return {
            "w": w, "dw": dw, "z": z, "x": x, "v": rng.uniform(1, 2, w.size).astype(dtype),
            **{name: np.array([value]) for name, value in cells.items()}, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3,
            "weight_decay": weight_decay,
        }  # fmt: skip

    def terms(a: SimpleNamespace) -> np.ndarray:
        """Return the sizes of all that is added up, which may cancel."""
        step = a.lr[0] * (np.abs(a.dw) / np.sqrt(a.v) + weight_decay * np.abs(a.w))
        return 2 * (np.abs(a.w) + 2 * np.abs(a.z) + 2 * np.abs(a.x)) + step

    return Case("schedule_free_adamw", make, ("w", "z", "x", "v"), dict.fromkeys("wzx", terms), variant=variant)


def trust_rate_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {"squares": rng.uniform(1, 9, (2, rows)), "lr": 0.05, "rate": unset(1, np.float64)}


OPTIMIZERS = (
    rmsprop("all", momentum=0.9, weight_decay=0.1, centered=True),
    rmsprop("plain"),
    rmsprop("weight decay", weight_decay=0.1),
    rmsprop("momentum", momentum=0.9),
    rmsprop("centered", centered=True),
    sgd("plain"),
    sgd("weight decay", weight_decay=0.1),
    sgd("momentum", momentum=0.9),
    sgd("momentum, weight decay", momentum=0.9, weight_decay=0.1),
    sgd("nesterov", momentum=0.9, weight_decay=0.1, nesterov=True),
    adam("first step", step=1),
    adam("later step", step=7),
    adam("decoupled weight decay", step=7, weight_decay=0.1),
    adam("coupled weight decay", step=7, weight_decay=0.1, decoupled=False),
    adam("amsgrad", step=7, amsgrad=True),
    adam("eps of the paper's second formula", step=7, eps_hat=True),
    adam("amsgrad, coupled weight decay", step=7, weight_decay=0.1, decoupled=False, amsgrad=True),
    rule("sgd", "velocity", "first step", idle=("dampening",), momentum=0.9, weight_decay=0.1, dampening=0.3, step=1.0),
    rule("sgd", "velocity", "dampening", momentum=0.9, weight_decay=0.1, dampening=0.3, step=2.0),
    rule("lion", "m"),
    rule("lion", "m", "all", weight_decay=0.1, beta1=0.8, beta2=0.7),
    rule("rprop", "previous size"),
    rule("rprop", "previous size", "bounds", eta_minus=0.3, eta_plus=2.5, min_step=0.02, max_step=0.2),
    rule("rprop", "previous size", "no rate", {"lr": 0.0}),
    rule("adagrad", "square", cells={"step": 7.0}, idle=("step",)),
    rule("adagrad", "square", "all", {"step": 7.0}, lr_decay=0.1, weight_decay=0.1, eps=0.01),
    rule("adadelta", "square change"),
    rule("adadelta", "square change", "all", rho=0.7, eps=0.01, weight_decay=0.1),
    rule("nadam", "m v", cells={"step": 7.0, "product": 0.1}),
    rule("nadam", "m v", "coupled", {"step": 7.0, "product": 0.1}, weight_decay=0.1, momentum_decay=0.1),
    rule("nadam", "m v", "decoupled", {"step": 1.0, "product": 0.5}, beta1=0.8, weight_decay=0.1, decoupled=True),
    rule("radam", "m v", cells={"step": 7.0}),
    rule("radam", "m v", "first steps", {"step": 5.0}, weight_decay=0.1),
    rule("radam", "m v", "decoupled", {"step": 50.0}, beta2=0.9, weight_decay=0.1, decoupled=True),
    rule("adamax", "m u", cells={"step": 7.0}),
    rule("adamax", "m u", "weight decay", {"step": 1.0}, beta2=0.7, weight_decay=0.1),
    lamb("plain"),
    lamb("weight decay", weight_decay=0.1),
    lamb("first step", step=1.0),
    schedule_free("plain"),
    schedule_free("weight decay", weight_decay=0.1),
    schedule_free("first step", part=1.0, before=0.0),
    Case(
        "schedule_free_part",
        lambda rows, width, dtype, rng: {
            "largest": np.array([0.1]),
            "total": np.array([float(rows)]),
            "part": unset(1, np.float64),
            "before": unset(1, np.float64),
            "now": np.array([0.8]),
            "lr": 0.05 * width,
            "beta1": 0.9,
        },
        ("largest", "total", "part", "before", "now"),
    ),
    Case(
        "schedule_free_part",
        lambda rows, width, dtype, rng: {
            "largest": np.zeros(1),
            "total": np.zeros(1),
            "part": unset(1, np.float64),
            "before": unset(1, np.float64),
            "now": np.zeros(1),
            "lr": 0.0,
            "beta1": 0.9,
        },
        ("largest", "total", "part", "before", "now"),
        variant="no rate",
    ),
    Case("trust_rate", trust_rate_arguments, ("rate",)),
    Case(
        "trust_rate",
        lambda rows, width, dtype, rng: {
            **trust_rate_arguments(rows, width, dtype, rng),
            "squares": np.zeros((2, rows)),
        },
        ("rate",),
        variant="no length",
    ),
    Case(
        "nadam_product",
        lambda rows, width, dtype, rng: {"product": np.array([0.4]), "step": np.array([float(width)])},
        ("product",),
    ),
    Case("increment", lambda rows, width, dtype, rng: {"step": np.array([float(rows)])}, ("step",)),
)
