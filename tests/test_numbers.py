"""Embeddings of numbers, products of groups: their formulas, what they are fitted to, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from nets import same_bits

from fastnn import (
    Columns,
    Dense,
    Embedding,
    GroupedDense,
    Model,
    Parallel,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    PLREmbedding,
    Sequential,
    load,
)

RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (60, 3))


def built(layer, x=X):
    """A layer in a net, with parameters at which nothing is special."""
    net = Model([layer], seed=0, dtype="float64").build(x.shape[1])
    net.params[...] += np.random.default_rng(1).normal(0, 0.3, net.params.shape)
    return layer, net


def test_pbld_is_its_formula():
    layer, net = built(PBLDEmbedding(5, 7))
    waves = np.cos(2 * np.pi * X[:, :, None] * layer.w + layer.c)
    y = np.concatenate([np.einsum("rnk,nkd->rnd", waves, layer.v) + layer.b, X[:, :, None]], axis=2)
    np.testing.assert_allclose(net.predict(X), y.reshape(len(X), -1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lite", [False, True])
def test_plr_is_its_formula(lite):
    layer, net = built(PLREmbedding(4, 6, 0.3, lite))
    angle = 2 * np.pi * X[:, :, None] * layer.w
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=2)
    y = np.maximum(waves @ layer.v + layer.b if lite else np.einsum("rnk,nkd->rnd", waves, layer.v) + layer.b, 0)
    np.testing.assert_allclose(net.predict(X), y.reshape(len(X), -1), rtol=1e-12, atol=1e-12)


def encoded(x, edges):
    """The encoding as Gorishniy et al. write it, bin by bin."""
    e = np.empty((len(x), len(edges) - 1))
    for t in range(e.shape[1]):
        e[:, t] = (x - edges[t]) / (edges[t + 1] - edges[t])
        if t > 0:
            e[:, t] = np.maximum(e[:, t], 0)
        if t < e.shape[1] - 1:
            e[:, t] = np.minimum(e[:, t], 1)
    return e


def test_bins_are_their_formula():
    edges = [[-1, 0.5, 0.7, 2], [0, 1], []]
    layer, net = built(PiecewiseLinearEmbedding(4, edges=edges))
    parts = []
    for j, own in enumerate(edges):
        e = encoded(X[:, j], own) if own else np.empty((len(X), 0))
        parts.append(X[:, j : j + 1] * layer.w[j] + layer.b[j] + e @ layer.v[j, : e.shape[1]])
    np.testing.assert_allclose(net.predict(X), np.hstack(parts), rtol=1e-12, atol=1e-12)


def test_groups_are_layers_side_by_side():
    x = RNG.normal(size=(20, 12))
    layer, net = built(GroupedDense(2, 3), x)
    parts = [x[:, 4 * g : 4 * g + 4] @ layer.w[g] + layer.b[g] for g in range(3)]
    np.testing.assert_allclose(net.predict(x), np.hstack(parts), rtol=1e-12)


def test_how_they_begin():
    layer = Model([PBLDEmbedding(64, 400)], seed=0).build(8)[0]
    assert abs(layer.w.std() - 0.1) < 0.005
    assert np.abs(layer.c).max() <= np.pi
    assert layer.c.std() > 1.7
    for array in (layer.v, layer.b):
        assert 0.045 < np.abs(array).max() <= 0.05
    layer = Model([PLREmbedding(8, 400)], seed=0).build(8)[0]
    assert abs(layer.w.std() - 0.01) < 0.0005
    assert np.abs(layer.w).max() <= 0.03
    assert 0.034 < np.abs(layer.v).max() <= 1 / np.sqrt(800)
    layer = Model([PiecewiseLinearEmbedding(50)], seed=0).build(8)[0]
    assert not layer.v.any()
    assert 0.9 < np.abs(layer.w).max() <= 1


def test_edges_are_unique_quantiles_of_the_first_training():
    x = X.copy()
    x[:, 1] = 7  # constant
    x[:, 2] = np.arange(len(x)) % 3  # of three values
    weights = np.ones(len(x))
    weights[:20] = 0
    net = Model([PiecewiseLinearEmbedding(4, bins=6), Dense(1)], seed=0, dtype="float64")
    net.fit(x, x[:, 0], epochs=1, sample_weight=weights)
    grid = net[0].grid.copy()
    np.testing.assert_allclose(grid[0], np.quantile(x[20:, 0], np.linspace(0, 1, 7)))
    assert np.isinf(grid[1]).all()
    assert grid[2, :3].tolist() == [0, 1, 2]
    assert np.isinf(grid[2, 3:]).all()
    assert net[0].v[0].all()
    assert not net[0].v[1].any()
    assert not net[0].v[2, 2:].any()
    net.fit(2 * x, x[:, 0], epochs=1)
    assert same_bits(net[0].grid, grid)


def test_what_is_adapted_begins_from_the_seed_of_its_net():
    nets = [Model([PiecewiseLinearEmbedding(4, 6).adapt(X), Dense(1)], seed=0).build(3) for _ in range(2)]
    assert same_bits(nets[0].params, nets[1].params)
    assert same_bits(nets[0][0].grid, nets[1][0].grid)
    assert np.isfinite(nets[0][0].grid).all()


def test_embeddings_of_a_frame_know_its_columns(tmp_path):
    frame = pd.DataFrame({"city": RNG.integers(0, 4, 60), "age": X[:, 0], "size": X[:, 1], "price": X[:, 2]})
    net = Model(
        [
            Parallel(
                [
                    Sequential([Columns("city"), Embedding({"city": 4}, 2)]),
                    Sequential([Columns("size", "age"), PBLDEmbedding(3, 5)]),
                    Sequential([Columns("price"), PiecewiseLinearEmbedding(2, 5)]),
                ]
            ),
            Dense(8, "relu"),
            Dense(1),
        ],
        seed=0,
    )
    net.fit(frame, X[:, 0], epochs=3)
    names = net[0].layers[1].layers[1].names_behind(("size", "age"))
    assert names == ("size[0]", "size[1]", "size", "age[0]", "age[1]", "age")
    assert same_bits(net.predict(frame[["price", "city", "size", "age"]]), net.predict(frame))
    net.save(tmp_path / "net.safetensors")
    assert same_bits(load(tmp_path / "net.safetensors").predict(frame), net.predict(frame))
    with pytest.raises(ValueError, match=r"column 'size'"):
        net.predict(frame.assign(size=np.nan))


def test_one_row_is_a_row_of_many():
    net = Model([PiecewiseLinearEmbedding(4, 6), PBLDEmbedding(3), PLREmbedding(2), Dense(2)], seed=0)
    net.fit(X, X[:, :2], epochs=2)
    for i in range(5):
        np.testing.assert_allclose(net.predict_one(X[i]), net.predict(X)[i], rtol=1e-4, atol=1e-5)


WRONG = {
    r"PBLDEmbedding: size is 1, expected a whole number >= 2": lambda: PBLDEmbedding(1),
    r"PBLDEmbedding: frequencies is 0": lambda: PBLDEmbedding(frequencies=0),
    r"PBLDEmbedding: scale is 0": lambda: PBLDEmbedding(scale=0),
    r"PLREmbedding: size is 0": lambda: PLREmbedding(0),
    r"PLREmbedding: lite is 2": lambda: PLREmbedding(lite=2),
    r"PLREmbedding: scale is nan": lambda: PLREmbedding(scale=float("nan")),
    r"PiecewiseLinearEmbedding: bins is 0": lambda: PiecewiseLinearEmbedding(bins=0),
    r"PiecewiseLinearEmbedding: edges is 3, expected those of each": lambda: PiecewiseLinearEmbedding(edges=3),
    r"PiecewiseLinearEmbedding: edges is empty": lambda: PiecewiseLinearEmbedding(edges=[]),
    r"edges\[1\] is \[1, 1\], expected two finite": lambda: PiecewiseLinearEmbedding(edges=[[0, 1], [1, 1]]),
    r"edges\[0\] is \[0\], expected two": lambda: PiecewiseLinearEmbedding(edges=[[0]]),
    r"edges\[0\] is 'ab', expected numbers": lambda: PiecewiseLinearEmbedding(edges=["ab"]),
    r"PiecewiseLinearEmbedding 1: edges are of 2 columns, expected 3": lambda: Model(
        [PiecewiseLinearEmbedding(edges=[[0, 1], []])]
    ).build(3),
    r"GroupedDense: units is 0": lambda: GroupedDense(0, 2),
    r"GroupedDense: groups is -1": lambda: GroupedDense(2, -1),
    r"GroupedDense 1: x has 3 columns, expected a multiple of 2, the number of groups": lambda: Model(
        [GroupedDense(1, 2)]
    ).build(3),
    r"PBLDEmbedding 1 makes new numbers of the columns that a layer behind reads as codes": lambda: Model(
        [PBLDEmbedding(), Embedding({0: 3})]
    ).fit(X, X),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_named(message):
    with pytest.raises((ValueError, TypeError), match=message):
        WRONG[message]()
