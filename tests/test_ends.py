"""Every loss behind every end of a net: it trains, or is refused with both names and the cure, and nothing else."""

import re

import numpy as np
import pytest
from nets import ACTIVATIONS, layer_of

from fastnn import (
    MAE,
    MSE,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    Huber,
    Layer,
    LayerNorm,
    Model,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
)

CLASSES = 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = (X @ RNG.normal(size=(4, CLASSES))).argmax(axis=1)
ROWS = np.eye(CLASSES)[LABELS]

PROBABILITIES = {"sigmoid", "hard_sigmoid", "softmax", "sparsemax"}
# Which activations each loss takes as the last; None: all
TAKES = {
    MSE: None,
    MAE: None,
    Huber: None,
    BinaryCrossEntropy: PROBABILITIES,
    CrossEntropy: {"softmax", "log_softmax", "sparsemax"},
}
LOSSES = {
    **{kind.__name__: (kind, takes) for kind, takes in TAKES.items()},
    **{
        f"{kind.__name__}(from_logits=True)": (
            lambda kind=kind: kind(from_logits=True), {*ACTIVATIONS} - PROBABILITIES - {"log_softmax"},
        )
        for kind in (BinaryCrossEntropy, CrossEntropy)
    },
}  # fmt: skip
# Where an activation may stand as the last
PLACES = {
    "behind": lambda end: [Dense(8, "tanh"), Dense(CLASSES), end],
    "in Dense": lambda end: [Dense(8, "tanh"), Dense(CLASSES, end)],
    "in Sequential": lambda end: [Dense(8, "tanh"), Sequential([Dense(CLASSES), end])],
    "in Dense in Sequential": lambda end: [Sequential([Dense(8, "tanh"), Sequential([Dense(CLASSES, end)])])],
}


def trains(layers, loss, y):
    """A net with this end, trained, and whether its loss fell."""
    net = Model(layers, seed=0)
    history = net.fit(X, y, loss, Adam(0.01), epochs=40, batch_size=20)
    assert np.isfinite(history.loss).all()
    return net, history.loss[-1] < 0.9 * history.loss[0]


def refusal(layers, loss, y):
    """The message with which a fit and an evaluation are refused, before anything is built."""
    messages = []
    for method in ("fit", "train_batch", "evaluate"):
        net = Model(layers, seed=0)
        with pytest.raises(ValueError, match="expects") as caught:
            getattr(net, method)(X, y, loss=loss)
        assert not net.built
        messages.append(str(caught.value))
    assert len(set(messages)) == 1
    return messages[0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_takes_the_last_activation_or_says_the_cure(name, activation, place):
    make, takes = LOSSES[name]
    end, loss = layer_of(activation), make()
    layers = PLACES[place](end)
    numbers = Model(PLACES[place](layer_of(activation)), seed=1).predict(X)  # this end can give them
    for y in (ROWS, LABELS) if isinstance(loss, CrossEntropy) else (numbers,) if takes is None else (ROWS,):
        if takes is None or activation in takes:
            assert trains(PLACES[place](layer_of(activation)), make(), y)[1]
            continue
        message = refusal(layers, loss, y)
        assert repr(loss) in message
        assert f"the net ends in {end!r}" in message
        assert f"leave {end!r} out" in message  # one cure for all
        assert_cures_work(message, layers, end)


def assert_cures_work(message, layers, end):
    """What the message says to do trains."""
    logits = [Dense(8, "tanh"), Dense(CLASSES)]
    if "expects logits" in message:
        loss = CrossEntropy if message.startswith("CrossEntropy") else BinaryCrossEntropy
        assert trains(logits, loss(from_logits=True), ROWS)[1]
        if f"or use {loss.__name__}()" in message:
            assert trains([*logits, end], loss(), ROWS)[1]
        return
    assert re.search(r"and use (Binary)?CrossEntropy\(from_logits=True\)$", message)
    if message.startswith("CrossEntropy"):
        assert "end it with Softmax()" in message
        assert "with Sigmoid() and BinaryCrossEntropy()" in message
        assert trains([*logits, Softmax()], CrossEntropy(), ROWS)[1]
    else:
        assert "end it with Sigmoid()" in message
        assert trains([*logits, Sigmoid()], BinaryCrossEntropy(), ROWS)[1]


@pytest.mark.parametrize("loss", [CrossEntropy, BinaryCrossEntropy])
@pytest.mark.parametrize(
    "end",
    [
        lambda: [Dense(CLASSES)],
        lambda: [Dense(CLASSES, "softmax"), BatchNorm()],
        lambda: [Dense(CLASSES, "softmax"), LayerNorm()],
        lambda: [Dense(CLASSES, "softmax"), Dropout(0.1)],
        lambda: [Dense(CLASSES), Residual([Dense(CLASSES, "softmax")])],  # x is added
        lambda: [Dense(CLASSES), Residual([Dense(CLASSES), Sequential([Sigmoid()])])],
    ],
    ids=["Dense", "BatchNorm", "LayerNorm", "Dropout", "Residual", "Residual of Sequential"],
)
def test_ends_that_give_numbers_are_refused(loss, end):
    layers = end()
    message = refusal(layers, loss(), ROWS)
    assert f"the net ends in {layers[-1]!r}: end it with S" in message
    assert message.endswith(f"or use {loss.__name__}(from_logits=True)")
    assert trains(end(), loss(from_logits=True), ROWS)[1]


def saying(what):
    class Saying(Layer):
        gives = what

        def forward(self, x):
            self.y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
            return self.y

        def backward(self, dy):
            return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True))

    return Saying()


@pytest.mark.parametrize(
    ("what", "takes"),
    [
        (None, (*LOSSES,)),  # nobody knows better
        ("class probabilities", ("CrossEntropy", "BinaryCrossEntropy")),
        ("probabilities", ("BinaryCrossEntropy",)),
        ("numbers", ("CrossEntropy(from_logits=True)", "BinaryCrossEntropy(from_logits=True)")),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", LOSSES)
def test_a_layer_of_a_user_says_what_it_gives(name, what, takes):
    make, all_take = LOSSES[name]
    if all_take is None or name in takes:
        assert trains([Dense(CLASSES), saying(what)], make(), ROWS)[1]
    else:
        message = refusal([Dense(CLASSES), saying(what)], make(), ROWS)
        assert "the net ends in Saying()" in message
        assert "end it with" in message or "use CrossEntropy()" in message or "use BinaryCrossEntropy()" in message


def test_what_a_layer_gives_is_inherited_with_another_code():
    class Sharper(Softmax):
        def forward(self, x):
            return super().forward(3 * x)

        def backward(self, dy):
            return 3 * super().backward(dy)

    assert trains([Dense(CLASSES), Sharper()], CrossEntropy(), LABELS)[1]
    assert "leave Sharper() out" in refusal([Dense(CLASSES), Sharper()], CrossEntropy(from_logits=True), LABELS)


def test_ends_of_several_labels_are_not_taken_for_classes():
    """The loss fell to 1e-6 where all outputs were 1, and the accuracy to that of guessing."""
    message = refusal([Dense(CLASSES), Sigmoid()], CrossEntropy(), LABELS)
    assert "which sum to 1" in message
    net = Model([Dense(CLASSES), Sigmoid()], seed=0)
    net.fit(X, ROWS, epochs=40, optimizer=Adam(0.05))  # the default loss of this end
    assert isinstance(net.loss, BinaryCrossEntropy)
    assert net.evaluate(X, ROWS)["accuracy"] > 0.8


SIGMOIDS = 1 / (1 + np.exp(-X))
NO_PROBABILITIES = [
    (CrossEntropy, X, "probabilities of classes, which sum to 1"),
    (CrossEntropy, np.log(SIGMOIDS / SIGMOIDS.sum(axis=1, keepdims=True)), "probabilities of classes"),
    (BinaryCrossEntropy, X, "probabilities"),
]


@pytest.mark.parametrize(("kind", "y", "expected"), NO_PROBABILITIES)
@pytest.mark.parametrize("form", ["__call__", "value_and_grad"])
def test_a_loss_by_hand_refuses_what_are_no_probabilities_and_the_cure_works(form, kind, y, expected):
    t = np.zeros(y.shape) if kind is BinaryCrossEntropy else LABELS
    row = next(i for i in range(len(y)) if y[i].min() < -1e-3 or y[i].max() > 1.001)
    with pytest.raises(ValueError, match=rf"^y is \[.* at row {row}, expected {expected}.*from_logits=True\)$"):
        getattr(kind(), form)(y, t)
    getattr(kind(from_logits=True), form)(y, t)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_by_hand_may_be_rounded_and_what_is_nan_stays_so(dtype):
    p = (SIGMOIDS / SIGMOIDS.sum(axis=1, keepdims=True)).astype(dtype)
    expected = -np.log(p[np.arange(len(p)), LABELS].astype(float)).mean()
    assert CrossEntropy()(p, LABELS) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(CrossEntropy()(np.full((2, 3), np.nan), [0, 1]))
    assert np.isnan(BinaryCrossEntropy()(np.full((2, 1), np.nan), [0, 1]))
