"""Weights that are packed once give the bits of those that each product rounds or reads as they are, in any parts."""

import re

import numpy as np
import pytest
from cases import (
    dense_arguments,
    dense_bf16_arguments,
    dense_int8_arguments,
    dense_panels_arguments,
    kernel,
    random,
)
from test_bf16 import PRODUCTS, assert_same_bits, way
from test_int8 import NETS, assert_predicts, net, predicted_by, rows

import fastnn
from fastnn import BFloat16Dense, Dense, Model, PanelDense, Tape, kernels, quantization, reference
from fastnn._core.team import Team
from fastnn.formats.graph import graph_of, run
from fastnn.layers.bfloat16 import packed
from fastnn.layers.panels import panels
from fastnn.markup import size

__all__ = ["way"]  # the fixture
# one pair; blocks of terms, whose rectangles would begin within a panel where tiles are narrower than that
MORE = (1, 2, 300), (9, 2, 70), (255, 1030, 330)
SPECIAL = np.array([0.0, -0.0, 1e-45, -1e-39, 3e38, 3.4e38, np.inf, -np.inf, np.nan, 1.00390625], np.float32)


@pytest.mark.parametrize("sizes", [*PRODUCTS, *MORE], ids=lambda sizes: "x".join(map(str, sizes)))
@pytest.mark.parametrize("special", [False, True], ids=["numbers", "special"])
def test_products_have_the_bits_of_weights_rounded_in_each_in_any_parts(sizes, special, way):
    batch, n_in, n_out = sizes
    rng = random(batch, n_in)
    w = rng.normal(size=(n_in, n_out)).astype(np.float32)
    options = {"activation": ("relu", "tanh", None)[batch % 3], "bias": n_out % 2 == 0}
    if batch % 2:
        options |= dict(zip(("factor", "offset"), rng.normal(size=(2, n_out)).astype(np.float32), strict=True))
    arguments = dense_bf16_arguments(*sizes, np.float32, rng, **options)
    if special:
        w.flat[:: max(w.size // 10, 1)] = np.resize(SPECIAL, w.flat[:: max(w.size // 10, 1)].size)
        arguments["x"].flat[::7] = np.resize(SPECIAL, arguments["x"].flat[::7].size)
    arguments["w"] = packed(w)
    y, expected = arguments["y"], arguments["y"].copy()
    kernel("dense_forward", np.float32)(**arguments | {"w": w, "y": expected}, bf16=True)
    if options["activation"] != "tanh" and "factor" not in options:  # where the twin rounds elsewhere
        twin = np.empty_like(y)
        reference.dense_bf16(**arguments | {"y": twin})
        assert_same_bits([twin], [expected], "twin")
    tape = Tape()
    kernel("dense_bf16", np.float32)(**arguments, tape=tape)

    def assert_same(**options):
        y[...] = -1
        tape.replay(**options)
        assert_same_bits([y], [expected], str(options))

    for parts in (1, 2, 7):
        assert_same(parts=parts)
    for n_threads in (2, 3):
        with Team(n_threads, divide_all=True) as team:
            assert_same(team=team)


# one tile, two and more; rows a multiple of 4 KB long, which are packed; blocks of a chain, and of a sum
OF_PANELS = (
    *(sizes for sizes in (*PRODUCTS, *MORE) if sizes[2] >= 4), (1, 784, 70), (2, 300, 96), (3, 100, 33), (8, 700, 64),
    (12, 784, 70), (13, 600, 100), (30, 1024, 70), (30, 512, 40), (40, 2048, 33), (13, 1030, 64), (300, 90, 256),
    (9, 0, 40), (3, 70, 4), (300, 130, 5),
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", OF_PANELS, ids=lambda sizes: "x".join(map(str, sizes)))
def test_products_of_panels_have_the_bits_of_weights_that_lie_in_rows_in_any_parts(sizes, dtype):
    rng = random(*sizes[:2])
    for activation in ("relu", "tanh", None):
        for scaled in (False, True):
            given = dense_arguments(*sizes, dtype, rng, activation=activation, bias=not scaled or sizes[2] % 2 == 0)
            if scaled:
                given |= dict(zip(("factor", "offset"), rng.normal(size=(2, sizes[2])).astype(dtype), strict=True))
            y, expected = given["y"], given["y"].copy()
            kernel("dense_forward", dtype)(**given | {"y": expected})
            tape = Tape()
            kernel("dense_panels", dtype)(**given | {"w": panels(given["w"])}, tape=tape)
            for options in ({}, {"parts": 1}, {"parts": 2}, {"parts": 7}):
                y[...] = -1
                tape.replay(**options)
                np.testing.assert_array_equal(y, expected, str((activation, scaled, options)))
            for n_threads in (2, 3):
                y[...] = -1
                with Team(n_threads, divide_all=True) as team:
                    tape.replay(team=team)
                np.testing.assert_array_equal(y, expected, f"{n_threads} threads")


def test_panels_lie_as_the_docstring_says():
    w = random(13, 70).normal(size=(13, 70))
    found = panels(w)
    assert found.shape == (3, 13, 32)
    assert all(found[j // 32, p, j % 32] == w[p, j] for p in range(13) for j in range(70))
    assert np.count_nonzero(found) == w.size
    np.testing.assert_array_equal(reference.panels.weights(found, 70), w)


def test_panels_of_other_sizes_are_refused():
    good = dense_panels_arguments(3, 10, 40, np.float32, random(3, 10))
    for shape in ((2, 9, 32), (1, 10, 32), (3, 10, 32), (2, 5, 32)):
        with pytest.raises(ValueError, match=r"dense_panels: w has . panels of \d+ terms, expected 32 columns to"):
            kernels.float32.dense_panels(**good | {"w": np.zeros(shape, np.float32)})
    with pytest.raises(ValueError, match=r"dense_panels: w"):
        kernels.float32.dense_panels(**good | {"w": np.zeros((2, 10, 16), np.float32)})
    with pytest.raises(
        ValueError, match=r"dense_panels: y has 3 columns, expected 4 or more: sums for fewer differ in"
    ):
        kernels.float32.dense_panels(**dense_panels_arguments(2, 10, 3, np.float32, random(2, 10)))
    with pytest.raises(ValueError, match=r"PanelDense: units is 3, expected a whole number >= 4"):
        PanelDense(3)


@pytest.mark.parametrize("sizes", [(3, 7, 33), (5, 1025, 70), (2, 2100, 2), (40, 64, 64)], ids=str)
def test_in_float64_weights_alone_are_rounded(sizes):
    rng = random(*sizes[:2])
    given = dense_bf16_arguments(*sizes, np.float64, rng, activation="relu")
    kernels.float64.dense_bf16(**given)
    w = reference.bfloat16.weights(given["w"], *sizes[1:]).astype(float)
    scale = np.abs(given["x"]) @ np.abs(w) + np.abs(given["b"])
    error = np.abs(given["y"] - np.maximum(given["x"] @ w + given["b"], 0)) / scale
    assert error.max() < 8 * np.sqrt(sizes[1]) * np.finfo(float).eps


def test_weights_lie_as_the_docstring_says():
    w = random(13, 70).normal(size=(13, 70)).astype(np.float32)
    bits = reference.bfloat16.rounded(w).view(np.uint32) >> 16
    found = packed(w)
    assert found.shape == (3, 7, 64)
    assert all(found[j // 32, p // 2, 2 * (j % 32) + p % 2] == bits[p, j] for p in range(13) for j in range(70))
    assert np.count_nonzero(found) == w.size
    layer = Model([Dense(70), Dense(2)], seed=0).build(64).quantize(precision="bf16")[0]
    np.testing.assert_array_equal(packed(layer.weights), layer.w)


def test_weights_of_other_sizes_are_refused():
    good = dense_bf16_arguments(3, 10, 40, np.float32, random(3, 10))
    for shape in ((2, 4, 64), (1, 5, 64), (3, 5, 64), (2, 6, 64)):
        with pytest.raises(ValueError, match=r"dense_bf16: w has . panels of . pairs, expected 32 columns to a panel"):
            kernels.float32.dense_bf16(**good | {"w": np.zeros(shape, np.uint16)})
    with pytest.raises(ValueError, match=r"dense_bf16: w is .*int16.*expected a C-contiguous uint16 array of 3 dim"):
        kernels.float32.dense_bf16(**good | {"w": good["w"].view(np.int16)})


# -- models -----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def of_few(monkeypatch):
    """Let nets of these tests gain by panels, too."""
    monkeypatch.setattr(quantization, "_LEAST_IN_PANELS", 40 * 48)


@pytest.mark.parametrize("name", NETS)
def test_predictions_of_panels_have_the_bits_of_the_model(name):
    made, more = net(name), rows(50, seed=2)
    fast = made.quantize(precision="float32")
    got = fast.predict(more)
    np.testing.assert_array_equal(got.view(np.uint32), made.predict(more).view(np.uint32))
    for dense, layer in zip(made._tree.all, fast._tree.all, strict=True):
        gains = isinstance(dense, Dense) and dense.n_in * dense.units >= 40 * 48 and dense.units >= 32
        assert isinstance(layer, PanelDense) == gains, layer
    assert_predicts(fast, more, got)


def test_weights_in_panels_are_those_it_predicts_with():
    x, made = rows(), net()
    fast = made.quantize(precision="float32")
    before = fast.predict(x)
    made[0].w[...] = 0
    made.fit(x, x[:, :3], "mse", epochs=1, verbose=False)
    np.testing.assert_array_equal(fast.predict(x), before)
    with pytest.raises(TypeError, match=r"PanelDense 1 \(48 units\).*cannot be trained.*quantize"):
        fast.fit(x, x[:, :3], "mse")
    view = fast[0].w[0]  # whoever holds it
    fast[0].w = panels(made[0].w)
    fast[0].b[...] = made[0].b
    for layer, other in zip(fast[1:3], made[1:3], strict=True):
        layer.w, layer.b = panels(other.w) if isinstance(layer, PanelDense) else other.w, other.b
    np.testing.assert_array_equal(fast.predict(x), made.predict(x))
    np.testing.assert_array_equal(fast[0].weights, made[0].w)
    view[...] = 0
    made[0].w[:, :32] = 0
    np.testing.assert_array_equal(fast.predict(x), made.predict(x))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_weights_that_are_set_are_packed(precision):
    """As `quantize` packs them, from arrays and lists of any dtype; what is refused changes nothing."""
    x, made, others = rows(), net(), net()
    others.fit(x, x[:, :3], "mse", epochs=1, verbose=False)
    packed_model, expected = (model.quantize(precision=precision) for model in (made, others))
    for layer, other in zip(packed_model.layers, others.layers, strict=True):
        if hasattr(layer, "weights"):
            layer.weights = other.w.astype(np.float64).tolist()
            layer.b = other.b
        elif isinstance(layer, Dense):
            layer.w, layer.b = other.w, other.b
    np.testing.assert_array_equal(packed_model.predict(x), expected.predict(x))
    before = packed_model[0].w.copy()
    for wrong, said in ((others[0].w.T, "has shape"), ("w", "expected numbers"), (1j * others[0].w, "complex")):
        with pytest.raises((TypeError, ValueError), match=rf"{type(packed_model[0]).__name__} 1 .*weights.*{said}"):
            packed_model[0].weights = wrong
    np.testing.assert_array_equal(packed_model[0].w, before)
    packed_model[0].weights = np.full(others[0].w.shape, 1e300)
    assert np.isinf(packed_model[0].weights).all()
    with pytest.raises(AttributeError, match="before it is built"):
        type(packed_model[0])(8).weights = others[0].w


def test_the_summary_says_what_lies_in_panels(capsys, tmp_path):
    fast = net().quantize(precision="float32")
    fast.summary()
    text = capsys.readouterr().out
    assert re.search(r"1  PanelDense\(48, 'relu'\) +\(rows, 48\) +1,920 of 32 bits", text), text
    assert "products of weights that lie in panels: 1" in text
    fast.save(tmp_path / "fast.safetensors")
    loaded = fastnn.load(tmp_path / "fast.safetensors")
    assert repr(loaded) == repr(fast)
    np.testing.assert_array_equal(loaded.predict(rows()), fast.predict(rows()))


def test_small_products_stay_as_they_are(monkeypatch):
    monkeypatch.undo()
    made = Model([Dense(512, "relu"), Dense(64, "relu"), Dense(64, "relu"), Dense(3)], seed=0).build(128)
    fast = made.quantize(precision="float32")
    assert [type(layer) for layer in fast] == [PanelDense, Dense, Dense, Dense]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("precision", [None, "bf16"])
def test_predictions_have_the_bits_of_a_model_in_bf16(name, precision):
    made, more = net(name, precision=precision), rows(50, seed=2)
    small = made.quantize(precision="bf16")
    live = Model(NETS[name](), seed=1, precision="bf16").build(40)
    live.params = made.params
    for ours, theirs in zip(live._tree.all, made._tree.all, strict=True):
        for state, value in theirs.states.items():
            ours.states[state][...] = value
    expected = live.predict(more)
    got = small.predict(more)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
    for dense, layer in zip(made._tree.all, small._tree.all, strict=True):
        is_wide = isinstance(dense, Dense) and dense.n_in >= 32 and dense.units >= 32
        assert isinstance(layer, BFloat16Dense) == is_wide, layer
    assert_predicts(small, more, got)


def test_it_is_a_snapshot_whose_weights_are_those_it_predicts_with():
    x, made = rows(), net()
    small = made.quantize(precision="bf16")
    before = small.predict(x)
    made[0].w[...] = 0
    made.fit(x, x[:, :3], "mse", epochs=1, verbose=False)
    np.testing.assert_array_equal(small.predict(x), before)
    for train in (lambda: small.fit(x, x[:, :3], "mse"), lambda: small.train_batch(x, x[:, :3], loss="mse")):
        with pytest.raises(TypeError, match=r"BFloat16Dense 1 \(48 units\).*cannot be trained.*quantize"):
            train()
    np.testing.assert_array_equal(small.predict(x), before)
    small[0].w[...] = packed(made[0].w)  # they are live, and there is no other copy
    small[0].b[...] = made[0].b
    assert (small.predict(x) != before).any()
    small[1].w[...], small[1].b[...] = packed(made[1].w), made[1].b
    small[2].w[...], small[2].b[...] = made[2].w, made[2].b
    np.testing.assert_array_equal(small.predict(x), made.quantize(precision="bf16").predict(x))


TO_PACK = [{"precision": "bf16"}, {"precision": "bfloat16"}, {"calibration_x": rows()}, {"precision": "float32"}]


@pytest.mark.parametrize("options", TO_PACK, ids=["bf16", "bfloat16", "int8", "float32"])
@pytest.mark.parametrize("name", NETS)
def test_copies_take_over_all_of_packed_layers(name, options):
    """Weights and what belongs to them are states of other dtypes: they are no counters."""
    x, other = rows(), net(name).quantize(**options)
    expected = other.predict(x)
    for take_over in (lambda model: model.copy_from(other), lambda model: model.soft_update(other, 1)):
        model = net(name)
        model.params = model.params * np.float32(2)
        model = model.quantize(**options)
        before = model.predict(x)
        assert (before != expected).any()
        with pytest.raises(ValueError, match=r"soft_update: there is nothing between the packed weights of "):
            model.soft_update(other, 0.5)
        np.testing.assert_array_equal(model.predict(x), before)
        take_over(model)
        np.testing.assert_array_equal(model.predict(x), expected)
    unbuilt = Model([type(other[0])(48), Dense(2)], seed=0)
    with pytest.raises(ValueError, match=r"other layers|nothing between"):
        unbuilt.soft_update(other, 0.5)
    assert not unbuilt.built


# inputs and units that fill the same panels
ALMOST = {
    "bf16": ((39, 48), (40, 48), True), "bf16-units": ((40, 48), (40, 50), False), "int8": ((37, 48), (40, 48), True),
    "float32": ((40, 48), (40, 50), False),
}  # fmt: skip


@pytest.mark.parametrize("name", ALMOST)
def test_nothing_is_taken_over_from_other_sizes_that_fill_the_same_panels(name):
    precision = name.partition("-")[0]

    def made(n_in, units, bias, seed):
        model = Model([Dense(units, bias=bias)], seed=seed).build(n_in)
        return model.quantize(rows()[:, :n_in] if precision == "int8" else None, precision=precision)

    *sizes, bias = ALMOST[name]
    for mine, its in (sizes, sizes[::-1]):
        model, other = made(*mine, bias, 0), made(*its, bias, 1)
        before = model.predict(rows()[:, : mine[0]])
        said = rf"with w .*inputs {mine[0]}, outputs {mine[1]} here, .*inputs {its[0]}, outputs {its[1]} there$"
        for take in (
            lambda model=model, other=other: model.copy_from(other),
            lambda model=model, other=other: model.soft_update(other, 1),
            lambda model=model, other=other: model.restore(other.snapshot()),
        ):
            with pytest.raises(ValueError, match=said):
                take()
        np.testing.assert_array_equal(model.predict(rows()[:, : mine[0]]), before)


def test_what_differs_between_models_is_said_of_one_layer():
    """Of models with many layers, too, and with what to do where weights of one of them are packed."""
    deep = Model([Dense(48) for _ in range(40)], seed=0).build(40)
    kept = deep.quantize(precision="bf16")
    for mine, its in ((deep, kept), (kept, deep)):
        for take in (
            lambda mine=mine, its=its: mine.copy_from(its),
            lambda mine=mine, its=its: mine.restore(its.snapshot()),
        ):
            with pytest.raises(
                ValueError, match=r"Dense 1 \(48 units\) with w \(.* here, .* there: .*call quantize"
            ) as error:
                take()
            assert len(str(error.value)) < 400
    other = Model([*(Dense(48) for _ in range(39)), Dense(7)], seed=0).build(40)
    with pytest.raises(
        ValueError, match=r"Dense 40 \(48 units\) with w \(48, 48\), b \(48,\) here, Dense 40 \(7 units\) with"
    ):
        deep.copy_from(other)
    with pytest.raises(ValueError, match=r"Dense 40 \(48 units\) is here alone$"):
        deep.copy_from(Model([Dense(48) for _ in range(39)], seed=0).build(40))
    with pytest.raises(ValueError, match=r"float32 here, float64 there$"):
        deep.copy_from(Model([Dense(48) for _ in range(40)], 0, "float64").build(40))


@pytest.mark.parametrize(("options", "last"), [(TO_PACK[0], 65535), (TO_PACK[2], 127)], ids=["bf16", "int8"])
def test_packed_weights_are_set_to_whole_numbers_alone(options, last):
    layer = net().quantize(**options)[0]
    before = layer.w.copy()
    for value in (1.5, np.nan, np.inf, last + 1, -129, 2**40):
        given = before.astype(np.float64)
        given[0, 1, 5] = value
        with pytest.raises(ValueError, match=rf"1 \(48 units\): w is .* at \(0, 1, 5\), expected whole .* to {last}$"):
            layer.w = given
        np.testing.assert_array_equal(layer.w, before)
    layer.w = (before // 2).astype(float).tolist()
    np.testing.assert_array_equal(layer.w, before // 2)


def test_what_cannot_be_kept_in_bf16_is_said():
    x, made = rows(), net()
    refused = {
        "precision is 'bf8', expected 'int8', 'bf16' or 'float32'": (ValueError, made, {"precision": "bf8"}),
        r"precision is \['bf16'\], expected 'int8', 'bf16' or 'float32'": (ValueError, made, {"precision": ["bf16"]}),
        "calibration_x is 'bf16', expected rows: name the other, precision='bf16'": (
            TypeError,
            made,
            {"calibration_x": "bf16"},
        ),
        "calibration_x is missing, expected some hundred rows": (TypeError, made, {}),
        "calibration_x is given, expected none": (TypeError, made, {"calibration_x": x, "precision": "bf16"}),
        "the model is not built": (RuntimeError, Model([Dense(3)], seed=0), {"precision": "bf16"}),
        "computes in float64": (ValueError, Model([Dense(64)], 0, "float64").build(40), {"precision": "bf16"}),
        "calibration_x is given, expected none with precision='float32'": (
            TypeError,
            made,
            {"calibration_x": x, "precision": "float32"},
        ),
        "products of the model are in bf16, expected float32": (
            ValueError,
            net(precision="bf16"),
            {"precision": "float32"},
        ),
        "no Dense layer would gain: expected one of 32 units and": (
            ValueError,
            Model([Dense(8)], seed=0).build(40),
            {"precision": "float32"},
        ),
        "no Dense layer would gain": (ValueError, Model([Dense(8)], seed=0).build(40), {"precision": "bf16"}),
        "is quantized already: call": (
            ValueError,
            Model([Dense(64), Dense(20), Dense(40), Dense(40)], seed=0).build(40).quantize(precision="float32"),
            {"precision": "bf16"},
        ),
        "quantized already": (ValueError, made.quantize(precision="bf16"), {"precision": "bf16"}),
    }
    for message, (kind, model, options) in refused.items():
        with pytest.raises(kind, match=message):
            model.quantize(**options)


def test_the_summary_says_what_is_kept_in_bf16(capsys):
    small = net().quantize(precision="bf16")
    small.summary()
    text = capsys.readouterr().out
    assert re.search(r"1  BFloat16Dense\(48, 'relu'\) +\(rows, 48\) +1,920 of 16 bits +1,920\n", text)
    assert "40 inputs, 102 parameters, 3,504 weights of 16 bits, float32" in text
    n_bytes = sum(array.nbytes for layer in small[:2] for array in layer.states.values())
    assert f"{size(n_bytes)} of weights of 16 bits with their biases" in " ".join(text.split())
    assert "products in bfloat16, of weights that are kept in it: 1, 2" in text
    assert "a prediction of one row: 3,603 multiply-adds" in text


def test_files_hold_half_the_bytes(tmp_path):
    small = net("inside").quantize(precision="bf16")
    small.save(tmp_path / "small.safetensors")
    loaded = fastnn.load(tmp_path / "small.safetensors")
    np.testing.assert_array_equal(loaded.predict(rows()), small.predict(rows()))
    assert repr(loaded) == repr(small)
    made = Model([Dense(256, "relu"), Dense(256, "relu"), Dense(1)], seed=0).build(256)
    made.save(tmp_path / "float.safetensors")
    made.quantize(precision="bf16").save(tmp_path / "small.safetensors")
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("small", "float")]
    assert sizes[0] < 0.52 * sizes[1], sizes


@pytest.mark.parametrize("name", NETS)
def test_other_formats_have_the_rounded_weights(name, tmp_path):
    """They compute with inputs of float32, as those of a model in bf16 do."""
    onnxruntime = pytest.importorskip("onnxruntime")
    small, x = net(name).quantize(precision="bf16"), rows()
    expected = small.predict(x)
    fastnn.to_onnx(small, tmp_path / "small.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    got = {
        "onnx": session.run(None, {session.get_inputs()[0].name: x})[0],
        "graph": run(graph_of(small), x),
        "numpy": predicted_by(fastnn.to_numpy_source(small), x),
    }
    for format, outputs in got.items():
        assert np.sqrt(np.mean((outputs - expected) ** 2)) < 4e-3 * expected.std(), format
        np.testing.assert_allclose(outputs, got["onnx"], rtol=1e-4, atol=1e-5, err_msg=format)


OF_PRODUCTS = {
    "dense_forward": dense_arguments,
    "dense_int8": lambda *given, **options: dense_int8_arguments(*given, zero=0.0, **options),
    "dense_bf16": dense_bf16_arguments,
    "dense_panels": dense_panels_arguments,
}


@pytest.mark.parametrize("first", OF_PRODUCTS)
def test_each_product_compares_its_own_constants_with_their_bounds(first):
    """They lie at other words of its arguments than those of the product that was the first with this activation."""
    given = {name: make(3, 40, 33, np.float32, random(3, 40), factor=None) for name, make in OF_PRODUCTS.items()}
    for name in (first, *OF_PRODUCTS):
        for activation, bad in {
            "leaky_relu": np.nan,
            "elu": -1.0,
            "celu": 0.0,
            "softplus": -1.0,
            "squareplus": 0.0,
        }.items():
            tape = Tape()
            kernel(name, np.float32)(**given[name], activation=activation, tape=tape)
            tape.replay()
            assert np.isfinite(given[name]["y"]).all()
            with pytest.raises(ValueError, match=f"{name}: alpha is {bad}, expected a number .* for {activation}"):
                kernel(name, np.float32)(**given[name], activation=activation, alpha=bad)
