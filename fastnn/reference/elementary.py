"""Elementary functions, and sums."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import math

import numpy as np

from fastnn.reference.types import Array

_erf = np.frompyfunc(math.erf, 1, 1)


def exp(x: Array, y: Array) -> None:
    """y = e^x; x, y (batch, n)."""
    np.exp(x, out=y)


def expm1(x: Array, y: Array) -> None:
    """y = e^x - 1, accurate near 0; x, y (batch, n)."""
    np.expm1(x, out=y)


def log(x: Array, y: Array) -> None:
    """y = log(x); x, y (batch, n)."""
    np.log(x, out=y)


def log1p(x: Array, y: Array) -> None:
    """y = log(1 + x), accurate near 0; x, y (batch, n)."""
    np.log1p(x, out=y)


def erf(x: Array, y: Array) -> None:
    """y = 2 / sqrt(pi) * integral of exp(-s^2) for s from 0 to x; x, y (batch, n)."""
    y[...] = _erf(x)


def sin(x: Array, y: Array) -> None:
    """y = sin(x); x, y (batch, n)."""
    np.sin(x, out=y)


def cos(x: Array, y: Array) -> None:
    """y = cos(x); x, y (batch, n)."""
    np.cos(x, out=y)


def negative(x: Array, y: Array) -> None:
    """y = -x; x, y (batch, n)."""
    np.negative(x, out=y)


def add(x: Array, z: Array, y: Array) -> None:
    """y = x + z; x, z, y (batch, n)."""
    np.add(x, z, out=y)
