"""What rows weigh: relative to each other over known data, as they are in a single step."""

import numpy as np
import pytest
from custom import LogCosh
from nets import OUTPUTS, TASKS, data, each_dtype, each_task, numerical_gradient, same_bits, small_net

from fastnn import (
    MSE,
    SGD,
    Adam,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    EarlyStopping,
    Loss,
    Model,
    Sigmoid,
    Softmax,
    fit_many,
)

ROWS = 21
TIMES = np.resize([1, 3, 0, 2, 1, 5], ROWS)  # how often each row counts
COPIES = np.repeat(np.arange(ROWS), TIMES)
COUNTS = TIMES > 0

WEIGHTINGS = {
    "ones": np.ones(ROWS),
    "some left out": np.resize([1.0, 0.0, 1.0], ROWS),
    "whole numbers": TIMES.astype(float),
    "fractions": np.random.default_rng(1).uniform(0, 2, ROWS),
    "both signs": np.random.default_rng(2).normal(size=ROWS),
}


class Unweighted(Loss):
    def value_and_grad(self, y, t):
        return MSE().value_and_grad(y, t)


class AlwaysWeighted(Loss):
    """With a weight that has no default, which is given by its name."""

    def value_and_grad(self, y, t, *, weight):
        return MSE().value_and_grad(y, t, weight)


def fitted(x, t, task=TASKS[0], dtype="float64", weight=None, loss=None, **options):
    net = small_net("tanh", task, dtype)
    options = {"epochs": 3, "batch_size": 8, "sample_weight": weight, **options}
    history = net.fit(x, t, loss or task.loss(), SGD(0.05), **options)
    return net, history.loss


# The rule, for every loss


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@each_task
def test_the_gradient_is_the_derivative_of_the_value(task, weighting):
    """Of Σ weight * loss / rows, of predictions that the end of a net for this task gives."""
    net = small_net("tanh", task)
    x, t = data(task)
    y, weight, loss = net.predict(x), WEIGHTINGS[weighting], task.loss()
    if task.name == "log_softmax-labels":  # training takes the loss of their exponentials
        y = np.exp(y)
    if y.min() >= 0 and y.max() <= 1:
        y = np.clip(y, 0.05, 0.95)  # numbers beside it are probabilities, too
    value, gradient = loss.value_and_grad(y, t, weight)
    rows = [loss.value_and_grad(y[i : i + 1], t[i : i + 1])[0] for i in range(ROWS)]
    assert value == pytest.approx(np.dot(weight, rows) / ROWS, rel=1e-12, abs=1e-14)
    expected = numerical_gradient(lambda: loss.value_and_grad(y, t, weight)[0], y)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@each_task
def test_a_row_of_weight_k_is_a_row_k_times(task):
    """And a row of weight 0 is left out: in fit, over the whole batch, and in evaluate."""
    x, t = data(task)
    weighted, losses = fitted(x, t, task, weight=TIMES, batch_size=None, epochs=10)
    copied, expected = fitted(x[COPIES], t[COPIES], task, batch_size=None, epochs=10)
    np.testing.assert_allclose(losses, expected, rtol=1e-11)
    np.testing.assert_allclose(weighted.params, copied.params, rtol=1e-9, atol=1e-12)
    found, expected = weighted.evaluate(x, t, sample_weight=TIMES), weighted.evaluate(x[COPIES], t[COPIES])
    assert found.keys() == expected.keys()
    for name in found:
        assert found[name] == pytest.approx(expected[name], rel=1e-12)


@each_dtype
@each_task
def test_left_out_rows_might_as_well_not_be_there(task, dtype):
    """The same bits as without them, whatever they hold, in batches of several steps and in any order."""
    x, t = data(task)
    rows = COUNTS.nonzero()[0]
    kept, expected = fitted(x[rows], t[rows], task, dtype, weight=TIMES[rows])
    x, t = x.copy(), t.copy()
    x[~COUNTS] = np.nan
    t[~COUNTS] = -1 if t.dtype.kind == "i" else np.inf
    net, losses = fitted(x, t, task, dtype, weight=TIMES)
    assert same_bits(net.params, kept.params)
    assert losses == expected
    assert net.evaluate(x, t, sample_weight=TIMES) == kept.evaluate(x[rows], t[rows], sample_weight=TIMES[rows])


@each_dtype
@each_task
@pytest.mark.parametrize("factor", [1, 1 / 3, 1e-300, 1e300], ids=str)
def test_equal_weights_are_no_weights(task, dtype, factor):
    x, t = data(task)
    plain, expected = fitted(x, t, task, dtype)
    net, losses = fitted(x, t, task, dtype, weight=np.full(ROWS, factor))
    assert same_bits(net.params, plain.params)
    assert losses == expected


@pytest.mark.parametrize("factor", [1 / ROWS, 2.0**-40, 1e-250, 1e250], ids=str)
def test_only_ratios_count(factor):
    x, t = data()
    weight = WEIGHTINGS["fractions"]
    net, losses = fitted(x, t, weight=weight)
    other, others = fitted(x, t, weight=factor * weight)
    np.testing.assert_allclose(other.params, net.params, rtol=1e-12)
    np.testing.assert_allclose(others, losses, rtol=1e-12)


@each_task
def test_batches_are_unbiased(task):
    """Over an epoch without steps, the mean of the batches' losses is the weighted mean over the data."""
    x, t = data(task)
    net = small_net("tanh", task)
    for batch_size in (1, 8, 20):
        loss = net.fit(x, t, task.loss(), SGD(0.0), 1, batch_size, sample_weight=TIMES).loss[0]
        assert loss == pytest.approx(net.evaluate(x, t, sample_weight=TIMES)["loss"], rel=1e-12)
        assert loss == pytest.approx(net.evaluate(x[COPIES], t[COPIES])["loss"], rel=1e-12)


@each_task
def test_a_single_step_takes_weights_as_they_are(task):
    """Loss and gradient are Σ weight * the row's / rows, also of both signs: advantages."""
    x, t = data(task)
    weight = WEIGHTINGS["both signs"]
    loss, gradient = 0.0, 0.0
    for i in range(ROWS):
        alone = small_net("tanh", task)
        loss += weight[i] / ROWS * alone.train_batch(x[i : i + 1], t[i : i + 1], None, task.loss(), SGD(0.1))
        gradient = gradient + weight[i] / ROWS * alone.grads
    net = small_net("tanh", task)
    assert net.train_batch(x, t, weight, task.loss(), SGD(0.1)) == pytest.approx(loss, rel=1e-11)
    np.testing.assert_allclose(net.grads, gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("which", ["x", "y"])
def test_a_single_step_refuses_nan_also_in_a_row_of_weight_0(which):
    x, t = data()
    {"x": x, "y": t}[which][2] = np.nan
    with pytest.raises(ValueError, match=f"{which} is NaN at row 2, column 0"):
        small_net().train_batch(x, t, TIMES, "mse")


# Who else follows it


@each_task
def test_validation_data_may_have_weights(task):
    x, t = data(task)
    held_out, expected = data(task, seed=1), []
    held_out[0][~COUNTS] = np.nan
    net = small_net("tanh", task)
    history = net.fit(
        x, t, task.loss(), SGD(0.05), epochs=3, validation_data=(*held_out, TIMES),
        callbacks=[lambda model, epoch, logs: expected.append(model.evaluate(*held_out, sample_weight=TIMES)["loss"])],
    )  # fmt: skip
    assert history.val_loss == expected
    repeated = small_net("tanh", task).fit(
        x, t, task.loss(), SGD(0.05), epochs=3, validation_data=tuple(array[COPIES] for array in held_out)
    )
    assert history.val_loss == pytest.approx(repeated.val_loss, rel=1e-12)


def test_early_stopping_watches_the_weighted_loss_of_the_training_data():
    x, t = data()
    x[~COUNTS] = np.nan
    net, expected = small_net(), []
    note = lambda model, epoch, logs: expected.append(model.evaluate(x, t, sample_weight=TIMES)["loss"])  # noqa: E731
    history = net.fit(x, t, "mse", SGD(0.05), epochs=4, sample_weight=TIMES, callbacks=[EarlyStopping(9), note])
    assert history.loss == expected


def test_every_net_of_fit_many_has_weights_of_its_own():
    x, t = data()
    x[~COUNTS] = np.nan
    weights = [TIMES, COUNTS, WEIGHTINGS["fractions"] * COUNTS]
    nets, alone = ([small_net(seed=seed) for seed in range(3)] for _ in range(2))
    fit_many(nets, x, t, "mse", epochs=3, batch_size=8, each=[{"sample_weight": weight} for weight in weights])
    for net, other, weight in zip(nets, alone, weights, strict=True):
        other.fit(x, t, "mse", epochs=3, batch_size=8, sample_weight=weight)
        assert same_bits(net.params, other.params)


@pytest.mark.parametrize("rows", [21, 3000])
@pytest.mark.parametrize(
    "changes",
    [
        [(2, 0.0), (3, 0.0)],  # rows are left out that were not, and their number changes that of the steps
        [(0, 7.0)],  # they are not all equal any more
        [(slice(None), 1.0)],  # and are again
        [(slice(None, 12), 0.0), (15, 3.0)],
    ],
    ids=["left out", "unequal", "equal", "half"],
)
@pytest.mark.parametrize("first", ["ones", "fractions", "some left out"])
def test_weights_that_a_callback_changes_count_from_the_next_epoch_on(first, changes, rows):
    x, t = data(rows=rows)
    together, apart = small_net(), small_net()

    def change(weight):
        for place, value in changes:
            weight[place] = value

    def given():
        return np.resize(WEIGHTINGS[first], rows).copy()

    weight = given()
    options = {"batch_size": 8, "shuffle": False}
    history = together.fit(
        x, t, "mse", SGD(0.01), 3, sample_weight=weight, callbacks=[lambda *_: change(weight)], **options
    )
    weight, losses, optimizer = given(), [], SGD(0.01)
    for _ in range(3):
        losses += apart.fit(x, t, "mse", optimizer, 1, sample_weight=weight, **options).loss
        change(weight)
    assert history.loss == losses
    assert same_bits(together.params, apart.params)


def test_a_callback_must_leave_a_row_that_counts():
    x, t = data()
    weight = np.ones(ROWS)
    with pytest.raises(ValueError, match="sample_weight is 0 in all rows"):
        small_net().fit(x, t, "mse", epochs=3, sample_weight=weight, callbacks=[lambda *_: weight.fill(0)])


# Losses of a user


def test_a_loss_without_weights_may_leave_rows_out():
    x, t = data()
    x[~COUNTS] = np.nan
    net, losses = fitted(x, t, loss=Unweighted(), weight=COUNTS)
    kept, expected = fitted(x[COUNTS], t[COUNTS], loss=Unweighted())
    assert same_bits(net.params, kept.params)
    assert losses == expected
    assert net.evaluate(x, t, sample_weight=COUNTS) == kept.evaluate(x[COUNTS], t[COUNTS])
    for call in (net.fit, net.evaluate):
        with pytest.raises(TypeError, match=r"takes no sample_weight: give .* weights that are all 0 or 1 need none"):
            call(x, t, Unweighted(), sample_weight=TIMES)
    with pytest.raises(TypeError, match="takes no sample_weight"):
        net.train_batch(x[COUNTS], t[COUNTS], np.ones(COUNTS.sum()), Unweighted())


@pytest.mark.parametrize("loss", [LogCosh, AlwaysWeighted])
@pytest.mark.parametrize("weighting", ["ones", "some left out", "whole numbers", "fractions"])
def test_a_loss_in_numpy_gets_weights_of_mean_1(loss, weighting):
    x, t = data()
    weight = WEIGHTINGS[weighting]
    _, losses = fitted(x, t, loss=loss(), weight=weight, batch_size=None)
    rows = weight > 0
    expected, _ = loss().value_and_grad(
        small_net().predict(x[rows]), t[rows], weight=weight[rows] / weight[rows].mean()
    )
    assert losses[0] == pytest.approx(expected, rel=1e-12)


def test_a_weight_without_default_is_1_where_nobody_weighs():
    x, t = data()
    net, other = small_net(), small_net()
    history = net.fit(x, t, AlwaysWeighted(), SGD(0.05), epochs=3, batch_size=8)
    expected = other.fit(x, t, MSE(), SGD(0.05), epochs=3, batch_size=8)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-12)
    assert net.evaluate(x, t)["loss"] == pytest.approx(other.evaluate(x, t)["loss"], rel=1e-12)
    assert net.train_batch(x, t) == pytest.approx(other.train_batch(x, t), rel=1e-12)


class Counting(MSE):
    """With a metric that takes no weights."""

    def metrics(self, y, t):
        return {"rows": float(len(y))}


class Weighing(MSE):
    def metrics(self, y, t, weight=None):
        return {"rows": float(len(y) if weight is None else weight.sum())}


def test_metrics_of_a_user_are_weighted_or_refuse_weights():
    x, t = data()
    net = small_net()
    assert net.evaluate(x, t, Counting(), sample_weight=COUNTS)["rows"] == COUNTS.sum()
    assert net.evaluate(x, t, Weighing(), sample_weight=TIMES)["rows"] == pytest.approx(COUNTS.sum())
    with pytest.raises(TypeError, match=r"Counting\(\): metrics takes no sample_weight: give it a third"):
        net.evaluate(x, t, Counting(), sample_weight=TIMES)


# Errors name rows as the user counts them


@pytest.mark.parametrize(
    ("which", "value", "message"),
    [("x", np.nan, "x is NaN at row 5, column 0"), ("y", np.inf, "y is infinite, or too large for float64 at row 5")],
)
def test_rows_that_count_keep_their_numbers_in_errors(which, value, message):
    x, t = data()
    weight = np.ones(ROWS)
    weight[:4] = 0
    array = {"x": x, "y": t}[which]
    array[1], array[5] = np.nan, value
    for call in (small_net().fit, small_net().evaluate):
        with pytest.raises(ValueError, match=message):
            call(x, t, "mse", sample_weight=weight)


@pytest.mark.parametrize("wrong", [np.zeros((20, OUTPUTS)), np.float64(1), np.zeros((ROWS, OUTPUTS + 1))], ids=str)
def test_targets_of_a_wrong_shape_are_refused_beside_left_out_rows(wrong):
    with pytest.raises(ValueError, match="y has"):
        small_net().fit(data()[0], wrong, "mse", sample_weight=TIMES)


# Accuracy


@pytest.mark.parametrize("weight", [None, TIMES], ids=["", "weighted"])
def test_accuracies_of_binary_cross_entropy(weight):
    """One output: right or wrong. Several: the share of right entries, and for rows of one class also the classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4))
    times = np.ones(ROWS) if weight is None else weight
    targets = {
        "one": rng.integers(0, 2, (ROWS, 1)),
        "labels": rng.integers(0, 2, (ROWS, 3)),
        "classes": np.eye(3)[rng.integers(0, 3, ROWS)],
        "fractions": rng.uniform(size=(ROWS, 3)),
    }
    for kind, t in targets.items():
        for end, loss in (([Sigmoid()], BinaryCrossEntropy()), ([], BinaryCrossEntropy(from_logits=True))):
            net = Model([Dense(t.shape[1]), *end], seed=0, dtype="float64")
            found = net.evaluate(x, t, loss, sample_weight=weight)
            y = net.predict(x)
            right = (y > (0.5 if end else 0)) == (t > 0.5)
            name = "accuracy" if kind == "one" else "binary_accuracy"
            assert found.pop("loss") > 0
            assert found.pop(name) == pytest.approx(np.average(right.mean(axis=1), weights=times), rel=1e-14)
            if kind == "classes":
                classes = y.argmax(axis=1) == t.argmax(axis=1)
                assert found.pop("accuracy") == pytest.approx(np.average(classes, weights=times), rel=1e-14)
            assert not found


@pytest.mark.parametrize("form", ["labels", "rows"])
def test_the_accuracy_of_cross_entropy_is_weighted(form):
    x = np.random.default_rng(0).normal(size=(ROWS, 4))
    labels = np.arange(ROWS) % 3
    net = Model([Dense(3), Softmax()], seed=0)
    found = net.evaluate(x, labels if form == "labels" else np.eye(3)[labels], CrossEntropy(), sample_weight=TIMES)
    right = net.predict(x).argmax(axis=1) == labels
    assert found["accuracy"] == pytest.approx(right[COPIES].mean(), rel=1e-14)


def test_adam_does_not_see_the_scale_of_weights():
    """Weights that sum to 1 do not shrink steps: neither those of Adam nor those of SGD."""
    x, t = data()
    for rule in (lambda: Adam(0.01), lambda: SGD(0.01, momentum=0.9, weight_decay=0.1)):
        net, other = small_net(), small_net()
        net.fit(x, t, "mse", rule(), epochs=5, sample_weight=TIMES)
        other.fit(x, t, "mse", rule(), epochs=5, sample_weight=TIMES / TIMES.sum())
        np.testing.assert_allclose(other.params, net.params, rtol=1e-9)
