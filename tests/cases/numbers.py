"""Cases of embeddings of numbers: waves, bins, and dense products of groups of columns."""

from types import SimpleNamespace

import numpy as np

from cases.contract import Arguments, Case, unset
from fastnn import reference


def size_of(numbers: np.ndarray) -> np.ndarray:
    """Magnitudes, 0 for what is not finite: it makes only some outputs so."""
    return np.where(np.isfinite(numbers), np.abs(numbers), 0)


GROUPS, IN = 3, 5  # of products side by side


def grouped_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, last: bool = False, more: int = 0
) -> Arguments:
    n = width + last
    return {
        "x": rng.normal(size=(rows, GROUPS, IN + more)).astype(dtype),
        "w": rng.normal(size=(GROUPS, IN, width)).astype(dtype),
        "b": rng.normal(size=(GROUPS, width)).astype(dtype),
        "last": rng.normal(size=(rows, GROUPS)).astype(dtype) if last else None,
        "y": unset((rows, GROUPS, n), dtype),
    }


def grouped_backward_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, last: bool = False, more: int = 0
) -> Arguments:
    there = grouped_arguments(rows, width, dtype, rng, last, more)
    return {
        "x": there["x"],
        "w": there["w"],
        "dy": rng.normal(size=(rows, GROUPS, width + last)).astype(dtype),
        "dx": unset((rows, GROUPS, IN), dtype),
        "dw": unset((GROUPS, IN, width), dtype),
        "db": unset((GROUPS, width), dtype),
    }


def product_scale(a: SimpleNamespace) -> np.ndarray:
    n = a.w.shape[2]
    scale = np.ones(a.y.shape)
    scale[:, :, :n] = np.einsum("rgi,gio->rgo", size_of(a.x[:, :, :IN]), size_of(a.w)) * np.sqrt(IN) + size_of(a.b)
    return scale


def dx_scale(a: SimpleNamespace) -> np.ndarray:
    n = a.w.shape[2]
    return np.einsum("rgo,gio->rgi", size_of(a.dy[:, :, :n]), size_of(a.w)) * np.sqrt(n)


def dw_scale(a: SimpleNamespace) -> np.ndarray:
    n = a.w.shape[2]
    return np.einsum("rgi,rgo->gio", size_of(a.x[:, :, :IN]), size_of(a.dy[:, :, :n])) * np.sqrt(len(a.x))


def sum_over_rows(terms: np.ndarray) -> np.ndarray:
    return np.sqrt(len(terms)) * size_of(terms).sum(axis=0)


def grouped(variant: str, **settings: int) -> tuple[Case, Case]:
    return (
        Case(
            "grouped_forward",
            lambda *given: grouped_arguments(*given, **settings),
            ("y",),
            {"y": product_scale},
            variant=variant,
        ),
        Case(
            "grouped_backward",
            lambda *given: grouped_backward_arguments(*given, **settings),
            ("dx", "dw", "db"),
            {"dx": dx_scale, "dw": dw_scale, "db": lambda a: sum_over_rows(a.dy[:, :, : a.w.shape[2]])},
            derivative_of="" if settings else "grouped_forward",
            variant=variant,
        ),
    )


WAVES = 4  # of each column


def periodic_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, phases: bool = True, n: int = WAVES
) -> Arguments:
    return {
        "x": rng.normal(0, 2, (rows, width)).astype(dtype),
        "w": rng.normal(size=(width, n)).astype(dtype),
        "c": rng.uniform(-np.pi, np.pi, (width, n)).astype(dtype) if phases else None,
        "y": unset((rows, width, 2 * n), dtype),
    }


def periodic_backward_arguments(
    rows: int, width: int, dtype: type, rng: np.random.Generator, phases: bool = True, n: int = WAVES
) -> Arguments:
    """With phases, the gradient of the cosines alone, and one of what stands beside them."""
    there = periodic_arguments(rows, width, dtype, rng, phases, n)
    reference.periodic_forward(**there)
    return {
        "x": there["x"],
        "w": there["w"],
        "y": there["y"],
        "dy": rng.normal(size=(rows, width, n if phases else 2 * n)).astype(dtype),
        "beside": rng.normal(size=(rows, width)).astype(dtype) if phases else None,
        "dx": unset((rows, width), dtype),
        "dw": unset((width, n), dtype),
        "dc": unset((width, n), dtype) if phases else None,
    }


def wave_scale(a: SimpleNamespace) -> np.ndarray:
    angle = 1 + 2 * np.pi * size_of(a.x[:, :, None] * a.w) + (0 if a.c is None else size_of(a.c))
    return np.concatenate([angle, angle], axis=2)


def gradient_size(a: SimpleNamespace) -> np.ndarray:
    k = a.w.shape[1]
    return size_of(a.dy[:, :, :k]) + (size_of(a.dy[:, :, k:]) if a.dy.shape[2] > k else 0)


def periodic(variant: str, outputs: tuple[str, ...], **settings: int) -> tuple[Case, Case]:
    return (
        Case(
            "periodic_forward",
            lambda *given: periodic_arguments(*given, **settings),
            ("y",),
            {"y": wave_scale},
            variant=variant,
        ),
        Case(
            "periodic_backward",
            lambda *given: periodic_backward_arguments(*given, **settings),
            outputs,
            {
                "dx": lambda a: (
                    7 * 3 * (gradient_size(a) * size_of(a.w)).sum(axis=2) + 1 + size_of(a.dy).max(initial=0)
                ),
                "dw": lambda a: 7 * sum_over_rows(gradient_size(a) * size_of(a.x[:, :, None])),
                "dc": lambda a: sum_over_rows(gradient_size(a)),
            },
            derivative_of="" if "dc" in outputs else "periodic_forward",
            variant=variant,
        ),
    )


BINS, SIZE = 6, 3


def edges_of(width: int, dtype: type, rng: np.random.Generator) -> np.ndarray:
    """Six bins, fewer, or none."""
    edges = np.cumsum(rng.uniform(0.2, 1, (width, BINS + 1)), axis=1) - 2
    for j in range(width):
        n_bins = (BINS, 3, 0, 1)[j % 4]
        edges[j, n_bins + 1 if n_bins else 0 :] = np.inf
        if j % 5 == 3 and n_bins:
            edges[j, 1] = edges[j, 0]
    return edges.astype(dtype)


def bins_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    return {
        "x": rng.normal(0, 2, (rows, width)).astype(dtype),
        "edges": edges_of(width, dtype, rng),
        "w": rng.normal(size=(width, SIZE)).astype(dtype),
        "b": rng.normal(size=(width, SIZE)).astype(dtype),
        "v": rng.normal(size=(width, BINS, SIZE)).astype(dtype),
        "sums": unset((width, BINS, SIZE), dtype),
        "y": unset((rows, width, SIZE), dtype),
    }


def bins_backward_arguments(rows: int, width: int, dtype: type, rng: np.random.Generator) -> Arguments:
    there = bins_arguments(rows, width, dtype, rng)
    return {
        **{name: there[name] for name in ("x", "edges", "w", "v")},
        "dy": rng.normal(size=(rows, width, SIZE)).astype(dtype),
        "sums": there["sums"],
        "dx": unset((rows, width), dtype),
        "dw": unset((width, SIZE), dtype),
        "db": unset((width, SIZE), dtype),
        "dv": unset((width, BINS, SIZE), dtype),
    }


def of_all_bins(a: SimpleNamespace) -> np.ndarray:
    """What the parts of a sum over bins may be in all: beyond the edges, a part grows."""
    return size_of(a.v).sum(axis=1) * (1 + 10 * size_of(a.x[:, :, None]))


PARTS = (
    Case(
        "bins_forward",
        bins_arguments,
        ("sums", "y"),
        {
            "sums": lambda a: size_of(a.b[:, None]) + size_of(a.v).sum(axis=1, keepdims=True),
            "y": lambda a: 10 * (size_of(a.x[:, :, None] * a.w) + size_of(a.b) + of_all_bins(a)),
        },
    ),
    Case(
        "bins_backward",
        bins_backward_arguments,
        ("sums", "dx", "dw", "db", "dv"),
        {
            "sums": lambda a: sum_over_rows(a.dy)[:, None],
            "dx": lambda a: 10 * (size_of(a.dy) * (size_of(a.w) + size_of(a.v).max(axis=1))).sum(axis=2),
            "dw": lambda a: sum_over_rows(a.dy * a.x[:, :, None]),
            "db": lambda a: sum_over_rows(a.dy),
            "dv": lambda a: sum_over_rows(a.dy * (1 + 10 * size_of(a.x[:, :, None])))[:, None],
        },
    ),
)

OF_NUMBERS = (
    *grouped(""),
    *grouped("beside", last=1, more=2),
    *periodic("", ("dx", "dw", "dc")),
    *periodic("sin and cos", ("dx", "dw"), phases=False),
    *periodic("many", ("dx", "dw"), phases=False, n=150),
    *PARTS,
)
