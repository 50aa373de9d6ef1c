"""Ensembles inside one net: formulas, the loss of members, what is predicted, and a TabM put together from parts."""

import copy
from functools import partial

import numpy as np
import pytest
from nets import same_bits

from fastnn import (
    MAE,
    MSE,
    SGD,
    AdamW,
    Add,
    BatchEnsemble,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    GroupedDense,
    Huber,
    Lambda,
    LayerNorm,
    Loss,
    Maxout,
    MeanOfMembers,
    Members,
    Model,
    Parallel,
    PReLU,
    Quantile,
    Residual,
    Sequential,
    Tanh,
    load,
)

K = 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
T = np.sin(X[:, :2])
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
WEIGHTS = RNG.uniform(0.5, 2, 40)


def tabm(n_out=2, activation=None, dropout=0.0, dtype="float64", members=K):
    layers = [
        Members(members), BatchEnsemble(6, members, "tanh", r_initializer="signs"), Dropout(dropout),
        BatchEnsemble(5, members, "relu"), GroupedDense(n_out, members), MeanOfMembers(members, activation),
    ]  # fmt: skip
    net = Model(layers, seed=0, dtype=dtype).build(4)
    net.params[...] += np.random.default_rng(1).normal(0, 0.2, net.params.shape)
    return net


def outputs(net, x):
    """What each member gives, member by member in NumPy: (members, rows, outputs)."""
    found = []
    for i in range(K):
        h = x
        for place, f in ((1, np.tanh), (3, lambda z: np.maximum(z, 0))):
            layer = net[place]
            h = f((h * layer.r[i]) @ layer.w * layer.s[i] + layer.b[i])
        found.append(h @ net[4].w[i] + net[4].b[i])
    return np.array(found)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_a_net_of_members_predicts_their_mean():
    net = tabm()
    np.testing.assert_allclose(net.predict(X), outputs(net, X).mean(axis=0), rtol=1e-12, atol=1e-13)
    net = tabm(3, "softmax")
    np.testing.assert_allclose(net.predict(X), softmax(outputs(net, X)).mean(axis=0), rtol=1e-12, atol=1e-13)


class Own(Loss):
    """Of a user, in NumPy."""

    def value_and_grad(self, y, t, weight=None):
        weight = np.ones(len(y)) if weight is None else weight
        return float((weight[:, None] * (y - t) ** 4).mean()), 4 * weight[:, None] * (y - t) ** 3 / y.size


# name: the loss of a net, that of one member's outputs, the end of the net, targets
LOSSES = {
    "mse": (MSE, MSE, (2, None), T),
    "mae": (MAE, MAE, (2, None), T),
    "huber with output weights": (
        lambda: Huber(output_weights=[1, 3]), lambda: Huber(output_weights=[1, 3]), (2, None), T
    ),
    "quantiles": (lambda: Quantile([0.2, 0.7]), lambda: Quantile([0.2, 0.7]), (2, None), T[:, :1]),
    "logits": (
        lambda: CrossEntropy(from_logits=True), lambda: CrossEntropy(from_logits=True), (3, None), LABELS
    ),
    "softmax": (CrossEntropy, lambda: CrossEntropy(from_logits=True), (3, "softmax"), LABELS),
    "smoothed rows": (
        lambda: CrossEntropy(label_smoothing=0.1), lambda: CrossEntropy(from_logits=True, label_smoothing=0.1),
        (3, "softmax"), np.eye(3)[LABELS],
    ),
    "sigmoid": (
        BinaryCrossEntropy, lambda: BinaryCrossEntropy(from_logits=True), (1, "sigmoid"), (LABELS > 0).astype(int)
    ),
    "sum": (lambda: MSE(reduction="sum"), lambda: MSE(reduction="sum"), (2, None), T),
    "own": (Own, Own, (2, None), T),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_mean_of_the_members_losses(name, dtype, weighted):
    loss, of_one, end, t = LOSSES[name]
    net, weight = tabm(*end, dtype=dtype), WEIGHTS if weighted else None
    expected = np.mean([of_one()(own, t, weight) for own in outputs(net, X)])
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    params = net.params.copy()
    value = net.train_batch(X, t, weight, loss=loss(), optimizer=SGD(0.0))
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    assert same_bits(net.params, params)
    if dtype == "float32":
        return
    grads, rng = net.grads.copy(), np.random.default_rng(2)
    for i in rng.choice(len(params), 12, replace=False):
        values = []
        for step in (-1e-5, 1e-5):
            net.params[i] = params[i] + step
            values.append(np.mean([of_one()(own, t, weight) for own in outputs(net, X)]))
        net.params[i] = params[i]
        assert abs((values[1] - values[0]) / 2e-5 - grads[i]) <= 1e-6 * np.abs(grads).max()


def test_metrics_are_of_the_mean():
    net = tabm(3, "softmax")
    found, mean = net.evaluate(X, LABELS, "cross_entropy", metrics=["log_loss"]), net.predict(X)
    expected = -np.log(mean[np.arange(40), LABELS]).mean()
    np.testing.assert_allclose(found["log_loss"], expected, rtol=1e-10)
    assert found["accuracy"] == (mean.argmax(axis=1) == LABELS).mean()
    of_members = np.mean([CrossEntropy(from_logits=True)(own, LABELS) for own in outputs(net, X)])
    np.testing.assert_allclose(found["loss"], of_members, rtol=1e-10)
    net = tabm()
    found = net.evaluate(X, T, "mse", metrics=["r2", "mae"])
    np.testing.assert_allclose(found["mae"], np.abs(net.predict(X) - T).mean(), rtol=1e-10)


def test_members_begin_apart_by_the_signs_of_the_first_layer_alone():
    net = Model([Members(K), BatchEnsemble(50, K, r_initializer="signs"), BatchEnsemble(7, K)], seed=0).build(20)
    first, second = net[1], net[2]
    assert set(np.unique(first.r).tolist()) == {-1, 1}
    assert not (first.r[0] == first.r[1]).all()
    assert (second.r == 1).all()
    assert (first.s == 1).all()
    assert (first.b == first.b[0]).all()
    assert len(np.unique(first.b[0])) > 40
    assert np.abs(first.w).max() <= 1 / np.sqrt(20)
    assert np.abs(second.b).max() <= 1 / np.sqrt(50)


def test_tabm_learns_and_is_saved(tmp_path):
    net = tabm(3, "softmax", dropout=0.1, dtype="float32")
    history = net.fit(
        X, LABELS, "cross_entropy", AdamW(0.01, weight_decay=3e-4, clip_norm=1.0), epochs=60, batch_size=16,
        validation_split=0.2, metrics=["accuracy"],
    )  # fmt: skip
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert {"val_loss", "val_accuracy"} <= set(history)
    assert net.evaluate(X, LABELS)["accuracy"] > 0.85
    net.save(tmp_path / "net.safetensors")
    other = load(tmp_path / "net.safetensors")
    assert same_bits(other.predict(X), net.predict(X))
    for model in (net, other):
        model.fit(X, LABELS, epochs=2, batch_size=16)
    assert same_bits(other.params, net.params)
    np.testing.assert_allclose(net.predict_one(X[0]), net.predict(X)[0], rtol=1e-5)


def test_one_row_at_a_time():
    nets = [tabm(), tabm()]
    for i in range(8):
        how = [{"loss": "mse", "optimizer": SGD(0.1)} if i == 0 else {} for _ in nets]
        value = nets[0].learn_one(X[i], T[i], **how[0])
        assert value == nets[1].train_batch(X[i : i + 1], T[i : i + 1], **how[1])
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-12)


WRONG = {
    r"Members: members is 0": lambda: Members(0),
    r"BatchEnsemble: units is 0": lambda: BatchEnsemble(0),
    r"BatchEnsemble: bias is 2": lambda: BatchEnsemble(3, bias=2),
    r"BatchEnsemble: r_initializer is 'nope'": lambda: BatchEnsemble(3, r_initializer="nope"),
    r"BatchEnsemble: x has 4 columns, expected a multiple of 3, the number of members": lambda: BatchEnsemble(
        3, 3
    ).forward(X),
    r"MeanOfMembers 2: x has 4 columns, expected a multiple of 3, the number of members": lambda: Model(
        [Dense(4), MeanOfMembers(3)]
    ).build(4),
    r"MeanOfMembers: activation is Dense\(3\), expected one without parameters": lambda: MeanOfMembers(3, Dense(3)),
    **{
        rf"BatchEnsemble: activation is {mixes}.*, which would mix the columns of all members": partial(
            BatchEnsemble, 6, 2, activation
        )
        for mixes, activation in (
            ("SwiGLU", "swiglu"),
            ("Softmax", "softmax"),
            ("Sparsemax", "sparsemax"),
            ("Softmin", "softmin"),
            ("Maxout", Maxout(2)),
        )
    },
    r"CrossEntropy.*, but the net ends in MeanOfMembers": lambda: tabm(3).fit(X, LABELS, "cross_entropy"),
}


K4 = BatchEnsemble(6, 4, "relu")
# Layers behind inputs of 12 columns: how many outputs there are, or the error of the build
NUMBERS_OF_MEMBERS = {
    "another mean": ([Members(4), K4, GroupedDense(3, 4), MeanOfMembers(2)],
        "MeanOfMembers 4: members is 2, but its columns are those of 4 members, expected members=4"),
    "a mean that does not divide": ([Members(4), K4, MeanOfMembers(5)], "members is 5, .* of 4 members"),
    "other groups": ([Members(4), K4, GroupedDense(3, 2), MeanOfMembers(4)],
        "GroupedDense 3: groups is 2, but its columns are those of 4 members, expected groups=4"),
    "another block": ([Members(4), K4, Tanh(), Dropout(0.1), BatchEnsemble(6, 2)],
        "BatchEnsemble 5: members is 2, .* of 4 members"),
    "at once": ([Members(4), BatchEnsemble(6, 3)], "BatchEnsemble 2: members is 3, .* of 4 members"),
    "inside": ([Members(4), Residual([BatchEnsemble(12, 2)])], "BatchEnsemble of Residual 2: .* of 4 members"),
    "behind a residual": ([Members(4), Residual([BatchEnsemble(12, 4)]), MeanOfMembers(3)], "is 3, .* of 4 members"),
    "in a row": ([Sequential([Members(4), K4]), MeanOfMembers(3)], "MeanOfMembers 2: members is 3, .* of 4 members"),
    "no members": ([K4], r"BatchEnsemble 1: its inputs are not those of 4 members, .*: put Members\(4\) before it"),
    "behind a product": ([Members(4), Dense(8), K4], "BatchEnsemble 3: its inputs are not those of 4 members"),
    "behind their mean": ([Members(4), MeanOfMembers(4), K4], "BatchEnsemble 3: its inputs are not those of 4 members"),
    "beside each other": ([Parallel([Members(4), Members(4)]), K4], "BatchEnsemble 2: its inputs are not those of 4"),
    "declared": ([Members(4), Residual([BatchEnsemble(12, 4), PReLU()]), LayerNorm(), K4, MeanOfMembers(4)], 6),
    "each by itself": ([Members(4), GroupedDense(5, 4), GroupedDense(1, 4), MeanOfMembers(4)], 1),
    "a sum": ([Members(4), Add([K4, BatchEnsemble(6, 4)]), MeanOfMembers(4)], 6),
    "of one": ([BatchEnsemble(6, 1)], 6),
    "groups of columns": ([GroupedDense(2, 3), GroupedDense(1, 2), Dense(6), MeanOfMembers(3)], 2),
    "a product over all": ([Members(4), K4, Dense(10), MeanOfMembers(5)], 2),
    "one's own": ([Members(4), Lambda(lambda x: x[:, ::2]), BatchEnsemble(6, 2), MeanOfMembers(2)], 6),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS_OF_MEMBERS)
def test_all_layers_are_of_as_many_members(name):
    layers, expected = NUMBERS_OF_MEMBERS[name]
    net = Model(copy.deepcopy(layers), seed=0)
    if isinstance(expected, int):
        assert net.build(12).n_out == expected
        return
    with pytest.raises(ValueError, match=expected):
        net.build(12)
    assert not net.built


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_named(message):
    with pytest.raises((ValueError, TypeError), match=message):
        WRONG[message]()
