"""Products of numbers rounded to bfloat16, to the bit: what VDPBF16PS computes, or TDPBF16PS of AMX, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.reference.types import Array

SUM_BLOCK = 1024  # terms of a product that are one chain, as in src/gemm/gemm.h
with_amx = kernels.selected == "amx_bf16"  # which adds pairs in another order
_LEAST_NORMAL = 2.0**-126 - 2.0**-151  # what rounds to 2**-126 with 24 bits


def rounded(x: Array) -> Array:
    """Return float32 numbers rounded to bfloat16 (8 bits, ties to even), as float32; subnormal ones become 0."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    nearest = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    nearest = np.where(magnitude > 0x7F800000, bits | np.uint32(0x400000), nearest) & np.uint32(0xFFFF0000)
    return np.where(magnitude < 0x00800000, bits & np.uint32(0x80000000), nearest).view(np.float32)


def weights(w: NDArray[np.uint16], n_in: int, n_out: int) -> Array:
    """Return the weights (n_in, n_out) that lie as `dense_bf16` reads them, in float32."""
    panels, pairs, _ = w.shape
    by_pair = w.reshape(panels, pairs, 32, 2).transpose(1, 3, 0, 2)
    bits = by_pair.reshape(2 * pairs, 32 * panels)[:n_in, :n_out].astype(np.uint32)
    return (bits << np.uint32(16)).view(np.float32)


def product(a: Array, b: Array, c: Array, bf16: bool) -> None:
    """Write a @ b into c; with bf16, of rounded numbers, as chains of multiply-adds.

    A sum of a chain and of a product of two bfloat16 is rounded to float32 once, although it is computed in double
    (Figueroa, "When is double rounding innocuous?", SIGNUM 30(3), 1995); where that is subnormal, it becomes 0. A chain
    has up to `SUM_BLOCK` terms; those of all blocks are added in order.
    """
    if not bf16:
        np.matmul(a, b, out=c)
        return
    if c.dtype != np.float32:
        raise ValueError(f"bf16 is True, expected False for {c.dtype}: bfloat16 is the half of a float32")
    k = a.shape[1]
    left, right = np.zeros((len(a), k + k % 2)), np.zeros((k + k % 2, b.shape[1]))
    left[:, :k], right[:k] = rounded(a), rounded(b)
    c[...] = 0
    with np.errstate(invalid="ignore", over="ignore"):
        for begin in range(0, k, SUM_BLOCK):
            chain = np.zeros_like(c)
            pairs = range(begin, min(begin + SUM_BLOCK, k), 2)
            (_add_registers if with_amx else _add_pairs)(chain, left, right, pairs)
            c[...] = chain if begin == 0 else c + chain


def _put(total: Array, to: Array) -> None:
    """Write numbers of double into float32, those that are subnormal there as 0 of their sign; they are lost."""
    np.multiply(total, 0, out=total, where=np.abs(total) < _LEAST_NORMAL)
    to[...] = total


def _add_pairs(chain: Array, left: Array, right: Array, pairs: range) -> None:
    """Add pair after pair to the chains, the odd term first."""
    columns = np.ascontiguousarray(left.T)[..., None]
    for even in pairs:
        for term in (even + 1, even):
            total = columns[term] * right[term]
            total += chain
            _put(total, chain)


def _add_registers(chain: Array, left: Array, right: Array, pairs: range) -> None:
    """Add 16 pairs after 16 to the chains: even terms and odd terms are chains of their own, which are added."""
    for first in range(0, len(pairs), 16):
        sums = np.zeros((2, *chain.shape), chain.dtype)
        for even in pairs[first : first + 16]:
            for odd in range(2):
                _put(left[:, even + odd, None] * right[even + odd] + sums[odd], sums[odd])
        both = np.empty_like(chain)
        _put(sums[0].astype(np.float64) + sums[1], both)
        _put(both.astype(np.float64) + chain, chain)
