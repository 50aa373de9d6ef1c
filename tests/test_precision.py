"""Models with products in bfloat16: the same bits however they run, kept with the model, and what stays float32."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import (
    EMA,
    SGD,
    Adam,
    BatchEnsemble,
    BatchNorm,
    Dense,
    Dropout,
    Maxout,
    MeanOfMembers,
    Members,
    Model,
    Residual,
    kernels,
    reference,
)
from fastnn.cli import main


def data(rows: int = 300, n_in: int = 128) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, n_in)).astype(np.float32)
    return x, (x[:, :3] ** 2).astype(np.float32)


def net(precision: str | None = "bf16", layers: tuple = (), **options) -> Model:
    return Model(
        [*(layers or (Dense(64, "relu"), Dense(48, "relu"))), Dense(3)], seed=4, precision=precision, **options
    )


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint32)


def assert_same(*arrays: np.ndarray) -> None:
    for other in arrays[1:]:
        np.testing.assert_array_equal(bits(arrays[0]), bits(other))


def test_outputs_and_gradients_are_those_of_the_twin_that_rounds():
    """Bit for bit: wide layers as `reference` has them, the narrow one as the kernels of float32."""
    x, _ = data(70)
    model = net().build(128)
    first, second, third = model.layers
    dy = np.random.default_rng(1).normal(size=(70, 3)).astype(np.float32)
    got = model.forward(x), model.backward(dy)
    y1, y2, y3 = (np.empty((70, n), np.float32) for n in (64, 48, 3))
    reference.dense_forward(x, first.w, first.b, y1, "relu", bf16=True)
    reference.dense_forward(y1, second.w, second.b, y2, "relu", bf16=True)
    kernels.float32.dense_forward(y2, third.w, third.b, y3)
    dx, d1, d2 = np.empty_like(x), np.empty_like(y1), np.empty_like(y2)
    dw = [np.empty_like(layer.w) for layer in model.layers]
    db = [np.empty_like(layer.b) for layer in model.layers]
    kernels.float32.dense_backward(y2, third.w, dy, d2, dw[2], db[2], "relu")
    reference.dense_backward(y1, second.w, d2, d1, dw[1], None, "relu", bf16=True)
    reference.dense_backward(x, first.w, d1, dx, dw[0], None, bf16=True)
    for layer, dw_of, db_of, d in zip(model.layers[:2], dw, db, (d1, d2), strict=False):
        kernels.float32.dense_backward(np.empty((70, len(layer.w)), np.float32), layer.w, d, None, dw_of.copy(), db_of)
    assert_same(got[0], y3)
    assert_same(got[1], dx)
    for layer, dw_of, db_of in zip(model.layers, dw, db, strict=True):
        assert_same(layer.dw, dw_of)
        assert_same(layer.db, db_of)


LAYERS = {
    "dense": lambda: (Dense(64, "relu"), Dense(48, "tanh")),
    "norm": lambda: (Dense(64), BatchNorm(), Dropout(0.2), Dense(32, "relu")),
    "others": lambda: (Maxout(32, 2), Residual([Dense(32, "relu")]), Dense(20)),
}


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_bits_are_those_of_steps_and_of_any_number_of_threads(layers, optimizer):
    x, y = data()
    models = [net(layers=LAYERS[layers]()) for _ in range(4)]
    options = {
        "loss": "mse",
        "optimizer": optimizer,
        "batch_size": 100,
        "shuffle": False,
        "epochs": 2,
        "verbose": False,
    }
    for model, threads in zip(models[:2], (1, 2), strict=True):
        model.fit(x, y, n_threads=threads, **options)
    for model in models[2:]:
        model.loss, model.optimizer = "mse", optimizer
    for _ in range(2):
        for rows in (slice(0, 100), slice(100, 200), slice(200, 300)):
            models[2].train_batch(x[rows], y[rows])
            _, dy = fastnn.losses.get("mse").value_and_grad(models[3].forward(x[rows]), y[rows])
            models[3].backward(dy)
            models[3].step()
    assert_same(*(model.params for model in models))
    exact = net(None, layers=LAYERS[layers]())
    exact.fit(x, y, **options)
    assert (exact.params != models[0].params).mean() > 0.5  # it has an effect
    np.testing.assert_allclose(exact.params, models[0].params, atol=0.05)


def test_predictions_of_any_form_are_the_same():
    x, y = data()
    model = net().build(128)
    model.fit(x, y, "mse", "sgd", epochs=2, verbose=False)
    whole = model.predict(x)
    assert_same(whole, model.predict(x, batch_size=7), model.predict(x, n_threads=2), model(x))
    assert_same(whole[3], model.predict(x[3:4])[0], model.predict_one(x[3]))
    model.use_averages() if model._trainer.state.averaging else None
    others = [copy.deepcopy(model), copy.deepcopy(model)]
    for other in others:
        other.loss, other.optimizer = "mse", SGD(0.01)
    others[0].learn_one(x[0], y[0])
    others[1].train_batch(x[:1], y[:1])
    assert_same(others[0].params, others[1].params)


def test_many_nets_are_trained_as_one():
    x, y = data()
    alone = net()
    alone.fit(x, y, "mse", "adam", epochs=2, verbose=False)
    many = [net(), net()]
    fastnn.fit_many(many, x, y, loss="mse", optimizer="adam", epochs=2, verbose=False)
    assert_same(alone.params, many[0].params, many[1].params)


def test_a_file_shows_it(tmp_path, capsys):
    path = str(tmp_path / "net.safetensors")
    for precision, shown in (
        ("bf16", "float32, products in bfloat16 where they gain, seed 4"),
        (None, "float32, seed 4"),
    ):
        net(precision).build(128).save(path)
        assert main(["show", path]) == 0
        assert shown in capsys.readouterr().out


def test_a_model_keeps_it(tmp_path):
    x, y = data()
    model = net()
    model.fit(x, y, "mse", Adam(0.01, average=EMA(0.9)), epochs=2, verbose=False)
    model.save(tmp_path / "net.safetensors")
    copies = [
        copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model)),
        fastnn.load(tmp_path / "net.safetensors"),
    ]  # fmt: skip
    for other in copies:
        assert other.precision == "bf16"
        assert_same(model.predict(x), other.predict(x))
        other.fit(x, y, epochs=1, verbose=False)
    model.fit(x, y, epochs=1, verbose=False)
    assert_same(model.params, *(other.params for other in copies))
    assert_same(model.predict(x), *(other.predict(x) for other in copies))
    averaged = model.predict(x)
    model.use_averages()
    assert_same(averaged, model.predict(x))
    unbuilt = net()
    unbuilt.save(tmp_path / "unbuilt.safetensors")
    assert fastnn.load(tmp_path / "unbuilt.safetensors").precision == "bf16"
    exact = net(None).build(128)
    exact.save(tmp_path / "exact.safetensors")
    assert b"precision" not in (tmp_path / "exact.safetensors").read_bytes()  # files of before are read likewise
    assert fastnn.load(tmp_path / "exact.safetensors").precision is None
    exact.copy_from(model)
    assert_same(exact.params, model.params)
    assert exact.precision is None


def test_what_is_exported_computes_in_float32():
    x, _ = data()
    model, exact = net().build(128), net(None).build(128)
    exact.params[...] = model.params
    namespace: dict = {}
    exec(fastnn.to_numpy_source(model), namespace)
    predict = next(value for name, value in namespace.items() if name == "predict")
    np.testing.assert_allclose(predict(x), exact.predict(x), rtol=1e-4, atol=1e-5)
    assert np.abs(model.predict(x) - exact.predict(x)).max() > 1e-3


def test_what_is_no_precision_is_refused():
    for wrong in ("fp16", "BF16", 16, True):
        with pytest.raises(ValueError, match=r"Model: precision is .*, expected None or 'bf16'"):
            net(wrong)
    with pytest.raises(ValueError, match="precision is 'bf16', expected None where dtype is float64"):
        net(dtype="float64")
    with pytest.raises(AttributeError, match="precision cannot be set: it is fixed: make a new Model"):
        net().precision = None


def test_it_is_shown(capsys):
    model = net()
    assert repr(model).endswith("not built yet, float32, products in bfloat16 where they gain>")
    model.build(128).summary()
    text = capsys.readouterr().out
    assert "float32, products in bfloat16 where they gain\n" in text
    assert "products in bfloat16: 1, 2\n" in text
    assert "in float32, too narrow to gain: 3\n" in text
    layers = [Dense(64, "relu"), fastnn.GroupedDense(64, 2), Dense(3)]
    Model(layers, seed=0, precision="bfloat16").build(64).summary()
    text = capsys.readouterr().out
    assert "products in bfloat16: 1\n" in text
    assert "in float32, too narrow to gain: 3\n" in text
    assert "in float32, as all layers of their kind: 2\n" in text
    without_effect = r"Model: precision='bf16' is without effect: all products are float32, .* 32 inputs and 32 units"
    with pytest.warns(UserWarning, match=without_effect):
        Model([Dense(8, "relu"), Dense(3)], seed=0, precision="bf16").build(4).summary()
    assert "products in bfloat16: none\n" in capsys.readouterr().out
    net(None).build(128).summary()
    assert "bfloat16" not in capsys.readouterr().out


def test_members_share_weights_in_bfloat16():
    x, y = data()
    models = []
    for precision, threads in (("bf16", 1), ("bf16", 2), (None, 1)):
        layers = [Members(4), BatchEnsemble(64, 4, "relu"), fastnn.GroupedDense(3, 4), MeanOfMembers(4)]
        model = Model(layers, seed=1, precision=precision)
        models.append(model)
        model.fit(x, y, "mse", "adam", epochs=2, verbose=False, n_threads=threads)
    assert_same(models[0].params, models[1].params)
    assert (models[0].params != models[2].params).mean() > 0.5


@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.003)], ids=["sgd", "adam"])
def test_digits_are_learnt_as_well(optimizer):
    x, labels = fastnn.datasets.load_digits()
    x = x / np.float32(16)
    errors = {}
    for precision in (None, "bf16"):
        model = Model([Dense(64, "relu"), Dense(64, "relu"), Dense(10, "softmax")], seed=0, precision=precision)
        model.fit(
            x[:1400], labels[:1400], "cross_entropy", copy.deepcopy(optimizer), epochs=20, batch_size=64, verbose=False
        )
        errors[precision] = (model.predict(x[1400:]).argmax(axis=1) != labels[1400:]).sum()
    assert errors["bf16"] <= errors[None] + 6, errors  # of 397; 10 seeds: docs/performance.md
