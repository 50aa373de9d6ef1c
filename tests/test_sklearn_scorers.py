"""What `scoring` is shown of the rows to validate with: rows as the user gave them, and of several targets each."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.sparse import csr_array, issparse
from sklearn.metrics import accuracy_score, f1_score, log_loss, make_scorer, roc_auc_score

from fastnn.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
N = 160
X = RNG.normal(size=(N, 5))
BINARY = (X[:, 0] > 0).astype(int)
SEVERAL = np.c_[np.digitize(X[:, 0], [-0.5, 0.5]), BINARY, np.digitize(X[:, 2], [-1, 0, 1])]
WORDS = np.c_[np.array(["red", "green", "blue"])[SEVERAL[:, 0]], np.array(["a", "b"])[BINARY]]
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0, "learning_rate_init": 0.02}


def classifier(**settings):
    return MLPClassifier(**SHORT, **settings)


# -- several targets --------------------------------------------------------------------------------------------------

EACH = {  # what a name says of one of several targets
    "accuracy": lambda y, found, p: accuracy_score(y, found),
    "f1_macro": lambda y, found, p: f1_score(y, found, average="macro"),
    "neg_log_loss": lambda y, found, p: -log_loss(y, p),
    "roc_auc_ovr": lambda y, found, p: roc_auc_score(y, p if p.shape[1] > 2 else p[:, 1], multi_class="ovr"),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("name", EACH)
def test_scorers_of_one_target_score_each_of_several(name):
    for y in (SEVERAL, WORDS):
        if name == "roc_auc_ovr" and y is WORDS:
            continue  # scikit-learn's takes no words of two classes with multi_class
        model = classifier(early_stopping=True, scoring=name).fit(X[:120], y[:120], validation_data=(X[120:], y[120:]))
        found, p = model.predict(X[120:]), model.predict_proba(X[120:])
        expected = [EACH[name](y[120:, j], found[:, j], p[j]) for j in range(y.shape[1])]
        assert model.best_validation_score_ == pytest.approx(np.mean(expected), rel=1e-9)
    weight = RNG.uniform(0.5, 2, 40)
    model = classifier(early_stopping=True, scoring="accuracy")
    model.fit(X[:120], SEVERAL[:120], validation_data=(X[120:], SEVERAL[120:], weight))
    right = model.predict(X[120:]) == SEVERAL[120:]
    assert model.best_validation_score_ == pytest.approx(np.average(right, axis=0, weights=weight).mean())


def test_margins_of_several_targets_are_scored():
    model = classifier(loss="hinge", early_stopping=True, scoring="roc_auc").fit(X, np.c_[BINARY, X[:, 1] > 0] * 2)
    assert model.best_validation_score_ > 0.5


WRONG = {
    "binary": ("f1", SEVERAL, r"scoring='f1' cannot score multiclass targets, output 0 of y: Target is multiclass"),
    "words": ("r2", WORDS, r"scoring='r2' cannot score multiclass targets, output 0 of y: could not convert string"),
    "a function": (
        make_scorer(f1_score, average="macro"),
        SEVERAL,
        r"cannot score multiclass-multioutput targets: .*not supported. Expected the name of a scorer of one target "
        r"\('f1_macro' ...\), of which the mean over the outputs counts, a function scoring\(model, X, y\), or 'loss'",
    ),
    "classes": ("f1", SEVERAL[:, 0], r"scoring='f1' cannot score multiclass targets: .*Expected a scorer for such"),
    "labels": ("f1", SEVERAL[:, :2] > 0, r"cannot score multilabel-indicator targets: .*another average setting"),
}


@pytest.mark.parametrize(("make", "y"), [(MLPRegressor, X[:, 0]), (TabularRegressor, X[:, 0]), (MLPClassifier, BINARY)])
def test_scorers_of_probabilities_that_are_not_there_are_told(make, y):
    stops = {} if make is TabularRegressor else {"early_stopping": True}
    stops |= {"loss": "hinge"} if make is MLPClassifier else {}
    name, kind = make.__name__, "binary" if make is MLPClassifier else "continuous"
    expected = f"{name}: scoring='neg_log_loss' cannot score {kind} targets: {name} has none .*predict_proba. Expected"
    with pytest.raises(ValueError, match=expected):
        make(scoring="neg_log_loss", **stops).fit(X, y)


@pytest.mark.parametrize("case", WRONG)
def test_scorers_that_cannot_score_such_targets_are_told(case):
    scoring, y, message = WRONG[case]
    with pytest.raises(ValueError, match=f"^MLPClassifier: .*{message}"):
        classifier(early_stopping=True, scoring=scoring).fit(X, y)


def test_estimators_for_tables_say_the_same():
    make = TabularClassifier("fast", n_nets=1, random_state=0)
    with pytest.raises(
        ValueError, match="TabularClassifier: scoring='f1' cannot score multiclass targets: Target is mu"
    ):
        make.set_params(scoring="f1").fit(X, SEVERAL[:, 0])
    with pytest.raises(TypeError, match="scoring returned None, expected a number"):
        make.set_params(scoring=lambda net, x, y: None).fit(X, BINARY)


# -- rows as they were given ------------------------------------------------------------------------------------------


def frames():
    """Tables of a number, a category of 12 values and whole numbers, of which each row is known by its number."""
    pandas = pytest.importorskip("pandas")
    kinds = RNG.integers(0, 12, N).astype(str)
    frame = pandas.DataFrame({"a": X[:, 0], "kind": pandas.Categorical(kinds), "n": RNG.integers(0, 5, N)})
    frame.index = 7 + 3 * np.arange(N)
    of_dtype = {"categorical_features": "from_dtype"}
    found = {
        "pandas": (frame, of_dtype),
        "numbers in a frame": (frame[["a", "n"]], {}),
        "objects": (frame.to_numpy(object), {"categorical_features": [1]}),
        "a list": (frame[["a", "n"]].to_numpy().tolist(), {}),
        "an array": (frame[["a", "n"]].to_numpy(), {}),
        "sparse": (csr_array(frame[["a", "n"]].to_numpy()), {}),
    }
    try:
        import polars
    except ImportError:
        return found
    return found | {"polars": (polars.from_pandas(frame.reset_index(drop=True)), of_dtype)}


def numbers(x):
    """The first column, by which rows are known."""
    if hasattr(x, "columns"):
        return np.asarray(x["a"])
    return (x.toarray() if issparse(x) else np.asarray(x))[:, 0].astype(float)


ESTIMATORS = {
    "MLPClassifier": (classifier, BINARY),
    "MLPRegressor": (lambda **own: MLPRegressor(**SHORT, **own), X[:, 0] + X[:, 1]),
    "TabularClassifier": (lambda **own: TabularClassifier("fast", n_nets=2, random_state=0, **own), BINARY),
    "TabularRegressor": (lambda **own: TabularRegressor("fast", n_nets=2, random_state=0, **own), X[:, 0] + X[:, 1]),
}


def watched(kind, given, y, seen):
    """A function that scores predictions, and looks at what it is shown."""
    targets = dict(zip(X[:, 0].tolist(), y.tolist(), strict=True))

    def scoring(model, x, of_rows):
        assert type(x) is type(given)
        np.testing.assert_allclose([targets[number] for number in numbers(x).tolist()], of_rows, 1e-6, 1e-6)
        seen.append(set(numbers(x).tolist()))
        whole = model.predict(x)
        np.testing.assert_allclose(model.predict(x[:5]), whole[:5], 1e-4, 1e-5)
        return -float(np.mean(whole != of_rows) if "Classifier" in kind else np.mean((whole - of_rows) ** 2))

    return scoring


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_functions_are_shown_rows_as_they_were_given(kind):
    """A frame stays a frame, of the rows that belong to y; and predictions of other rows than all are theirs."""
    make, y = ESTIMATORS[kind]
    is_table = kind.startswith("Tabular")
    for name, (given, settings) in frames().items():
        if is_table and name not in ("pandas", "polars", "an array"):
            continue
        seen = []
        own, scoring = {}, watched(kind, given, y, seen)
        if not is_table:
            own = {**settings, "early_stopping": True}
        make(**own, scoring=scoring).fit(given, y)
        assert len(seen) >= 2, name
        last = given[120:]
        seen.clear()
        make(**own, scoring=scoring).fit(given[:120], y[:120], validation_data=(last, y[120:]))
        assert seen[0] == set(numbers(last).tolist())
        by_name = "accuracy" if "Classifier" in kind else "neg_mean_squared_error"
        models = [make(**own, scoring=one).fit(given, y) for one in (scoring, by_name)]
        np.testing.assert_allclose(*(model.predict(given) for model in models), 1e-6)


def test_rows_of_weight_0_are_shown_to_nobody():
    weight = (np.arange(N) % 3 > 0).astype(float)
    kept = set(X[weight > 0, 0].tolist())

    def scoring(model, x, y, sample_weight=None):
        assert set(x[:, 0].tolist()) < kept
        return float((model.predict(x) == y).mean())

    TabularClassifier("fast", random_state=0, scoring=scoring).fit(X, BINARY, weight)
