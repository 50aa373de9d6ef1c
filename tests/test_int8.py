"""Products of 8-bit integers have the bits of their twin in NumPy, however they are computed; models of such."""

import copy
import pickle
import re
import shutil

import numpy as np
import pytest
from cases import dense_int8_arguments, kernel, random
from test_c import predict, shared
from test_malformed import changed, put_together, taken_apart

import fastnn
from fastnn import (
    EMA,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    Int8Dense,
    LayerNorm,
    Model,
    Parallel,
    PReLU,
    Residual,
    Sequential,
    Softmax,
    Tape,
    datasets,
    feeds,
    kernels,
    reference,
)
from fastnn._core.team import Team
from fastnn.formats.graph import graph_of, run
from fastnn.layers.int8 import MOST_INPUTS, packed
from fastnn.markup import size

# (batch, n_in, n_out) beside the edges of groups, panels, tiles and chunks
PRODUCTS = (
    (0, 3, 4), (1, 1, 1), (1, 7, 300), (2, 4, 16), (3, 5, 17), (4, 64, 33), (5, 66, 15), (8, 100, 32), (9, 31, 31),
    (12, 17, 48), (13, 128, 65), (37, 33, 130), (48, 20, 2), (49, 130, 10), (100, 784, 70), (150, 15, 64),
    (7, 20000, 18), (14, 13000, 20),
)  # fmt: skip
SPECIAL = [0.0, -0.0, 1e-45, 3e38, -3e38, np.inf, -np.inf]


@pytest.fixture(params=["16 bits", "instruction"])
def way(request):
    """Both ways of this processor; without the instruction, one of them."""
    k, is_chosen = kernels.float32, kernels.selected in ("avx512_vnni", "avx512_bf16", "amx_bf16")
    wanted = request.param == "instruction"
    if k._int8_instruction(wanted) != wanted:
        pytest.skip("neither this build nor this processor has AVX512_VNNI")
    yield request.param
    k._int8_instruction(is_chosen)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", PRODUCTS, ids=lambda sizes: "x".join(map(str, sizes)))
def test_products_have_the_bits_of_their_twin_in_any_parts(sizes, dtype, way):
    rng = random(*sizes[:2])
    zero, activation = ((0.0, "relu"), (117.0, None), (255.0, "relu"))[sizes[0] % 3]
    arguments = dense_int8_arguments(*sizes, dtype, rng, zero=zero, activation=activation)
    x, y = arguments["x"], arguments["y"]
    x.flat[: len(SPECIAL)] = SPECIAL[: x.size]
    x.flat[10::7] = np.rint(x.flat[10::7] / 0.015 - 0.5) * 0.015 + 0.0075  # halfway between two steps
    x[2::5, sizes[1] // 2] = np.nan
    expected = {**arguments, "y": y.copy()}
    reference.dense_int8(**expected)
    tape = Tape()
    kernel("dense_int8", dtype)(**arguments, tape=tape)

    def assert_same(**options):
        y[...] = -1
        tape.replay(**options)
        np.testing.assert_array_equal(y, expected["y"], err_msg=str(options))
        assert np.isnan(y[2::5]).all()

    for parts in (1, 2, 7):
        assert_same(parts=parts)
    for n_threads in (2, 3):
        with Team(n_threads, divide_all=True) as team:
            assert_same(team=team)


@pytest.mark.parametrize("k", [1, 16, 63, 64, 65, 200])
def test_numbers_of_any_size_and_a_nan_at_any_place(k, way):
    """Far from the ends, too, where they leave whole numbers of 16 or 32 bits."""
    rng = random(k, 3)
    arguments = dense_int8_arguments(k + 40, k, 17, np.float32, rng, zero=117.0, activation=None)
    x, y = arguments["x"], arguments["y"]
    x[k:] = np.ldexp(rng.choice([-1, 1], (40, k)) * rng.uniform(1, 2, (40, k)), rng.integers(-20, 60, (40, k)))
    np.fill_diagonal(x, np.nan)
    expected = {**arguments, "y": y.copy()}
    reference.dense_int8(**expected)
    kernels.float32.dense_int8(**arguments)
    np.testing.assert_array_equal(y, expected["y"])
    assert np.isnan(y[:k]).all()
    assert np.isfinite(y[k:]).all()


def test_sums_are_exact_up_to_the_most_inputs(way):
    """All numbers at their largest: VPMADDUBSW, or sums in 16 bits or in float32, would give others."""
    for weight, x in ((127, 1e9), (-128, 1e9), (-127, -1e9), (127, np.inf)):
        w, one = packed(np.full((MOST_INPUTS, 3), weight, np.int8)), np.ones(3, np.float32)
        y = np.empty((5, 3), np.float32)
        zero = 0.0 if x > 0 else 255.0
        given = np.full((5, MOST_INPUTS), x, np.float32)
        kernels.float32.dense_int8(given, w, one, np.full(3, zero * 7, np.int32), 0 * one, y, 1.0, zero)
        assert (y == np.float32((255 * weight * MOST_INPUTS if x > 0 else 0) - zero * 7)).all()
    more = np.zeros((1, MOST_INPUTS + 1), np.float32)
    w = np.zeros((1, MOST_INPUTS // 4 + 1, 64), np.int8)
    for k in (kernels.float32, reference):
        with pytest.raises(ValueError, match=r"dense_int8: x has 65537 columns, expected up to 65536"):
            k.dense_int8(more, w, one[:1], np.zeros(1, np.int32), one[:1], np.empty((1, 1), np.float32), 1.0, 0.0)
    with pytest.raises(ValueError, match=r"Int8Dense 1 \(2 units\): 65537 inputs, expected up to 65536"):
        Model([Int8Dense(2)], seed=0).build(MOST_INPUTS + 1)


def test_weights_of_other_sizes_are_refused():
    good = dense_int8_arguments(3, 10, 20, np.float32, random(3, 10))
    for w in (np.zeros((2, 2, 64), np.int8), np.zeros((1, 3, 64), np.int8), np.zeros((3, 3, 64), np.int8)):
        with pytest.raises(ValueError, match=r"dense_int8: w has . panels of . groups, expected 16 columns to a panel"):
            kernels.float32.dense_int8(**good | {"w": w})
    for name, value in (("step", 0.0), ("step", np.nan), ("zero", -1.0), ("zero", 256.0)):
        with pytest.raises(ValueError, match=f"dense_int8: {name} is"):
            kernels.float32.dense_int8(**good | {name: value})
    with pytest.raises(ValueError, match=r"dense_int8: w is .*float32.*expected a C-contiguous int8 array of 3 dim"):
        kernels.float32.dense_int8(**good | {"w": good["w"].astype(np.float32)})


# -- models -----------------------------------------------------------------------------------------------------------


def rows(n=300, n_in=40, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n_in)).astype(np.float32)


NETS = {
    "relu": lambda: [Dense(48, "relu"), Dense(33, "relu"), Dense(3), Softmax()],
    "no bias": lambda: [Dense(48, "tanh", bias=False), Dense(33, bias=False)],
    "scaled": lambda: [Dense(48), BatchNorm(), Dropout(0.3), Dense(32, PReLU()), LayerNorm(), Dense(2)],
    "inside": lambda: [
        Dense(32, "gelu"), Residual([Dense(64, "relu"), Dense(32)]), Parallel([Dense(32), Sequential([Dense(5)])]),
    ],
}  # fmt: skip


def net(name="relu", x=None, **options):
    """A net whose parameters and states are no first ones."""
    x = rows() if x is None else x
    made = Model(NETS[name](), seed=1, **options)
    made.fit(x, x[:, : Model(NETS[name](), seed=0).build(x.shape[1]).n_out], "mse", epochs=2, verbose=False)
    return made


def assert_predicts(small, x, expected):
    """In any parts, row by row, into an array, and as copies."""
    for options in ({"batch_size": 7}, {"n_threads": 2, "batch_size": 16}):
        np.testing.assert_array_equal(small.predict(x, **options), expected)
    np.testing.assert_array_equal([small.predict_one(row) for row in x[:9]], expected[:9])
    out = np.empty_like(expected)
    assert small.predict(x, out=out) is out
    np.testing.assert_array_equal(out, expected)
    for other in (pickle.loads(pickle.dumps(small)), copy.deepcopy(small)):
        np.testing.assert_array_equal(other.predict(x), expected)
        assert repr(other) == repr(small)


@pytest.mark.parametrize("name", NETS)
def test_wide_dense_layers_become_integers_and_the_others_stay(name):
    x = rows()
    made, more = net(name, x), rows(50, seed=2)
    small = made.quantize(x)
    expected = made.predict(more)
    got = small.predict(more)
    error = np.sqrt(np.mean((got - expected) ** 2)) / expected.std()
    assert 0 < error < 0.05, error
    for float_layer, layer in zip(made._tree.all, small._tree.all, strict=True):
        is_wide = isinstance(float_layer, Dense) and float_layer.n_in >= 32 and float_layer.units >= 32
        assert isinstance(layer, Int8Dense) == is_wide, layer
    assert_predicts(small, more, got)


def test_a_layer_computes_what_its_docstring_says():
    x = rows()
    made = net("relu", x)
    small, more = made.quantize(x), rows(20, seed=3)
    layer, dense = small[0], made[0]
    weights, steps = layer.weights, np.abs(dense.w.astype(float)).max(axis=0) / 127
    np.testing.assert_array_equal(weights, np.rint(dense.w / steps))
    assert np.abs(weights).max(axis=0).min() == 127
    np.testing.assert_array_equal(packed(weights), layer.w)
    step, zero = layer.step[0], int(layer.zero[0])
    assert step == np.float32((x.max() - x.min()) / 255)
    assert zero == round(-x.min() / step)
    np.testing.assert_array_equal(layer.scale, (step * steps).astype(np.float32))
    q = np.rint(np.clip(more * (1 / np.float32(step)), -zero, 255 - zero)) + zero
    sums = (q @ weights.astype(float) - zero * weights.sum(axis=0, dtype=float)).astype(np.float32)
    expected = np.maximum(sums * layer.scale + dense.b, 0)
    np.testing.assert_array_equal(layer(more), expected)
    assert small[1].zero[0] == 0  # behind relu


def test_nan_gives_nan_and_infinity_the_end_of_the_range():
    x = rows()
    small = net("relu", x).quantize(x)
    more = rows(9, seed=4)
    before = small.predict(more)
    more[3, 7] = np.nan
    after = small.predict(more)
    assert np.isnan(after[3]).all()
    np.testing.assert_array_equal(np.delete(after, 3, 0), np.delete(before, 3, 0))
    ends = np.array([x.max(), x.min(), np.inf, -np.inf], np.float32)
    at = np.repeat(rows(1, seed=5), 4, axis=0)
    at[:, 5] = ends
    at = small.predict(at)
    np.testing.assert_array_equal(at[2:], at[:2])


def test_it_is_a_snapshot_that_does_not_train():
    x = rows()
    made = net("relu", x)
    small = made.quantize(x)
    before, float_before = small.predict(x), made.predict(x)
    made.fit(x, x[:, :3], "mse", epochs=1, verbose=False)
    made[0].w[...] = 0
    np.testing.assert_array_equal(small.predict(x), before)
    with pytest.raises(TypeError, match=r"Int8Dense 1 \(48 units\).*cannot be trained.*quantize"):
        small.fit(x, x[:, :3], "mse", epochs=1)
    with pytest.raises(TypeError, match=r"Int8Dense 1 \(48 units\).*cannot be trained.*quantize"):
        small.train_batch(x, x[:, :3], loss="mse")
    np.testing.assert_array_equal(small.predict(x), before)
    assert (made.predict(x) != float_before).any()


def test_averages_are_what_is_quantized():
    x = rows()
    made = Model(NETS["relu"](), seed=0)
    made.fit(x, x[:, :3], "mse", Adam(0.01, average=EMA(0.9)), epochs=3, verbose=False)
    averaged = copy.deepcopy(made)
    averaged.use_averages()
    np.testing.assert_array_equal(made.quantize(x).predict(x), averaged.quantize(x).predict(x))
    assert made._trainer.averages.layers is not None


def test_names_and_losses_come_along():
    pd = pytest.importorskip("pandas")
    x = rows()
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(40)])
    made = Model([Dense(32, "relu"), Dense(1, "sigmoid")], seed=0)
    made.fit(frame, x[:, 0] > 0, BinaryCrossEntropy(), epochs=1, verbose=False)
    small = made.quantize(frame[frame.columns[::-1]])
    assert small.feature_names == made.feature_names
    np.testing.assert_array_equal(small.predict(frame[frame.columns[::-1]]), small.predict(x))
    got, expected = (model.evaluate(frame, x[:, 0] > 0) for model in (small, made))
    assert got.keys() == expected.keys()
    assert abs(got["loss"] - expected["loss"]) < 0.01


def test_a_column_of_zeros_and_a_constant_one_are_no_trouble():
    x = rows()
    made = net("relu", x)
    made[0].w[:, 3] = 0
    x[:, 4] = 2.5
    small = made.quantize(x)
    assert np.abs(small.predict(x) - made.predict(x)).max() < 0.05
    assert (small[0].weights[:, 3] == 0).all()


def test_what_cannot_be_quantized_is_said():
    x = rows()
    made = net("relu", x)
    refused = {
        "the model is not built": (RuntimeError, Model([Dense(3)], seed=0), x),
        "computes in float64, expected float32": (ValueError, Model([Dense(64)], 0, "float64").build(40), x),
        "no Dense layer would gain: expected one of 32 inputs": (ValueError, Model([Dense(8)], seed=0).build(40), x),
        "calibration_x has 0 rows": (ValueError, made, x[:0]),
        "calibration_x has 1 row, expected some hundred": (ValueError, made, x[:1]),
        "Dense 1 .48 units. expects 40 features, got calibration_x of shape": (ValueError, made, x[:, :39]),
        "calibration_x has shape .40,., expected 2 dimensions": (ValueError, made, x[0]),
        "calibration_x is 'abc', expected numbers": (TypeError, made, "abc"),
        "calibration_x is NaN at row 1, column 2": (ValueError, made, np.where(np.arange(40) == 2, [[0], [np.nan]], 0)),
        "calibration_x is infinite": (ValueError, made, np.full((2, 40), np.inf)),
        "inputs of Dense 1 .48 units. are all 0": (ValueError, made, 0 * x),
        "the model is quantized already": (ValueError, made.quantize(x), x),
    }
    for message, (kind, model, given) in refused.items():
        with pytest.raises(kind, match=message):
            model.quantize(given)
    made[0].b[...] = -1e9
    with pytest.raises(ValueError, match=r"inputs of Dense 2 \(33 units\) are all 0 in a prediction of calibration_x"):
        made.quantize(x)


def test_the_summary_says_what_is_of_integers(capsys):
    x = rows()
    small = net("relu", x).quantize(x)
    small.summary()
    text = capsys.readouterr().out
    assert "products of 8-bit integers: 1, 2" in text
    assert "a prediction of one row: 3,603 multiply-adds" in text
    assert re.search(r"1  Int8Dense\(48, 'relu'\) +\(rows, 48\) +1,920 of 8 bits +1,920\n", text)
    assert "40 inputs, 102 parameters, 3,504 weights of 8 bits, float32" in text
    n_bytes = sum(array.nbytes for layer in small[:2] for array in layer.states.values())
    own = f"memory: 408 bytes of parameters and as much of gradients, {size(n_bytes)} of weights of 8 bits with"
    assert own in " ".join(text.split())
    assert repr(small[0]) == "Int8Dense(48, 'relu')"
    assert "; 40 inputs, 102 parameters, 3,504 weights of 8 bits, float32>" in repr(small)
    inside = Model([Residual([Dense(40, "relu"), Dense(40)])], seed=0).build(40).quantize(x)
    inside.summary()
    text = capsys.readouterr().out
    assert re.search(r"1  Residual +\(rows, 40\) +3,200 of 8 bits +3,200\n", text)
    assert re.search(r"memory: [\d.]+ KB of weights of 8 bits with their scales and biases\n", text)
    assert "; 40 inputs, 3,200 weights of 8 bits, float32>" in repr(inside)


def test_rows_of_a_feed_calibrate_as_those_of_an_array_do():
    net, x = Model([Dense(48, "relu"), Dense(3)], seed=0).build(40), rows(700)
    expected = net.quantize(x).predict(x)
    for feed in (feeds.Arrays(x), feeds.Batches([(x[:300],), (x[300:],)])):
        np.testing.assert_array_equal(net.quantize(feed).predict(x), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net, x: net[1].w.__setitem__((0, 0), np.inf), r"weights of Dense 2 \(33 units\) are not finite"),
        (lambda net, x: net[0].b.__setitem__(3, np.nan), r"weights of Dense 1 \(48 units\) are not finite"),
        (lambda net, x: x.__imul__(1e-38), r"inputs of Dense 1 \(48 units\) are from .* expected a range of 1e-35"),
        (lambda net, x: x.fill(1e-45), r"inputs of Dense 1 \(48 units\) are from .* expected a range of 1e-35"),
        (lambda net, x: net[1].w.__imul__(1e-36), r"products of Dense 2 \(33 units\) are too small for float32"),
    ],
)
def test_numbers_that_no_step_can_be_made_of_are_refused(change, message):
    net, x = Model([Dense(48, "relu"), Dense(33), Dense(3)], seed=0).build(40), rows(50)
    change(net, x)
    with pytest.raises(ValueError, match=message):
        net.quantize(x)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_digits_are_told_apart_as_in_float32(activation):
    x, y = datasets.load_digits()
    x = (x / 16).astype(np.float32)
    shares = []
    for seed in range(3):
        chosen = np.random.default_rng(seed).permutation(len(x))
        train, test = chosen[:1300], chosen[1300:]
        made = Model([Dense(64, activation), Dense(64, activation), Dense(10), Softmax()], seed=seed)
        made.fit(x[train], y[train], epochs=12, verbose=False)
        right = [(model.predict(x[test]).argmax(axis=1) == y[test]).mean() for model in (made, made.quantize(x[train]))]
        assert right[0] > 0.94
        shares.append(right[0] - right[1])
    assert abs(np.mean(shares)) <= 0.005, shares
    assert max(shares) <= 0.01, shares


def test_a_regression_has_the_error_of_float32():
    """The mean of the lower half of a digit, from its upper half."""
    x, _ = datasets.load_digits()
    x = (x / 16).astype(np.float32)
    changes = []
    for seed in range(3):
        chosen = np.random.default_rng(seed).permutation(len(x))
        train, test = chosen[:1300], chosen[1300:]
        upper, mean = x[:, :40], x[:, 40:].mean(axis=1, keepdims=True)
        mean = (mean - mean.mean()) / mean.std()
        made = Model([Dense(64, "relu"), Dense(64, "relu"), Dense(1)], seed=seed)
        made.fit(upper[train], mean[train], "mse", epochs=15, verbose=False)
        models = made, made.quantize(upper[train])
        of_float, of_integers = (np.sqrt(np.mean((m.predict(upper[test]) - mean[test]) ** 2)) for m in models)
        changes.append(of_integers / of_float - 1)
    assert abs(np.mean(changes)) <= 0.01, changes


def test_files_hold_the_integers(tmp_path):
    x = rows()
    made = net("inside", x)
    small = made.quantize(x)
    small.save(tmp_path / "small.safetensors")
    loaded = fastnn.load(tmp_path / "small.safetensors")
    np.testing.assert_array_equal(loaded.predict(x), small.predict(x))
    assert [layer.w.dtype for layer in loaded._tree.all if isinstance(layer, Int8Dense)] == [np.int8] * 4
    made = Model([Dense(256, "relu"), Dense(256, "relu"), Dense(1)], seed=0).build(256)
    made.save(tmp_path / "float.safetensors")
    made.quantize(rows(20, 256)).save(tmp_path / "small.safetensors")
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "float")]
    assert sizes[0] < 0.28 * sizes[1], sizes


DAMAGES = {
    "other units": (lambda of: of["layers"][0].update(units=49), r"the array 0\.w has shape \(3, 10, 64\)"),
    "many inputs": (lambda of: of.update(n_in=MOST_INPUTS + 1), "65537 inputs, expected up to 65536"),
    "another kind": (lambda of: of["layers"][0].update(type="Dense"), r"the array 0\.w has shape .* and dtype int8"),
    "no units": (lambda of: of["layers"][0].update(units=-1), "Int8Dense: units is -1"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused(damage, tmp_path):
    change, message = DAMAGES[damage]
    x, path = rows(), tmp_path / "small.safetensors"
    net("relu", x).quantize(x).save(path)
    content = path.read_bytes()
    path.write_bytes(changed(content, "architecture", change))
    with pytest.raises(fastnn.ModelFormatError, match=message):
        fastnn.load(path)
    header, arrays = taken_apart(content)
    header["0.w"]["dtype"] = "U8"
    path.write_bytes(put_together(header, arrays))
    with pytest.raises(fastnn.ModelFormatError, match=r"the array 0\.w has .* dtype uint8, expected .* int8"):
        fastnn.load(path)


@pytest.mark.parametrize(("name", "value"), [("step", 0.0), ("step", np.nan), ("zero", -1.0), ("zero", 1e300)])
def test_numbers_that_no_calibration_gives_are_refused(name, value, tmp_path):
    x, path = rows(), tmp_path / "small.safetensors"
    small = net("relu", x).quantize(x)
    getattr(small[0], name)[...] = value
    small.save(path)
    with pytest.raises(ValueError, match=f"dense_int8: {name} is"):
        fastnn.load(path).predict(x)


@pytest.mark.parametrize("name", NETS)
def test_other_formats_compute_the_same(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = rows()
    small = net(name, x).quantize(x)
    expected = small.predict(x)
    scale = np.abs(expected).max()
    fastnn.to_onnx(small, tmp_path / "small.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    got = {
        "onnx": session.run(None, {session.get_inputs()[0].name: x})[0],
        "graph": run(graph_of(small), x),
        "numpy": predicted_by(fastnn.to_numpy_source(small), x),
    }
    for format, outputs in got.items():  # one float32 apart, an input of a later layer can be a step apart
        np.testing.assert_allclose(outputs, expected, atol=0.02 * scale, err_msg=format)
        assert np.sqrt(np.mean((outputs - expected) ** 2)) < 2e-3 * scale, format


def predicted_by(source, x):
    namespace = {}
    exec(source, namespace)
    return namespace["predict"](x)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("flags", [("-O0", "-fsanitize=undefined", "-fno-sanitize-recover=all"), ("-O2",)], ids=str)
def test_c_has_nan_and_ends_of_the_range_as_here(flags, tmp_path):
    """That all its bits are those of the library is tested with the nets of test_c.py."""
    x = rows()
    small = net("no bias", x).quantize(x)
    fastnn.to_c(small, tmp_path / "net.h")
    function = shared(tmp_path / "net.h", *flags).net_predict
    x[:4, 5] = np.nan, np.inf, -np.inf, 1e30
    for row, expected in zip(x[:20], small.predict(x[:20]), strict=True):
        got = predict(function, row, small.n_out)
        np.testing.assert_allclose(got, expected, atol=0.02)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    assert np.isnan(small.predict(x[:1])).all()
    assert np.isfinite(small.predict(x[1:])).all()
