"""First weights from data, and numbers of groups that a net in the NTK form needs."""

import numpy as np
import pandas as pd
import pytest
from nets import same_bits

from fastnn import (
    SGD,
    Adam,
    Add,
    BatchEnsemble,
    BatchNorm,
    Columns,
    Dense,
    Dropout,
    Group,
    GroupedDense,
    Identity,
    Layer,
    LayerNorm,
    Maxout,
    MeanOfMembers,
    Members,
    Model,
    Normalization,
    PanelDense,
    Parallel,
    ParametricActivation,
    PiecewiseLinearEmbedding,
    PLREmbedding,
    PReLU,
    Residual,
    Sequential,
    SwiGLU,
    initialize_from_data,
)

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, (300, 4))


def test_each_layer_begins_for_what_reaches_it():
    layers = [Normalization(), Dense(30, "selu"), Dropout(0.5), Residual([Dense(30, "tanh")]), Dense(3)]
    net = initialize_from_data(Model(layers, seed=0, dtype="float64"), X)
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(net[0].center, X.mean(axis=0))
    for dense, behind in ((net[1], net[1].activation), (net[3].layers[0], None), (net[4], None)):
        z = x @ dense.w
        np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-10)
        assert (-dense.b >= z.min(axis=0)).all()
        assert (-dense.b <= z.max(axis=0)).all()
        assert len(np.unique(dense.b)) == dense.units
        x = behind(z + dense.b) if behind is not None else x + np.tanh(z + dense.b) if dense.units == 30 else z
    again = initialize_from_data(Model([Normalization(), Dense(30, "selu"), Dense(1)], seed=0), X)
    np.testing.assert_allclose(again[1].w, net[1].w, rtol=1e-5, atol=1e-6)
    other = initialize_from_data(Model([Normalization(), Dense(30, "selu"), Dense(1)], seed=0), X, seed=1)
    assert not same_bits(again.params, other.params)


def test_what_is_frozen_or_alike_stays_what_it_was():
    layers = [Dense(5, trainable=False), Parallel([Dense(3, bias=False), Sequential([Columns(0), Dense(2)])]), Dense(1)]
    net = Model(layers, seed=0).build(4)
    before = net[0].w.copy()
    initialize_from_data(net, X)
    assert same_bits(net[0].w, before)
    assert not net[0].b.any()
    net = initialize_from_data(Model([Dense(3), Dense(1)], seed=0), np.ones((10, 2)))
    assert np.isfinite(net.params).all()
    net.fit(X[:, :2], X[:, 0], epochs=1)


def test_frames_come_by_their_names():
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = initialize_from_data(Model([Columns("d", "a"), Dense(3), Dense(1)], seed=0, dtype="float64"), frame)
    np.testing.assert_allclose((X[:, [3, 0]] @ net[1].w).std(axis=0), 1)
    assert net.feature_names == ("a", "b", "c", "d")


OTHERS = {  # layers that are not drawn, or that hold some
    "members": lambda: [
        Members(4), BatchEnsemble(8, 4, "relu", r_initializer="signs"), GroupedDense(3, 4), MeanOfMembers(4, "softmax")
    ],
    "in a row": lambda: [Sequential([Members(2), BatchEnsemble(8, 2, Residual([Dense(16)]))]), MeanOfMembers(2)],
    "products": lambda: [Maxout(6), SwiGLU(), Dense(4, PReLU()), ParametricActivation("elu"), BatchNorm()],
    "branches": lambda: [Add([Dense(3), Sequential([Dense(5, "relu"), Dense(3)])]), Parallel([Dense(2), Identity()])],
    "numbers": lambda: [PiecewiseLinearEmbedding(3), PLREmbedding(2), Normalization(), LayerNorm(), Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_all_layers_let_data_through(name):
    net = Model(OTHERS[name](), seed=0, dtype="float64").build(4)
    before = [(layer, key, array.copy()) for layer in net._tree.all for key, array in layer.parameters.items()]
    initialize_from_data(net, X)
    for layer, key, array in before:
        assert same_bits(getattr(layer, key), array) != isinstance(layer, Dense), (layer.title, key)
    assert np.isfinite(net.predict(X)).all()


class Halves(Layer):
    """Of a user: its layer reads one half of the columns."""

    def __init__(self):
        super().__init__()
        self.inner = Dense(3)

    def build(self, n_in):
        return self.build_child(self.inner, n_in // 2)

    def forward(self, x):
        return self.inner.forward(x[:, : x.shape[1] // 2])

    def backward(self, dy):
        return np.hstack([self.inner.backward(dy)] * 2)


WRONG = {
    r"initialize_from_data: net is 3, expected a Model": lambda: initialize_from_data(3, X),
    r"initialize_from_data: x has 1 rows": lambda: initialize_from_data(Model([Dense(1)]), X[:1]),
    r"initialize_from_data: seed is -1": lambda: initialize_from_data(Model([Dense(1)]), X, -1),
    r"Dense of Halves 1 .*has 2 inputs inside Halves 1, which has 4: what reaches it is not": lambda: (
        initialize_from_data(Model([Halves()]), X)
    ),
    r"PanelDense 1 \(4 units\) has no derivative: it cannot be trained": lambda: initialize_from_data(
        Model([PanelDense(4), Dense(1)]), X
    ),
    r"x is NaN at row 0": lambda: initialize_from_data(Model([Dense(1)]), X * np.nan),
    r"groups\[0\] has .*eps.* which this optimizer has not": lambda: Model([Dense(1)]).fit(
        X, X[:, 0], "mse", SGD(0.1, groups=[Group("weights", eps=1.0)])
    ),
    r"Group: eps is -1": lambda: Group("weights", eps=-1),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_named(message):
    with pytest.raises((ValueError, TypeError), match=message):
        WRONG[message]()


@pytest.mark.parametrize("decoupled", [False, True])
def test_groups_make_a_net_in_the_ntk_form_one_of_plain_layers(decoupled):
    """Adam on u, where w = u / sqrt(m), step by step in NumPy."""
    m, factor, eps, decay, lr = 4, 3.0, 0.01, 0.1, 0.05
    root = m**0.5
    layer = Dense(2, bias=False)
    net = Model([layer], seed=0, dtype="float64").build(m)
    own_decay = decay * root / factor if decoupled else 0.0
    groups = [Group(layer, factor / root, own_decay, eps=eps * root)]
    rule = Adam(lr, beta1=0.9, beta2=0.95, decoupled=decoupled, weight_decay=0.7 * decoupled, groups=groups)
    u, first, second = layer.w * root, 0.0, 0.0
    t = np.sin(X[:, :2])
    for i in range(1, 5):
        gradient = X.T @ (2 * (X @ u / root - t) / t.size) / root
        first, second = 0.9 * first + 0.1 * gradient, 0.95 * second + 0.05 * gradient**2
        step = (first / (1 - 0.9**i)) / (np.sqrt(second / (1 - 0.95**i)) + eps)
        u = u * (1 - lr * decay * decoupled) - lr * factor * step
        net.train_batch(X, t, loss="mse", optimizer=rule)
    np.testing.assert_allclose(layer.w * root, u, rtol=1e-10)
