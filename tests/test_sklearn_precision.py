"""Estimators of float32: products in bfloat16, and rows of float64 for a net of float32."""

import pickle
import weakref

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

import fastnn
from fastnn import EMA, MSE, SGD, Adam, Dense, LeakyReLU, Model, PReLU
from fastnn.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 40))
T = X[:, 0] ** 2 + X[:, 1]
HALF = X.astype(np.float32)
SHORT = {"hidden_layer_sizes": (64,), "max_iter": 4, "random_state": 0}
KINDS = {"MLPRegressor": (MLPRegressor, T), "MLPClassifier": (MLPClassifier, (T > 1).astype(int))}


def made(kind, **settings):
    make, y = KINDS[kind]
    return make(**{**SHORT, **settings}), y


def test_steps_are_those_of_a_model_of_the_same_precision():
    settings = {"solver": "sgd", "momentum": 0, "alpha": 0, "shuffle": False, "batch_size": 50, "loss": MSE()}
    settings |= {"precision": "bf16", "max_iter": 3, "learning_rate_init": 0.01}
    model = made("MLPRegressor", **settings)[0].fit(HALF, T)
    start = made("MLPRegressor", **{**settings, "learning_rate_init": 1e-30})[0].fit(HALF, T)
    net = Model([Dense(64, "relu"), Dense(1)], precision="bf16").build(40)
    net.params = start.net_.params
    net.fit(HALF, T, "mse", SGD(0.01), epochs=3, batch_size=50, shuffle=False, verbose=False)
    np.testing.assert_array_equal(model.net_.params, net.params)
    exact = made("MLPRegressor", **{**settings, "precision": None})[0].fit(HALF, T)
    assert (exact.net_.params != net.params).mean() > 0.5
    np.testing.assert_allclose(exact.net_.params, net.params, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_precision_is_kept(kind, tmp_path):
    model, y = made(kind, precision="bf16")
    found = model.fit(HALF, y).predict(HALF)
    np.testing.assert_array_equal(model._outputs(X), model.net_.predict(HALF))  # rows of float64 are rounded, too
    others = [clone(model).fit(HALF, y), made(kind, precision="bfloat16")[0].fit(HALF, y)]
    model.save(tmp_path / "net.safetensors")
    others += [pickle.loads(pickle.dumps(model)), fastnn.load(tmp_path / "net.safetensors")]
    for other in others:
        assert other.net_.precision == "bf16"
        np.testing.assert_array_equal(other.net_.params, model.net_.params)
        np.testing.assert_array_equal(other.predict(HALF), found)
    each = made(kind, precision="bf16", n_ensemble=2)[0].fit(HALF, y)
    assert [net.precision for net in each.nets_] == ["bf16"] * 2


def test_a_fit_that_goes_on_may_change_the_precision():
    first = made("MLPRegressor", warm_start=True)[0].fit(HALF, T)
    params = first.net_.params.copy()
    first.set_params(precision="bf16", learning_rate_init=1e-30).fit(HALF, T)
    assert first.net_.precision == "bf16"
    np.testing.assert_array_equal(first.net_.params, params)
    with pytest.raises(ValueError, match="precision is 'bf16', expected None where numbers are float64"):
        made("MLPRegressor", warm_start=True)[0].fit(X, T).set_params(precision="bf16").fit(X, T)


def test_a_precision_without_effect_is_refused():
    with pytest.raises(ValueError, match=r"precision is 'bf16', .* float64: .* fit with X.astype\(np.float32\)"):
        made("MLPClassifier", precision="bf16")[0].fit(X, T > 1)
    for wrong in ("float16", 16, "float32"):
        with pytest.raises(InvalidParameterError, match="'precision' parameter of MLPRegressor must be"):
            made("MLPRegressor", precision=wrong)[0].fit(HALF, T)


@pytest.mark.filterwarnings("ignore:Model. precision='bf16' is without effect")
def test_frames_of_categories_alone_have_no_dtype_that_is_too_fine():
    frame = pytest.importorskip("pandas").DataFrame({"a": list("pqrs") * 50, "b": ["x", "y"] * 100}, dtype="category")
    settings = {"categorical_features": "from_dtype", "precision": "bf16"}
    model = made("MLPRegressor", **settings)[0].fit(frame, T)
    assert model.predict(frame).dtype == np.float32
    with pytest.raises(ValueError, match="expected None where numbers are float64"):
        made("MLPRegressor", **settings)[0].fit(frame.assign(c=X[:, 0]), T)


DOUBLES = {  # nets whose predictions depend on more than what lies in `params`
    "plain": {},
    "averages": {"solver": Adam(0.01, average=EMA(0.9))},
    "norms": {"normalization": "batch"},
    "slopes": {"activation": LeakyReLU(0.1)},
    "learnt slopes": {"activation": PReLU()},
}


@pytest.mark.parametrize("name", DOUBLES)
def test_rows_of_float64_are_predicted_by_one_double_that_follows_the_net(name, monkeypatch):
    """It is made once, freed with the net, in no pickle, and has what the net has now: weights, averages, slopes."""
    model = made("MLPRegressor", **DOUBLES[name])[0].fit(HALF, T)
    pickled, doubles, init = len(pickle.dumps(model)), [], Model.__init__

    def counted(self, *args, **options):
        doubles.append(weakref.ref(self))
        init(self, *args, **options)

    monkeypatch.setattr(Model, "__init__", counted)
    for change in (None, "weights", "slopes", "settings"):
        before = model.predict(HALF)
        if change == "weights":
            model.coefs_[0] = 2 * model.coefs_[0]
        elif change == "slopes" and name == "slopes":
            model.net_.layers[0].activation.negative_slope = 0.7
        elif change == "settings":
            model.set_params(activation="tanh")  # of the next fit
        found, rounded = model.predict(X), model.predict(HALF)
        assert (found.dtype, rounded.dtype) == (np.float64, np.float32)
        assert (change in ("weights", name)) == bool(np.abs(rounded - before).max() > 0.01)
        np.testing.assert_allclose(found, rounded, 1e-3, 1e-5, err_msg=str(change))
    assert len(doubles) == 1
    assert len(pickle.dumps(model)) < pickled + 100
    del model
    assert doubles[0]() is None


@pytest.mark.parametrize("make", [TabularClassifier, TabularRegressor])
def test_estimators_for_tables_may_have_a_precision(make, tmp_path):
    y = T > 1 if make is TabularClassifier else T
    exact, model = make("fast", random_state=0).fit(X, y), make("fast", random_state=0, precision="bf16").fit(X, y)
    for other in (clone(model).fit(X, y), pickle.loads(pickle.dumps(model))):
        assert [net.precision for net in other.nets_] == ["bf16"] * 3
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert (exact.nets_[0].params != model.nets_[0].params).mean() > 0.5
    assert abs(exact.score(X, y) - model.score(X, y)) < 0.1
    model.save(tmp_path / "net.safetensors")
    again = fastnn.load(tmp_path / "net.safetensors")
    assert again.nets_[0].precision == "bf16"
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.warns(UserWarning, match="precision='bf16' is without effect: nets of up to 64 rows are float64"):
        few = make("fast", random_state=0, precision="bf16").fit(X[:64], y[:64])
    np.testing.assert_array_equal(few.predict(X), make("fast", random_state=0).fit(X[:64], y[:64]).predict(X))
    with pytest.raises(ValueError, match=f"{make.__name__}: precision is 'fp8', expected None or 'bf16'"):
        make("fast", precision="fp8").fit(X, y)
