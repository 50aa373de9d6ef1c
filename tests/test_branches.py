"""Layers beside each other: what they compute, what they are called, and the memory that they take."""

import numpy as np
import pytest
from nets import FEATURES, OUTPUTS, data, each_dtype, same_bits

from fastnn import (
    SGD,
    Add,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    Group,
    Identity,
    Model,
    Parallel,
    Residual,
    Sequential,
)

X, T = data()


def net_of(*layers, dtype="float64"):
    return Model([*layers, Dense(OUTPUTS)], seed=0, dtype=dtype).build(FEATURES)


def test_branches_stand_side_by_side_or_are_added():
    both = [Dense(3, "tanh"), Sequential([Dense(5, "relu"), Dense(3)])]
    parallel, added = Model([Parallel(both)], 0, "float64").build(FEATURES), None
    first, (second, third) = both[0], both[1].layers
    one, two = np.tanh(X @ first.w + first.b), np.maximum(X @ second.w + second.b, 0) @ third.w + third.b
    np.testing.assert_allclose(parallel.predict(X), np.c_[one, two], rtol=1e-12)
    added = Model([Add([Dense(3, "tanh"), Sequential([Dense(5, "relu"), Dense(3)])])], 0, "float64").build(FEATURES)
    added.params = parallel.params
    np.testing.assert_allclose(added.predict(X), one + two, rtol=1e-12, atol=1e-14)
    assert Concatenate is Parallel


@each_dtype
def test_a_sum_with_a_projection_is_a_residual_where_the_projection_is_x(dtype):
    """Bit for bit, also in a training: the gradients of x are added in the same order."""
    nets = [net_of(Dense(5), kind, dtype=dtype) for kind in (Residual([Dense(5)]), Add([Dense(5), Identity()]))]
    for net in nets:
        net.fit(X, T, "mse", SGD(0.1), epochs=3, batch_size=8)
    assert same_bits(nets[0].params, nets[1].params)


def test_names_and_groups_of_what_is_inside():
    net = net_of(Parallel([Dense(2), Sequential([Dense(3, "tanh"), BatchNorm()])]))
    names = [entry.name for entry in net._tree.entries()]
    assert names == ["0.0.w", "0.0.b", "0.1.0.w", "0.1.0.b", "0.1.1.scale", "0.1.1.shift", "1.w", "1.b"]
    assert [layer.title for layer in net._tree.all[:4]] == [
        "Parallel 1", "Dense 1 of Parallel 1 (2 units)", "Sequential 2 of Parallel 1",
        "Dense 1 of Sequential 2 of Parallel 1 (3 units)",
    ]  # fmt: skip
    before = net.params.copy()
    net.fit(X, T, "mse", SGD(0.1, groups=[Group("0.1.*", lr_factor=0.0)]), epochs=2)
    inside = net.layers[0][1][0]
    np.testing.assert_array_equal(inside.w, before[10 : 10 + inside.w.size].reshape(inside.w.shape))
    assert (net.layers[0][0].w != before[:8].reshape(FEATURES, 2)).all()


@pytest.mark.parametrize("kind", [Parallel, Add])
def test_a_frozen_branch_rests_and_the_others_get_the_same_gradients(kind):
    nets = [net_of(Dense(5, "tanh"), kind([Dense(5), Residual([Dense(5)])])) for _ in range(3)]
    nets[1].layers[1][0].trainable = False
    nets[2].layers[1].trainable = False
    for net in nets:
        net.train_batch(X, T, loss="mse", optimizer=SGD(0.0))
    branch, rest = nets[0].layers[1][0], nets[1].layers[1]
    assert branch.dw.all()
    assert not any(gradient.any() for gradient in (rest[0].dw, rest[0].db, nets[2].layers[1][1][0].dw))
    for other in nets[1:]:
        assert same_bits(other.layers[0].dw, nets[0].layers[0].dw)
    assert same_bits(rest[1][0].dw, nets[0].layers[1][1][0].dw)


def test_frozen_branches_that_nothing_is_trained_below_take_no_memory_for_gradients():
    def nbytes(**options):
        net = net_of(Parallel([Dense(50, **options), Dense(60, **options)]))
        return net._trainer.ready(X, T, None, "mse", SGD(0.1))[0].plan(1000, T, False).batch.work.nbytes

    assert nbytes() - nbytes(trainable=False) >= 1000 * 110 * 8


def test_in_a_prediction_dropout_vanishes_and_batch_norm_is_inside_the_product():
    net = net_of(Parallel([Sequential([Dense(3), BatchNorm(), Dropout(0.5)]), Sequential([Dropout(0.5)])]))
    net.fit(X, T, "mse", epochs=3)
    first, norm, _ = net.layers[0][0].layers
    columns = (X @ first.w + first.b - norm.mean) / np.sqrt(norm.variance + norm.eps) * norm.scale + norm.shift
    expected = np.c_[columns, X] @ net.layers[1].w + net.layers[1].b
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(net.predict_one(X[3]), net.predict(X[3:4])[0])
    assert [len(chain.stages) for chain in net._predictors.whole._chain.stages[0].inner] == [1, 0]


def test_layers_that_are_added_make_as_many_numbers():
    with pytest.raises(
        ValueError, match=r"Add 1: its layers make 3, 4 numbers, expected as many from each.* with Dense\(3\)"
    ):
        net_of(Add([Dense(3), Sequential([Dense(4)])]))
    with pytest.raises(ValueError, match=r"Residual 1: .* or let Add\(\[Sequential\(\[...\]\), Dense\(3\)\]\) project"):
        net_of(Residual([Dense(3)]))


@pytest.mark.parametrize(
    ("branches", "gives"),
    [
        (lambda: [Dense(1, "sigmoid"), Dense(2, "sigmoid")], "probabilities"),
        (lambda: [Dense(3, "softmax"), Sequential([Dense(2, "softmax")])], "probabilities"),
        (lambda: [Dense(1, "sigmoid"), Dense(2)], "numbers"),
    ],
)
def test_what_outputs_side_by_side_mean(branches, gives):
    assert Parallel(branches()).gives == gives
    assert Add(branches()).gives == "numbers"
