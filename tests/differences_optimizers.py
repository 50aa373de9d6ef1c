"""What docs/differences.md says of optimizers: a function for each row, with what each library gives."""

from typing import Any

import numpy as np
from peers import (
    FASTNN,
    KERAS,
    SKLEARN,
    TORCH,
    Check,
    default,
    keras,
    keras_steps,
    neural,
    of_torch,
    sklearn,
    sklearn_linear,
    sklearn_steps,
    steps,
    torch,
    torch_steps,
)

from fastnn import (
    SGD,
    Adam,
    AdamW,
    Cosine,
    Dense,
    Model,
    RMSprop,
)

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 1))
W, G = np.array([1.0, -2.0, 0.5]), [np.array([0.1, -0.3, 2.0]), np.array([0.2, 0.4, -1.0])]


def learning_rates() -> Check:
    yield FASTNN, lambda: [SGD().lr, RMSprop().lr, Adam().lr], [0.01, 0.01, 0.001]
    names = ("SGD", "RMSprop", "Adam")
    yield TORCH, lambda: [default(getattr(torch().optim, name), "lr") for name in names], [0.001, 0.01, 0.001]
    yield (
        KERAS,
        lambda: [default(getattr(keras().optimizers, name), "learning_rate") for name in names],
        ([0.01, 0.001, 0.001]),
    )
    yield SKLEARN, lambda: neural().learning_rate_init, 0.001


def first_argument_of_cosine() -> Check:
    yield FASTNN, lambda: [Cosine(1000).start, Cosine(steps=1000)(500), Cosine(steps=1000)(1000)], [1000, 0.5, 0]

    def theirs() -> Any:
        rule = torch().optim.SGD([torch().nn.Parameter(torch().zeros(1))], lr=0.1)
        return torch().optim.lr_scheduler.CosineAnnealingLR(rule, 1000).T_max

    yield TORCH, theirs, 1000
    yield KERAS, lambda: keras().optimizers.schedules.CosineDecay(0.1, 1000).get_config()["decay_steps"], 1000


def names_of_settings() -> Check:
    def has(function: Any, *names: str) -> bool:
        return all(default(function, name) is not None for name in names)

    made = lambda **words: repr(Adam(**words))  # noqa: E731
    yield (
        FASTNN,
        lambda: [
            has(Adam, "lr", "beta1", "beta2", "eps", "weight_decay"),
            made(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-6),
            made(lr=0.1, betas=(0.8, 0.9), eps=1e-6),
        ],
        [True, *[made(lr=0.1, beta1=0.8, beta2=0.9, eps=1e-6)] * 2],
    )
    yield TORCH, lambda: has(torch().optim.Adam, "lr", "betas", "eps", "weight_decay"), True
    yield KERAS, lambda: has(keras().optimizers.Adam, "learning_rate", "beta_1", "beta_2", "epsilon"), True
    names = ("learning_rate_init", "beta_1", "beta_2", "epsilon", "alpha")
    yield SKLEARN, lambda: has(sklearn("neural_network").MLPClassifier, *names), True


def momentum() -> Check:
    rates, v1 = (0.1, 0.01), G[0]
    outside = W - 0.1 * v1 - 0.01 * (0.9 * v1 + G[1])
    inside = W - 0.1 * v1 + (0.9 * (-0.1 * v1) - 0.01 * G[1])
    yield FASTNN, lambda: steps(SGD(momentum=0.9), W, G, rates), outside
    yield TORCH, lambda: torch_steps(torch().optim.SGD, W, G, rates, momentum=0.9), outside
    yield KERAS, lambda: keras_steps(keras().optimizers.SGD(momentum=0.9), W, G, rates), inside
    yield SKLEARN, lambda: sklearn_steps("SGDOptimizer", W, G, rates, momentum=0.9, nesterov=False), inside


def momentum_by_default() -> Check:
    yield FASTNN, lambda: [SGD().momentum, SGD().nesterov], [0, False]
    yield TORCH, lambda: [default(torch().optim.SGD, name) for name in ("momentum", "nesterov")], [0, False]
    yield KERAS, lambda: [default(keras().optimizers.SGD, name) for name in ("momentum", "nesterov")], [0, False]
    yield SKLEARN, lambda: [neural().momentum, neural().nesterovs_momentum], [0.9, True]


def nesterov() -> Check:
    v1 = G[0]
    v2 = 0.9 * v1 + G[1]
    expected = W - 0.1 * (G[0] + 0.9 * v1) - 0.1 * (G[1] + 0.9 * v2)
    options = {"momentum": 0.9, "nesterov": True}
    yield FASTNN, lambda: steps(SGD(0.1, **options), W, G), expected
    yield TORCH, lambda: torch_steps(torch().optim.SGD, W, G, lr=0.1, **options), expected
    yield KERAS, lambda: keras_steps(keras().optimizers.SGD(0.1, **options), W, G), expected
    yield SKLEARN, lambda: sklearn_steps("SGDOptimizer", W, G, learning_rate_init=0.1, **options), expected


def _adam(gradients: list[Any], eps: float, eps_before_correction: bool, lr: float = 0.1) -> Any:
    w, m, v = W.copy(), 0.0, 0.0
    for step, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        correction = np.sqrt(1 - 0.999**step)
        root = (np.sqrt(v) + eps) / correction if eps_before_correction else np.sqrt(v) / correction + eps
        w = w - lr * m / (1 - 0.9**step) / root
    return w


def adam() -> Check:
    behind, before = _adam(G, 0.1, False), _adam(G, 0.1, True)
    yield FASTNN, lambda: steps(Adam(0.1, eps=0.1), W, G), behind
    yield TORCH, lambda: torch_steps(torch().optim.Adam, W, G, lr=0.1, eps=0.1), behind
    yield KERAS, lambda: keras_steps(keras().optimizers.Adam(0.1, epsilon=0.1), W, G), before
    yield SKLEARN, lambda: sklearn_steps("AdamOptimizer", W, G, learning_rate_init=0.1, epsilon=0.1), before


def adam_by_default() -> Check:
    yield FASTNN, lambda: [Adam().beta1, Adam().beta2, Adam().eps], [0.9, 0.999, 1e-8]
    yield TORCH, lambda: [*default(torch().optim.Adam, "betas"), default(torch().optim.Adam, "eps")], [0.9, 0.999, 1e-8]
    yield (
        KERAS,
        lambda: [default(keras().optimizers.Adam, name) for name in ("beta_1", "beta_2", "epsilon")],
        ([0.9, 0.999, 1e-7]),
    )
    yield SKLEARN, lambda: [neural().beta_1, neural().beta_2, neural().epsilon], [0.9, 0.999, 1e-8]


def adam_with_decay() -> Check:
    in_gradient = _adam([G[0] + 0.5 * W], 1e-8, False)
    apart = _adam(G[:1], 1e-8, False) - 0.1 * 0.5 * W
    yield FASTNN, lambda: steps(Adam(0.1, weight_decay=0.5), W, G[:1]), in_gradient
    yield TORCH, lambda: torch_steps(torch().optim.Adam, W, G[:1], lr=0.1, weight_decay=0.5), in_gradient
    yield KERAS, lambda: keras_steps(keras().optimizers.Adam(0.1, weight_decay=0.5, epsilon=1e-8), W, G[:1]), apart

    def theirs() -> Any:
        net = sklearn_linear(X, T, alpha=0.5)  # plain SGD: what matters is the gradient
        wrong, before = net.predict(X)[:, None] - T, net.coefs_[0].copy()
        return before - net.partial_fit(X, T.ravel()).coefs_[0] - (X.T @ wrong + 0.5 * before) / len(X)

    yield SKLEARN, theirs, np.zeros((2, 1))


def adamw() -> Check:
    expected = _adam(G[:1], 1e-8, False) - 0.1 * 0.5 * W
    yield FASTNN, lambda: [steps(AdamW(0.1, weight_decay=0.5), W, G[:1]), AdamW().weight_decay], [expected, 0.01]
    yield TORCH, lambda: [torch_steps(torch().optim.AdamW, W, G[:1], lr=0.1, weight_decay=0.5),
                          default(torch().optim.AdamW, "weight_decay")], [expected, 0.01]  # fmt: skip
    kind = lambda: keras().optimizers.AdamW  # noqa: E731
    yield KERAS, lambda: [keras_steps(kind()(0.1, weight_decay=0.5, epsilon=1e-8), W, G[:1]),
                          default(kind(), "weight_decay")], [expected, 0.004]  # fmt: skip


def decay_of_biases() -> Check:
    def ours(**options: Any) -> float:
        net = Model([Dense(1)], dtype="float64").build(1)
        net.params, net.grads = [1.0, 2.0], 0.0
        SGD(1.0, weight_decay=0.1, **options).step(net)
        return net.params[1]

    yield FASTNN, lambda: [ours(), ours(decay="weights")], [1.8, 2.0]
    yield TORCH, lambda: torch_steps(torch().optim.SGD, [2.0], [[0.0]], lr=1.0, weight_decay=0.1), [1.8]
    yield KERAS, lambda: keras_steps(keras().optimizers.SGD(1.0, weight_decay=0.1), [2.0], [[0.0]]), [1.8]

    def theirs() -> Any:
        net = sklearn_linear(X * 0, T, alpha=0.5)
        net.intercepts_[0][:], before = 2.0, net.coefs_[0].copy()
        net.partial_fit(X * 0, np.full(5, 2.0))
        return [*net.intercepts_[0], *(net.coefs_[0] / before).ravel()]

    yield SKLEARN, theirs, [2.0, 0.9, 0.9]


def rmsprop() -> Check:
    squares = [(1 - alpha) * G[0] ** 2 for alpha in (0.99, 0.9)]
    outside, inside = W - 0.1 * G[0] / (np.sqrt(squares[0]) + 0.01), W - 0.1 * G[0] / np.sqrt(squares[1] + 0.01)
    yield FASTNN, lambda: [steps(RMSprop(0.1, eps=0.01), W, G[:1]), RMSprop().eps], [outside, 1e-8]
    yield TORCH, lambda: [torch_steps(torch().optim.RMSprop, W, G[:1], lr=0.1, eps=0.01),
                          default(torch().optim.RMSprop, "eps")], [outside, 1e-8]  # fmt: skip
    kind = lambda: keras().optimizers.RMSprop  # noqa: E731
    yield KERAS, lambda: [keras_steps(kind()(0.1, epsilon=0.01), W, G[:1]), default(kind(), "epsilon")], [inside, 1e-7]


def clip_norm() -> Check:
    g = np.array([3.0, 4.0])  # its norm is 5
    yield FASTNN, lambda: steps(SGD(1.0, clip_norm=1.0), [0.0, 0.0], [g]), -g / 5

    def theirs() -> Any:
        parameter = torch().nn.Parameter(of_torch([0.0, 0.0]))
        parameter.grad = of_torch(g)
        torch().nn.utils.clip_grad_norm_([parameter], 1.0)
        return parameter.grad.numpy()

    yield TORCH, theirs, g / (5 + 1e-6)

    def of_keras(**options: Any) -> Any:
        variables = [keras().Variable([0.0, 0.0], dtype="float64") for _ in range(2)]
        optimizer = keras().optimizers.SGD(1.0, **options)
        optimizer.build(variables)
        optimizer.apply([keras().ops.convert_to_tensor(part, "float64") for part in (g, 10 * g)], variables)
        return [keras().ops.convert_to_numpy(variable.value) for variable in variables]

    whole = 5 * np.sqrt(101)
    yield (
        KERAS,
        lambda: [of_keras(clipnorm=1.0), of_keras(global_clipnorm=1.0)],
        ([[-g / 5, -g / 5], [-g / whole, -10 * g / whole]]),
    )


def accumulation() -> Check:
    mean = W - (G[0] + G[1]) / 2
    yield FASTNN, lambda: [steps(SGD(1.0, accumulate=2), W, G[:1]), steps(SGD(1.0, accumulate=2), W, G)], [W, mean]
    yield KERAS, lambda: keras_steps(keras().optimizers.SGD(1.0, gradient_accumulation_steps=2), W, G), mean


def gradients() -> Check:
    def ours(times: int) -> Any:
        net = Model([Dense(1)], seed=0, dtype="float64")
        for _ in range(times):
            net.forward(X)
            net.backward(np.ones((5, 1)))
        return net.grads.copy()

    yield FASTNN, lambda: ours(2), [*X.sum(axis=0), 5]

    def theirs() -> Any:
        layer = torch().nn.Linear(2, 1).double()
        for _ in range(2):
            layer(of_torch(X)).sum().backward()
        return layer.weight.grad.numpy()[0]

    yield TORCH, theirs, 2 * X.sum(axis=0)
