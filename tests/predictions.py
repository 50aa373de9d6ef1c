"""Nets for what writes predictions in other forms: one for every layer that a prediction can hold, and random ones."""

from collections.abc import Callable
from functools import cache

import numpy as np

import fastnn
from fastnn import (
    ELU,
    GELU,
    Add,
    AlphaDropout,
    BatchEnsemble,
    BatchNorm,
    BFloat16Dense,
    Bias,
    Columns,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GroupedDense,
    HardSigmoid,
    HardTanh,
    Identity,
    Int8Dense,
    Layer,
    LayerNorm,
    LeakyReLU,
    Maxout,
    MeanOfMembers,
    Members,
    Model,
    Normalization,
    OneHot,
    PanelDense,
    Parallel,
    ParametricActivation,
    PBLDEmbedding,
    Penalize,
    PiecewiseLinearEmbedding,
    PLREmbedding,
    PReLU,
    Reshape,
    Residual,
    RMSNorm,
    Scale,
    Sequential,
    Sine,
    Snake,
    Softmin,
    Softplus,
    Squareplus,
    Threshold,
)
from fastnn.layers import bfloat16
from fastnn.layers.activation import Activation
from fastnn.layers.gated import Gated
from fastnn.layers.int8 import packed
from fastnn.layers.packed import PackedDense
from fastnn.layers.panels import panels
from fastnn.layers.tree import walk

FEATURES = 6
ROWS = 40

# What stands for a layer, beside all activations with their defaults: rows of layers for x of FEATURES columns.
ROWS_OF_LAYERS: dict[str, Callable[[], list[Layer]]] = {
    "Dense": lambda: [Dense(5, "tanh"), Dense(3, bias=False)],
    "Dense-gated": lambda: [Dense(10, "glu"), Dense(3)],
    "Dense-layer": lambda: [Dense(5, Softmin())],
    "Scale": lambda: [Scale("uniform"), Dense(2)],
    "Bias": lambda: [Bias(), Dense(2)],
    "Columns": lambda: [Columns(4, 1, 1, slice(2, 4)), Dense(3)],
    "Flatten": lambda: [Flatten(), Dense(3)],
    "Reshape": lambda: [Reshape((2, 3)), Dense(3)],
    "Embedding": lambda: [Embedding({4: 5, 5: 3}, 4), Dense(3)],
    "Embedding-alone": lambda: [Columns(4, 5), Embedding(5, 2), Dense(3)],
    "Embedding-only": lambda: [Embedding({5: 3}, 4, others=False), Dense(3)],
    "OneHot": lambda: [OneHot({4: 5, 5: 3}), Dense(3)],
    "OneHot-unseen": lambda: [OneHot({5: 3}, unseen_column=True, others=False), Dense(3)],
    "Normalization": lambda: [Normalization(), Dense(3)],
    "Normalization-center": lambda: [Normalization(robust=True, missing="center", columns=[0, 2]), Dense(3)],
    "BatchNorm": lambda: [Dense(5), BatchNorm(), Dense(3, "relu"), BatchNorm(eps=0.01)],
    "BatchNorm-first": lambda: [BatchNorm(), Dense(3)],
    "LayerNorm": lambda: [LayerNorm(), Dense(5), LayerNorm(eps=0.1)],
    "RMSNorm": lambda: [RMSNorm(), Dense(5), RMSNorm(0.1, elementwise_affine=False)],
    "Dropout": lambda: [Dropout(0.1), Dense(3), AlphaDropout(0.1), GaussianNoise(0.1), GaussianDropout(0.1)],
    "Residual": lambda: [Residual([Dense(8, "relu"), Dense(FEATURES)]), Dense(3)],
    "Residual-inside": lambda: [Residual([Residual([Sequential([Dense(FEATURES, "tanh")])]), BatchNorm()])],
    "Sequential": lambda: [Sequential([Dense(8, "relu"), Sequential([Dense(4)])]), Dense(3)],
    "Parallel": lambda: [Parallel([Identity(), Sequential([Columns(0, 2), Dense(4, "relu")]), Dense(2)]), Dense(3)],
    "Add": lambda: [Add([Dense(4), Sequential([Dense(7, "relu"), Dense(4)]), Dense(4, "tanh")])],
    "Maxout": lambda: [Maxout(4, 3), Maxout(2, 2, bias=False)],
    "Int8Dense": lambda: [Int8Dense(5, "relu"), Dense(3)],
    # of inputs that are numbers of bfloat16: other formats round none
    "BFloat16Dense": lambda: [OneHot({4: 5, 5: 3}, others=False), BFloat16Dense(5, "relu"), Dense(3)],
    "PanelDense": lambda: [PanelDense(5, "relu"), PanelDense(33, bias=False), Dense(3)],
    "GroupedDense": lambda: [GroupedDense(4, 3), GroupedDense(2, 2, bias=False)],
    "BatchEnsemble": lambda: [Members(3), BatchEnsemble(4, 3, "relu", r_initializer="signs"), GroupedDense(2, 3)],
    "MeanOfMembers": lambda: [Members(3), BatchEnsemble(4, 3, bias=False), MeanOfMembers(3, "softmax")],
    "MeanOfMembers-numbers": lambda: [Members(3), GroupedDense(4, 3), MeanOfMembers(3)],
    "MeanOfMembers-sigmoid": lambda: [Members(3), GroupedDense(1, 3), MeanOfMembers(3, "sigmoid")],
    "PReLU": lambda: [Dense(5), PReLU(), Dense(4), PReLU(per_column=True)],
    "ParametricActivation": lambda: [Dense(5), ParametricActivation("mish", 0.6), Dense(3)],
    "PBLDEmbedding": lambda: [PBLDEmbedding(4, 5), Dense(3)],
    "PLREmbedding": lambda: [PLREmbedding(4, 5, 0.2), Dense(3)],
    "PLREmbedding-lite": lambda: [PLREmbedding(4, 5, 0.2, lite=True), Dense(3)],
    "PiecewiseLinearEmbedding": lambda: [PiecewiseLinearEmbedding(3, 4), Dense(3)],
    "PiecewiseLinearEmbedding-edges": lambda: [
        PiecewiseLinearEmbedding(3, edges=[[-1, 0, 1], [-1, 1], [], [0, 1, 2], [0, 3], [0, 1]])
    ],
    "ELU": lambda: [Dense(5), ELU(0.5)],
    "GELU-tanh": lambda: [Dense(5), GELU("tanh")],
    "HardSigmoid": lambda: [Dense(5), HardSigmoid(0.3, 0.4)],
    "HardTanh": lambda: [Dense(5), HardTanh(-0.2, 0.7)],
    "LeakyReLU": lambda: [Dense(5), LeakyReLU(0.3)],
    "Sine": lambda: [Dense(5), Sine(3.0)],
    "Snake": lambda: [Dense(5), Snake(2.0)],
    "Softplus": lambda: [Dense(5), Softplus(2.0), Dense(5), Softplus(2.0, threshold=1.0)],
    "Squareplus": lambda: [Dense(5), Squareplus(2.0)],
    "Threshold": lambda: [Dense(5), Threshold(0.2, -0.5)],
    "Penalize": lambda: [Dense(5, "tanh"), Penalize("l1"), Dense(3)],
    "Nothing": lambda: [Identity()],
}
ROWS_OF_LAYERS |= {
    f"{name}-default": (lambda kind=kind: [Dense(6), kind(), Dense(4)])
    for name, kind in ((name, getattr(fastnn.layers, name)) for name in fastnn.layers.__all__)
    if isinstance(kind, type) and issubclass(kind, (Activation, Gated)) and kind is not Activation
}


def inputs(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """Four columns of numbers, and two of codes, of which a few are none."""
    rng = np.random.default_rng([seed, rows])
    numbers = rng.normal(0.3, 1.2, (rows, FEATURES - 2))
    codes = np.stack([rng.integers(0, 6, rows), rng.integers(-1, 3, rows)], axis=1)
    return np.concatenate([numbers, codes], axis=1)


def trained(layers: list[Layer], dtype: str, seed: int = 0) -> Model:
    """A net after some steps, so that averages, scales and biases are not those of the beginning."""
    net = Model(layers, seed=seed, dtype=dtype)
    x = inputs(seed=seed + 1)
    net.build(FEATURES)
    if net._tree.without_derivative:
        for layer in walk(net.layers):
            if isinstance(layer, PackedDense):
                fill(layer)
        return net
    targets = np.random.default_rng(seed).normal(size=(len(x), net.n_out))
    net.fit(x, targets, "mse", "adam", epochs=2, batch_size=8, verbose=False)
    if net.params.size:
        net.params = net.params + np.random.default_rng(seed).normal(0, 0.1, net.params.size)
    return net


def fill(layer: PackedDense) -> None:
    """Give a layer that cannot be trained some numbers."""
    rng = np.random.default_rng(0)
    if isinstance(layer, BFloat16Dense):
        layer.w = bfloat16.packed(rng.normal(size=(layer.n_in, layer.units)).astype(np.float32))
        layer.b = rng.normal(size=layer.units)
        return
    if isinstance(layer, PanelDense):
        layer.w = panels(rng.normal(size=(layer.n_in, layer.units)))
        if layer.bias:
            layer.b = rng.normal(size=layer.units)
        return
    assert isinstance(layer, Int8Dense)
    weights = rng.integers(-127, 128, (layer.n_in, layer.units)).astype(np.int8)
    layer.w, layer.step, layer.zero = packed(weights), [0.03], [90]
    layer.correction = 90 * weights.sum(axis=0, dtype=np.int64)
    layer.scale, layer.b = rng.uniform(1e-4, 1e-3, layer.units), rng.normal(size=layer.units)


@cache
def net_of(name: str, dtype: str) -> Model:
    """The net that stands for a layer."""
    return trained(ROWS_OF_LAYERS[name](), dtype)


@cache
def random_net(seed: int, dtype: str) -> Model:
    """A net of random layers."""
    rng = np.random.default_rng([7, seed])
    names = [name for name in fastnn.layers.activations.BY_NAME if "softmax" not in name and name != "sparsemax"]

    def act() -> str:
        return str(rng.choice(names))

    def width() -> int:
        return int(rng.integers(1, 20))

    def row(n: int, depth: int) -> tuple[list[Layer], int]:
        found: list[Layer] = []
        for _ in range(rng.integers(1, 4)):
            kind = rng.integers(0, 12 if depth else 7)
            if kind <= 3:
                n = width()
                found.append(Dense(n, act(), bias=bool(rng.random() < 0.8)))
            elif kind == 4:
                found.append([BatchNorm, LayerNorm, RMSNorm][rng.integers(3)]())
            elif kind == 5:
                found.append([Scale, Bias, PReLU, ParametricActivation, Dropout][rng.integers(5)]())
            elif kind == 6:
                n = width()
                found.append(Maxout(n, int(rng.integers(1, 4))))
            elif kind == 7:
                inner, m = row(n, depth - 1)
                found.append(Residual([*inner, Dense(n)]))
            elif kind == 8:
                rows = [row(n, depth - 1) for _ in range(rng.integers(1, 4))]
                found.append(Parallel([Sequential(inner) for inner, _ in rows]))
                n = sum(m for _, m in rows)
            elif kind == 9:
                rows, m = [row(n, depth - 1) for _ in range(2)], width()
                found.append(Add([Sequential([*inner, Dense(m)]) for inner, _ in rows]))
                n = m
            elif kind == 10:
                k, m = int(rng.integers(1, 4)), width()
                found += [Members(k), BatchEnsemble(m, k, act()), GroupedDense(m, k), MeanOfMembers(k)]
                n = m
            else:
                n = 2 * width()
                gates = [kind() for kind in (fastnn.GLU, fastnn.SwiGLU, fastnn.GEGLU, fastnn.ReGLU, fastnn.Bilinear)]
                found += [Dense(n), gates[rng.integers(5)]]
                n //= 2
        return found, n

    begins: list[Callable[[], list[Layer]]] = [
        lambda: [Normalization()],
        lambda: [Embedding({4: 5, 5: 3}, 3)],
        lambda: [OneHot({4: 6}), BatchNorm()],
        lambda: [PBLDEmbedding(3, 4)],
        lambda: [PiecewiseLinearEmbedding(3, 4)],
        lambda: [PLREmbedding(3, 4, 0.1)],
        lambda: [Columns(0, 3, 1)],
        lambda: [Identity()],
    ]
    begin = begins[rng.integers(len(begins))]
    built = Model(begin(), dtype=dtype).build(FEATURES).n_out
    middle, _ = row(built, 2)
    end = [[Dense(3, "softmax")], [Dense(2)], [Dense(1, "sigmoid")], [Dense(4, "log_softmax")], [Dense(5, "sparsemax")]]
    return trained([*begin(), *middle, *end[rng.integers(5)]], dtype, seed)


def close(found: np.ndarray, expected: np.ndarray, rtol: float) -> None:
    """Raise AssertionError unless numbers are equal but for rounding, relative to the largest."""
    size = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * size)
