"""Parameters as Flax, Haiku and Equinox make them, where they are installed: models that predict the same."""

from itertools import pairwise

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
SIZES = 6, 8, 5, 2


def of_linen(jax):
    from flax import linen

    net = linen.Sequential([linen.Dense(8), linen.tanh, linen.Dense(5), linen.tanh, linen.Dense(2)])
    tree = net.init(jax.random.key(0), X)
    return tree, net.apply(tree, X)


def of_nnx(jax):
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second, self.third = (nnx.Linear(n_in, n, rngs=rngs) for n_in, n in pairwise(SIZES))

        def __call__(self, x):
            return self.third(nnx.tanh(self.second(nnx.tanh(self.first(x)))))

    net = Net(nnx.Rngs(0))
    return nnx.to_pure_dict(nnx.state(net, nnx.Param)), net(X)


def of_haiku(jax):
    import haiku

    def forward(x):
        layers = haiku.nets.MLP(SIZES[1:], activation=jax.numpy.tanh)  # which are made while it is transformed
        return layers(x)

    net = haiku.without_apply_rng(haiku.transform(forward))
    tree = net.init(jax.random.key(0), X)
    return tree, net.apply(tree, X)


def of_equinox(jax):
    from equinox import nn

    net = nn.MLP(SIZES[0], SIZES[-1], 8, 2, activation=jax.numpy.tanh, key=jax.random.key(0))
    return [(layer.weight, layer.bias) for layer in net.layers], jax.vmap(net)(X)


@pytest.mark.parametrize(
    ("make", "package", "orientation"),
    [(of_linen, "flax", None), (of_nnx, "flax", None), (of_haiku, "haiku", None), (of_equinox, "equinox", "out_in")],
)
@pytest.mark.filterwarnings("ignore")  # of others
def test_trees_of_libraries(make, package, orientation):
    jax = pytest.importorskip("jax")
    pytest.importorskip(package)
    tree, expected = make(jax)
    net = fastnn.from_jax(tree, activation="tanh", **({"orientation": orientation} if orientation else {}))
    np.testing.assert_allclose(net.predict(X), np.asarray(expected), rtol=1e-5, atol=1e-6)
    loss = net.fit(X, np.asarray(expected) + 1, "mse", "adam", epochs=5, verbose=False).loss
    assert loss[-1] < loss[0]
