"""Settings: numbers take effect at the next step, all else is fixed or says so, and nothing is silently ignored."""

import copy
import pickle

import numpy as np
import pytest
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, each_optimizer, same_bits

from fastnn import (
    CELU,
    ELU,
    GELU,
    L2,
    MAE,
    MSE,
    SGD,
    Adam,
    AdamW,
    AlphaDropout,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    GaussianDropout,
    GaussianNoise,
    Group,
    Huber,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxNorm,
    Model,
    Optimizer,
    Penalize,
    ReLU,
    Residual,
    RMSNorm,
    RMSprop,
    Rprop,
    Sequential,
    Tanh,
)
from fastnn.optimizers import ClipNorm

X, T = data()

# A change in a callback takes effect at the next step


def net_with(*layers, seed=0):
    return Model([Dense(5), *layers, Dense(OUTPUTS)], seed=seed, dtype="float64")


def set_number(part, name, value):
    """Return what sets a number of the loss, the optimizer, a layer or a group of the model that is trained."""

    def change(net):
        chosen = {
            "loss": lambda: net.loss,
            "optimizer": lambda: net.optimizer,
            "layer": lambda: net.layers[1],
            "activation": lambda: net.layers[0].activation,
            "group": lambda: net.optimizer.groups[0],
            "transform": lambda: net.optimizer.transforms[0],
            "model": lambda: net,
            "penalty": lambda: net.layers[1].penalty,
        }[part]()
        setattr(chosen, name, value)

    return change


def rule(kind, **options):
    return lambda: kind(0.05, **copy.deepcopy(options))


# name: (layers between two dense ones, loss, optimizer, what is set, its name, its new value)
CHANGES = {
    "lr": ([], MSE, rule(SGD), "optimizer", "lr", 0.01),
    "momentum from 0": ([], MSE, rule(SGD), "optimizer", "momentum", 0.9),
    "momentum": ([], MSE, rule(SGD, momentum=0.9), "optimizer", "momentum", 0.5),
    "momentum to 0": ([], MSE, rule(SGD, momentum=0.9), "optimizer", "momentum", 0.0),
    "nesterov": ([], MSE, rule(SGD, momentum=0.9), "optimizer", "nesterov", True),
    "weight_decay from 0": ([], MSE, rule(SGD), "optimizer", "weight_decay", 0.1),
    "weight_decay": ([], MSE, rule(SGD, weight_decay=0.1), "optimizer", "weight_decay", 0.5),
    "beta1": ([], MSE, rule(Adam), "optimizer", "beta1", 0.5),
    "beta2": ([], MSE, rule(Adam), "optimizer", "beta2", 0.5),
    "eps": ([], MSE, rule(Adam), "optimizer", "eps", 0.1),
    "weight_decay of adam": ([], MSE, rule(Adam), "optimizer", "weight_decay", 0.1),
    "weight_decay of adamw": ([], MSE, rule(AdamW), "optimizer", "weight_decay", 0.5),
    "alpha of rmsprop": ([], MSE, rule(RMSprop), "optimizer", "alpha", 0.5),
    "momentum of rmsprop": ([], MSE, rule(RMSprop), "optimizer", "momentum", 0.5),
    "centered": ([], MSE, rule(RMSprop), "optimizer", "centered", True),
    "negative_slope": ([LeakyReLU], MSE, rule(SGD), "layer", "negative_slope", 0.3),
    "alpha of elu": ([ELU], MSE, rule(SGD), "layer", "alpha", 0.3),
    "alpha of celu": ([CELU], MSE, rule(SGD), "layer", "alpha", 0.3),
    "rate": ([Dropout], MSE, rule(SGD), "layer", "rate", 0.1),
    "eps of batch norm": ([BatchNorm], MSE, rule(SGD), "layer", "eps", 0.5),
    "eps of layer norm": ([LayerNorm], MSE, rule(SGD), "layer", "eps", 0.5),
    "eps of rms norm": ([RMSNorm], MSE, rule(SGD), "layer", "eps", 0.5),
    "rate of alpha dropout": ([AlphaDropout], MSE, rule(SGD), "layer", "rate", 0.1),
    "rate of gaussian dropout": ([GaussianDropout], MSE, rule(SGD), "layer", "rate", 0.1),
    "stddev": ([lambda: GaussianNoise(0.5)], MSE, rule(SGD), "layer", "stddev", 0.1),
    "l2 of outputs": ([lambda: Penalize(L2(0.1))], MSE, rule(SGD), "penalty", "l2", 1.0),
    "penalties": ([], MSE, rule(SGD), "model", "penalties", [L2(0.1)]),
    "constraints": ([], MSE, rule(SGD), "model", "constraints", [MaxNorm(0.3)]),
    "delta": ([], Huber, rule(SGD), "loss", "delta", 0.1),
    "lr_factor": ([], MSE, rule(SGD, groups=[Group("0.w")]), "group", "lr_factor", 3.0),
    "weight_decay of a group": ([], MSE, rule(SGD, groups=[Group("0.w", 1.0, 0.1)]), "group", "weight_decay", 1.0),
    "first weight_decay of a group": ([], MSE, rule(SGD, groups=[Group("0.w")]), "group", "weight_decay", 1.0),
    "pattern of a group": ([], MSE, rule(SGD, groups=[Group("0.w", lr_factor=0.0)]), "group", "which", "1.*"),
    "decay": ([LayerNorm], MSE, rule(AdamW, weight_decay=0.5), "optimizer", "decay", "weights"),
    "groups": ([], MSE, rule(SGD), "optimizer", "groups", [Group("0.w", lr_factor=0.1)]),
    "clip_norm": ([], MSE, rule(SGD), "optimizer", "clip_norm", 0.01),
    "limit": ([], MSE, rule(SGD, clip_norm=1.0), "transform", "limit", 0.01),
    "clip_value": ([], MSE, rule(SGD, clip_value=1.0), "optimizer", "clip_value", 1e-3),
    "no clip_value": ([], MSE, rule(SGD, clip_value=1e-3), "optimizer", "clip_value", None),
    "accumulate": ([], MSE, rule(SGD), "optimizer", "accumulate", 3),
    "transforms": ([], MSE, rule(SGD), "optimizer", "transforms", [ClipNorm(0.01)]),
    "trainable": ([Tanh], MSE, rule(SGD), "layer", "trainable", False),
    "loss of the model": ([], MSE, rule(SGD), "model", "loss", MAE()),
    "optimizer of the model": ([], MSE, rule(SGD), "model", "optimizer", SGD(0.001)),
}  # fmt: skip


def after_a_change(name, callback=True, change=True):
    """Return a net that was trained for two epochs, changed, and trained for two more: in one fit, or in two."""
    layers, loss, optimizer, part, setting, value = CHANGES[name]
    set_it = set_number(part, setting, copy.deepcopy(value)) if change else lambda net: None
    net = net_with(*(kind() for kind in layers))
    options = {"batch_size": 5, "shuffle": False}
    if callback:
        calls = [lambda model, epoch, logs: set_it(model) if epoch == 1 else None]
        net.fit(X, T, loss(), optimizer(), epochs=4, callbacks=calls, **options)
    else:
        net.fit(X, T, loss(), optimizer(), epochs=2, **options)
        net = copy.deepcopy(net)  # of which nothing is recorded yet
        set_it(net)
        net.fit(X, T, epochs=2, **options)
    return net


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_a_callback_takes_effect_at_the_next_step(name):
    in_a_callback, between_fits = after_a_change(name), after_a_change(name, callback=False)
    assert same_bits(in_a_callback.params, between_fits.params)
    if name != "trainable":  # of a layer without parameters: nothing depends on it
        assert not same_bits(in_a_callback.params, after_a_change(name, change=False).params)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_two_steps_takes_effect_at_the_next_one(name):
    layers, loss, optimizer, part, setting, value = CHANGES[name]
    change = set_number(part, setting, copy.deepcopy(value))
    net = net_with(*(kind() for kind in layers))
    for _ in range(2):
        net.train_batch(
            X, T, None, loss() if net.loss is None else None, optimizer() if net.optimizer is None else None
        )
    fresh = copy.deepcopy(net)  # of which nothing is recorded yet
    for model in (net, fresh):
        change(model)
        for _ in range(2):
            model.train_batch(X, T)
    assert same_bits(net.params, fresh.params)


def test_the_momentum_of_batch_norm_takes_effect_at_the_next_step():
    """On its averages: no parameter depends on it."""
    net = Model([BatchNorm(momentum=0.5)], dtype="float64")
    net.train_batch(X, X, loss="mse", optimizer=SGD(0))
    before = net.layers[0].mean.copy()
    net.layers[0].momentum = 0.0
    net.train_batch(X + 1, X, loss="mse")
    assert same_bits(net.layers[0].mean, before)
    net.layers[0].momentum = 1.0
    net.train_batch(X, X, loss="mse")
    np.testing.assert_allclose(net.layers[0].mean, X.mean(axis=0), rtol=1e-12)


def test_a_number_reads_as_it_was_set():
    for part, name, value in [
        (SGD(), "momentum", 0.9),
        (Adam(), "beta1", 0.5),
        (LeakyReLU(), "negative_slope", 0.25),
        (Dropout(), "rate", 0.1),
        (Huber(), "delta", 3),
        (Group("0.w"), "lr_factor", np.float32(2)),
        (ClipNorm(1), "limit", np.array(5.0)),
    ]:
        setattr(part, name, value)
        assert getattr(part, name) == value
        assert type(getattr(part, name)) is float
        assert getattr(copy.deepcopy(part), name) == getattr(pickle.loads(pickle.dumps(part)), name) == value


def test_a_copy_has_numbers_of_its_own():
    optimizer = SGD(0.1, momentum=0.9)
    other = copy.deepcopy(optimizer)
    other.lr = 0.5
    assert optimizer.lr == 0.1


def test_parts_are_compared_by_identity():
    for make in (lambda: SGD(0.1), lambda: Dense(3), MSE):
        assert make() != make()
        assert len({make(), make()}) == 2


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        (SGD(), "lr", -1, r"SGD: lr is -1, expected a finite number >= 0"),
        (SGD(), "lr", np.nan, r"SGD: lr is nan, expected a finite number >= 0"),
        (SGD(), "lr", np.inf, r"SGD: lr is inf, expected a finite number >= 0"),
        (SGD(), "momentum", 1, r"SGD: momentum is 1, expected a finite number >= 0 and < 1"),
        (Adam(), "beta1", 1.0, r"Adam: beta1 is 1.0, expected a finite number >= 0 and < 1"),
        (Dropout(), "rate", 1, r"Dropout: rate is 1, expected a finite number >= 0 and < 1"),
        (BatchNorm(), "eps", 0, r"BatchNorm: eps is 0, expected a finite number > 0"),
        (LeakyReLU(), "negative_slope", -0.1, r"LeakyReLU: negative_slope is -0.1, expected a finite number >= 0"),
        (Huber(), "delta", 0, r"Huber: delta is 0, expected a finite number > 0"),
        (Group("0.w"), "lr_factor", -1, r"Group: lr_factor is -1, expected a finite number >= 0"),
        (Group("0.w"), "weight_decay", -1, r"Group: weight_decay is -1, expected a finite number >= 0"),
        (SGD(clip_norm=1), "clip_norm", 0, r"ClipNorm: limit is 0, expected a finite number > 0"),
    ],
)
def test_bounds_are_checked_where_a_number_is_set(part, name, value, message):
    before = getattr(part, name)
    with pytest.raises(ValueError, match=message):
        setattr(part, name, value)
    assert getattr(part, name) == before


# What is wrong says so, and what to do


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Dense(True), TypeError, "Dense: units is True, expected a whole number >= 1"),
        (lambda: Dense("4"), TypeError, "Dense: units is '4', expected a whole number >= 1"),
        (lambda: Dense(4.5), TypeError, "Dense: units is 4.5, expected a whole number >= 1"),
        (lambda: Dense(4, bias="no"), TypeError, "Dense: bias is 'no', expected True or False"),
        (lambda: SGD("0.1"), TypeError, "SGD: lr is '0.1', expected a number"),
        (lambda: SGD(True), TypeError, "SGD: lr is True, expected a number"),
        (lambda: SGD(0.1, nesterov="no"), TypeError, "SGD: nesterov is 'no', expected True or False"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "nesterov=True needs a momentum"),
        (lambda: Rprop(min_step=1, max_step=0.5), ValueError, "Rprop: min_step is 1 and max_step is 0.5, expected"),
        (lambda: SGD(0.1, learning_rate=0.1), TypeError, "learning_rate"),
        (lambda: SGD(0.1, decay="biases"), ValueError, "SGD: decay is 'biases'.* expected one of all, weights"),
        (lambda: SGD(0.1, groups=[Dense(3)]), TypeError, "SGD: groups is .*, expected a list of Group"),
        (lambda: SGD(0.1, groups=Group("0.w")), TypeError, "SGD: groups is .*, expected a list of Group"),
        (lambda: SGD(0.1, transforms=[1.0]), TypeError, "SGD: transforms is .*, expected a list of Transform"),
        (lambda: SGD(0.1, clip_norm="1"), TypeError, "ClipNorm: limit is '1', expected a number"),
        (lambda: SGD(0.1, accumulate=0), ValueError, "Accumulate: batches is 0, expected a whole number >= 1"),
        (lambda: SGD(0.1, accumulate=1.5), TypeError, "Accumulate: batches is 1.5, expected a whole number >= 1"),
        (lambda: SGD(0.1, accumulate=True), TypeError, "Accumulate: batches is True, expected a whole number >= 1"),
        (lambda: Group(3), TypeError, "Group: which is 3, expected"),
        (lambda: Adam(0.1, decoupled="no"), TypeError, "Adam: decoupled is 'no', expected True or False"),
        (lambda: RMSprop(0.1, centered="no"), TypeError, "RMSprop: centered is 'no', expected True or False"),
        (lambda: Dropout("0.5"), TypeError, "Dropout: rate is '0.5', expected a number"),
        (lambda: BinaryCrossEntropy("yes"), TypeError, "BinaryCrossEntropy: from_logits is 'yes', expected True"),
        (lambda: EarlyStopping(restore_best="no"), TypeError, "EarlyStopping: restore_best is 'no', expected True"),
        (lambda: EarlyStopping(mode="most"), ValueError, "EarlyStopping: mode is 'most', expected one of max, min"),
        (lambda: EarlyStopping(patience=True), TypeError, "EarlyStopping: patience is True, expected a whole number"),
        (lambda: Sequential([]), ValueError, "Sequential: layers is empty"),
        (lambda: Residual([Dense]), TypeError, r"Residual: layers\[0\] is .*, expected a layer such as Dense\(8\)"),
        (lambda: Sequential(Dense(3)), TypeError, "Sequential: layers is .*, expected a list of layers"),
        (lambda: setattr(Dense(3), "trainable", "no"), TypeError, "Dense.*: trainable is 'no', expected True or False"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shuffle": "no"}, TypeError, "shuffle is 'no', expected True or False"),
        ({"shuffle": None}, TypeError, "shuffle is None, expected True or False"),
        ({"epochs": True}, TypeError, "epochs is True, expected a whole number >= 0"),
        ({"epochs": "3"}, TypeError, "epochs is '3', expected a whole number >= 0"),
        ({"batch_size": True}, TypeError, "batch_size is True, expected a whole number >= 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size is 2.5, expected a whole number >= 1"),
        ({"optimizer": "adam_v"}, ValueError, "unknown optimizer 'adam_v': did you mean .*adam"),
        ({"optimizer": 0.1}, TypeError, "optimizer is 0.1, expected a name"),
        ({"loss": "mes"}, ValueError, "unknown loss 'mes': did you mean .*mse"),
    ],
)
def test_what_a_fit_cannot_be_told_is_refused(options, error, message):
    net = net_with()
    with pytest.raises(error, match=message):
        net.fit(X, T, **options)
    assert not net.built


class OwnLayer(Layer):
    def forward(self, x):
        return x


class OwnOptimizer(Optimizer):
    def update(self, params, grads):
        params -= self.lr * grads


class OwnAdam(Adam):
    pass


@pytest.mark.parametrize(
    ("part", "name", "message"),
    [
        (SGD, "learning_rate", "SGD has no learning_rate: it is called lr here"),
        (OwnOptimizer, "learning_rate", "OwnOptimizer has no learning_rate: it is called lr here"),
        (OwnAdam, "beta_1", "OwnAdam has no beta_1: it is called beta1 here"),
        (Adam, "epsilon", "Adam has no epsilon: it is called eps here"),
        (SGD, "momentun", "SGD has no momentun: did you mean .*momentum"),
        (lambda: Dense(3), "unit", "Dense has no unit: did you mean .*units"),
        (lambda: Dense(3), "use_bias", "Dense has no use_bias: it is called bias here"),
        (lambda: Dense(3), "requires_grad", "Dense has no requires_grad: it is called trainable here"),
        (OwnLayer, "requires_grad", "OwnLayer has no requires_grad: it is called trainable here"),
        (LeakyReLU, "alpha", "LeakyReLU has no alpha: .*negative_slope"),
        (Dropout, "p", "Dropout has no p: .*rate"),
        (Huber, "beta", "Huber has no beta: .*delta"),
        (MSE, "reductio", "MSE has no reductio: did you mean .*reduction"),
        (lambda: Group("0.w"), "lr", "Group has no lr: .*lr_factor"),
        (lambda: ClipNorm(1), "norm", "ClipNorm has no norm: .*limit"),
        (net_with, "learning_rate", "Model: learning_rate cannot be set"),
        (net_with, "optimiser", "Model: optimiser cannot be set"),
        (net_with, "trainable", "Model: trainable cannot be set: layers have it"),
        (net_with, "stop_training", "Model: stop_training cannot be set: a callback that returns True ends the fit"),
        (EarlyStopping, "patienc", "EarlyStopping has no patienc: did you mean .*patience"),
    ],
)
def test_a_setting_that_a_part_does_not_know_is_refused(part, name, message):
    with pytest.raises(AttributeError, match=message):
        setattr(part(), name, 1)


def test_a_users_part_may_have_any_attribute_of_its_own():
    for part in (OwnLayer(), OwnOptimizer(), OwnAdam()):
        part.anything = part.calls = 3
        assert (part.anything, part.calls) == (3, 3)


# What belongs to the class, or to the build

OF_CLASSES = (
    "adds", "backward", "build", "cell", "code", "constants", "forward", "gives", "how_to_train", "kernel", "kernels",
    "label", "mixes", "parameters", "running", "title",
)  # fmt: skip


@pytest.mark.parametrize("built", [False, True], ids=["new", "built"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [*((kind, name) for kind in (ReLU, OwnLayer) for name in OF_CLASSES), (ReLU, "dtype"), (ReLU, "n_in")],
)
def test_what_belongs_to_the_class_or_the_build_cannot_be_set_on_a_layer(kind, name, built):
    layer = kind()
    if built:
        Model([layer], seed=0).build(FEATURES)
    before = dict(vars(layer))
    with pytest.raises(AttributeError, match=rf"^{kind.__name__}( 1)?: {name} (cannot be set: |is fixed since)"):
        setattr(layer, name, 7)
    assert vars(layer) == before


def test_weights_are_not_called_kernel():
    with pytest.raises(AttributeError, match=r"^Dense \(3 units\): kernel cannot be set: .* are called w here$"):
        Dense(3).kernel = np.ones((3, 3))


def test_a_class_of_ones_own_may_have_a_setting_under_a_name_of_the_contract():
    class Own(OwnLayer):
        @property
        def kernel(self):
            return self._kernel

        @kernel.setter
        def kernel(self, kernel):
            self._kernel = kernel

    layer = Own()
    layer.kernel = "rbf"
    assert layer.kernel == "rbf"


# The structure is fixed since the build


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (0, "units", 7),
        (0, "activation", ReLU()),
        (0, "activation", None),
        (0, "bias", False),
        (0, "weight_initializer", "zeros"),
        (1, "approximate", "tanh"),
        (2, "layers", (Dense(OUTPUTS),)),
        (3, "layers", (Dense(OUTPUTS),)),
    ],
)
def test_what_a_layer_was_built_with_is_fixed(place, name, value):
    net = Model([Dense(5, "tanh"), GELU(), Sequential([Dense(OUTPUTS)]), Residual([Dense(OUTPUTS)])], seed=0)
    layer = net.layers[place]
    if place == 0 and name != "activation":
        setattr(layer, name, value)  # it may be changed until then
    before = net.predict(X), getattr(layer, name)
    with pytest.raises(AttributeError, match=rf"{name} is fixed since the layer was built.*make a new layer"):
        setattr(layer, name, value)
    assert getattr(layer, name) is before[1] or getattr(layer, name) == before[1]
    assert same_bits(net.predict(X), before[0])


@pytest.mark.parametrize(("name", "value"), [("layers", [Dense(3)]), ("dtype", "float64"), ("seed", 3)])
@pytest.mark.parametrize("built", [True, False])
def test_what_a_model_is_made_of_is_fixed(name, value, built):
    net = Model([Dense(5)], seed=0)
    if built:
        net.predict(X)
    with pytest.raises(AttributeError, match=f"Model: {name} cannot be set: it is fixed: make a new Model"):
        setattr(net, name, value)


def test_a_loss_may_be_told_of_logits_at_any_time():
    """It is structure, and recorded anew."""
    net, t = Model([Dense(OUTPUTS)], seed=0, dtype="float64"), (T > 0).astype(float)
    net.train_batch(X, t, loss=BinaryCrossEntropy(from_logits=True), optimizer=SGD(0))
    logits = net.predict(X)
    expected = (np.logaddexp(0, logits) - t * logits).mean()
    assert net.train_batch(X, t) == pytest.approx(expected, rel=1e-12)
    net.loss.from_logits = False
    with pytest.raises(ValueError, match=r"BinaryCrossEntropy.* expects probabilities"):
        net.train_batch(X, t)


def test_a_layer_that_replaces_one_inside_a_built_layer_is_refused():
    """Its parameters would be in no model."""

    class Around(Layer):
        def __init__(self):
            self.inner = Dense(5)

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, dy):
            return self.inner.backward(dy)

    around = Around()
    around.inner = Dense(4)  # it may be until then
    Model([around, Dense(OUTPUTS)], seed=0).fit(X, T, "mse", SGD(0.1), epochs=1)
    with pytest.raises((AttributeError, TypeError), match="inner"):
        around.inner = Dense(4)


# Weights that are set before the build


def preset(layer, **arrays):
    for name, array in arrays.items():
        setattr(layer, name, array)
    return layer


class Holder(Layer):
    def __init__(self, layer):
        self.inner = [layer]

    def forward(self, x):
        return self.inner[0].forward(x)

    def backward(self, dy):
        return self.inner[0].backward(dy)


W, B = np.arange(12.0).reshape(FEATURES, 3), [1.0, 2.0, 3.0]
ONES, TWOS = np.full(FEATURES, 1.0), np.full(FEATURES, 2.0)


@each_dtype
@pytest.mark.parametrize("copied", [lambda net: net, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("around", [lambda layer: layer, lambda layer: Sequential([layer]), Holder])
def test_weights_that_are_set_before_the_build_are_kept(around, copied, dtype):
    net = copied(Model([around(preset(Dense(3), w=W, b=B))], seed=0, dtype=dtype))
    np.testing.assert_allclose(net.predict(X), X @ W + B, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(net.params, [*W.ravel(), *B])
    assert net.params.dtype == dtype
    net.params = np.zeros(15)
    np.testing.assert_array_equal(W, np.arange(12.0).reshape(FEATURES, 3))  # the user's own array is left alone
    assert not net.predict(X).any()


def test_a_list_of_weights_will_do():
    net = Model([preset(Dense(3), w=W.tolist())], seed=0, dtype="float64")
    np.testing.assert_array_equal(net.predict(X), X @ W)


def test_statistics_may_be_set_before_the_build():
    net = Model([preset(BatchNorm(), mean=ONES, variance=TWOS)], dtype="float64")
    np.testing.assert_allclose(net.predict(X), (X - 1) / np.sqrt(2 + 1e-5), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "arrays", "message"),
    [
        (lambda: Dense(3), {"w": W.T}, r"Dense 1 \(3 units\): w has shape \(3, 4\), expected \(4, 3\)"),
        (lambda: Dense(3), {"b": 1.0}, r"Dense 1 \(3 units\): b has shape \(\), expected \(3,\)"),
        (lambda: Dense(3, bias=False), {"b": B}, r"Dense 1.*b.*bias"),
        (lambda: Dense(3), {"w": "text"}, r"w"),
        (BatchNorm, {"variance": ONES[:2]}, r"BatchNorm 1: variance has shape \(2,\), expected \(4,\)"),
    ],
)
def test_weights_that_were_set_before_the_build_are_checked_at_the_build(layer, arrays, message):
    with pytest.raises((ValueError, TypeError, AttributeError), match=message):
        Model([preset(layer(), **arrays)], seed=0).build(FEATURES)


# Frozen layers

FROZEN_WITH = {
    **OPTIMIZERS,
    "clip": lambda: SGD(0.1, clip_norm=0.1),
    "accumulate": lambda: SGD(0.1, accumulate=2),
    "group": lambda: SGD(0.1, groups=[Group("2.*", lr_factor=0.5)]),
    "group of what is frozen": lambda: SGD(0.1, groups=[Group("1.*", lr_factor=0.5)]),
    "numpy": lambda: OwnOptimizer(0.1),
}


def four_layers(dtype="float64", kind=Dense):
    return Model([Dense(5, "tanh"), kind(6, "tanh"), Dense(5, "tanh"), Dense(OUTPUTS)], seed=0, dtype=dtype)


def parameters_of(layer):
    return np.concatenate([array.ravel() for array in layer.parameters.values()])


@each_dtype
@pytest.mark.parametrize("method", ["fit", "train_batch", "by hand"])
@pytest.mark.parametrize("optimizer", FROZEN_WITH)
def test_a_frozen_layer_stays_and_thaws(optimizer, method, dtype):
    net, used = four_layers(dtype).build(FEATURES), FROZEN_WITH[optimizer]()
    frozen = net.layers[1]

    def train():
        for _ in range(2):
            if method == "fit":
                net.fit(X, T, "mse", used, epochs=1, batch_size=8)
            elif method == "train_batch":
                net.train_batch(X, T, loss="mse", optimizer=used)
            else:
                net.backward(net.forward(X) - T)
                used.step(net)

    def moved():
        before = [parameters_of(layer) for layer in net.layers]
        train()
        return [not same_bits(parameters_of(layer), old) for layer, old in zip(net.layers, before, strict=True)]

    assert moved() == [True] * 4
    frozen.trainable = False
    assert moved() == [True, False, True, True]
    if method != "fit":
        assert not frozen.dw.any()
        assert not frozen.db.any()
        assert net.layers[0].dw.any()
    frozen.trainable = True
    assert moved() == [True] * 4


@each_optimizer
def test_what_is_not_frozen_trains_as_if_the_frozen_layer_had_no_parameters(optimizer):
    """Its gradients do not depend on whether those of the frozen layer are computed."""

    class Fixed(Layer):
        def __init__(self, dense):
            self.arrays = [(dense.w.copy(), dense.b.copy())]

        def build(self, n_in):
            return self.arrays[0][0].shape[1]

        def forward(self, x):
            ((w, b),) = self.arrays
            self.y = np.tanh(x @ w + b)
            return self.y

        def backward(self, dy):
            return (dy * (1 - self.y**2)) @ self.arrays[0][0].T

    net = four_layers().build(FEATURES)
    net.layers[1].trainable = False
    other = Model([Dense(5, "tanh"), Fixed(net.layers[1]), Dense(5, "tanh"), Dense(OUTPUTS)], dtype="float64")
    other.build(FEATURES)
    for i in (0, 2, 3):
        other.layers[i].w, other.layers[i].b = net.layers[i].w, net.layers[i].b
    for model in (net, other):
        model.fit(X, T, "mse", OPTIMIZERS[optimizer](), epochs=3, batch_size=8, shuffle=False)
    for i in (0, 2, 3):
        np.testing.assert_allclose(parameters_of(net.layers[i]), parameters_of(other.layers[i]), rtol=1e-9, atol=1e-11)


def test_what_holds_frozen_layers_is_frozen_with_them():
    net = Model(
        [Dense(5), Residual([Dense(4, "tanh"), Dense(5)]), Sequential([Dense(5)]), Holder(Dense(OUTPUTS))], seed=0
    )
    net.build(FEATURES)
    for frozen in (1, 2, 3):
        net.layers[frozen].trainable = False
        before = net.params.copy()
        net.fit(X, T, "mse", SGD(0.1), epochs=2)
        start = sum(array.size for array in net.layers[0].parameters.values())
        changed = {entry.name.split(".")[0] for entry in net._tree.entries() if not same_bits(
            net.params[entry.start : entry.stop], before[entry.start : entry.stop])}  # fmt: skip
        assert changed == {"0", "1", "2", "3"} - {str(frozen)}
        assert not same_bits(net.params[:start], before[:start])
        net.layers[frozen].trainable = True


class Spy:
    """Kernels that write down what is called."""

    def __init__(self, kernels):
        self._kernels, self.called = kernels, []

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.called.append((name, arguments))
            return getattr(self._kernels, name)(*arguments, **options)

        return call


def spied(frozen, units=(5, 6, 5, OUTPUTS)):
    """Return a net whose layers of these places are frozen, and what the kernels of each layer are called for."""
    net = Model([*(Dense(n, "tanh") for n in units[:-1]), Dense(units[-1])], seed=0).build(FEATURES)
    spies = []
    for i, layer in enumerate(net.layers):
        layer.trainable = i not in frozen
        spies.append(Spy(layer.kernels))
        layer.__dict__["kernels"] = spies[-1]
    return net, spies


@pytest.mark.parametrize("method", ["fit", "train_batch"])
def test_no_gradient_of_frozen_weights_is_computed(method):
    net, spies = spied({1})
    getattr(net, method)(X, T, loss="mse", optimizer=SGD(0.1))
    names = [name for name, _ in spies[1].called]
    assert "dense_backward" in names  # for what lies below
    assert "dense_sgd" not in names
    for name, arguments in spies[1].called:
        if name == "dense_backward":
            dw, db = arguments[4:6]
            assert dw is None
            assert db is None


@pytest.mark.parametrize("method", ["fit", "train_batch"])
def test_backward_ends_below_the_lowest_trained_layer(method):
    net, spies = spied({0, 1})
    getattr(net, method)(X, T, loss="mse", optimizer=SGD(0.1))
    for spy in spies[:2]:
        assert spy.called
        assert all("forward" in name for name, _ in spy.called)
    backward = [arguments for name, arguments in spies[2].called if "backward" in name]
    assert all(arguments[3] is None for arguments in backward)  # no dx


def test_what_is_not_frozen_keeps_the_fused_step_of_sgd():
    net, spies = spied({1})
    net.fit(X, T, "mse", SGD(0.1), epochs=1)
    for i in (0, 2, 3):
        assert "dense_sgd" in [name for name, _ in spies[i].called]
    stored, _ = spied({1})
    for start in (0, 8, 16) * 3:
        stored.train_batch(X[start : start + 8], T[start : start + 8], loss="mse", optimizer=SGD(0.1))
    fused, _ = spied({1})
    fused.fit(X, T, "mse", SGD(0.1), epochs=3, batch_size=8, shuffle=False)
    assert same_bits(stored.params, fused.params)


def test_a_model_that_is_frozen_as_a_whole_stays():
    net = four_layers().build(FEATURES)
    for layer in net.layers:
        layer.trainable = False
    before, loss = net.params.copy(), net.evaluate(X, T, "mse")["loss"]
    history = net.fit(X, T, "mse", Adam(0.1), epochs=2, batch_size=None)
    assert net.train_batch(X, T) == pytest.approx(loss, rel=1e-12)
    assert history.loss == pytest.approx([loss, loss], rel=1e-12)
    assert same_bits(net.params, before)
    assert not net.grads.any()


def test_a_layer_may_be_frozen_before_the_build_and_in_a_callback():
    net = four_layers()
    net.layers[0].trainable = False
    seen = []

    def thaw(model, epoch, logs):
        seen.append(parameters_of(model.layers[0]))
        if epoch == 1:
            model.layers[0].trainable = True

    net.fit(X, T, "mse", Adam(0.01), epochs=3, callbacks=[thaw])
    assert same_bits(seen[0], seen[1])
    assert not same_bits(seen[1], seen[2])
    assert copy.deepcopy(net).layers[0].trainable
    net.layers[0].trainable = False
    assert not pickle.loads(pickle.dumps(net)).layers[0].trainable


# What a layer in NumPy gets wrong is found


def scale_with(build, backward):
    def forward(self, x):
        self.x = x
        return x * self.s

    return type("Own", (Layer,), {"build": build, "forward": forward, "backward": backward})


def declared(self, n_in):
    self.parameter("s", (n_in,), "ones")
    return n_in


def undeclared(self, n_in):
    self.s = np.ones(n_in)
    return n_in


def undeclared_in_a_list(self, n_in):
    self.arrays = [np.ones(n_in)]
    self.s = self.arrays[0].copy().tolist()
    return n_in


def stored_as(name):
    def backward(self, dy):
        setattr(self, name, (dy * self.x).sum(axis=0))
        return dy * self.s

    return backward


@pytest.mark.parametrize("name", ["grad_s", "d_s", "s_grad", "sgrad", "dS"])
@pytest.mark.parametrize("method", ["fit", "train_batch"])
def test_gradients_that_are_stored_under_a_wrong_name_are_found(method, name):
    net = Model([Dense(5), scale_with(declared, stored_as(name))(), Dense(OUTPUTS)], seed=0)
    with pytest.raises(AttributeError, match=rf"Own 2: backward stores {name}, .*write self\.ds\[\.\.\.\] = "):
        getattr(net, method)(X, T, loss="mse", optimizer=SGD(0.1))


def test_gradients_that_are_stored_under_the_right_name_are_taken():
    net = Model([Dense(5), scale_with(declared, stored_as("ds"))(), Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", SGD(0.1), epochs=1)
    assert (net.layers[1].s != 1).all()


def test_a_gradient_that_is_zero_by_right_is_no_fault():
    def backward(self, dy):
        self.kept = self.x.sum(axis=0)
        return dy * self.s

    net = Model([Dense(5), scale_with(declared, backward)(), Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", SGD(0.1), epochs=1)
    assert (net.layers[1].s == 1).all()


def test_an_array_that_is_made_without_parameter_is_found():
    net = Model([Dense(5), scale_with(undeclared, stored_as("ds"))(), Dense(OUTPUTS)], seed=0)
    with pytest.raises(ValueError, match=r"Own 2: build made the array s itself.*self\.parameter\('s', \(5,\)\)"):
        net.fit(X, T, "mse")
    assert not net.built


@pytest.mark.parametrize("value", [[np.ones(5)], {"s": np.ones(5)}, (np.ones(5),)], ids=["list", "dict", "tuple"])
def test_an_array_in_a_list_that_is_made_without_parameter_is_found(value):
    def build(self, n_in):
        self.arrays = value
        self.parameter("s", (n_in,), "ones")
        return n_in

    net = Model([Dense(5), scale_with(build, stored_as("ds"))(), Dense(OUTPUTS)], seed=0)
    with pytest.raises(ValueError, match=r"Own 2: build made the array .*arrays"):
        net.fit(X, T, "mse")


def test_arrays_that_were_there_before_are_no_fault():
    class Fixed(Layer):
        def __init__(self, mean):
            self.mean_of_data = mean

        def forward(self, x):
            return x - self.mean_of_data

    net = Model([Fixed(X.mean(axis=0)), Dense(OUTPUTS)], seed=0)
    np.testing.assert_allclose(
        net.predict(X), net.layers[1].forward((X - X.mean(axis=0)).astype("f")), rtol=1e-4, atol=1e-6
    )


class Declaring(Layer):
    """Declares what it is told to."""

    def __init__(self, *declared):
        self.declared = declared

    def build(self, n_in):
        self.parameter(*self.declared)
        return n_in

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize("shape", [3, (2.5,), (-1,), ("rows", 2), (True,)], ids=str)
def test_a_shape_that_is_none_is_refused_by_name(shape):
    with pytest.raises(ValueError, match="Declaring 1: the shape of g is"):
        Model([Declaring("g", shape)], seed=0).build(FEATURES)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (("g", (2,), None), "the initializer of g is None, expected a name"),
        (("g", (2,), np.ones(2)), r"the initializer of g is ndarray of shape \(2,\), expected a name"),
        (("g", (2,), "ones", 3), "the kind of g is 3, expected a text such as 'weights'"),
        ((3, (2,)), "the parameter name is 3, expected a text such as 'w'"),
    ],
)
def test_what_cannot_be_declared_is_refused_by_name(declared, message):
    with pytest.raises(TypeError, match=f"^Declaring 1: {message}"):
        Model([Declaring(*declared)], seed=0).build(FEATURES)


@pytest.mark.parametrize("dtype", ["abc", 3, object, str], ids=str)
@pytest.mark.parametrize("declare", [Layer.state, Layer.scratch])
def test_a_dtype_of_no_numbers_is_refused_by_name(declare, dtype):
    class Own(Layer):
        def build(self, n_in):
            declare(self, "g", (n_in,), dtype=dtype)
            return n_in

        def forward(self, x):
            return x

    with pytest.raises(TypeError, match=r"^Own 1: the dtype of g is .*, expected that of numbers, such as 'float64'"):
        Model([Own()]).build(FEATURES)


def test_a_layer_inside_itself_is_refused():
    inside = Sequential([Dense(3)])
    inside.layers = (inside,)
    with pytest.raises(ValueError, match="is inside itself"):
        Model([inside], seed=0)


def test_a_class_is_no_callback():
    net = Model([Dense(OUTPUTS)], seed=0)
    with pytest.raises(TypeError, match=r"callbacks holds .*EarlyStopping"):
        net.fit(X, T, "mse", callbacks=[EarlyStopping])


@pytest.mark.parametrize("name", ["dw", "db"])
def test_a_gradient_that_is_set_before_the_build_is_refused(name):
    """The build makes it: what was set would be lost."""
    layer = Dense(5)
    setattr(layer, name, np.ones(5))
    with pytest.raises(ValueError, match=rf"Dense 1 .*: {name} was set before the build"):
        Model([layer], seed=0).build(FEATURES)


@pytest.mark.parametrize("value", [1j, None])
def test_what_are_no_real_numbers_are_no_weights(value):
    layer = Dense(5)
    Model([layer], seed=0).build(FEATURES)
    before = layer.w.copy()
    with pytest.raises(TypeError, match=r"Dense 1 .*: w holds (complex numbers|None) .*at row 0, column 0"):
        layer.w = np.full((FEATURES, 5), value)
    assert same_bits(layer.w, before)
