"""The estimators and scikit-learn's are the same from outside: signatures, attributes, warnings, errors."""

import copy
import inspect
import itertools
import pickle
import signal
import warnings

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn", "1.9")  # whose texts and attributes these are
from scipy import sparse
from sklearn import neural_network
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state

import fastnn.sklearn
from fastnn.callbacks import Callback
from fastnn.sklearn.contract import random_state_of

pytestmark = pytest.mark.once

KINDS = ("MLPClassifier", "MLPRegressor")
each_kind = pytest.mark.parametrize("kind", KINDS)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = {"MLPClassifier": np.digitize(X[:, 0], [-0.5, 0.5]), "MLPRegressor": X @ [1.0, -2.0, 0.5]}


def both(kind, **settings):
    given = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0, **settings}
    return getattr(neural_network, kind)(**given), getattr(fastnn.sklearn, kind)(**given)


def quietly(call, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **options)


def public(model):
    return {name for name in dir(model) if not name.startswith("_")}


@each_kind
def test_signatures_defaults_and_attributes_are_those_of_scikit_learn(kind):
    theirs, ours = getattr(neural_network, kind), getattr(fastnn.sklearn, kind)
    wanted = inspect.signature(theirs).parameters
    own = inspect.signature(ours).parameters
    assert [*own][: len(wanted)] == [*wanted]
    for name, parameter in wanted.items():
        assert (own[name].default, own[name].kind) == (parameter.default, parameter.kind), name
    assert all(own[name].kind is inspect.Parameter.KEYWORD_ONLY for name in [*own][len(wanted) :])
    for settings in ({}, {"solver": "lbfgs"}, {"early_stopping": True, "solver": "sgd"}):
        one, other = both(kind, **settings)
        assert public(one) <= public(other)
        quietly(one.fit, X, Y[kind])
        quietly(other.fit, X, Y[kind])
        assert public(one) <= public(other)
        for name in sorted(public(one)):
            value, mine = getattr(one, name), getattr(other, name)
            if callable(value):
                known = inspect.signature(value).parameters
                assert [*known] == [*inspect.signature(mine).parameters][: len(known)], name
                continue
            kinds = (list, float) if isinstance(value, (list, float)) else type(value)
            assert isinstance(mine, kinds), name
            if name not in ("coefs_", "intercepts_"):
                flat = np.asarray(value, object).ravel(), np.asarray(mine, object).ravel()
                assert len(flat[0]) == len(flat[1]), name
                for a, b in zip(*flat, strict=True):
                    assert a == b or a == pytest.approx(b, rel=1e-9), name


def outcome(model, call):
    """The warnings and the error of a call, by kind and text, and what it prints."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(model)
            error = None
        except Exception as raised:
            error = type(raised), str(raised).replace(f"{type(model).__module__}.", "")
    told = [(one.category, str(one.message)) for one in caught if one.category is not RuntimeWarning]
    return told, error


def classes_of(kind):
    return {"classes": [0, 1, 2]} if kind == "MLPClassifier" else {}


def partial(model, x=X, y=None, **options):
    kind = type(model).__name__
    return model.partial_fit(x, Y[kind] if y is None else y, **(options or classes_of(kind)))


def twice(model, x=X, second=None):
    kind = type(model).__name__
    return model.fit(X, Y[kind]).fit(x, Y[kind] if second is None else second)


def fit(model, x=X, **options):
    return model.fit(x, Y[type(model).__name__], **options)


# Settings, and what is done with the model: all of it says the same in both packages
SAID = {
    "not converged": ({}, fit),
    "not converged, lbfgs": ({"solver": "lbfgs", "max_iter": 1}, fit),
    "lbfgs, max_fun": ({"solver": "lbfgs", "max_iter": 50, "max_fun": 2}, fit),
    **{
        f"lbfgs, rows of {scale:g}": ({"solver": "lbfgs"}, lambda m, scale=scale: fit(m, X * scale))
        for scale in (1e160, 1e300)
    },
    "weights below 0": ({"alpha": 0.0}, lambda m: fit(m, sample_weight=-np.ones(60))),
    "batches too large": ({"batch_size": 1000}, fit),
    "one column of targets": ({}, lambda m: m.fit(X, Y[type(m).__name__][:, None])),
    "not fitted": ({}, lambda m: m.predict(X)),
    "other columns": ({}, lambda m: fit(m).predict(X[:, :2])),
    "NaN": ({}, lambda m: fit(m, np.where(X > 2, np.nan, X))),
    "infinity in a prediction": ({}, lambda m: fit(m).predict(np.full((2, 3), np.inf))),
    "one dimension": ({}, lambda m: fit(m).predict(X[0])),
    "no rows": ({}, lambda m: fit(m).predict(X[:0])),
    "lengths": ({}, lambda m: m.fit(X, Y[type(m).__name__][:7])),
    "texts": ({}, lambda m: fit(m, [["a", "b", "c"]] * 60)),
    "weights, lengths": ({}, lambda m: fit(m, sample_weight=np.ones(3))),
    "weights, NaN": ({}, lambda m: fit(m, sample_weight=np.full(60, np.nan))),
    "weights of nothing": ({}, lambda m: fit(m, sample_weight=np.zeros(60))),
    "few rows to validate": ({"early_stopping": True, "validation_fraction": 0.02}, fit),
    "partial_fit, early stopping": ({"early_stopping": True}, partial),
    "partial_fit, lbfgs": ({"solver": "lbfgs"}, partial),
    "partial_fit, no lbfgs": ({"solver": "lbfgs"}, lambda m: getattr(m, "partial_fit")),  # noqa: B009
    "partial_fit, columns": ({}, lambda m: partial(partial(m), X[:, :2])),
    "no units": ({"hidden_layer_sizes": (3, 0)}, fit),
    "units below 0": ({"hidden_layer_sizes": -1}, fit),
    "large numbers": ({"max_iter": 20, "solver": "sgd", "learning_rate_init": 1e30}, fit),
    "warm start, columns": ({"warm_start": True}, lambda m: twice(m, X[:, :2])),
    "stopped": ({"max_iter": 100, "tol": 10.0}, fit),
    "verbose": ({"verbose": True, "max_iter": 40, "tol": 0.1, "n_iter_no_change": 2}, fit),
    "verbose, early stopping": (
        {"verbose": True, "early_stopping": True, "max_iter": 40, "n_iter_no_change": 2, "validation_fraction": 0.2},
        fit,
    ),
    "verbose, adaptive": (
        {"verbose": 1, "solver": "sgd", "learning_rate": "adaptive", "max_iter": 60, "tol": 1.0, "n_iter_no_change": 1},
        fit,
    ),
    **{
        f"{name}={value!r}": ({name: value}, fit)
        for name, value in {
            "activation": "swoosh", "solver": "newton", "alpha": -1, "batch_size": 0, "learning_rate": "cosine",
            "learning_rate_init": 0.0, "power_t": "x", "max_iter": 1.5, "shuffle": "yes", "random_state": "seed",
            "tol": -1e-3, "verbose": "much", "warm_start": 2, "momentum": 1.1, "nesterovs_momentum": "no",
            "early_stopping": "auto", "validation_fraction": 1.0, "beta_1": 1.0, "beta_2": -0.1, "epsilon": 0.0,
            "n_iter_no_change": 0, "max_fun": 0, "hidden_layer_sizes": None,
        }.items()
    },
}  # fmt: skip
OF_CLASSES = {
    "first call without classes": ({}, lambda m: m.partial_fit(X, Y["MLPClassifier"])),
    "unknown classes": ({}, lambda m: partial(partial(m), y=Y["MLPClassifier"] + 1)),
    "other classes": ({}, lambda m: partial(partial(m), classes=[0, 1, 5])),
    "warm start, other classes": ({"warm_start": True}, lambda m: twice(m, second=Y["MLPClassifier"] % 2)),
    "numbers": ({}, lambda m: m.fit(X, Y["MLPRegressor"])),
    "one class": ({}, lambda m: m.fit(X, np.ones(60)).predict(X)),
}
OF_NUMBERS = {
    "loss": ({"loss": "huber2"}, fit),
}
SETS = [(kind, name, said) for kind in KINDS for name, said in SAID.items()]
SETS += [("MLPClassifier", name, said) for name, said in OF_CLASSES.items()]
SETS += [("MLPRegressor", name, said) for name, said in OF_NUMBERS.items()]
# Where more is allowed here, the error says so: of it the first words are compared
MORE = {"activation='swoosh'", "solver='newton'", "learning_rate='cosine'", "early_stopping='auto'", "loss"}


@each_kind
def test_warnings_errors_and_what_is_printed_are_those_of_scikit_learn(kind, capsys):
    wrong = []
    for of, name, (settings, call) in SETS:
        if of != kind:
            continue
        found = []
        for model in both(kind, **settings):
            told, error = outcome(model, call)
            if name in MORE and error is not None:
                error = error[0], error[1].partition(" must be ")[0]
            found.append((told, error, capsys.readouterr().out))
        if found[0] != found[1]:
            wrong.append(f"{name}:\n  theirs: {found[0]}\n  ours:   {found[1]}")
    assert not wrong, "\n".join(wrong)


def again(model, more="fit", **settings):
    return getattr(fit(model).set_params(**settings), more)(X, Y[type(model).__name__])


# Where scikit-learn has no word of what is wrong, or trains with a penalty below 0
CLEARER = {
    "sample_weight: the sum of all rows is -60, expected a number above 0": (
        {}, lambda m: fit(m, sample_weight=-np.ones(60))
    ),
    "sample_weight: the sum of the rows of a batch is -[0-9]+, expected a number above 0": (
        {"batch_size": 7}, lambda m: fit(m, sample_weight=np.r_[-30, np.ones(59)])
    ),
    "sample_weight: the sum of all rows is inf, expected a finite number": (
        {}, lambda m: fit(m, sample_weight=np.full(60, 1e308))
    ),
    "sample_weight: the sum of all rows is inf, expected a finite": (
        {"solver": "lbfgs"}, lambda m: fit(m, sample_weight=np.full(60, 1e308))
    ),
    "early_stopping is True, but .* early_stopping=False: set it back, or begin anew by fit with warm_start=False": (
        {"warm_start": True}, lambda m: again(m, early_stopping=True)
    ),
    "early_stopping is False, but .* early_stopping=True: set it back, or begin anew by fit with warm_start=False": (
        {"warm_start": True, "early_stopping": True}, lambda m: again(m, early_stopping=False)
    ),
    "early_stopping is False, but .* early_stopping=True: set it back, or begin anew by fit$": (
        {"early_stopping": True}, lambda m: again(m, "partial_fit", early_stopping=False)
    ),
    r"hidden_layer_sizes is \[5\], but .* has \[4\]: set it back, or begin anew by fit$": (
        {}, lambda m: again(m, "partial_fit", hidden_layer_sizes=5)
    ),
    r"hidden_layer_sizes is \[5\], but .* has \[4\]: set it back, or begin anew by fit with warm_start=False$": (
        {"warm_start": True}, lambda m: again(m, hidden_layer_sizes=5)
    ),
}  # fmt: skip


@each_kind
@pytest.mark.parametrize("message", CLEARER)
def test_what_scikit_learn_stumbles_over_is_named(kind, message):
    settings, call = CLEARER[message]
    with pytest.raises(ValueError, match=message):
        quietly(call, both(kind, **settings)[1])


def test_sparse_rows_refuse_the_same_weights(monkeypatch):
    monkeypatch.setattr(fastnn.sklearn.sparse, "MOST_BYTES", 0)
    for weight, size in ((-np.ones(60), 60), (np.r_[-30, np.ones(59)], 7), (np.full(60, 1e308), 60)):
        with pytest.raises(ValueError, match="sample_weight: the sum of"):
            quietly(fit, both("MLPRegressor", batch_size=size)[1], sparse.csr_matrix(X), sample_weight=weight)


TASKS = [(kind, {}) for kind in KINDS] + [("MLPRegressor", {"loss": "poisson"})]


def targets(kind, settings):
    return np.abs(Y[kind]) if settings else Y[kind]


def require_same(one, other, rtol=1e-9):
    for a, b in zip(one.coefs_ + one.intercepts_, [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_allclose(b, a, rtol, rtol * np.abs(a).max())


@pytest.mark.parametrize(("kind", "settings"), TASKS, ids=str)
def test_ways_to_go_on_are_those_of_scikit_learn(kind, settings):
    """Warm starts, partial fits, both in turn, and what they count."""
    y, first = targets(kind, settings), classes_of(kind)
    for solver in ("sgd", "adam"):
        one, other = both(kind, solver=solver, batch_size=16, **settings)
        for model in (one, other):
            model.partial_fit(X[:30], y[:30], **first)
            model.partial_fit(X[30:], y[30:], np.arange(1.0, 31.0))
            model.set_params(warm_start=True)
            quietly(model.fit, X, y)
            model.set_params(activation="tanh", alpha=1.0, learning_rate_init=0.01)
            quietly(model.fit, X, y)
            model.partial_fit(X[:20], np.resize(y[[0, *range(19)]], 20) if kind == "MLPRegressor" else y[:20])
        require_same(one, other)
        assert (one.t_, one.n_iter_, len(one.loss_curve_)) == (other.t_, other.n_iter_, len(other.loss_curve_))


@each_kind
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_and_float32_train_as_dense_ones_do(kind, solver):
    y = Y[kind]
    rows = np.where(np.abs(X) > 0.5, X, 0)
    _, dense = both(kind, solver=solver, batch_size=25)
    quietly(dense.fit, rows, y)
    for kind_of_sparse in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        _, other = both(kind, solver=solver, batch_size=25)
        quietly(other.fit, kind_of_sparse(rows), y)
        require_same(dense, other)
        np.testing.assert_allclose(other.predict(kind_of_sparse(rows)), dense.predict(rows))
    one, other = both(kind, solver=solver, batch_size=25)
    quietly(one.fit, X.astype(np.float32), y)
    quietly(other.fit, X.astype(np.float32), y)
    assert {array.dtype for array in (*other.coefs_, *other.intercepts_)} == {np.dtype(np.float32)}
    require_same(one, other, 0.02 if solver == "lbfgs" else 1e-4)


@pytest.mark.parametrize(("kind", "settings"), TASKS, ids=str)
def test_many_sparse_rows_train_batch_by_batch(kind, settings, monkeypatch):
    y, rows = targets(kind, settings), sparse.csr_matrix(np.where(np.abs(X) > 0.5, X, 0))
    weight = np.random.default_rng(2).uniform(0.2, 3, len(X))
    for given in ({}, {"sample_weight": weight}):
        for more in ({}, {"early_stopping": True, "solver": "sgd"}, {"shuffle": False, "alpha": 0.0}):
            with monkeypatch.context() as patch:
                patch.setattr(fastnn.sklearn.sparse, "MOST_BYTES", 0)
                assert fastnn.sklearn.sparse.is_large(rows, float)
                one, other = both(kind, batch_size=25, **settings, **more)
                quietly(other.fit, rows, y, **given)
            quietly(one.fit, rows, y, **given)
            require_same(one, other)
            np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, 1e-9)
            assert list(other.net_.history.loss) == other.loss_curve_


@each_kind
def test_weights_are_live_and_keep_their_sizes(kind):
    _, model = both(kind)
    quietly(model.fit, X, Y[kind])
    before = model.net_.predict(X)
    model.coefs_[0][...] *= 2
    assert (model.net_.predict(X) != before).any()
    model.coefs_[0] = model.coefs_[0] / 2
    assert np.array_equal(model.net_.predict(X), before)
    model.coefs_ = [w * 1 for w in model.coefs_]
    assert np.array_equal(model.net_.predict(X), before)
    with pytest.raises(ValueError, match=r"coefs_\[1\] has shape \(2, 2\), expected \(4, [13]\)"):
        model.coefs_[1] = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"intercepts_ has 1 arrays, expected 2"):
        model.intercepts_ = [np.zeros(4)]
    with pytest.raises(TypeError, match="coefs_ keeps its 2 arrays"):
        model.coefs_.append(np.zeros(4))
    assert np.array_equal(model.net_.predict(X), before)


@each_kind
def test_copies_go_on_alike(kind):
    models = [both(kind, solver="sgd")[1].partial_fit(X, Y[kind], **classes_of(kind))]
    models += [pickle.loads(pickle.dumps(models[0])), copy.deepcopy(models[0])]
    for model in models:
        model.partial_fit(X, Y[kind])
    for model in models[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(models[0].coefs_, model.coefs_, strict=True))


@each_kind
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
@pytest.mark.parametrize("seen", [False, True], ids=["compiled", "seen"])
def test_an_interruption_keeps_what_has_been_learnt(kind, seen):
    """The epochs that were complete, and no other; behind the last one there may have been a step."""
    callbacks = [Callback()] if seen else None
    settings = {"tol": 0.0, "n_iter_no_change": 10**9, "callbacks": callbacks, "random_state": 0}
    settings["hidden_layer_sizes"] = 4
    model = getattr(fastnn.sklearn, kind)(max_iter=10**7, **settings)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
            model.fit(X, Y[kind])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    n = model.n_iter_
    assert n == len(model.loss_curve_) == len(model.net_.history.loss) == model.t_ / len(X) > 5
    assert model.loss_ == model.loss_curve_[-1]
    assert model.best_loss_ == min(model.loss_curve_)
    twins = [quietly(getattr(fastnn.sklearn, kind)(max_iter=m, **settings).fit, X, Y[kind]) for m in (n, n + 1)]
    assert model.loss_curve_ == twins[0].loss_curve_
    assert any(np.array_equal(model.net_.params, twin.net_.params) for twin in twins)


@each_kind
def test_a_random_state_that_is_shared_draws_in_the_same_order(kind):
    random = [np.random.RandomState(5), np.random.RandomState(5)]
    models = [(neural_network, random[0]), (fastnn.sklearn, random[1])]
    for package, state in models:
        for _ in range(2):
            model = getattr(package, kind)(hidden_layer_sizes=4, max_iter=3, random_state=state, early_stopping=True)
            quietly(model.fit, X, Y[kind])
    assert random[0].uniform() == random[1].uniform()


def raised(function, *given, **more):
    """Return what a call raises, in words; None where it raises nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*given, **more)
    except Exception as error:
        return type(error), str(error)
    return None


def test_short_ways_say_and_do_what_the_long_ones_of_scikit_learn_do(monkeypatch):
    """Settings that are defaults, plain arrays and seeds are not looked at again: the result has to be the same."""
    for seed in (0, 5, 2**32 - 1, -1, 2**32, True, np.int64(3), 1.5, "a", None):
        long, short = (raised(function, seed) for function in (check_random_state, random_state_of))
        assert long == short, seed
        if long is None and seed is not None:
            one, other = check_random_state(seed), random_state_of(seed)
            assert one.permutation(50).tolist() == other.permutation(50).tolist()
            assert pickle.dumps(one) == pickle.dumps(other)
    bad = (-1, 0, 0.5, 2, None, "nothing", np.nan, True, [], (), object)
    for kind in KINDS:
        ours = getattr(fastnn.sklearn, kind)
        for name in ours().get_params():
            for value in bad:
                model = ours(**{name: value})
                assert raised(model._validate_params) == raised(BaseEstimator._validate_params, model), (name, value)
        assert ours._get_param_names() == sorted(set(inspect.signature(ours.__init__).parameters) - {"self"})
    rows, labels = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])
    given = [
        *((rows.astype(dtype), labels) for dtype in (np.float32, np.float64, ">f8", np.float16, int, object, "U4")),
        *((rows, labels.astype(dtype)) for dtype in (float, np.float32, np.float16, bool, "U1", object, complex)),
        *((np.where(rows == 5, wrong, rows), labels) for wrong in (np.nan, np.inf)),
        *((rows, np.where(labels == 1, wrong, labels)) for wrong in (np.nan, np.inf)),
        *((rows[:n], labels[:m]) for n, m in ((0, 0), (6, 5), (1, 1), (0, 6))),
        (rows[:, :0], labels), (rows[0], labels[:2]), (rows[None], labels), (rows.tolist(), labels), (rows, None),
        (rows, labels[:, None]), (rows[:, :1], labels), (rows[::2, ::-1], labels[::2]), (pd.DataFrame(rows), labels),
    ]  # fmt: skip
    for kind in KINDS:
        for reset, (x, y) in itertools.product((True, False), given):
            found = []
            for plain in (True, False):
                model = getattr(fastnn.sklearn, kind)()
                model.n_features_in_ = 2
                if reset:
                    model.feature_names_in_ = np.array(["a", "b"], dtype=object)
                if not plain:
                    monkeypatch.setattr(model, "_are_plain", lambda *given: False)
                more = {"y_numeric": True} if kind == "MLPRegressor" else {}
                error = raised(model._validated, x, y, reset, **more)
                result = None if error else quietly(model._validated, x, y, reset, **more)
                found.append((error, repr(result), model.n_features_in_, hasattr(model, "feature_names_in_")))
            assert found[0] == found[1], (kind, reset, x, y)


def test_scores_of_plain_arrays_are_those_of_scikit_learn():
    def require_same(kind, base, model, x, y, weight=None):
        scores = base.score, getattr(fastnn.sklearn, kind).score
        wanted, own = (raised(of, model, x, y, weight) or quietly(of, model, x, y, weight) for of in scores)
        assert type(own) is type(wanted)
        assert own == wanted or (np.isnan(own) and np.isnan(wanted)), (kind, y)

    rows, labels = X[:6], np.array([0, 1, 0, 1, 1, 0])
    words = np.array(["no", "yes"])[labels]
    for y in (
        labels,
        words,
        labels == 1,
        labels.astype(np.int8),
        labels.astype(float),
        labels.tolist(),
        pd.Series(words),
    ):
        model = quietly(fastnn.sklearn.MLPClassifier(4, max_iter=3, random_state=0).fit, rows, y)
        for asked in (y, np.asarray(y)[::-1], np.asarray(y)[:, None], np.asarray(y, object), y[:5], np.full(6, "yes")):
            for weight in (None, np.arange(6.0)):
                require_same("MLPClassifier", ClassifierMixin, model, rows, asked, weight)
    for numbers, dtype in itertools.product((Y["MLPRegressor"], X[:, :2]), (np.float64, np.float32)):
        x, y = X.astype(dtype), numbers.astype(dtype)
        model = quietly(fastnn.sklearn.MLPRegressor(max_iter=3, random_state=0).fit, x, y)
        bad = (np.where(np.arange(60).reshape(-1, *[1] * (y.ndim - 1)) == 7, wrong, y) for wrong in (np.nan, np.inf))
        for asked in (y, y[::-1], y[:1], y[:, None], y.tolist(), y.astype(int), y * 0, y * 0 + 0.1, y[:5], *bad):
            for weight in (None, np.arange(60.0)):
                require_same("MLPRegressor", RegressorMixin, model, x, asked, weight)
        require_same("MLPRegressor", RegressorMixin, model, x[:1], y[:1])
