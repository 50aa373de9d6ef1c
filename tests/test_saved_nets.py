"""Multi-layer perceptrons as files: they predict the same, and train on, to the bit; what is damaged says so."""

import io
import json
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest
from nets import same_bits
from test_malformed import Loader, changed, mutated, put_together, taken_apart

import fastnn
from fastnn import Adam, Cosine, EarlyStopping, LeakyReLU, ModelFormatError
from fastnn.callbacks import CSVLogger

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore")]

pytest.importorskip("sklearn")

from sklearn.exceptions import NotFittedError  # noqa: E402

from fastnn.formats import showing  # noqa: E402
from fastnn.sklearn import MLPClassifier, MLPRegressor  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
TIMES = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0)
NUMBERS = np.stack([X[:, 0] ** 2, np.abs(X[:, 1]) + 0.1], axis=1)
SEVERAL = np.stack([TIMES, TIMES == 1], axis=1).astype(int)
WIDE = RNG.normal(size=(90, 128)).astype(np.float32)
TABLE = np.empty((90, 4), object)
TABLE[:, :3], TABLE[:, 3] = X[:, :3], np.array([f"kind {i}" for i in range(12)])[np.arange(90) % 12]


def scorer(model, x, y):
    return float(model.score(x, y))


C, R = MLPClassifier, MLPRegressor
# class, settings, x, y
CASES = {
    "classes": (C, {}, X, TIMES),
    "words": (C, {"solver": "sgd"}, X.astype(np.float32), np.array(["a", "b", "ü"])[TIMES]),
    "wide words": (C, {}, X, np.array(["1", "a", "b"], "U21")[TIMES]),
    "objects": (C, {"momentum": 0.0, "solver": "sgd"}, X, np.array(["a", "b", "c"], object)[TIMES]),
    "two": (C, {"solver": "sgd", "learning_rate": "adaptive", "momentum": 1.0, "tol": 10.0}, X, TIMES > 0),
    "truths": (C, {"solver": "sgd", "learning_rate": "invscaling"}, X, TIMES > 1),
    "one class": (C, {}, X, np.zeros(90, int)),
    "pair": (C, {"loss": "cross_entropy"}, X, TIMES > 0),
    "margins": (C, {"loss": "hinge"}, X, TIMES),
    "rows of several": (C, {}, X, np.stack([TIMES > 0, TIMES > 1], axis=1).astype(int)),
    "several": (C, {"dropout": 0.1}, X, SEVERAL),
    "balanced": (C, {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}, X, TIMES),
    "numbers": (R, {}, X, NUMBERS[:, 0]),
    "small": (R, {}, X.astype(np.float32), NUMBERS),
    "counts": (R, {"loss": "poisson"}, X, NUMBERS[:, 1]),
    "quantiles": (R, {"loss": fastnn.losses.Quantile((0.1, 0.5, 0.9))}, X, NUMBERS),
    "variances": (R, {"loss": "gaussian_nll"}, X, NUMBERS),
    "of positives": (R, {"out_activation": "softplus", "activation": [LeakyReLU(0.1), "gelu"]}, X, NUMBERS),
    "parts": (R, {"solver": Adam(0.01, clip_norm=1.0), "normalization": "layer", "dropout": [0.1, 0.0]}, X, NUMBERS),
    "schedule": (C, {"learning_rate": Cosine(steps=50), "alpha": 0.0, "clip_value": 0.5}, X, TIMES),
    "batch": (C, {"normalization": "batch", "dropout": 0.2, "batch_size": 30}, X, TIMES),
    "callbacks": (C, {"callbacks": [EarlyStopping(50, monitor="loss")]}, X, TIMES),
    "ensemble": (C, {"n_ensemble": 3, "n_threads": 1}, X, np.array(["a", "b", "c"])[TIMES]),
    "ensemble of numbers": (R, {"n_ensemble": 2, "loss": "gaussian_nll", "dropout": 0.1}, X, NUMBERS),
    "categories": (C, {"categorical_features": [3]}, TABLE, TIMES),
    "mask": (R, {"categorical_features": np.array([False, False, True, True]), "n_ensemble": 2},
             np.concatenate([X[:, :2], np.arange(180).reshape(90, 2) % 5], axis=1), NUMBERS),
    "names": (R, {"categorical_features": np.array(["x3"], object)}, TABLE, NUMBERS[:, 0]),
    "lbfgs": (C, {"solver": "lbfgs"}, X, TIMES),
}  # fmt: skip


def made(name, **more):
    kind, settings, x, y = CASES[name]
    return kind(hidden_layer_sizes=(5, 4), random_state=0, max_iter=4, **{**settings, **more}), x, y


def answers(model, x):
    methods = "predict", "predict_proba", "decision_function"
    found = [getattr(model, method)(x) for method in methods if hasattr(model, method)]
    if isinstance(model, MLPRegressor) and (model.loss == "gaussian_nll" or model.n_ensemble > 1):
        found += model.predict(x, return_std=True)
    return [array for one in found for array in (one if isinstance(one, list) else [one])]


def nets_of(model):
    return model.__dict__.get("nets_") or [model.net_]


def singles(model):
    return model.__dict__.get("estimators_") or [model]


KNOWN = (
    "loss_", "best_loss_", "best_validation_score_", "loss_curve_", "validation_scores_", "n_iter_", "t_", "_stopped",
    "_no_improvement_count", "out_activation_", "n_layers_", "n_outputs_",
)  # fmt: skip


def settings_of(model):
    """The settings as text: names in an array of objects come back in a list."""
    return str({name: np.asarray(value).tolist() if isinstance(value, np.ndarray) else value
                for name, value in model.get_params().items()})  # fmt: skip


def same(one, other, x):
    """They are alike to the bit, in all that there is of them."""
    assert type(one) is type(other)
    assert settings_of(one) == settings_of(other)
    for a, b in zip(answers(one, x), answers(other, x), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    for a, b in zip(nets_of(one), nets_of(other), strict=True):
        np.testing.assert_array_equal(a.params, b.params, strict=True)
        for mine, its in zip(a.layers, b.layers, strict=True):
            assert mine.states.keys() == its.states.keys()
            for name, array in mine.states.items():
                np.testing.assert_array_equal(array, its.states[name], strict=True)
    assert vars(one).keys() == vars(other).keys()  # an attribute that is new has to be saved, too
    for name in KNOWN:
        assert (name in vars(one)) == (name in vars(other))
        np.testing.assert_equal(getattr(one, name, None), getattr(other, name, None), name)
    assert [net._made_of == net._shape for net in singles(one)] == [
        net._made_of == net._shape for net in singles(other)
    ]
    if isinstance(one, MLPClassifier):
        for a, b in zip(
            *([c] if isinstance(c, np.ndarray) else c for c in (one.classes_, other.classes_)), strict=True
        ):
            np.testing.assert_array_equal(a, b, strict=True)


def more(model, x, y, validates=False):
    """Go on, and again."""
    options = {"validation_data": (x[60:], y[60:])} if validates else {}
    if isinstance(model, MLPClassifier) and not hasattr(model, "classes_"):
        options["classes"] = np.unique(y)
    for _ in range(3):
        model.partial_fit(x[:60], y[:60], **options)


@pytest.mark.parametrize("name", CASES)
def test_a_net_is_as_it_was_saved_and_trains_on(name, tmp_path):
    model, x, y = made(name)
    path = tmp_path / "net.safetensors"
    model.fit(x, y).save(path)
    for mmap in (False, True):
        same(fastnn.load(path, mmap=mmap), model, x)
    again = fastnn.load(path)
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    told = io.StringIO()
    with redirect_stdout(told):
        showing.show(path)
    assert told.getvalue().splitlines()[1].startswith(f"{type(model).__name__}(")
    if not hasattr(model, "partial_fit"):
        return
    more(model, x, y)
    more(again, x, y)
    same(again, model, x)
    model.save(path)  # in the midst of it
    again = fastnn.load(path)
    more(model, x, y)
    more(again, x, y)
    same(again, model, x)
    for one in (model, again):
        one.set_params(warm_start=True, max_iter=3).fit(x, y)
    same(again, model, x)


@pytest.mark.parametrize(
    "settings", [{}, {"normalization": "batch", "dropout": 0.2}, {"n_ensemble": 2}, {"scoring": scorer}]
)
@pytest.mark.parametrize("restarts", [False, True])
def test_early_stopping_goes_on(settings, restarts, tmp_path):
    """By calls, until it has ended the training; or by fits that begin with what there is."""
    model, x, y = made("classes", early_stopping=True, n_iter_no_change=4, warm_start=True, **settings)
    custom = {"scorer": scorer} if settings.get("scoring") else None
    for _ in range(4):
        if restarts:
            model.fit(x, y)
        else:
            more(model, x, y, True)
        model.save(tmp_path / "net.safetensors", custom=custom)
        again = fastnn.load(tmp_path / "net.safetensors", custom=custom)
        same(again, model, x)
        for one in (model, again):
            if restarts:
                one.fit(x, y)
            else:
                more(one, x, y, True)
        same(again, model, x)
    best = nets_of(model)[0]
    assert restarts or not all(one.stopped_ for one in singles(model)) or best.params.any()


def test_the_best_state_is_that_of_the_net_that_there_is():
    """Also behind a change of settings, by which the net is made anew; and in a copy."""
    import copy

    x, y = X[:60], TIMES[:60]
    model, *_ = made("classes", early_stopping=True, warm_start=True, learning_rate_init=0.05)
    for change in ({}, {"dropout": 0.3}, {"activation": "tanh"}, {"dropout": 0.0}):
        model = copy.deepcopy(model.set_params(**change))
        model.fit(x, y, validation_data=(X[60:], TIMES[60:]))
        assert model.score(X[60:], TIMES[60:]) == model.best_validation_score_


def test_steps_behind_lbfgs_are_steps():
    """Of an optimizer of their own: that which takes fits as a whole takes none."""
    model = C((5,), solver="lbfgs", random_state=0, max_iter=3).fit(X, TIMES)
    before = model.net_.params.copy()
    model.set_params(solver="sgd").partial_fit(X, TIMES)
    assert (model.net_.params != before).any()
    other = C((5,), n_ensemble=2, random_state=0, max_iter=1).fit(X, TIMES).set_params(n_ensemble=1)
    alone = C((5,), random_state=0, max_iter=1).partial_fit(X, TIMES, classes=[0, 1, 2])
    np.testing.assert_array_equal(other.partial_fit(X, TIMES).net_.params, alone.net_.params)


def test_what_users_have_changed_since(tmp_path):
    path = tmp_path / "net.safetensors"
    model, x, y = made("classes")
    model.coefs_, model.intercepts_ = (  # before there is a net
        [np.full(shape, 0.1) for shape in ((4, 5), (5, 4), (4, 1))], [np.zeros(n) for n in (5, 4, 1)]
    )  # fmt: skip
    regressor = R(hidden_layer_sizes=(5, 4), random_state=0)
    regressor.coefs_, regressor.intercepts_, regressor.n_features_in_ = model.coefs_, model.intercepts_, 4
    regressor.save(path)
    np.testing.assert_array_equal(fastnn.load(path).predict(x), regressor.predict(x))
    model, x, y = made("classes")
    model.fit(x, y).set_params(activation="tanh", alpha=0.5, dropout=0.5, loss="hinge")  # for the next fit
    model.net_.fit(x, y, "cross_entropy", "sgd", epochs=1)  # by hand
    model.save(path)
    again = fastnn.load(path)
    same(again, model, x)
    for one in (model, again):
        one.set_params(loss="log_loss", warm_start=True).fit(x, y)
    same(again, model, x)


def test_what_no_file_holds_is_refused_when_it_is_saved(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_text("old")
    model, x, y = made("classes")
    with pytest.raises(NotFittedError):
        model.save(path)
    model.fit(x, y)
    for settings, message in (
        ({"random_state": np.random.RandomState(0)}, r"random_state is RandomState.*, which no model file holds"),
        ({"callbacks": CSVLogger(tmp_path / "log.csv")}, r"callbacks holds CSVLogger.*would write files of the reader"),
        ({"scoring": lambda *_: 0.0}, "scoring is a function without a name"),
        ({"alpha": -1.0}, "'alpha' parameter"),
    ):
        before = {name: getattr(model, name) for name in settings}
        with pytest.raises((TypeError, ValueError), match=message):
            model.set_params(**settings).save(path)
        model.set_params(**before)
    assert path.read_text() == "old"

    class Own(MLPClassifier):
        """One of a user."""

    with pytest.raises(TypeError, match=r"Own is none of the classes of fastnn\.sklearn"):
        Own((3,), max_iter=1).fit(x, y).save(path)


# -- what is damaged --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of the files of some estimators."""
    found = []
    for name in ("two", "several", "batch", "ensemble", "categories", "variances", "words"):
        path = tmp_path_factory.mktemp("nets") / "net.safetensors"
        model, x, y = made(name, **({"early_stopping": True} if name == "batch" else {}))
        model.fit(x, y).save(path)
        found.append(path.read_bytes())
    return found


class Predicting(Loader):
    """Loads bytes; what is loaded predicts."""

    def load(self, content, mapped=False, measured=True):
        found = super().load(content, mapped, measured)
        if isinstance(found, (MLPClassifier, MLPRegressor)):
            row = np.zeros((2, found.n_features_in_), object if found.categorical_features is not None else float)
            nets = singles(found)
            for place, plan in (nets[0]._categories.plans if "_categories" in vars(nets[0]) else {}).items():
                row[:, place] = plan.values[0] if plan.values else None
            answers(found, row)
        return found


@pytest.mark.parametrize("made", [{"precision": "float32"}, {"precision": "bf16"}, {"calibration_x": WIDE}])
def test_another_net_than_the_trained_one_is_refused_when_it_is_saved(made, tmp_path):
    """As a file that nobody could read."""
    path, x = tmp_path / "net.safetensors", WIDE
    alone = MLPClassifier((600,), max_iter=1, random_state=0).fit(x, TIMES)
    many = MLPClassifier((600,), max_iter=1, random_state=0, n_ensemble=2).fit(x, TIMES)
    for one, estimator in ((alone, alone), (many.estimators_[1], many)):
        trained = one.net_
        one.net_ = trained.quantize(**made)
        with pytest.raises(ValueError, match=r"save: its net has .* save it as a model, net_.save\(path\)"):
            estimator.save(path)
        assert not path.exists()
        one.net_ = trained
        estimator.save(path)
        assert same_bits(fastnn.load(path).predict_proba(x), estimator.predict_proba(x))
        path.unlink()


def test_truncated_files_are_refused(files, tmp_path):
    loader, rng = Predicting(tmp_path), np.random.default_rng(0)
    for content in files:
        n = int.from_bytes(content[:8], "little")
        for at in [0, 1, 8, 8 + n, len(content) - 1, *rng.integers(len(content), size=10).tolist()]:
            assert loader.load(content[:at], measured=False) is None
        assert loader.load(content + b"\0", measured=False) is None
        assert loader.load(content) is not None


def test_mutated_files_are_refused_or_predict(files, tmp_path):
    loader, rng = Predicting(tmp_path), np.random.default_rng(1)
    for i in range(200):
        loader.load(mutated(files, rng), mapped=bool(i % 2), measured=i % 7 == 0)
    assert loader.refused > 100


def of(change):
    """A change of the description of an estimator."""
    return lambda content: changed(content, "estimator", change)


def rules(change):
    """A change of the optimizers that the first model of a file has by name."""
    return lambda content: changed(content, "models", lambda models: change(models["list"][0]["training"]["named"]))


def other_array(name, array):
    """Another array in the place of one."""

    def change(content):
        header, body = taken_apart(content)
        place = json.loads(header["__metadata__"]["estimator"])["state"]
        for key in name.split("/"):
            place = place[key]
        begin, end = header[place["array"]]["data_offsets"]
        assert end - begin == array.nbytes
        return put_together(header, body[:begin] + array.tobytes() + body[end:])

    return change


WRITES = {"type": "CSVLogger", "path": "/etc/passwd"}
HARMS = {  # the file, what is done to it, and what is said
    "callback": (0, of(lambda e: e["settings"].update(callbacks=[WRITES])), "which would write files"),
    "callback of a net": (3, of(lambda e: e["state"]["nets"][1]["settings"].update(callbacks=[WRITES])), "write files"),
    "setting": (0, of(lambda e: e["settings"].update(more=1)), "unexpected keyword"),
    "value": (0, of(lambda e: e["settings"].update(alpha=-1)), "'alpha' parameter"),
    "activation": (0, of(lambda e: e["settings"].update(activation="softmax")), "its net has the layers|activation"),
    "normalization": (0, of(lambda e: e["settings"].update(normalization="layer")), "its net has the layers"),
    "outputs": (0, of(lambda e: e["state"].update(n_outputs=7)), "4 inputs and 1 outputs, expected 4 and 7"),
    "inputs": (0, of(lambda e: e["state"].update(n_features_in=7)), "its net has 4 inputs .* expected 7"),
    "labels": (0, of(lambda e: e["state"]["labels"].update(kind="multiclass")), "its labels are multiclass, of 2"),
    "labels of several": (1, of(lambda e: e["state"]["labels"].update(of=[])), "it has no targets"),
    "fewer targets": (1, of(lambda e: e["state"]["labels"]["of"].pop()), "classes are others"),
    "classes": (0, of(lambda e: e["state"].update(classes=[])), "classes are others"),
    "classes that are wide": (
        0, of(lambda e: e["state"]["classes"][0].update(dtype="<U99999999", values=["a", "b"])),
        "classes of the dtype <U99999999 would take more memory than a file of this size may",
    ),
    "curve": (0, of(lambda e: e["state"].update(loss_curve_=3)), "its loss_curve_ is int 3"),
    "loss": (0, of(lambda e: e["state"].update(loss_="x")), "its loss_ is str x, expected a number"),
    "attribute": (0, of(lambda e: e["state"].update(predict=1)), "predict, which nothing takes"),
    "no net": (0, of(lambda e: e["state"].update(net=[])), "expected a list of models"),
    "nets": (3, of(lambda e: e["state"].update(nets=[])), "it has no nets"),
    "net of itself": (3, of(lambda e: e["state"]["nets"][0].update(nets=[{}])), "nets, which nothing takes"),
    "net that differs": (3, of(lambda e: e["state"]["nets"][0].update(out_activation="x")), "its nets? "),
    "place": (4, other_array("categories/places", np.array([9])), "expected places below 4"),
    "no category": (4, of(lambda e: e["state"]["categories"].update(columns=[])), "lacks 1 columns"),
    "best": (2, of(lambda e: e["state"]["_best"].update({"9": 1})), "which nothing takes"),
    "rule": (0, rules(lambda named: named.update({"of the estimator": {"type": "Nothing"}})), "fastnn does not know"),
    "rule of another": (0, rules(lambda named: named.update({"of the estimator": {"type": "ReLU"}})), "a Optimizer"),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMS)
def test_what_could_do_harm_is_refused_and_says_what_it_is(name, files, tmp_path):
    place, change, message = HARMS[name]
    loader = Predicting(tmp_path)
    assert loader.load(change(files[place])) is None
    with pytest.raises(ModelFormatError, match=rf"net.safetensors: .*({message})"):
        fastnn.load(loader.path)


# -- the command line -------------------------------------------------------------------------------------------------


def table(path, x, y, names):
    import csv

    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(
            [[*names, "y"], *([*row, one] for row, one in zip(x.tolist(), y.tolist(), strict=True))]
        )


ASKED = (
    "classes", "words", "margins", "several", "numbers", "quantiles", "ensemble", "categories", "mask",
    "rows of several",
)  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("named", [False, True])
def test_commands_take_such_files(name, named, tmp_path, capsys):
    import csv

    from fastnn.cli.command import main

    model, x, y = made(name)
    path, data, out = (str(tmp_path / name) for name in ("net.safetensors", "x.csv", "y.csv"))
    names = ["a", "b", "c", "d"]
    if named:
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(x, columns=names)
        if model.categorical_features is not None:
            frame = frame.astype({n: float for i, n in enumerate(names[:2])})
            model.set_params(categorical_features=["c", "d"])
            frame["c"] = frame["c"].astype(float).round()
        model.fit(frame, y)
        x = frame.to_numpy()
    else:
        model.fit(x, y)
    model.save(path)
    order = [3, 1, 0, 2] if named else [0, 1, 2, 3]
    one = y if y.ndim == 1 else y[:, 0]
    table(tmp_path / "xy.csv", x[:, order], one, [names[i] for i in order])
    rows = x[:, order]
    with open(data, "w", newline="") as file:
        csv.writer(file).writerows([[names[i] for i in order], *rows.tolist()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["predict", path, data, "-o", out]) == 0
    with open(out, newline="") as file:
        header, *written = csv.reader(file)
    expected = model.predict(x if not named else frame)
    expected = expected.reshape(len(x), -1)
    assert header == (
        ["prediction"] if expected.shape[1] == 1 else [f"prediction {i}" for i in range(expected.shape[1])]
    )
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(np.array(written, float), expected, rtol=1e-5)
    else:
        assert written == [[str(cell) for cell in row] for row in expected.tolist()]
    assert main(["show", path]) == 0
    assert type(model).__name__ in capsys.readouterr().out
    code = main(["evaluate", path, str(tmp_path / "xy.csv"), "--target", "y"])
    said = capsys.readouterr()
    if expected.shape[1] > 1:
        assert code == 1
        assert "predicts several numbers or labels for a row" in said.err
        return
    assert code == 0
    line = next(line for line in said.out.splitlines() if line.startswith(("accuracy", "R²")))
    assert float(line.split()[-1]) == pytest.approx(model.score(x if not named else frame, y), rel=1e-3, abs=1e-3)
    code = main(["predict", path, data, "--probabilities"])
    said = capsys.readouterr()
    assert (code == 0) == hasattr(model, "predict_proba")
    if code == 0:
        written = list(csv.reader(io.StringIO(said.out)))[1:]
        found = np.array([row[1:] for row in written], float)
        np.testing.assert_allclose(found, model.predict_proba(x if not named else frame), rtol=1e-4, atol=1e-7)
