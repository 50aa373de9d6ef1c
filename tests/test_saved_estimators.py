"""Estimators as files: the same predictions, to the bit; what is damaged is an error that says so, in little memory."""

import io
import json
import os
import pickle
from contextlib import redirect_stdout

import numpy as np
import pytest
from test_malformed import Loader, changed, mutated, put_together, taken_apart

import fastnn
from fastnn import Dense, Model, ModelFormatError, ReLU

pytestmark = pytest.mark.once

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pytest.importorskip("polars")

from test_tabular import table  # noqa: E402

from fastnn.sklearn import MLPClassifier, TabularClassifier, TabularRegressor  # noqa: E402

FRAME, TARGET = table(120)
ROWS = np.random.default_rng(0).normal(size=(90, 3))


def labels(kind):
    """Labels of each kind that there is."""
    codes = np.arange(len(FRAME)) % 3
    names = {
        "text": ["low", "middle", "hïgh"], "objects": np.array(["a", "b", "c"], object),
        "numbers": [7, -2, 10**15], "floats": [1.0, 2.0, 3.0], "small": np.array([1, 2, 3], np.int8),
        "dates": np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]"), "flags": [True, False, True],
        "spans": np.array([1, 2, 30], "m8[h]"), "steps": np.array([1, 2, 3], "m8"),
        "times 25 s apart": np.array([1, 2, 3], "M8[25s]"),
        "many": [f"class {i}" for i in range(40)], "numbers as text": np.array([1, 2, 3]).astype(str),  # of 21 letters
    }[kind]  # fmt: skip
    names = np.asarray(names)
    return names[codes if kind != "many" else np.arange(len(FRAME)) % 40]


def classifier(kind="text", preset="fast", x=FRAME, **settings):
    return TabularClassifier(preset, random_state=0, **settings).fit(x, labels(kind)[: len(x)])


def regressor(preset="fast", x=FRAME, y=TARGET, weight=None, **settings):
    return TabularRegressor(preset, random_state=0, **settings).fit(x, y, sample_weight=weight)


ESTIMATORS = {
    **{kind: lambda kind=kind: classifier(kind) for kind in ("text", "objects", "numbers", "floats", "small", "many")},
    **{kind: lambda kind=kind: classifier(kind) for kind in ("dates", "flags", "spans", "steps", "times 25 s apart")},
    "numbers as text": lambda: classifier("numbers as text"),
    "balanced": lambda: classifier(preset="balanced", n_nets=2, class_weight={"low": 2, "middle": 1, "hïgh": 1.5}),
    "numbers to learn": regressor,
    "several, weighted": lambda: regressor(
        "balanced", y=np.stack([TARGET, TARGET**2], axis=1), weight=1.0 + np.arange(120) % 3, n_nets=2, verbose=0
    ),
    "best": lambda: regressor("best", n_nets=2, time_limit=0.5),
    "array": lambda: regressor(x=ROWS, y=ROWS[:, 0], categorical_features=[]),
    "few rows": lambda: regressor(x=ROWS[:9], y=ROWS[:9, 0]),
    "no column left": lambda: regressor(x=np.ones((30, 2)), y=np.arange(30.0)),
    "sized intervals": lambda: regressor(
        "balanced", x=np.tile(ROWS, (5, 1)), y=np.tile(ROWS[:, 0], 5), n_nets=2, categorical_features=[2]
    ),
    "categories": lambda: regressor(x=pd.DataFrame({"c": np.arange(300) % 100, "d": np.arange(300) % 4}).astype(str),
                                    y=np.arange(300.0) % 100),
    "numbers for names": lambda: regressor(x=pd.DataFrame(ROWS), y=ROWS[:, 0]),
    "mixed": lambda: regressor(x=pd.DataFrame({"m": ["a", 1, True, 2.5, None, b"b"] * 20}, dtype=object)),
}  # fmt: skip


def rows_for(model, name):
    n = model.n_features_in_
    if n == FRAME.shape[1]:
        return FRAME
    if name == "categories":
        return pd.DataFrame({"c": ["1", "new", None], "d": ["0", "1", "2"]})
    if name == "mixed":
        return pd.DataFrame({"m": ["a", 1, True, 2.5, None, b"b"]}, dtype=object)
    return pd.DataFrame(ROWS) if name == "numbers for names" else np.ones((4, n)) if n == 2 else ROWS


def equal(a, b):
    return type(a) is type(b) and pickle.dumps(a) == pickle.dumps(b)


@pytest.mark.filterwarnings("ignore:.*time_limit.*:UserWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_loaded_is_as_it_was_saved(name, tmp_path):
    model, path = ESTIMATORS[name](), tmp_path / "model.safetensors"
    model.save(path)
    again = fastnn.load(path)
    assert type(again) is type(model)
    assert str(again.get_params()) == str(model.get_params())
    assert vars(again).keys() == vars(model).keys()  # an attribute that is new has to be saved, too
    assert again.recipe_ == model.recipe_
    assert str(again.preprocessing_) == str(model.preprocessing_)
    x = rows_for(model, name)
    for method in ("predict", "predict_proba", "predict_interval"):
        if hasattr(model, method) and (method != "predict_interval" or model._residuals is not None):
            options = (0.7,) if method == "predict_interval" else ()
            found, expected = getattr(again, method)(x, *options), getattr(model, method)(x, *options)
            np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(again.feature_importances_, model.feature_importances_)
    row = x[:1] if hasattr(x, "iloc") else x[0]
    np.testing.assert_array_equal(again.explain(row).contributions, model.explain(row).contributions)
    np.testing.assert_array_equal(fastnn.load(path, mmap=True).predict(x), model.predict(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).predict(x), model.predict(x))
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    told = io.StringIO()
    with redirect_stdout(told):
        fastnn.formats.showing.show(path)
    assert told.getvalue().splitlines()[1].startswith(f"{type(model).__name__}(")
    assert not any(len(line) > 400 for line in told.getvalue().splitlines())


def test_without_rows_no_data_are_in_the_file(tmp_path):
    model, path = regressor(), tmp_path / "model.safetensors"
    model.save(path, rows=False)
    again = fastnn.load(path)
    np.testing.assert_array_equal(again.predict(FRAME), model.predict(FRAME))
    with pytest.raises(ValueError, match="saved without rows"):
        again.feature_importances_  # noqa: B018
    again.fit(FRAME, TARGET)
    np.testing.assert_array_equal(again.feature_importances_, model.feature_importances_)


def scorer(net, x, y):
    return -float(np.square(net.predict(x) - y).mean())


def test_functions_among_the_settings_are_those_of_the_reader(tmp_path):
    path = tmp_path / "model.safetensors"
    model = regressor(scoring=scorer)
    model.save(path)
    with pytest.raises(ModelFormatError, match="scoring is 'scorer', a function that is not fastnn's"):
        fastnn.load(path)
    assert fastnn.load(path, custom={"scorer": scorer}).scoring is scorer
    with pytest.raises(TypeError, match=r"random_state is RandomState.*, which no model file holds"):
        model.set_params(random_state=np.random.RandomState(0)).save(path)

    class Own(TabularRegressor):
        """One of a user."""

    with pytest.raises(TypeError, match=r"Own is none of the classes of fastnn\.sklearn"):
        Own("fast").fit(FRAME, TARGET).save(path)
    with pytest.raises(ValueError, match="not fitted yet"):
        TabularRegressor().save(path)


# -- what is damaged --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of the files of some estimators."""
    found = []
    for name in ("text", "several, weighted", "categories", "dates", "sized intervals", "many"):
        path = tmp_path_factory.mktemp("estimators") / "net.safetensors"
        ESTIMATORS[name]().save(path)
        found.append(path.read_bytes())
    return found


class Predicting(Loader):
    """Loads bytes; what is loaded predicts."""

    def load(self, content, mapped=False, measured=True):
        found = super().load(content, mapped, measured)
        if isinstance(found, (TabularClassifier, TabularRegressor)):
            found.predict(np.full((2, found.n_features_in_), None, object))
        return found


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_truncated_files_are_refused(files, tmp_path):
    loader, rng = Predicting(tmp_path), np.random.default_rng(0)
    for content in files:
        n = int.from_bytes(content[:8], "little")
        for at in [0, 1, 8, 8 + n, len(content) - 1, *rng.integers(len(content), size=20).tolist()]:
            assert loader.load(content[:at], measured=False) is None
        assert loader.load(content + b"\0", measured=False) is None
        assert loader.load(content) is not None


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_refused_or_predict(files, tmp_path):
    loader, rng = Predicting(tmp_path), np.random.default_rng(1)
    for i in range(300):
        loader.load(mutated(files, rng), mapped=bool(i % 2), measured=i % 7 == 0)
    assert loader.refused > 150


def state(change):
    """A change of what an estimator has come to."""
    return lambda content: changed(content, "estimator", lambda of: change(of["state"]))


def arrays(name, dtype, change):
    """A change of the array that stands at a place in the state."""

    def of(content):
        header, body = taken_apart(content)
        place = json.loads(header["__metadata__"]["estimator"])["state"]
        for key in name.split("/"):
            place = place[int(key) if key.isdigit() else key]
        begin, end = header[place["array"]]["data_offsets"]
        array = np.frombuffer(body[begin:end], dtype).copy()
        change(array)
        return put_together(header, body[:begin] + array.tobytes() + body[end:])

    return of


HARMS = {  # of a regressor of two targets with weights
    "another class": (lambda c: changed(c, "estimator", lambda of: of.update({"class": "os.system"})), "its class is"),
    "no estimator": (lambda c: changed(c, "estimator", lambda of: of.update({"class": "__name__"})), "its class is"),
    "a setting": (lambda c: changed(c, "estimator", lambda of: of["settings"].update(x=1)), "unexpected keyword"),
    "a preset": (lambda c: changed(c, "estimator", lambda of: of["settings"].update(preset="")), "preset is ''"),
    "no state": (lambda c: changed(c, "estimator", lambda of: of.pop("state")), "it|its estimator has no state"),
    "no models": (lambda c: changed(c, "models", lambda of: of.update(list=[])), "it has no models"),
    "a model of nothing": (lambda c: changed(c, "models", lambda of: of.update(list=[3])), "one of its models is 3"),
    "an attribute": (state(lambda of: of.update(predict=1)), "predict, which nothing takes"),
    "a net that is not there": (state(lambda of: of.update(nets=[{"model": 99}])), "expected one of . models"),
    "no net": (state(lambda of: of.update(nets=[])), "expected a list of models"),
    "other columns": (state(lambda of: of.update(n_features_in=3)), "it has 9 columns, expected 3"),
    "columns of nothing": (state(lambda of: of["preprocessing"].update(becomes="zz")), "columns become 'zz'"),
    "fewer columns": (
        state(lambda of: of["preprocessing"].update(becomes="nn")),
        r"expected 2 texts|has shape \(9,\)",
    ),
    "a recipe": (state(lambda of: of["recipe"].update(hidden="x")), "recipe: its hidden is str x"),
    "what no recipe has": (state(lambda of: of["recipe"].update(more=1)), "recipe has str more, which nothing takes"),
    "spread": (arrays("spread", "<f8", lambda a: a.fill(np.nan)), "its spread holds NaN"),
    "factor": (arrays("preprocessing/factor", "<f8", lambda a: a.fill(np.inf)), "its factor holds NaN or infinity"),
    "residuals": (arrays("residuals/scores", "<f8", lambda a: a[:2].__setitem__(0, 1e9)), "not in order"),
    "one target": (state(lambda of: of.update(one_column=True)), r"its mean has shape \(2,\)"),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.parametrize("name", HARMS)
def test_what_could_do_harm_is_refused_and_says_what_it_is(name, files, tmp_path):
    change, message = HARMS[name]
    loader = Predicting(tmp_path)
    assert loader.load(change(files[1])) is None
    with pytest.raises(ModelFormatError, match=rf"net.safetensors: .*({message})"):
        fastnn.load(loader.path)


@pytest.mark.filterwarnings("ignore:.*time_limit.*:UserWarning")
def test_what_is_large_takes_little_more_memory_than_it_is_long(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"customer {i:06}" for i in range(30_000)] * 2, "x": rng.normal(size=60_000)})
    loader = Loader(tmp_path)
    model = TabularRegressor("fast", random_state=0, time_limit=1.0)
    model.fit(frame, frame["x"]).save(loader.path)
    content = loader.path.read_bytes()
    again = loader.load(content)
    np.testing.assert_array_equal(again.predict(frame[:99]), model.predict(frame[:99]))
    wide = TabularRegressor("fast", random_state=0).fit(rng.normal(size=(80, 4000)), np.arange(80))
    wide.save(loader.path)
    assert loader.load(loader.path.read_bytes()) is not None
    assert os.path.getsize(loader.path) < 5e6  # three nets of 1 MB, 1.3 MB of rows, 4,000 columns in words


def with_many_values():
    frame = pd.DataFrame({"id": [f"customer {i:04}" for i in range(400)] * 2, "x": np.arange(800.0)})
    return regressor(x=frame, y=np.arange(800.0), n_nets=2, time_limit=0.5)


def several_nets():
    net = MLPClassifier((4,) * 20, random_state=0, max_iter=2, n_ensemble=6, early_stopping=True, solver="sgd")
    return net.fit(ROWS, np.array([f"class {i}" for i in range(3)])[np.arange(90) % 3])


def with_wide_labels():
    return MLPClassifier((4,), random_state=0, max_iter=2).fit(ROWS, np.array(["a", "b"], "U99999")[np.arange(90) % 2])


@pytest.mark.filterwarnings("ignore:.*time_limit.*:UserWarning", "ignore:Stochastic Optimizer")
@pytest.mark.parametrize(
    "make",
    [
        with_many_values, lambda: classifier("many"), several_nets, with_wide_labels,
        lambda: Model([*(ReLU() for _ in range(60)), Dense(1)], seed=0).build(2),
    ],
)  # fmt: skip
def test_what_is_saved_can_be_loaded_however_little_memory_a_file_may_take(make, tmp_path, monkeypatch):
    """Or it is refused when it is saved, and the old file stays."""
    model, saved = make(), []
    for i in range(12, 24):
        monkeypatch.setattr("fastnn.formats.strict_json._SPARE", 2**i)
        path = tmp_path / "file"
        path.write_text("old", encoding="utf-8")
        said = ""
        try:
            model.save(path)
        except ValueError as error:
            said = str(error)
        if said:
            assert "would take more memory than a file of this size may" in said
            assert path.read_text(encoding="utf-8") == "old"
        else:
            saved.append(i)
            fastnn.load(path)
    assert saved
    assert saved[0] > 12
