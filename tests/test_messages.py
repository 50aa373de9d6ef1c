"""Mistakes in parts of one's own, and things at the wrong place: each error says what, where and what to do."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from fastnn import (
    MSE,
    SGD,
    Adam,
    Add,
    BatchNorm,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Group,
    Huber,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    Model,
    Optimizer,
    Parallel,
    Penalty,
    Residual,
    Sequential,
    fit_many,
    load,
    metrics,
)
from fastnn.optimizers import Accumulate, ClipNorm, Transform

ROWS, FEATURES = 16, 4
X = np.random.default_rng(0).normal(size=(ROWS, FEATURES))
Y = X[:, :1].copy()
LABELS = np.arange(ROWS) % 3


def net(*layers):
    return Model([*layers, Dense(1)], seed=0)


def own(base, **methods):
    """A class of a user's, called Own."""
    return type("Own", (base,), methods)()


def identity(self, x):
    return x


def nothing(self):
    pass


# A method that is not the one: what it is called elsewhere, in place of what is called here

INSTEAD = {
    "loss, __call__": (
        lambda: {"loss": own(Loss, __call__=lambda self, y, t: 0.0)},
        "Own has no value: define value_an",
    ),
    "loss, forward": (
        lambda: {"loss": own(Loss, forward=lambda self, y, t: 0.0)},
        "forward is not called .* value_and_",
    ),
    "loss, call": (lambda: {"loss": own(Loss, call=lambda self, y, t: 0.0)}, "call is not called .* value_and_grad"),
    "optimizer, step": (
        lambda: {"optimizer": own(Optimizer, step=identity)},
        "Own has no update: .*step is not called",
    ),
    "optimizer, __call__": (
        lambda: {"optimizer": own(Optimizer, __call__=identity)},
        "__call__ is not called .* update",
    ),
    "transform, __call__": (
        lambda: {"optimizer": SGD(transforms=[own(Transform, __call__=identity)])},
        "Own has no apply: .*__call__ is not called",
    ),
    "optimizer, nothing": (
        lambda: {"optimizer": own(Optimizer)},
        r"has no update: define update\(self, params, grads\)$",
    ),
}


@pytest.mark.parametrize("case", INSTEAD)
def test_a_part_without_its_method_says_which_and_what_is_there_instead(case):
    options, message = INSTEAD[case]
    model = net(Dense(3))
    with pytest.raises(TypeError, match=message):
        model.fit(X, Y, **{"loss": "mse", **options()})
    assert not model.built


@pytest.mark.parametrize("name", ["call", "__call__"])
def test_a_layer_without_forward_says_which_method_is_there_instead(name):
    with pytest.raises(
        TypeError, match=f"Own has no forward: define .*; {name} is not called in a training: name it forw"
    ):
        net(own(Layer, **{name: identity, "backward": identity}))


ARGUMENTS = {
    "backward": (
        lambda: {"layers": [own(Layer, forward=identity, backward=lambda self, x, dy: dy)]},
        r"Own: backward takes \(self, x, dy\), expected \(self, dy\)",
    ),
    "forward": (
        lambda: {"layers": [own(Layer, forward=lambda self, x, training: x, backward=identity)]},
        r"Own: forward takes \(self, x, training\), expected \(self, x\)",
    ),
    "_forward": (
        lambda: {"layers": [own(Layer, _forward=lambda self, x, y: x, _backward=identity)]},
        r"Own: _forward takes \(self, x, y\), expected \(self, x, y, run\)",
    ),
    "value_and_grad": (
        lambda: {"loss": own(Loss, value_and_grad=lambda self, y: (0.0, y))},
        r"Own: value_and_grad takes \(self, y\), expected \(self, y, t\)",
    ),
    "update": (
        lambda: {"optimizer": own(Optimizer, update=lambda self, params: None)},
        r"Own: update takes \(self, params\), expected \(self, params, grads\)",
    ),
    "apply": (
        lambda: {"optimizer": SGD(transforms=[own(Transform, apply=lambda self, params, grads: None)])},
        r"Own: apply takes \(self, params, grads\), expected \(self, grads\)",
    ),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_method_of_other_arguments_says_which_are_expected(case):
    make, message = ARGUMENTS[case]
    options = {"loss": "mse", **make()}
    layers = options.pop("layers", ())
    with pytest.raises(TypeError, match=message):
        net(*layers).fit(X, Y, **options)


def test_methods_may_take_more_that_has_a_default():
    class More(Layer):
        def forward(self, x, *, training=False):
            return x

        def backward(self, dy, *more, **options):
            return dy

    loss = own(Loss, value_and_grad=lambda self, y, t, weight: (np.mean(y - t), np.ones_like(y) / len(y)))
    rule = own(SGD, update=lambda self, params, grads, scale=0.1: None)
    assert len(net(More()).fit(X, Y, loss, rule, epochs=2, sample_weight=np.ones(ROWS))) == 2


RETURNS = {
    "a number": (lambda self, y, t: 0.5, TypeError, r"Own\(\): value_and_grad returned 0.5, expected two things"),
    "None": (lambda self, y, t: None, TypeError, "returned None, expected two things: the loss, and its gradient"),
    "three": (
        lambda self, y, t: (1.0, y, t),
        TypeError,
        r"returned \(1.0, .* of shape \(16, 1\), .*expected two things",
    ),
    "no gradient": (lambda self, y, t: (1.0, None), TypeError, "a gradient that is None"),
    "no value": (lambda self, y, t: (None, y), TypeError, "a value that is None"),
    "values": (lambda self, y, t: (y, y), ValueError, r"the value has shape \(16, 1\), expected one number"),
    "a text": (lambda self, y, t: ("1", y), TypeError, r"Own\(\): the value is '1', expected one number"),
    "a complex number": (lambda self, y, t: (1j, y), TypeError, r"Own\(\): the value is 1j, expected one number"),
    "an array of text": (lambda self, y, t: (np.array("1"), y), TypeError, r"the value is array\('1'"),
    "a date": (lambda self, y, t: (np.datetime64("2020-01-01"), y), TypeError, "the value is .*, expected one number"),
    "a complex number of others": (lambda self, y, t: (Scalar("complex64"), y), TypeError, "the value is Scalar"),
    "another shape": (lambda self, y, t: (1.0, y[0]), ValueError, r"gradient has shape \(1,\), expected \(16, 1\)"),
}


@pytest.mark.parametrize("case", RETURNS)
def test_what_a_loss_returns_is_checked(case):
    code, kind, message = RETURNS[case]
    model = net(Dense(3)).build(FEATURES)
    before = model.params.copy()
    loss = own(Loss, value_and_grad=code)
    with pytest.raises(kind, match=message):
        model.fit(X, Y, loss)
    with pytest.raises(kind, match=message):
        loss(np.zeros((16, 1)), Y)
    np.testing.assert_array_equal(model.params, before)


class Scalar:
    """A number as JAX and PyTorch return one: an array of no dimension, and none of NumPy's."""

    shape = ()

    def __init__(self, dtype="float32"):
        self.dtype = dtype

    def __float__(self):
        return 2.5

    def __repr__(self):
        return "Scalar"


def of_library(module, make):
    return lambda: make(pytest.importorskip(module))


SCALARS = {
    "Python": lambda: 2.5,
    "NumPy": lambda: np.array(2.5),
    "Decimal": lambda: Decimal("2.5"),
    "Fraction": lambda: Fraction(5, 2),
    "another library": Scalar,
    "JAX": of_library("jax.numpy", lambda jax: jax.array(2.5)),
    "PyTorch": of_library("torch", lambda torch: torch.tensor(2.5)),
}


@pytest.mark.parametrize("case", SCALARS)
def test_numbers_of_any_library_are_numbers(case, tmp_path):
    """As the value of a loss and of a penalty, of a metric, and in the logs, which a file of the fit holds."""
    given, path = SCALARS[case](), tmp_path / "net.safetensors"
    loss = own(Loss, value_and_grad=lambda self, y, t: (given, np.zeros_like(y)))
    penalty = own(Penalty, value_and_grad=lambda self, w: (given, np.zeros_like(w)))
    assert loss(np.zeros((16, 1)), Y) == 2.5
    assert Model([Dense(1)], penalties=[penalty]).train_batch(X, Y, loss=loss) == 5.0
    assert metrics.get(lambda y_true, y_pred: given)(Y, Y) == 2.5

    def log(model, epoch, logs):
        logs["score"] = given
        if epoch == 1:
            model.save(path)

    options = {"epochs": 3, "callbacks": [log]}
    assert net().fit(X, Y, "mse", "adam", **options)["score"] == [2.5] * 3
    assert load(path).fit(X, Y, resume=True, **options)["score"] == [2.5] * 3


def doubled(self, x):
    x *= 2
    return x


def assigned(self, x):
    x[0] = 0
    return x


def of_the_loss(self, y, t):
    y -= t
    return (y**2).mean(), y / y.size


IN_PLACE = {
    "forward": (lambda: net(own(Layer, forward=doubled, backward=identity)), {}, "Own 1: forward changes"),
    "forward, one row": (lambda: net(own(Layer, forward=assigned, backward=identity)), {}, "Own 1: forward changes"),
    "backward": (lambda: net(Dense(3), own(Layer, forward=identity, backward=doubled)), {}, "Own 2: backward changes"),
    "loss": (net, {"loss": own(Loss, value_and_grad=of_the_loss)}, r"Own\(\): value_and_grad changes"),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_an_array_that_may_only_be_read_names_who_changed_it(case):
    make, options, message = IN_PLACE[case]
    before = X.copy()
    with pytest.raises(ValueError, match=message + r".*read-only.*x = x \* 2"):
        make().fit(X, Y, **{"loss": "mse", **options})
    np.testing.assert_array_equal(X, before)
    if case.startswith("forward"):
        with pytest.raises(ValueError, match=message):
            make().predict(X)


def of_other_shape(self, x):
    x + np.ones((ROWS + 7, 1))


SHAPES = {
    "forward": (lambda: net(own(Layer, forward=of_other_shape, backward=identity)), {}, "Own 1: forward"),
    "backward": (lambda: net(Dense(3), own(Layer, forward=identity, backward=of_other_shape)), {}, "Own 2: backward"),
    "product": (lambda: net(own(Layer, forward=lambda self, x: x @ x, backward=identity)), {}, "Own 1: forward"),
    "loss": (
        net,
        {"loss": own(Loss, value_and_grad=lambda self, y, t: of_other_shape(self, y))},
        r"Own\(\): value_and_grad",
    ),
}


A, B = np.ones((3, 2)), np.ones(4)
OF_NUMPY = {
    "sum": lambda: A + B,
    "in place": lambda: np.add(A, 1, out=np.ones(2)),
    "assignment": lambda: np.copyto(A, B),
    "assignment to rows": lambda: A.__setitem__([0, 1], A),
    "dot": lambda: np.dot(A, B),
    "tensordot": lambda: np.tensordot(A, B, 1),
    "matmul": lambda: A @ B,
    "einsum": lambda: np.einsum("ij,i->j", A, B),
    "broadcast_to": lambda: np.broadcast_to(A, (2,)),
    "broadcast_to a number": lambda: np.broadcast_to(A, ()),
    "broadcast_arrays": lambda: np.broadcast_arrays(A, B),
}


@pytest.mark.parametrize("case", OF_NUMPY)
def test_all_that_numpy_says_of_shapes_names_whose_code_it_is(case):
    layer = own(Layer, forward=lambda self, x: OF_NUMPY[case](), backward=identity)
    with pytest.raises(ValueError, match=r"^Own 1: forward has arrays whose shapes do not fit together"):
        net(layer).fit(X, Y)


@pytest.mark.parametrize("case", SHAPES)
def test_shapes_that_do_not_fit_name_whose_code_it_is(case):
    make, options, message = SHAPES[case]
    with pytest.raises(ValueError, match=f"^{message} has arrays whose shapes do not fit together"):
        make().fit(X, Y, **{"loss": "mse", **options})


def test_other_errors_of_a_users_code_are_its_own():
    for message in ("mine", "my broadcast station is off", "my core dimension is 3", "the disk is read-only"):

        def wrong(self, x, message=message):
            raise ValueError(message)

        with pytest.raises(ValueError, match=f"^{message}$"):
            net(own(Layer, forward=wrong, backward=identity)).fit(X, Y)


WITHOUT_INIT = {
    "optimizer": lambda: {"optimizer": own(Optimizer, __init__=nothing, update=lambda self, p, g: self.lr)},
    "sgd": lambda: {"optimizer": own(SGD, __init__=nothing)},
    "loss": lambda: {"loss": own(Huber, __init__=nothing)},
}


@pytest.mark.parametrize("case", WITHOUT_INIT)
def test_a_part_whose_init_was_not_called_says_so(case):
    options = {"loss": "mse", **WITHOUT_INIT[case]()}
    with pytest.raises(AttributeError, match=r"Own has no \w+ yet: Own.__init__ must call super\(\).__init__"):
        net().fit(X, Y, **options)


def test_a_layer_whose_init_was_not_called_says_so():
    for base, name in ((Dense, "units"), (Dropout, "rate"), (LeakyReLU, "negative_slope"), (BatchNorm, "eps")):
        layer = own(base, __init__=nothing)
        with pytest.raises(AttributeError, match=r"Own( 1)? has no \w+ yet: Own.__init__ must call super\(\).__init__"):
            net(layer).fit(X, Y)
        assert not hasattr(layer, name)


def test_an_optimizer_without_init_that_diverges_says_that():
    def explode(self, params, grads):
        params[:] = 1e30

    with pytest.raises(FloatingPointError, match="look for very large numbers"):
        net().fit(X, Y, "mse", own(Optimizer, __init__=nothing, update=explode))


# Callbacks

CALLBACKS = {
    "class": ([EarlyStopping], r".*EarlyStopping.*: this is a class, make an object of it, EarlyStopping\(\)"),
    "class alone": (EarlyStopping, "this is a class"),
    "one argument": ([lambda model: None], r"called with these three, and takes \(model\)"),
    "two arguments": ([lambda epoch, logs: None], r"takes \(epoch, logs\)"),
    "none": ([lambda: None], r"takes \(\)"),
    "by name": ([lambda *, model, epoch, logs: None], r"takes \(\*, model, epoch, logs\)"),
    "four": ([lambda model, epoch, logs, more: None], r"takes \(model, epoch, logs, more\)"),
    "a method": ([Model([Dense(1)]).summary], r"takes \(\)"),
    "text": ("early_stopping", r"'early_stopping', expected functions .*such as EarlyStopping\(\)"),
    "texts": (["early_stopping"], "'early_stopping'"),
    "a number": (3, "3, expected functions"),
    "of keras": ([type("Own", (), {"on_epoch_end": identity})()], "name its on_epoch_end __call__"),
}


@pytest.mark.parametrize("case", CALLBACKS)
def test_callbacks_that_cannot_be_called_are_refused_before_the_fit(case):
    callbacks, message = CALLBACKS[case]
    model = net()
    with pytest.raises(TypeError, match="callbacks holds .*" + message):
        model.fit(X, Y, "mse", callbacks=callbacks)
    assert not model.built
    with pytest.raises(TypeError, match="callbacks holds .*" + message):
        fit_many([model], X, Y, "mse", callbacks=callbacks)


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self, model, epoch, logs):
        self.calls += 1

    def method(self, model, epoch, logs=None, more=3):
        self.calls += 1


@pytest.mark.parametrize("form", ["alone", "list", "tuple", "generator", "method", "any", "compiled", "none"])
def test_callbacks_that_can_be_called_are(form):
    counter = Counter()
    callbacks = {
        "alone": counter, "list": [counter], "tuple": (counter,), "generator": (c for c in [counter]),
        "method": counter.method, "any": any_arguments(counter), "compiled": [counter, max_of_three],
        "none": None,
    }[form]  # fmt: skip
    net().fit(X, Y, "mse", epochs=3, callbacks=callbacks)
    assert counter.calls == (0 if form == "none" else 3)


def any_arguments(function):
    def call(*arguments):
        return function(*arguments)

    return call


def max_of_three(*arguments):
    return len(arguments) == 0


def test_one_callback_serves_for_many_fits():
    histories = fit_many([net(), net()], X, Y, "mse", epochs=3, callbacks=EarlyStopping())
    assert [len(history) for history in histories] == [3, 3]


# Things at the wrong place

PLACES = {
    "epochs as loss": (lambda m: m.fit(X, Y, 10), "loss is 10, .*did you mean epochs=10"),
    "epochs as optimizer": (lambda m: m.fit(X, Y, "mse", 10), "optimizer is 10, .*did you mean epochs=10"),
    "rate as optimizer": (
        lambda m: m.fit(X, Y, "mse", 0.1),
        r"optimizer is 0.1, .*did you mean optimizer=Adam\(lr=0.1\)",
    ),
    "optimizer as loss": (lambda m: m.fit(X, Y, Adam()), r"loss is Adam\(\), .*did you mean optimizer=Adam\(\)"),
    "loss as optimizer": (lambda m: m.fit(X, Y, "mse", MSE()), r"optimizer is MSE\(\), .*did you mean loss=MSE\(\)"),
    "data as loss": (lambda m: m.fit(X, Y, X, Y), r"loss is ndarray of shape \(16, 4\), .*validation_data=\(x, y\)"),
    "data as batch": (lambda m: m.fit(X, Y, "mse", "adam", 1, (X, Y)), r"batch_size is \(ndarray of shape \(16, 4\), "),
    "batch as loss": (lambda m: m.evaluate(X, Y, 32), "loss is 32, .*batch_size=32"),
    "function as loss": (lambda m: m.fit(X, Y, max_of_three), "loss is the function max_of_three, .*subclass of Loss"),
    "number as activation": (
        lambda m: Dense(3, 0.5),
        r"activation is 0.5, expected a name \(.*\) or an object of its kind$",
    ),
    "function as activation": (lambda m: Dense(3, max_of_three), "activation is the function .*subclass of Layer$"),
    "parameters as model": (lambda m: Adam().step(X), r"Adam\.step: got ndarray of shape \(16, 4\), expected a Model"),
    "optimizer as model": (lambda m: Adam().step(Adam()), r"Adam\.step: got Adam\(\), expected a Model"),
    "parameters as other": (lambda m: m.copy_from(X), r"got ndarray of shape \(16, 4\), expected a Model of the same"),
    "array as layer": (lambda m: Model([X]), r"layers\[0\] is ndarray of shape \(16, 4\), expected a layer"),
    "loss as weights": (lambda m: m.train_batch(X, Y, "mse"), "sample_weight is 'mse', .*did you mean loss='mse'"),
    "optimizer as weights": (
        lambda m: m.fit(X, Y, sample_weight="adam"),
        "sample_weight is 'adam', .*did you mean optimizer='adam'",
    ),
    "balanced weights": (lambda m: m.fit(X, Y, sample_weight="balanced"), r"1 / np.bincount\(labels\)\[labels\]"),
    "a word as weights": (
        lambda m: m.fit(X, Y, sample_weight="w"),
        "sample_weight is 'w', .*: pass an array or a list$",
    ),
    "loss as weights too": (
        lambda m: m.train_batch(X, Y, MSE()),
        r"sample_weight is MSE\(\), .*did you mean loss=MSE\(\)",
    ),
    "one of x and y": (
        lambda m: m.fit(X, Y, validation_data=(X,)),
        r"validation_data is \(ndarray of .*\(16, 4\),\), exp",
    ),
    "x alone": (
        lambda m: m.fit(X, Y, validation_data=X),
        r"validation_data is ndarray of shape \(16, 4\), expected a tup",
    ),
    "a fraction": (lambda m: m.fit(X, Y, validation_data=0.2), r"validation_data is 0.2, expected a tuple \(x, y\)"),
    "a model": (lambda m: fit_many(m, X, Y), "fit_many: models is <Model.*expected a list of models"),
}


@pytest.mark.parametrize("case", PLACES)
def test_what_stands_at_the_wrong_place_is_told_where_it_belongs(case):
    call, message = PLACES[case]
    model = net()
    with pytest.raises(TypeError, match=message) as error:
        call(model)
    assert len(str(error.value)) < 400
    assert not model.built


# Numbers that no float and no counter can hold

HUGE = 10**400
NUMBERS = {
    "SGD": lambda: SGD(HUGE), "Huber": lambda: Huber(HUGE), "Dropout": lambda: Dropout(HUGE),
    "LeakyReLU": lambda: LeakyReLU(HUGE), "BatchNorm": lambda: BatchNorm(eps=HUGE), "Group": lambda: Group("*", HUGE),
    "decay of a group": lambda: Group("*", weight_decay=HUGE), "ClipNorm": lambda: ClipNorm(HUGE),
    "set": lambda: setattr(Adam(), "beta1", HUGE), "negative": lambda: SGD(-HUGE), "tau": lambda: follow(HUGE),
    "min_delta": lambda: EarlyStopping(min_delta=HUGE), "units": lambda: Dense(HUGE),
    "batch_size": lambda: net().fit(X, Y, batch_size=HUGE), "epochs": lambda: net().fit(X, Y, epochs=HUGE),
    "patience": lambda: EarlyStopping(HUGE), "accumulate": lambda: Accumulate(HUGE), "n_in": lambda: net().build(HUGE),
    "n_threads": lambda: net().fit(X, Y, n_threads=HUGE), "rows": lambda: net().predict(X, batch_size=HUGE),
    "seed": lambda: Model([Dense(1)], seed=-HUGE),
}  # fmt: skip


def follow(tau):
    target, source = net().build(FEATURES), net().build(FEATURES)
    target.soft_update(source, tau)


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_is_too_large_is_refused_in_short_words(case):
    with pytest.raises(
        ValueError, match=r"is an integer of more than 50 digits, expected a (finite|whole) number"
    ) as error:
        NUMBERS[case]()
    assert len(str(error.value)) < 150


def test_a_seed_may_be_large():
    nets = [Model([Dense(2)], seed=2**128 + 1).build(3) for _ in range(2)]
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


# Attributes before the build

BEFORE = [
    (lambda: Dense(3), ("w", "b", "dw", "db", "anything")),
    (BatchNorm, ("scale", "shift", "mean", "variance", "dscale")),
    (LayerNorm, ("scale", "dshift")),
    (lambda: own(Layer, forward=identity), ("s", "ds")),
    (lambda: Sequential([Dense(3)]), ("w",)),
]


@pytest.mark.parametrize(("make", "names"), BEFORE, ids=["dense", "batch norm", "layer norm", "own", "sequential"])
def test_an_array_before_the_build_says_when_it_is_made(make, names):
    layer = make()
    for name in names:
        with pytest.raises(
            AttributeError, match=f"has no attribute '{name}' before it is built: with the first data, or"
        ):
            getattr(layer, name)
    assert (layer.n_in, layer.n_out, layer.parameters) == (0, 0, {})


def test_an_attribute_after_the_build_is_not_said_to_come():
    model = net(Dense(3)).build(4)
    with pytest.raises(AttributeError, match=r"Dense 1 has no attribute 'anything'$"):
        model[0].anything  # noqa: B018


# Targets beside predictions are called t

TARGETS = [
    (lambda: MSE().value_and_grad(X, Y), r"t has shape \(16, 1\), expected \(rows, 4\) for y of 4 columns"),
    (lambda: MSE()(X, X[:8]), "t has 8 rows, expected 16 as y has"),
    (lambda: CrossEntropy()(X, LABELS + 0.5), "t is 0.5 at row 0, expected whole labels"),
    (lambda: CrossEntropy()(X, LABELS + 9), "t is 9 at row 0, expected labels from 0 to 3 for y of 4 columns"),
    (lambda: CrossEntropy()(X, X), "t is .* at row 0, expected probabilities"),
    (lambda: BinaryCrossEntropy()(X, X), "t is .* at row 0, expected numbers from 0 to 1"),
    (lambda: MSE()(X, np.full(X.shape, np.nan)), "t is NaN at row 0, column 0"),
    (lambda: MSE()(X[0, 0], Y), r"y has shape \(\)"),
    (lambda: MSE()(X, X, np.ones(3)), "weight has 3 rows, expected 16"),
]


@pytest.mark.parametrize(("call", "message"), TARGETS, ids=[message for _, message in TARGETS])
def test_targets_of_a_loss_by_hand_are_called_t(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call()


@pytest.mark.parametrize("kind", [Sequential, Residual, Parallel, Add, Model])
def test_layers_out_of_range_say_how_many_there_are(kind):
    row = kind([Dense(3), Dense(3)])
    with pytest.raises(IndexError, match="there is no layer 2, expected -2 to 1"):
        row[2]
    with pytest.raises(TypeError, match=r"layers are got by their numbers, as \[0\] or \[1:3\], got 'a'"):
        row["a"]
