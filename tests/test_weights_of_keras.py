"""Models of Keras, of this process and of files: the same predictions, and errors that name the layer."""

import copy
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data.of_others import X
from peers import keras

import fastnn
from fastnn import (
    BatchNorm,
    Bias,
    Dense,
    LayerNorm,
    LeakyReLU,
    Model,
    ModelFormatError,
    Normalization,
    PReLU,
    Scale,
)
from fastnn.formats.weights.keras_layers import _snake

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

h5py = pytest.importorskip("h5py")
DATA = Path(__file__).parent / "data"
RECORDED = json.loads((DATA / "of_others.json").read_text(encoding="utf-8"))
RTOL = {"float32": 1e-5, "float64": 1e-12}
ROWS = np.random.default_rng(1).normal(size=(30, 6))


def near(found, expected, dtype="float32"):
    np.testing.assert_allclose(found, expected, rtol=RTOL[dtype], atol=RTOL[dtype])


def test_recorded_files_without_keras():
    for name in ("keras.keras", "keras.h5", "keras_functional.keras"):
        net = fastnn.from_keras(DATA / name)
        near(net.predict(X), RECORDED[name])
        net.fit(X, np.zeros(6, int) if net.n_out == 3 else np.zeros((6, 2)), epochs=1, verbose=False)
    layers = [Dense(5, "gelu"), BatchNorm(0.01, 1e-3), Dense(4, LeakyReLU(0.1)), LayerNorm(1e-3), Dense(3, "softmax")]
    into = Model(layers, seed=0)
    assert fastnn.from_keras(DATA / "keras.weights.h5", into=into.build(4)) is into
    mean, variance = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 2.0, 3.0, 4.0])
    near(into.predict((X - mean) / np.sqrt(variance)), RECORDED["keras.weights.h5"])
    with pytest.raises(ModelFormatError, match=r"keras.weights.h5: it holds weights alone: make a Model .*into=net"):
        fastnn.from_keras(DATA / "keras.weights.h5")


LAYERS = """Activation("relu") Activation("leaky_relu") Activation("elu") Activation("selu") Activation("celu")
    Activation("gelu") Activation("silu") Activation("mish") Activation("softplus") Activation("softsign")
    Activation("sigmoid") Activation("hard_sigmoid") Activation("hard_silu") Activation("hard_tanh")
    Activation("hard_shrink") Activation("soft_shrink") Activation("tanh_shrink") Activation("tanh")
    Activation("squareplus") Activation("sparse_plus") Activation("sparse_sigmoid") Activation("exponential")
    Activation("log_sigmoid") Activation("log_softmax") Activation("softmax") Activation("linear") Activation("relu6")
    ReLU() ReLU(6.0) ReLU(2.5) ReLU(negative_slope=0.2) ReLU(threshold=0.3) LeakyReLU() LeakyReLU(0.1) ELU(0.5) PReLU()
    Softmax() Dropout(0.2) AlphaDropout(0.2) GaussianDropout(0.2) GaussianNoise(0.3) Identity() BatchNormalization()
    BatchNormalization(scale=False,momentum=0.9) BatchNormalization(center=False) LayerNormalization()
    BatchNormalization(center=False,scale=False) LayerNormalization(epsilon=0.1,center=False)
    LayerNormalization(center=False,scale=False) RMSNormalization() Rescaling(0.5) Rescaling(2.0,offset=-1.0)"""


def stirred(net):
    rng = np.random.default_rng(0)
    net.set_weights([rng.uniform(0.1, 0.9, w.shape) - (0.4 if w.ndim == 2 else 0.0) for w in net.get_weights()])
    return net


def test_each_layer_predicts_as_in_keras(tmp_path):
    """In float32: that of PyTorch below it, 3.15 has errors of 2e-8 in float64, too."""
    layers, dtype = keras().layers, "float32"
    for i, text in enumerate(LAYERS.split()):
        layer = eval(f"layers.{text[:-1]}, dtype=dtype)".replace("(, ", "("), {"layers": layers, "dtype": dtype})
        net = keras().Sequential(
            [
                keras().Input((6,), dtype=dtype),
                layers.Dense(8, dtype=dtype),
                layer,
                layers.Dense(3, "sigmoid", dtype=dtype),
            ]
        )
        expected = np.asarray(stirred(net).predict(ROWS, verbose=0))
        net.save(tmp_path / "net.keras")
        for source in (net, tmp_path / "net.keras") if i % 3 == 0 else (net,):
            near(fastnn.from_keras(source).predict(ROWS), expected, dtype)
        into = copy.deepcopy(fastnn.from_keras(net))
        into.params = 0.5
        near(fastnn.from_keras(net, into=into).predict(ROWS), expected, dtype)
        if i % 5 == 0 and "Rescaling" not in text:  # which has no weights there
            net.save_weights(tmp_path / "net.weights.h5")
            into = copy.deepcopy(fastnn.from_keras(net))
            into.params = 0
            near(fastnn.from_keras(tmp_path / "net.weights.h5", into=into).predict(ROWS), expected, dtype)


def test_rows_of_other_shapes_codes_and_nested_models(tmp_path):
    k, layers = keras(), keras().layers
    codes = np.random.default_rng(0).integers(0, 7, (30, 3))
    images = ROWS.reshape(30, 3, 2)
    cases = (
        (k.Sequential([k.Input((3,)), layers.Embedding(7, 4), layers.Flatten(), layers.Dense(2)]), codes),
        (
            k.Sequential([k.Input((3, 2)), layers.Rescaling(0.5), layers.Flatten(), layers.Dense(2)]),
            images,
        ),
        (k.Sequential([k.Input((6,)), k.Sequential([layers.Dense(4, "relu")]), layers.Dense(2)]), ROWS),
    )
    for net, x in cases:
        expected = np.asarray(stirred(net).predict(x, verbose=0))
        net.save(tmp_path / "net.keras")
        for source in (net, tmp_path / "net.keras"):
            near(fastnn.from_keras(source).predict(x), expected)
    normalization = layers.Normalization()
    normalization.adapt(ROWS * 3 + 1)
    net = k.Sequential([k.Input((6,)), normalization, layers.Dense(2)])
    near(fastnn.from_keras(net).predict(ROWS), np.asarray(net.predict(ROWS, verbose=0)))


def test_layers_that_come_again():
    k, layers = keras(), keras().layers
    relu, dropout, dense = layers.ReLU(negative_slope=0.1), layers.Dropout(0.1), layers.Dense(6)
    inner = k.Sequential([layers.Activation("tanh"), dropout, relu])
    cases = [
        k.Sequential([k.Input((6,)), layers.Dense(6), relu, layers.Dense(4), relu, layers.Dense(4), relu]),
        k.Sequential([layers.Dense(6), inner, layers.Dense(6), dropout, inner, layers.Dense(2), relu]),
    ]
    for net in cases:
        net.build((None, 6))
        expected = np.asarray(stirred(net).predict(ROWS, verbose=0))
        near(fastnn.from_keras(net).predict(ROWS), expected)
    for row, name in (
        ([dense, relu, dense], "dense"),
        ([layers.PReLU(name="p"), layers.Dense(6), k.Sequential([dense]), dense], "dense"),
        ([prelu := layers.PReLU(), layers.Dense(6), prelu], "re_lu"),
        ([two := k.Sequential([layers.Dense(6), layers.ReLU()]), two], "dense"),
        ([norm := layers.BatchNormalization(center=False, scale=False), layers.Dense(6), norm], "normalization"),
    ):
        net = k.Sequential([k.Input((6,)), *row])
        with pytest.raises(
            ValueError, match=rf"^from_keras: layer \w*{name}\w* .* shares weights with .*own, or pass int"
        ):
            fastnn.from_keras(net)
    net = stirred(k.Sequential([k.Input((6,)), dense, relu, dense]))
    into = Model([Dense(6, LeakyReLU(0.1)), Dense(6)], seed=0)
    near(fastnn.from_keras(net, into=into).predict(ROWS), np.asarray(net.predict(ROWS, verbose=0)))
    with pytest.raises(
        TypeError, match=r"got <class .*Sequential'>, expected a keras.Model, .*: make one of the class"
    ):
        fastnn.from_keras(k.Sequential)


def test_files_of_layers_that_come_again(tmp_path):
    """Keras writes them once, and numbers those behind them as if they were twice."""
    k, layers = keras(), keras().layers
    dense = layers.Dense(6)
    net = k.Sequential([k.Input((6,)), dense, dense, layers.Dense(6)])
    net.save(tmp_path / "net.keras")
    with pytest.raises(
        ModelFormatError, match=r"arrays of layers/dense_2: .*comes again in a Sequential: pass the mod"
    ):
        fastnn.from_keras(tmp_path / "net.keras")


def test_float64_stays_float64():
    k, layers = keras(), keras().layers
    net = k.Sequential(
        [k.Input((6,)), *(layers.Dense(n, a, dtype="float64") for n, a in ((8, "relu"), (3, "sigmoid")))]
    )
    w1, b1, w2, b2 = stirred(net).get_weights()
    expected = 1 / (1 + np.exp(-(np.maximum(ROWS @ w1 + b1, 0) @ w2 + b2)))
    near(fastnn.from_keras(net).predict(ROWS), expected, "float64")


def written(path, *layers, **model):
    """The path of a file as of Keras 3, of layers with their kinds, configurations and arrays."""
    rows, counts = [], {}
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("vars")
        for kind, config, *arrays in layers:
            snake = _snake(kind)
            number = counts[snake] = counts.get(snake, -1) + 1
            name = f"{snake}_{number}" if number else snake
            beside = {key: config.pop(key) for key in ("module", "build_config") if key in config}
            rows.append({"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, **beside})
            for i, array in enumerate(arrays):
                file[f"layers/{name}/vars/{i}"] = np.asarray(array, "f4")
    whole = {"module": "keras", "class_name": "Sequential", "config": {"layers": rows}, **model}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(whole))
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


INPUTS = ("InputLayer", {"batch_shape": [None, 3]})
IMAGES = ("InputLayer", {"batch_shape": [None, 3, 2]})
DENSE = ("Dense", {"units": 2}, np.ones((3, 2)), np.ones(2))
OWN = {"module": None, "class_name": "LeakyReLU", "config": {}, "registered_name": "LeakyReLU"}
REFUSED_FILES = {
    "own class": (
        [("Dense", {"units": 2, "module": None}, *DENSE[2:])],
        {},
        r"layer dense \(Dense\) is a class of your",
    ),
    "own module": ([("Dense", {"units": 2, "module": "a"}, *DENSE[2:])], {}, r"\(Dense\) is of a, a class of your own"),
    "own activation": (
        [("Dense", {"units": 2, "activation": OWN}, *DENSE[2:])],
        {},
        r"activation LeakyReLU of layer dense \(Dense\) is a class of your own: make a Model",
    ),
    "own model": (
        [DENSE],
        {"module": None, "class_name": "Sequential"},
        r"model \(Sequential\) is a class of your own",
    ),
    "own, not in a row": ([DENSE], {"module": None, "class_name": "Net", "config": {}}, r"model \(Net\) is .*into=net"),
    "no output": ([DENSE, ("ReLU", {"max_value": 0.0})], {}, r"layer re_lu \(ReLU\) has max_value=0, behind which all"),
    "channels first": (
        [IMAGES, ("Flatten", {"data_format": "channels_first"}), DENSE],
        {},
        r"\(Flatten\) has data_form",
    ),
}


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_what_files_say_is_not_guessed(case, tmp_path):
    layers, model, message = REFUSED_FILES[case]
    with pytest.raises(ModelFormatError, match=rf"net.keras: from_keras: .*{message}"):
        fastnn.from_keras(written(tmp_path / "net.keras", *copy.deepcopy(layers), **model))
    if case == "channels first":  # of rows it says nothing
        net = fastnn.from_keras(written(tmp_path / "net.keras", INPUTS, *layers[1:]))
        assert net.predict([[1, 2, 3]]).tolist() == [[7, 7]]


PRELU, NORM = ("PReLU", {}, np.full(3, 0.5)), {"scale": False, "center": False, "epsilon": 0.5}
X3 = np.array([[-1.0, 2.0, 3.0], [4.0, -5.0, 6.0]])
CENTERED = (X3 - X3.mean(axis=1, keepdims=True)) / np.sqrt(X3.var(axis=1, keepdims=True) + 0.5)
UNSAID = {  # layers, what is expected of X3, and the same layers here, of which arrays do not say all
    "prelu first": ([INPUTS, PRELU], np.where(X3 > 0, X3, X3 / 2), [PReLU(True)]),
    "one slope": (
        [INPUTS, ("PReLU", {"shared_axes": [1]}, [0.5])],
        np.where(X3 > 0, X3, X3 / 2),
        [PReLU()],
    ),
    "rescaling last": (
        [INPUTS, PRELU, ("Rescaling", {"scale": 3.0, "offset": 1.0})],
        np.where(X3 > 0, X3, X3 / 2) * 3 + 1,
        [PReLU(True), Scale(), Bias()],
    ),
    "normalization last": (
        [INPUTS, PRELU, ("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": 4.0})],
        (np.where(X3 > 0, X3, X3 / 2) - [1, 2, 3]) / 2,
        [PReLU(True), Normalization()],
    ),
    "layer norm": (
        [INPUTS, ("LayerNormalization", NORM), DENSE],
        CENTERED @ np.ones((3, 2)) + 1,
        [LayerNorm(0.5), Dense(2)],
    ),
    "layer norm last": (
        [INPUTS, ("Dense", {"units": 3}, np.eye(3), np.zeros(3)), ("LayerNormalization", NORM)],
        CENTERED,
        [Dense(3), LayerNorm(0.5)],
    ),
    "batch norm": (
        [INPUTS, ("BatchNormalization", {**NORM, "center": True}, *np.array([[2.0] * 3, [1.0] * 3, [3.5] * 3])), DENSE],
        ((X3 - 1) / 2 + 2) @ np.ones((3, 2)) + 1,
        [BatchNorm(0.01, 0.5), Dense(2)],
    ),
}


@pytest.mark.parametrize("case", UNSAID)
def test_what_arrays_do_not_say(case, tmp_path):
    layers, expected, same = UNSAID[case]
    path = written(tmp_path / "net.keras", *copy.deepcopy(layers))
    near(fastnn.from_keras(path).predict(X3), expected)
    for into in (Model(copy.deepcopy(same)), Model(copy.deepcopy(same)).build(3)):
        near(fastnn.from_keras(path, into=into).predict(X3), expected)


def test_columns_are_not_guessed(tmp_path):
    layers = [("PReLU", {"shared_axes": [1]}, [0.5]), ("Rescaling", {"scale": 3.0})]
    with pytest.raises(ModelFormatError, match=r"\(Rescaling\) has no Input before and no dense layer behind it that"):
        fastnn.from_keras(written(tmp_path / "net.keras", *layers))
    wide = ("InputLayer", {"batch_shape": [None, 10**12]})
    for layers in ([wide, PRELU, ("Rescaling", {"scale": 3.0})], [wide, ("LayerNormalization", dict(NORM))]):
        with pytest.raises(ModelFormatError, match=r"the layers have [0-9,]* numbers, and arrays with \d were given"):
            fastnn.from_keras(written(tmp_path / "net.keras", *layers))


def test_numbers_of_a_configuration_are_as_exact_as_arrays():
    k, layers = keras(), keras().layers
    normalization = layers.Normalization(mean=1 / 3, variance=0.3, dtype="float64")
    last = layers.Dense(2, dtype="float64")
    net = k.Sequential([k.Input((6,)), layers.Rescaling(1 / 3, 0.1, dtype="float64"), normalization, last])
    w, b = stirred(net).get_weights()
    near(fastnn.from_keras(net).predict(ROWS), (ROWS / 3 + 0.1 - 1 / 3) / np.sqrt(0.3) @ w + b, "float64")


def test_files_of_models_of_ones_own_go_into_a_model(tmp_path):
    """Keras names their layers as attributes, beside those in lists; those of optimizer and metrics are no layer's."""
    path = tmp_path / "net.weights.h5"
    with h5py.File(path, "w") as file:
        for place, n in (
            ("vars", 0),
            ("head/vars", 2),
            ("layers/dense_1/vars", 2),
            ("optimizer/vars", 3),
            ("metrics/mean/vars", 2),
        ):
            group = file.create_group(place)
            for i in range(n):
                group[str(i)] = np.ones(((3, 2), (2,))[i] if place == "head/vars" else ((4, 3), (3,), (5,))[i], "f4")
    net = fastnn.from_keras(path, into=Model([Dense(3), Dense(2)]).build(4))
    assert net.predict([[1, 1, 1, 1]]).tolist() == [[16, 16]]
    with h5py.File(path, "a") as file:
        file["vars/0"] = np.ones(3, "f4")
    with pytest.raises(ModelFormatError, match=r"3 layers with arrays were given \(the model itself, head, layers/"):
        fastnn.from_keras(path, into=net)


def test_functions_and_classes_with_the_names_of_others():
    k, layers = keras(), keras().layers

    def relu(x):
        return x * x

    class Net(k.Model):
        def __init__(self, make):
            super().__init__()
            self.head = make()

        def call(self, x):
            return self.head(x)

    for net, message in (
        (
            k.Sequential([layers.Dense(2), layers.Activation(relu)]),
            "activation relu of test_weights_of_keras, expected",
        ),
        (k.Sequential([k.Sequential([layers.Dense(2, k.ops.gelu)])]), "activation gelu of keras.*ops.*, expected one"),
        (type("Net", (Net,), {"__init__": lambda self: Net.__init__(self, lambda: layers.Dense(2))})(), r"\(Net\) is"),
        (Net(lambda: layers.Dense(2)), r"\(Net\), or a layer of it, is of a class of your own without a get_config"),
    ):
        net(ROWS)
        with pytest.raises(ValueError, match=rf"^from_keras: .*{message}.*, from_keras\(source, into=net\)$"):
            fastnn.from_keras(net)
    near(fastnn.from_keras(net, into=Model([Dense(2)])).predict(ROWS), np.asarray(net.predict(ROWS, verbose=0)))


REFUSED = {
    "layers.Conv1D(3, 1)": r"layer \\w+ \\(Conv1D\\) is not understood",
    "layers.Lambda(lambda x: x)": r"\\(Lambda\\) runs code that the file holds",
    "layers.Softmax(axis=0)": r"\\(Softmax\\) has axis=0, expected -1 or 1",
    "layers.Activation('sparsemax')": r"has the activation 'sparsemax', whose rows need not sum to 1 there, which",
    "layers.ReLU(6.0, 0.1)": r"\\(ReLU\\) has max_value, negative_slope and threshold, of which one may be set",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_names_the_layer(text):
    k, layers = keras(), keras().layers
    first = [k.Input((6, 2))] if "Conv" in text else [k.Input((6,)), layers.Dense(4)]
    net = k.Sequential([*first, eval(text, {"layers": layers}), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(ValueError, match=f"^from_keras: .*{REFUSED[text]}".replace("\\\\", "\\")):
        fastnn.from_keras(net)


def test_models_that_branch_and_what_is_none():
    k, layers = keras(), keras().layers
    x = k.Input((6,))
    y = layers.Dense(6)(x)
    for net, message in (
        (k.Model(x, layers.Dense(1)(layers.Add()([x, y]))), "reads .* others, or one that others read"),
        (
            k.Model(x, [y, layers.Dense(1)(y)]),
            "outputs are not those of the last layer alone|do not stand in the row|reads",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            fastnn.from_keras(net)
    for wrong in (3, None, [1]):
        with pytest.raises(TypeError, match=r"expected a keras.Model, or the path of a file"):
            fastnn.from_keras(wrong)


# -- files that are damaged, or written to do harm --------------------------------------------------------------------


def changed(name, change):
    """The archive with its configuration changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(DATA / name) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.infolist():
            text = old.read(entry)
            new.writestr(entry.filename, change(entry.filename, text) or text)
    return made.getvalue()


def config_with(word, value):
    def change(name, text):
        return text.replace(word.encode(), value.encode()) if name == "config.json" else None

    return change


HARMFUL = {
    "units": config_with('"units": 5', '"units": 1000000000000'),
    "inputs": config_with("[null, 4]", "[null, 1000000000000]"),
    "nested": lambda name, text: b"[" * 100_000 if name == "config.json" else None,
    "no object": lambda name, text: b"3" if name == "config.json" else None,
    "no archive's": lambda name, text: b"not HDF5" if name.endswith("h5") else None,
    "own class": config_with('"module": "keras.layers"', '"module": "os"'),
    "lambda": config_with('"class_name": "Dropout"', '"class_name": "Lambda"'),
    "twice": config_with('"name": "dense_1"', '"name": "dense"'),
    "rate": config_with('"rate": 0.2', '"rate": "a"'),
    "no list": config_with('"layers": [', '"layers": 3, "others": ['),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_archives_that_lie(case, tmp_path):
    path = tmp_path / "net.keras"
    path.write_bytes(changed("keras.keras", HARMFUL[case]))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFormatError, match=r"net.keras: "):
            fastnn.from_keras(path)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()


def test_bombs_and_links(tmp_path):
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, b" " * 2**26)
    with pytest.raises(ModelFormatError, match=r"config.json would have 67,108,864 bytes, it has"):
        fastnn.from_keras(path)
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["w"] = np.ones((4, 4))
    into = Model([Dense(4)], seed=0).build(4)
    for link in (h5py.ExternalLink(str(secret), "w"), h5py.SoftLink("/other")):
        path = tmp_path / "net.weights.h5"
        with h5py.File(path, "w") as file:
            file["other"] = np.ones((4, 4))
            file.create_group("layers/dense/vars")["0"] = link
        with pytest.raises(ModelFormatError, match="is a link, expected what it names"):
            fastnn.from_keras(path, into=into)
    for options in (
        {"compression": "gzip", "shape": (10**5, 10**5), "dtype": "f4"},
        {"shape": (10**6, 10**6), "dtype": "f4"},
    ):
        with h5py.File(path, "w") as file:
            file.create_group("layers/dense/vars").create_dataset("0", **{"dtype": "f4", **options})
        with pytest.raises(ModelFormatError, match=r"lies elsewhere, or is packed|bytes, and 0 are there"):
            fastnn.from_keras(path, into=into)


def mutated(text, rng):
    at = int(rng.integers(len(text)))
    if rng.integers(5) == 0:
        return text[:at]
    found = bytearray(text)
    for _ in range(int(rng.integers(1, 5))):
        found[int(rng.integers(len(found)))] = int(rng.integers(256))
    return bytes(found)


@pytest.mark.parametrize("name", ["keras.keras", "keras.h5", "keras_functional.keras"])
def test_damaged_files(name, tmp_path):
    text, path, rng = (DATA / name).read_bytes(), tmp_path / name, np.random.default_rng(0)
    n_errors = 0
    for _ in range(100):
        path.write_bytes(mutated(text, rng))
        try:
            fastnn.from_keras(path)
        except ModelFormatError:
            n_errors += 1
    assert n_errors > (50 if name.endswith("keras") else 5)


def test_files_of_other_kinds(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("to do")
    with pytest.raises(ModelFormatError, match=r"notes.txt: it is no file of Keras, expected an archive"):
        fastnn.from_keras(path)
    with pytest.raises(FileNotFoundError):
        fastnn.from_keras(tmp_path / "none.keras")
    with h5py.File(path, "w") as file:
        file["a"] = 1
    with pytest.raises(ModelFormatError, match=r"there is no group 'layers' in it"):
        fastnn.from_keras(os.fspath(path))
