"""The estimators beside scikit-learn's own: the same numbers from the same `random_state`, settings and attributes."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.7")  # before, the originals had neither sample_weight nor loss
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

from fastnn._core.tape import Shuffle, Tape, run_epochs
from fastnn.sklearn import MLPClassifier, MLPRegressor

OURS = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.normal(size=90)
TASKS = {
    "binary": ("MLPClassifier", {}, np.where(NUMBERS > 0, "yes", "no")),
    "multi-class": ("MLPClassifier", {}, np.digitize(NUMBERS, [-1.0, 1.0]) * 5),
    "multi-label": ("MLPClassifier", {}, (X[:, :3] > 0).astype(int)),
    "numbers": ("MLPRegressor", {}, NUMBERS),
    "counts": ("MLPRegressor", {"loss": "poisson"}, np.exp(NUMBERS / 2) * (NUMBERS > -1)),
}
SETTINGS = {  # of which each takes 20 steps
    "sgd": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1, "power_t": 0.3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1},
    "momentum of 1": {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 0.01},
    "adam": {"learning_rate_init": 0.01},
    "adam, epsilon": {"learning_rate_init": 0.01, "epsilon": 1e-2, "beta_1": 0.8, "beta_2": 0.9},
    "adam, in order": {"shuffle": False, "activation": "logistic"},
    "no penalty": {"alpha": 0.0, "activation": "relu", "hidden_layer_sizes": 9},
    "lbfgs": {"solver": "lbfgs", "max_iter": 8},
}


def both(task, **settings):
    """scikit-learn's estimator and ours, with the same settings."""
    kind, own, y = TASKS[task]
    given = {"hidden_layer_sizes": (7, 5), "activation": "tanh", "alpha": 0.3, "batch_size": 25, "max_iter": 5}
    given |= {"random_state": 3, **own, **settings}
    return getattr(neural_network, kind)(**given), OURS[kind](**given), y


def fitted(*models, method="fit", **data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [getattr(model, method)(**data) for model in models]


def require_same(theirs, own, rtol=1e-10):
    assert theirs.n_iter_ == own.n_iter_
    for name in ("coefs_", "intercepts_"):
        for i, (array, wanted) in enumerate(zip(getattr(own, name), getattr(theirs, name), strict=True)):
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(array, wanted, rtol, rtol * scale, err_msg=f"{name}[{i}]")
    np.testing.assert_allclose(own.loss_, theirs.loss_, rtol)
    if hasattr(theirs, "loss_curve_"):
        np.testing.assert_allclose(own.loss_curve_, theirs.loss_curve_, rtol)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_twenty_steps_give_the_parameters_of_scikit_learn(task, setting):
    for weight in (None, np.random.default_rng(1).uniform(0.2, 3, len(X))):
        theirs, own, y = both(task, **SETTINGS[setting])
        fitted(theirs, own, X=X, y=y, sample_weight=weight)
        require_same(theirs, own)
        predict = "predict_proba" if hasattr(own, "predict_proba") else "predict"
        np.testing.assert_allclose(getattr(own, predict)(X), getattr(theirs, predict)(X), 1e-9)


ENDS = {  # what ends a fit, how, and from where
    "limit": {"max_iter": 7}, "tol": {"tol": 0.01, "max_iter": 900}, "tol of 1": {"tol": 1, "n_iter_no_change": 1},
    "patience without end": {"tol": 1.0, "n_iter_no_change": np.inf, "max_iter": 30},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 2, "max_iter": 90},
    "in order": {"shuffle": False, "tol": 0.01, "max_iter": 900}, "many": {"max_iter": 4000, "tol": 0.0},
    "of NumPy": {"random_state": None, "max_iter": 7}, "shared": {"random_state": "shared", "max_iter": 7},
    "a subclass": {"random_state": "subclass", "max_iter": 7},
    "infinite": {"solver": "sgd", "learning_rate_init": 1e60, "activation": "relu", "max_iter": 7},
}  # fmt: skip


def raised(function, *given):
    try:
        function(*given)
    except ValueError as error:
        return str(error)
    return ""


class Reversed(np.random.RandomState):
    def shuffle(self, x):
        x[:] = x[::-1]


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("task", TASKS)
def test_epochs_that_nobody_looks_at_are_those_that_are_printed(task, end, weighed, capsys):
    """They run in one call, with the shuffle and the rule that ends them."""
    known, random = [], {"shared": np.random.RandomState, "subclass": Reversed}
    for verbose in (False, True):
        settings = dict(ENDS[end])
        settings["random_state"] = given = random.get(settings.get("random_state", 3), lambda seed: seed)(3)
        if "random_state" in ENDS[end] and ENDS[end]["random_state"] is None:
            settings["random_state"], given = None, np.random.mtrand._rand
            np.random.seed(3)  # noqa: NPY002
        _, model, y = both(task, verbose=verbose, warm_start=True, batch_size=40, **settings)
        weight = np.linspace(0.5, 2, len(X)) if weighed else None
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            errors = [raised(model.fit, X, y, weight) for _ in range(2)]
        names = "n_iter_", "t_", "loss_curve_", "best_loss_", "loss_", "_no_improvement_count"
        found = [repr(getattr(model, name, None)) for name in names] + [str(one.message) for one in warned] + errors
        drawn = given.randint(10**9) if hasattr(given, "randint") else None
        known.append((found, drawn, model.net_.params.tobytes(), model.net_.history.loss))
    assert known[0] == known[1]
    assert capsys.readouterr().out.count("Iteration") > 0 or end == "infinite"
    assert any(errors) == (end == "infinite")


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "Philox", "SFC64"])
@pytest.mark.parametrize("is_shared", [False, True])
def test_shuffles_are_those_of_numpy(kind, is_shared):
    wanted, own = (np.random.RandomState(getattr(np.random, kind)(7)) for _ in range(2))
    shuffle = Shuffle(own, is_shared)
    for n in (1, 2, 3, 64, 65, 1000, 70_000):
        index = np.arange(n)
        orders = shuffled(index, shuffle)
        for order in orders:
            wanted.shuffle(index)
            np.testing.assert_array_equal(order, index)
    assert wanted.randint(10**9) == own.randint(10**9)


@pytest.mark.parametrize("kind", ["PCG64", "Philox", "SFC64"])
def test_generators_of_all_kinds_are_taken(kind):
    theirs, own, y = both("multi-class", max_iter=5)
    for model in (theirs, own):
        model.random_state = np.random.RandomState(getattr(np.random, kind)(3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
    np.testing.assert_allclose(own.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    assert own.random_state.randint(10**9) == theirs.random_state.randint(10**9)


def shuffled(index, shuffle):
    """The orders of three epochs, as a function that stands for a step sees them."""
    seen, order, gather, step = [], index.copy(), Tape(), Tape()
    step.call(lambda: seen.append(order.copy()))
    cells = np.zeros(1, np.int64), np.zeros(1)
    run_epochs(gather, step, None, None, order, *cells, len(order), False, 0, 0, np.zeros(3), shuffling=shuffle)
    return seen


def test_several_numbers_take_the_same_steps_and_the_loss_is_their_sum():
    """scikit-learn's loss is the mean over outputs, its gradient that of the sum: ours are both of the sum."""
    y = np.stack([NUMBERS, NUMBERS**2], axis=1)
    theirs, own, _ = both("numbers")
    fitted(theirs, own, X=X, y=y)
    for array, wanted in zip(own.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(array, wanted, 1e-10)
    theirs, own, _ = both("numbers", batch_size="auto", max_iter=1, learning_rate_init=1e-15)
    fitted(theirs, own, X=X, y=y)  # the loss is that before the step, which changes nothing
    penalty = 0.3 / 2 / len(X) * sum((w**2).sum() for w in own.coefs_)
    squares = (own.predict(X) - y) ** 2
    np.testing.assert_allclose(theirs.loss_, squares.mean() / 2 + penalty)
    np.testing.assert_allclose(own.loss_, squares.sum(axis=1).mean() / 2 + penalty)


LABELS = {
    "whole": [3, -1, 3, 7, -1, 7], "two": [0, 2, 2, 0, 2, 0], "truths": [True, False, True, False, True, False],
    "words": ["b", "a", "b", "b", "a", "a"], "floats": [1.0, 2.0, 1.0, 2.0, 1.0, 2.0], "one": [1, 1, 1, 1, 1, 1],
    "objects": np.array(["b", "a", "b", "b", "a", "a"], object), "several": [[0, 1], [1, 1], [1, 0]],
}  # fmt: skip


@pytest.mark.parametrize("labels", LABELS)
def test_labels_become_what_the_binarizer_makes_of_them(labels):
    from sklearn.preprocessing import LabelBinarizer

    from fastnn.sklearn.labels import binarized

    y = np.array(LABELS[labels])
    (found, targets), expected = binarized(y), LabelBinarizer().fit(y)
    np.testing.assert_array_equal(found.classes_, expected.classes_, strict=True)
    assert (found.y_type_, found.sparse_input_) == (expected.y_type_, expected.sparse_input_)
    assert (targets is None) == (labels in ("floats", "one", "objects", "several"))
    if targets is not None:
        np.testing.assert_array_equal(targets, expected.transform(y).astype(bool), strict=True)


@pytest.mark.parametrize("task", TASKS)
def test_nets_of_float32_compute_with_other_rows_in_their_dtype(task):
    """As NumPy does in scikit-learn: rows of float64 and whole numbers give float64."""
    theirs, own, y = both(task)
    fitted(theirs, own, X=X.astype(np.float32), y=y)
    own.coefs_, own.intercepts_ = theirs.coefs_, theirs.intercepts_
    predict = "predict" if task in ("numbers", "counts") else "predict_proba"
    for rows in (X, X.astype(np.float32), np.round(X).astype(np.int64), np.round(X).astype(np.int16)):
        found, wanted = getattr(own, predict)(rows), getattr(theirs, predict)(rows)
        assert found.dtype == wanted.dtype
        near = 1e-12 if wanted.dtype == np.float64 else 1e-5
        np.testing.assert_allclose(found, wanted, near, near)
