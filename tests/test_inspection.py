"""What people look at: the summary of a model, one batch in numbers, what looks wrong, and what notebooks show."""

import copy
import html.parser
import pickle
import re
import warnings
from contextlib import suppress
from xml.etree import ElementTree

import numpy as np
import pytest
from custom import Cube
from nets import same_bits

import fastnn
from fastnn import (
    L2,
    MSE,
    SGD,
    Adam,
    Add,
    BatchNorm,
    CrossEntropy,
    Dense,
    Diagnosis,
    Dropout,
    Embedding,
    GaussianNoise,
    Head,
    Heads,
    History,
    Identity,
    LayerNorm,
    MaxNorm,
    Model,
    Normalization,
    Parallel,
    PReLU,
    Residual,
    Sequential,
    Softmax,
    initializers,
)
from fastnn.datasets import load_digits, load_exam_scores
from fastnn.inspection.probe import Probe

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)).astype(np.float32)
NUMBERS = np.sin(X[:, :1]) + X[:, 1:2]
LABELS = np.digitize(X[:, 0], (-0.5, 0.5))


def everything():
    return Model(
        [
            Dense(64),
            BatchNorm(),
            fastnn.ReLU(),
            Residual([Dense(64, "relu"), Dropout(0.2), Dense(64)]),
            Parallel([Identity(), Sequential([Dense(8), PReLU(), Dense(4, "tanh", trainable=False)])]),
            LayerNorm(),
            Dense(3),
            Softmax(),
        ],
        seed=0,
        penalties=[L2(1e-4)],
        constraints=[MaxNorm(3.0)],
    )


# The summary


def summary(net, capsys):
    assert net.summary() is None
    return capsys.readouterr().out


def test_the_summary_says_all(capsys):
    net = everything()
    text = summary(net, capsys)
    assert "not built yet, float32" in text
    assert "   4.2  Dropout(rate=0.2)" in text
    net.fit(X, LABELS, epochs=1)
    text = summary(net, capsys)
    assert max(map(len, text.splitlines())) <= 100
    lines = {line.split()[0]: line.split() for line in text.splitlines()[2:]}
    assert lines["1"][-3:] == ["64)", "448", "384"]
    assert lines["4"][1:] == ["Residual", "(rows,", "64)", "8,320", "8,192"]
    assert lines["5.2.3"][-3:] == ["4)", "36", "32"]
    sizes = sum(array.size for layer in net._tree.all for name, array in layer.parameters.items() if name == "w")
    flat = " ".join(text.split())
    for said in (
        f"6 inputs, {net.n_parameters:,} parameters, float32",
        f"a prediction of one row: {sizes:,} multiply-adds",
        f"memory: {net.params.nbytes / 1000:.3g} KB of parameters and as much of gradients, ",
        " of Adam, ",
        " in training for each row of a batch",
        "fused into one kernel: 4.1 and its relu, 5.2.3 and its tanh",
        "computed within the loss in training: Softmax of 8, by CrossEntropy()",
        "in predictions: 2 BatchNorm folds into the product of 1, 4.2 Dropout vanishes",
        "frozen: 5.2.3 Dense: 36 parameters are not trained",
        "penalties: L2(l2=0.0001)",
        "constraints: MaxNorm(limit=3.0)",
    ):
        assert said in flat, said


SAID = {  # of nets that are built: what the summary says of them, and what it does not
    "plain": ([Dense(4, "relu"), Dense(1)], ["1 and its relu"], ["in predictions", "frozen", "states"]),
    "two layers in one kernel": ([Dense(4), fastnn.Tanh(), Dense(1)], ["fused into one kernel: 1 with 2"], []),
    "nothing fused": ([Dense(4), PReLU(), Dense(1)], [], ["fused"]),
    "BatchNorm first": ([BatchNorm(), Dense(1)], ["1 BatchNorm is computed from its running averages"], ["folds"]),
    "noise": ([GaussianNoise(0.1), Dense(1)], ["1 GaussianNoise vanishes"], []),
    "in the loss": ([Dense(1, "sigmoid")], ["Sigmoid of 1, by BinaryCrossEntropy()"], ["fused"]),
    "frozen as a whole": (
        [Sequential([Dense(4), Dense(4)], trainable=False), Dense(1)],
        ["frozen: 1 Sequential: 48 parameters"],
        ["1.1 Dense,"],
    ),
    "codes": ([Embedding({0: 3}), Dense(1)], ["one row: "], []),
    "in NumPy": ([Dense(4), Cube(), Dense(1)], ["Cube"], ["fused"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_the_summary_says(name, capsys):
    layers, said, unsaid = SAID[name]
    text = " ".join(summary(Model(copy.deepcopy(layers), seed=0).build(6), capsys).split())
    for part in said:
        assert part in text
    for part in unsaid:
        assert part not in text


def test_long_and_deep_nets_stay_within_100_columns(capsys):
    deep = Dense(4)
    for _ in range(6):
        deep = Residual([deep, Dense(4, "leaky_relu", weight_initializer=initializers.orthogonal(gain=1.4))])
    text = summary(Model([Dense(4), deep, *[Dense(1000, "gelu") for _ in range(30)], Dense(4)]).build(100_000), capsys)
    assert max(map(len, text.splitlines())) <= 100


# One batch


def state_of(net):
    """All that a model holds, as bits."""
    net = copy.deepcopy(net)
    snapshot = net.snapshot()
    arrays = [*snapshot._arrays, *[own[name] for _, own in snapshot._memories for name in own]]
    return [array.tobytes() for array in (*arrays, net._tree.memory.grads)]


NETS = {
    "everything": everything,
    "noise": lambda: Model([GaussianNoise(0.1), Dense(8, "tanh"), Dropout(0.5), Dense(3, "softmax")], seed=0),
    "adapting": lambda: Model([Normalization(), Dense(8, "relu"), Dense(3), Softmax()], seed=0),
    "NumPy": lambda: Model(
        [Dense(4), Cube(), Add([Dense(3), Sequential([Dense(5, "gelu"), Dense(3)])]), Softmax()], seed=0
    ),
    "float64": lambda: Model([Dense(8, "tanh"), Dense(3, "softmax")], seed=0, dtype="float64"),
}


@pytest.mark.parametrize("name", NETS)
def test_a_check_changes_nothing(name):
    """Not a bit: a model that was looked at trains on as one that was not, with the same Dropout."""
    looked, other = NETS[name](), NETS[name]()
    looked.check(X, LABELS, "cross_entropy")
    assert not looked.built
    assert (looked.loss, looked.optimizer) == (None, None)
    for net in (looked, other):
        net.fit(X, LABELS, "cross_entropy", Adam(0.01), epochs=2)
    before, grads = state_of(looked), looked.grads.copy()
    for loss in (None, "mse", CrossEntropy()):
        looked.check(X[:50], LABELS[:50] if loss != "mse" else np.eye(3)[LABELS[:50]], loss)
    assert state_of(looked) == before == state_of(other)
    assert same_bits(looked.grads, grads)
    assert repr(looked.loss) == repr(other.loss)
    for net in (looked, other):
        net.train_batch(X[:32], LABELS[:32])
        net.fit(X, LABELS, epochs=1)
    assert state_of(looked) == state_of(other)
    assert looked.history.loss == other.history.loss


@pytest.mark.parametrize("name", ["everything", "adapting", "NumPy", "float64"])
def test_a_check_sees_what_a_training_computes(name):
    """The loss of the step, and the gradients of all parameters: of copies, in the training form."""
    net = NETS[name]()
    net.penalties = ()
    net.fit(X, LABELS, "cross_entropy", SGD(0.01), epochs=1)
    probe, check = Probe(net, X, LABELS), net.check(X, LABELS)
    copied = copy.deepcopy(net)
    value = copied.train_batch(X, LABELS)
    tolerance = 1e-12 if name == "float64" else 1e-5
    assert check.loss == pytest.approx(value, rel=tolerance)
    seen = np.concatenate(
        [entry.layer._gradients[entry.name.rpartition(".")[2]].ravel() for entry in probe.tree.entries()]
    )
    np.testing.assert_allclose(seen, copied.grads, rtol=1e-3, atol=tolerance)


def test_the_numbers_of_a_check():
    """Against NumPy, for a net small enough to write down."""
    net = Model([Dense(5, "relu"), Dense(1)], seed=0, dtype="float64").build(6)
    x, t = X.astype(np.float64), NUMBERS.astype(np.float64)
    table = net.check(x, t, "mse").to_dict()
    first, last = net.layers
    hidden = np.maximum(0, x @ first.w + first.b)
    y = hidden @ last.w + last.b
    dy = 2 * (y - t) / y.size
    dh = dy @ last.w.T
    dw, db = x.T @ (dh * (hidden > 0)), (dh * (hidden > 0)).sum(axis=0)
    rms = lambda array: np.sqrt(np.square(array).mean())  # noqa: E731
    expected = {
        "mean": [hidden.mean(), y.mean()],
        "std": [hidden.std(), y.std()],
        "zeros": [(hidden == 0).mean(), (y == 0).mean()],
        "gradient": [rms(dh), rms(dy)],
        "gradient_zeros": [(dh == 0).mean(), 0.0],
        "dead": [(hidden == 0).all(axis=0).mean(), np.nan],
        "non_finite": [0.0, 0.0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-9, err_msg=name)
    size = np.sqrt(np.square(first.w).sum() + np.square(first.b).sum())
    assert table["change"][0] == pytest.approx(np.sqrt(np.square(dw).sum() + np.square(db).sum()) / size)
    tanh = Model([Dense(2, "tanh"), Dense(1)], seed=0).check(X * 50, NUMBERS, "mse").to_dict()
    assert tanh["saturated"][0] > 0.8
    assert np.isnan(tanh["saturated"][1])


def test_a_check_shows_itself():
    check = everything().check(X, LABELS)
    text = repr(check)
    assert text.splitlines()[0].split()[:4] == ["layer", "mean", "std", "zeros"]
    assert "   4.1 Dense(64, 'relu')" in text
    assert text.splitlines()[-1] == "nothing looks wrong"
    assert f"200 rows, loss {check.loss:.4g}" in text
    assert len({len(values) for values in check.to_dict().values()}) == 1
    assert pickle.loads(pickle.dumps(check)).findings == check.findings
    pytest.importorskip("pandas").DataFrame(check.to_dict())


def test_a_check_takes_what_fit_takes():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X * [1, 1, 100, 1, 1, 1] + [0, 0, 5000, 0, 0, 0], columns=list("abcdef"))
    net = Model([Dense(8, "relu"), Dense(3, "softmax")], seed=0)
    (found,) = net.check(frame, LABELS).findings
    assert found.what.startswith("column 'c' of x is not scaled: column 'c' has mean ")
    assert net.feature_names is None
    heads = Heads({"a": Head(MSE(), 1), "b": Head(CrossEntropy(from_logits=True), 3)})
    several = Model([Dense(8, "tanh"), Dense(4)], seed=0)
    assert np.isfinite(several.check(X, {"a": NUMBERS, "b": LABELS}, heads).loss)
    assert heads._form == ()
    assert net.check(X, LABELS, sample_weight=np.arange(200) < 50).rows == 50
    with pytest.raises(ValueError, match="x is NaN at row 0"):
        net.check(X * np.nan, LABELS)
    with pytest.raises(ValueError, match="y has 5"):
        net.check(X, LABELS[:5])


# What looks wrong: nets with one fault each, and trainings that go well


def deep(n, activation, **options):
    return [*[Dense(32, activation, **options) for _ in range(n)], Dense(3, "softmax")]


large = initializers.normal(std=10.0)
off = lambda shape, rng: np.full(shape, -20.0)  # noqa: E731
RARE = np.where(np.arange(200) % 40 == 0, 1, 0)

FAULTS = {  # kind of the finding: layers, x, y, loss
    "inputs": [
        (deep(1, "relu"), X * 1000, LABELS, None),
        (deep(1, "relu"), X + 300, LABELS, None),
        (deep(1, "tanh"), X * 1e-4, LABELS, None),
    ],
    "classes": [
        (deep(1, "relu"), X, np.where(RARE, 2, np.arange(200) % 2), None),
        ([Dense(8, "relu"), Dense(1, "sigmoid")], X, RARE, None),
        ([Dense(8, "relu"), Dense(2, "softmax")], X, np.eye(2)[RARE], None),
    ],
    "dead units": [
        ([Dense(32, "relu", bias_initializer=off), Dense(3, "softmax")], X, LABELS, None),
        ([Dense(32, bias_initializer=off), fastnn.ReLU6(), Dense(3, "softmax")], X, LABELS, None)[:4],
        ([Dense(8), Residual([Dense(8, "relu", bias_initializer=off), Dense(8)]), Dense(1)], X, NUMBERS, "mse"),
    ],
    "saturated units": [
        ([Dense(32, "tanh", weight_initializer=large), Dense(3, "softmax")], X, LABELS, None),
        ([Dense(32, "sigmoid", weight_initializer=large), Dense(1)], X, NUMBERS, "mse"),
    ],
    "saturated outputs": [
        ([Dense(8, "relu"), Dense(1, "sigmoid", bias_initializer=off)], X, X[:, :1] > 0, "mse"),
        ([Dense(8, "relu"), Dense(1, "tanh", bias_initializer=off)], X, np.sign(X[:, :1]), "mse"),
    ],
    "outputs": [
        ([Dense(8, "relu"), Dense(1, "sigmoid")], X, NUMBERS, "mse"),
        ([Dense(8, "tanh"), Dense(1, "relu", bias_initializer="ones")], X, -np.abs(NUMBERS), "mse"),
        ([Dense(8, "relu"), Dense(1, "tanh")], X, NUMBERS * 3, "mae"),
    ],
    "vanishing gradients": [
        (deep(12, "sigmoid"), X, LABELS, None),
        (deep(8, "tanh", weight_initializer=lambda shape, rng: rng.normal(0, 0.02, shape)), X, LABELS, None),
        (deep(8, "relu", weight_initializer=lambda shape, rng: rng.normal(0, 0.02, shape)), X, LABELS, None),
    ],
    "exploding gradients": [
        ([*[Dense(32, "relu", weight_initializer=large) for _ in range(5)], Dense(3, "softmax")], X, LABELS, None),
        ([*[Dense(32, weight_initializer=large) for _ in range(5)], Dense(1)], X, NUMBERS, "mse"),
    ],
    "not finite": [
        ([Dense(8, "exponential", weight_initializer=initializers.constant(value=200.0)), Dense(1)], X, NUMBERS, "mse"),
    ],
}  # fmt: skip
FAULTS["dead units"][1] = ([Dense(32, "relu", bias_initializer=off), Dense(1)], X, NUMBERS, "mse")


@pytest.mark.parametrize(("kind", "i"), [(kind, i) for kind, cases in FAULTS.items() for i in range(len(cases))])
def test_one_fault_is_found_and_no_other(kind, i):
    layers, x, y, loss = FAULTS[kind][i]
    found = Model(copy.deepcopy(layers), seed=0).check(x, y, loss).findings
    assert [one.kind for one in found] == [kind], found
    assert re.match(r"[A-Z'0-9].*\.$", str(found[0]), re.DOTALL) or found[0].where == ""
    assert found[0].cure


def digits():
    pixels, labels = load_digits()
    return pixels / 16, labels


def exams():
    scores, final = load_exam_scores()
    return (scores - scores.mean(axis=0)) / scores.std(axis=0), (final - final.mean()) / final.std()


WIDE = np.random.default_rng(0).normal(size=(300, 20))
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
HEALTHY = {  # layers, data, optimizer, epochs
    "digits": (lambda: [Dense(64, "relu"), Dense(10), Softmax()], digits, "adam", 20),
    "digits, tanh": (lambda: [Dense(32, "tanh"), Dense(32, "tanh"), Dense(10, "softmax")], digits, "adam", 20),
    "digits, sigmoid": (lambda: [Dense(32, "sigmoid"), Dense(10, "softmax")], digits, "adam", 20),
    "digits, deep": (lambda: [*[Dense(64, "relu") for _ in range(6)], Dense(10, "softmax")], digits, "adam", 20),
    "digits, residual": (lambda: [
        Dense(64), BatchNorm(), fastnn.ReLU(), Residual([Dense(64, "relu"), Dropout(0.2), Dense(64)]),
        Dense(10, "softmax"),
    ], digits, "adam", 20),
    "digits, SGD": (lambda: [Dense(64, "relu"), Dense(10), Softmax()], digits, SGD(0.1, momentum=0.9), 20),
    "digits, gelu and LayerNorm": (
        lambda: [Dense(64, "gelu"), LayerNorm(), Dense(64, "gelu"), Dense(10, "softmax")], digits, "adam", 20,
    ),
    "digits, SELU": (lambda: [*[Dense(64, "selu") for _ in range(8)], Dense(10, "softmax")], digits, "adam", 20),
    "digits, small rate": (lambda: [Dense(64, "relu"), Dense(10), Softmax()], digits, Adam(1e-4), 5),
    "raw digits with Normalization": (
        lambda: [Normalization(), Dense(64, "relu"), Dense(10, "softmax")], load_digits, "adam", 10,
    ),
    "exams": (lambda: [Dense(5, "tanh"), Dense(1)], exams, "adam", 200),
    "exams, relu": (lambda: [Dense(32, "relu"), Dense(1)], exams, "adam", 200),
    "exams, straight line": (lambda: [Dense(1)], exams, SGD(0.1), 100),
    "a slow start": (lambda: [Dense(8, "relu"), Dense(1)], lambda: (WIDE, WIDE[:, 0]), "adam", 12),
    "xor": (lambda: [Dense(8, "tanh"), Dense(1, "sigmoid")], lambda: XOR, Adam(0.05), 400),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of_a_healthy_training(name):
    """At its beginning, on its way and at its end."""
    layers, data, optimizer, epochs = HEALTHY[name]
    x, y = data()
    net = Model(layers(), seed=0)
    said = [*net.check(x, y).findings]

    def looks(model, epoch, logs):
        if epoch % 5 == 0:
            said.extend(model.check(x[:500], y[:500]).findings)

    net.fit(x, y, optimizer=copy.deepcopy(optimizer), epochs=epochs, callbacks=[looks])
    said += net.check(x, y).findings
    assert said == []


# The callback


@pytest.mark.parametrize(("kind", "i"), [(kind, i) for kind, cases in FAULTS.items() for i in range(len(cases))])
def test_a_diagnosis_finds_one_fault(kind, i):
    """Before the first step, and warns of it once."""
    layers, x, y, loss = FAULTS[kind][i]
    net, diagnosis = Model(copy.deepcopy(layers), seed=0), Diagnosis()
    with warnings.catch_warnings(record=True) as told, suppress(FloatingPointError):
        warnings.simplefilter("always")
        net.fit(x, y, loss, SGD(1e-4), epochs=3, callbacks=[diagnosis])
    said = [str(one.message) for one in told if str(one.message).startswith("Diagnosis")]
    assert [one.kind for one in diagnosis.findings] == [kind], diagnosis.findings
    assert said == [f"Diagnosis: {diagnosis.findings[0]}"]


NOISE = np.random.default_rng(1).normal(size=(200, 1))
STUCK = {  # losses that do not move, or grow, and of which nothing else is the cause: layers, x, y, loss, optimizer
    "a tiny rate": (deep(1, "relu"), X, LABELS, None, SGD(1e-8)),
    "a tiny rate, numbers": ([Dense(8, "tanh"), Dense(1)], X, NUMBERS, "mse", Adam(1e-9)),
    "nothing to learn from": ([Dense(1)], X[:, :1], NOISE, "mse", SGD(0.05)),
    "a rate that is too large": ([Dense(1)], X, NUMBERS, "mse", SGD(0.83)),
}


@pytest.mark.parametrize("name", STUCK)
def test_a_loss_that_does_not_move_is_said(name):
    layers, x, y, loss, optimizer = STUCK[name]
    diagnosis = Diagnosis(say=False)
    Model(copy.deepcopy(layers), seed=0).fit(x, y, loss, optimizer, epochs=20, callbacks=[diagnosis])
    assert [one.kind for one in diagnosis.findings] == ["loss"], diagnosis.findings


@pytest.mark.parametrize("name", HEALTHY)
def test_a_diagnosis_is_silent_where_a_training_goes_well(name):
    """Also in a training that goes on behind one that has learnt all; and it changes nothing."""
    layers, data, optimizer, epochs = HEALTHY[name]
    (x, y), diagnosis = data(), Diagnosis()
    net, other = Model(layers(), seed=0), Model(layers(), seed=0)
    net.fit(x, y, optimizer=copy.deepcopy(optimizer), epochs=epochs, callbacks=[diagnosis])
    other.fit(x, y, optimizer=copy.deepcopy(optimizer), epochs=epochs)
    assert diagnosis.findings == []
    assert state_of(net) == state_of(other)
    assert net.history.loss == other.history.loss
    net.fit(x, y, epochs=15, callbacks=[diagnosis])
    assert diagnosis.findings == []


def test_a_diagnosis_looks_at_what_it_is_given():
    heads = Heads({"a": Head(MSE(), 1), "b": Head(CrossEntropy(from_logits=True), 3)})
    y = {"a": NUMBERS, "b": LABELS}
    with pytest.raises(ValueError, match="no rows that can be looked at: pass some"):
        Model([Dense(8, "tanh"), Dense(4)], seed=0).fit(X, y, heads, epochs=1, callbacks=[Diagnosis()])
    net = Model([Dense(8, "tanh"), Dense(4)], seed=0)
    net.fit(X, y, heads, epochs=1, callbacks=[Diagnosis((X, y))])
    assert net._trainer.fitting is None
    diagnosis = Diagnosis((X * 1e3, NUMBERS), say=False)
    Model([Dense(1)], seed=0).fit(X, NUMBERS, epochs=1, callbacks=[diagnosis])
    assert [one.kind for one in diagnosis.findings] == ["inputs"]
    twin = Diagnosis()
    twin.set_state(diagnosis.state())
    assert twin.findings == diagnosis.findings
    assert repr(Diagnosis(rows=100)) == "Diagnosis(rows=100)"
    Model([Dense(1)], seed=0).fit(X, NUMBERS, epochs=0, callbacks=[Diagnosis()])
    many = np.tile(X, (5, 1))  # of which some are looked at
    Model([Dense(1)], seed=0).fit(many, np.tile(NUMBERS, (5, 1)), epochs=1, callbacks=[Diagnosis()])
    balanced = Diagnosis()
    Model([Dense(8), Dense(2, "softmax")], seed=0).fit(X, RARE, epochs=1, class_weight="balanced", callbacks=[balanced])
    assert balanced.findings == []
    for wrong in ({"rows": 0}, {"data": X}, {"say": "no"}):
        with pytest.raises((TypeError, ValueError), match=f"Diagnosis: {next(iter(wrong))} is"):
            Diagnosis(**wrong)


@pytest.mark.parametrize(("loss", "layers", "y"), [
    ("mse", [Dense(1)], NUMBERS),
    ("cross_entropy", [Dense(3, "softmax")], LABELS),
    ("cross_entropy", [Dense(3, "softmax")], np.eye(3)[LABELS]),
    ("binary_cross_entropy", [Dense(1, "sigmoid")], RARE),
])  # fmt: skip
def test_the_loss_of_constant_outputs(loss, layers, y):
    """Is what a net learns that does not see x."""
    net = Model(copy.deepcopy(layers), seed=0, dtype="float64")
    blind = np.ones((200, 1))
    expected = net.check(blind, y, loss).constant
    assert net.fit(blind, y, loss, SGD(0.2), epochs=1000, batch_size=None).loss[-1] == pytest.approx(expected, rel=1e-3)
    weights = np.arange(200.0)
    weighted = net.check(blind, y, loss, weights).constant
    found = net.fit(blind, y, loss, SGD(0.2), epochs=1000, batch_size=None, sample_weight=weights).loss[-1]
    assert found == pytest.approx(weighted, rel=1e-3)


# Notebooks


class Page(html.parser.HTMLParser):
    """Its text, and its tags, which have to be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)


def colours(page):
    """What fixes a colour, which a dark page could hide."""
    return [
        style
        for _, attributes in page.tags
        for style in attributes.values()
        if style and re.search(r"#[0-9a-f]{3}|black|white(?!-space)", style)
    ]


def test_a_model_in_a_notebook():
    pandas = pytest.importorskip("pandas")
    names = ["<script>alert('x')</script>", "a & b", *"cdef"]
    net = everything()
    assert "not built yet" in "".join(Page(net._repr_html_()).texts)
    net.fit(pandas.DataFrame(X, columns=names), LABELS, epochs=1)
    text = net._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in text
    page = Page(text)
    assert "   4.1  Dense(64, 'relu')" in page.texts
    assert f"{net.n_parameters:,} parameters" in "".join(page.texts)
    assert not colours(page)


def test_a_history_in_a_notebook():
    net = Model([Dense(4, "tanh"), Dense(1)], seed=0)
    assert "0 epochs" in "".join(Page(net.history._repr_html_()).texts)
    history = net.fit(X, NUMBERS, epochs=30, validation_data=(X, NUMBERS))
    text = history._repr_html_()
    page = Page(text)
    assert not colours(page)
    assert "30 epochs" in "".join(page.texts)
    assert {"loss", "val_loss", f"{history.loss[0]:.4g}", f"{history.loss[-1]:.4g}"} <= {*page.texts}
    svg = ElementTree.fromstring(re.search(r"<svg.*</svg>", text, re.DOTALL)[0])
    lines = svg.findall(".//{*}polyline")
    assert [len(line.get("points").split()) for line in lines] == [30, 30]
    heights = [float(point.split(",")[1]) for point in lines[1].get("points").split()]
    assert np.argmax(heights) == np.argmin(history.val_loss)  # SVG counts downwards
    assert "matplotlib" not in text


@pytest.mark.parametrize(
    "losses", [[1.0], [], [float("nan")], [1.0, float("nan"), 2.0], [float("inf"), 1.0], list(np.arange(1.0, 5000))]
)
def test_a_history_of_any_numbers_in_a_notebook(losses):
    history = History()
    history.loss.extend(losses)
    page = Page(history._repr_html_())
    for _, attributes in page.tags:
        assert not any(
            "nan" in str(value) or "inf" in str(value) for name, value in attributes.items() if name != "style"
        )


def test_in_a_kernel(tmp_path):
    """Of Jupyter: what the last line of a cell shows."""
    for module in ("ipykernel", "nbclient", "nbformat"):
        pytest.importorskip(module)
    import nbformat
    from nbclient import NotebookClient

    code = (
        "import numpy as np\nfrom fastnn import Dense, Model\nx = np.linspace(-1, 1, 40)[:, None]\n"
        "net = Model([Dense(8, 'tanh'), Dense(1)], seed=0)\nhistory = net.fit(x, x**2, epochs=3, verbose=False)"
    )
    cells = [nbformat.v4.new_code_cell(text) for text in (code, "net", "history", "net.check(x, x**2)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = ["".join(cell.outputs[0]["data"]["text/html"]) for cell in notebook.cells[1:]]
    assert "25 parameters" in shown[0]
    assert "<svg" in shown[1]
    assert "nothing looks wrong" in shown[2]
