"""Names that users of other libraries write: they work where they mean the same, or the error names the right word."""

import inspect
import pickle
import re
from abc import ABC, abstractmethod

import numpy as np
import pytest

import fastnn
from fastnn import (
    MSE,
    SGD,
    Adam,
    BatchNorm,
    BFloat16Dense,
    Constraint,
    Dense,
    Dropout,
    EarlyStopping,
    Group,
    Huber,
    Int8Dense,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    Model,
    NAdam,
    Normalization,
    Optimizer,
    PanelDense,
    Penalty,
    ReLU,
    RMSNorm,
    RMSprop,
    Rprop,
    Sequential,
    Softmax,
    callbacks,
    initializers,
    losses,
    optimizers,
    schedules,
    words,
)
from fastnn.layers import activations
from fastnn.optimizers import ClipNorm, Transform
from fastnn.settings import Part

pytestmark = pytest.mark.once

X, Y = np.ones((4, 3)), np.zeros((4, 1))
BASES = Layer, Loss, Optimizer, Transform, Group, EarlyStopping, Penalty, Constraint
FOUND = {**vars(optimizers), **vars(fastnn)}
PARTS = [kind for _, kind in sorted(FOUND.items()) if isinstance(kind, type) and issubclass(kind, BASES)]

SAME = {
    initializers.get: {
        "xavier": "glorot", "xavier_uniform": "glorot_uniform", "xavier_normal_": "glorot_normal",
        "kaiming": "he", "kaiming_normal": "he_normal", "kaiming_uniform_": "he_uniform", "HeNormal": "he_normal",
        "GlorotUniform": "glorot_uniform", "LecunNormal": "lecun_normal", "random_normal": "normal",
        "RandomUniform": "uniform", "orthogonal_": "orthogonal", "zeros_": "zeros", "Ones": "ones",
        "he_normal": "kaiming_normal_", "trunc_normal_": "truncated_normal", "TruncatedNormal": "truncated_normal",
        "Identity": "identity", "eye_": "identity", "sparse_": "sparse", "Constant": "constant",
        "VarianceScaling": "variance_scaling", "lecun_normal": "LecunNormal", "PyTorch": "torch",
    },
    activations.get: {
        "swish": "silu", "logistic": "sigmoid", "LeakyReLU": "leaky_relu", "leakyrelu": "leaky_relu",
        "LogSoftmax": "log_softmax", "hardtanh": "hard_tanh", "hardsigmoid": "hard_sigmoid", "linear": "identity",
        "SiLU": "silu", "Leaky ReLU": "leaky_relu", "GELU": "gelu", "ReLU6": "relu6", "Hardswish": "hard_swish",
        "hard_silu": "hard_swish", "logsigmoid": "log_sigmoid", "exp": "exponential", "hardshrink": "hard_shrink",
        "softshrink": "soft_shrink", "tanhshrink": "tanh_shrink", "sin": "sine", "LiSHT": "lisht",
        "PReLU": "prelu", "GLU": "glu", "SwiGLU": "swiglu", "sparse_max": "sparsemax", "Softmin": "softmin",
    },
    losses.get: {
        "binary_crossentropy": "bce", "BinaryCrossentropy": "bce", "categorical_crossentropy": "cross_entropy",
        "sparse_categorical_crossentropy": "cross_entropy", "CrossEntropyLoss": "cross_entropy", "BCELoss": "bce",
        "nll": "cross_entropy", "NLLLoss": "cross_entropy", "MSELoss": "mse", "mse_loss": "mse", "l1": "mae",
        "L1Loss": "mae", "SmoothL1Loss": "smooth_l1", "HuberLoss": "huber", "log_loss": "bce",
        "LogCosh": "log_cosh", "pinball": "quantile", "MeanSquaredLogarithmicError": "msle", "Hinge": "hinge",
        "MeanAbsolutePercentageError": "mape", "PoissonNLLLoss": "poisson_nll", "GaussianNLLLoss": "gaussian_nll",
        "SquaredHinge": "squared_hinge", "MultiMarginLoss": "multi_margin", "KLDivLoss": "kl_divergence",
        "kullback_leibler_divergence": "kl_div", "CosineSimilarity": "cosine_similarity", "focal": "binary_focal",
        "CategoricalFocalCrossentropy": "categorical_focal", "BCEWithLogitsLoss": "bce_with_logits",
        "MeanSquaredError": "mse",
    },
    optimizers.get: {"RMSProp": "rmsprop", "rms_prop": "rmsprop", "adam_w": "adamw", "AdamW": "adamw", "SGD": "sgd"},
}  # fmt: skip
UNKNOWN = [
    (initializers.get, "truncate_normal", "did you mean truncated_normal"),
    (initializers.get, "nothing_like_it", "expected one of constant, .*glorot_normal, .*he_uniform"),
    (activations.get, "hard_relu", "did you mean .*relu"),
    (losses.get, "zzz", r"expected one of mse, mae, huber, .* \.\.\. \(\d\d in all, in docs/parts.md"),
    (optimizers.get, "adafactor", "expected one of adadelta, .*adam"),
    (optimizers.get, "adamm", "did you mean .*adam"),
    (losses.get, "foo", "expected one of mse, "),
    (optimizers.get, "momentum", "expected one of adadelta, .*rmsprop, rprop, .*sgd"),
]


@pytest.mark.parametrize(
    ("get", "theirs", "ours"),
    [(get, theirs, ours) for get, names in SAME.items() for theirs, ours in names.items()],
    ids=lambda value: value if isinstance(value, str) else value.__module__.rpartition(".")[2],
)
def test_a_name_of_another_library_is_the_same_thing(get, theirs, ours):
    first, second = get(theirs), get(ours)
    assert repr(first) == repr(second)


@pytest.mark.parametrize(("get", "name", "message"), UNKNOWN, ids=lambda value: value if isinstance(value, str) else "")
def test_an_unknown_name_gets_the_near_ones_or_one_for_each_thing(get, name, message):
    with pytest.raises(ValueError, match=f"unknown .* '{name}': {message}"):
        get(name)


def test_smooth_l1_and_bce_with_logits_are_the_formulas_of_pytorch():
    y, t = np.array([[-3.0], [0.2]]), np.array([[1.0], [0.0]])
    d = np.abs(y - t)
    smooth = np.where(d < 1, d**2 / 2, d - 0.5).mean()
    assert losses.get("smooth_l1")(y, t) == pytest.approx(smooth, rel=1e-12)
    p = 1 / (1 + np.exp(-y))
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert losses.get("bce_with_logits")(y, t) == pytest.approx(entropy, rel=1e-12)


ARGUMENTS = [
    (Adam, "clipnorm", "of each array; clip_layer_norm is of each layer here, clip_norm of all parameters"),
    (NAdam, "decoupled_weight_decay", "decoupled"),
    (Adam, "params", "by the model that it trains"),
    (SGD, "momentun", "did you mean momentum"),
    (Adam, "zzz", "it has accumulate, amsgrad, .*beta1, .*weight_decay"),
    (Dense, "in_features", "the number of inputs is learnt from the first data"),
    (Dense, "input_shape", "the number of inputs is learnt from the first data"),
    (Dense, "input_dim", "the number of inputs is learnt from the first data"),
    (Dense, "dtype", "dtype of the model"),
    (Dense, "kernel_regularizer", r"Model\(layers, penalties=\[L2"),
    (Dense, "constraints", r"Model\(layers, constraints=\[MaxNorm"),
    (Dense, "precision", r"Model\(layers, precision='bf16'"),
    (Dense, "kernel_constraint", r"Model\(layers, constraints=\[MaxNorm"),
    (Dense, "activity_regularizer", r"Penalize\(L1"),
    (Dropout, "seed", "seed of the model"),
    (BatchNorm, "num_features", "learnt from the first data"),
    (LayerNorm, "normalized_shape", "learnt from the first data"),
    (ReLU, "inplace", "in place"),
    (Softmax, "dim", "each row"),
    (Softmax, "axis", "each row"),
    (LayerNorm, "axis", "each row"),
    (BatchNorm, "axis", "each column"),
    (Normalization, "axis", "each column"),
    (Huber, "beta", "it is called delta here"),
    (EarlyStopping, "n_iter_no_change", "it is called patience here"),
    (Group, "lr", "it is called lr_factor here"),
    (ClipNorm, "max_norm", "it is called limit here"),
    (Sequential, "name", "named by their place"),
    (Model, "random_state", "it is called seed here"),
    (Model, "name", "named by their place"),
    (Model, "optimizer", "given to fit"),
    (Model, "zzz", "it has constraints, dtype, layers, penalties, precision, seed"),
]


@pytest.mark.parametrize(("kind", "name", "message"), ARGUMENTS, ids=lambda value: getattr(value, "__name__", value))
def test_an_argument_of_another_library_is_answered_with_the_right_word(kind, name, message):
    with pytest.raises(TypeError, match=rf"^{kind.__name__} has no {name}.*{message}"):
        kind(*([[Dense(1)]] if kind is Model else []), **{name: 1})


# What is made with names of other libraries, and the same with those of this one
SECOND_NAMES = [
    (lambda: Adam(learning_rate=0.1, beta_1=0.8, beta_2=0.99, epsilon=1e-6), Adam(0.1, 0.8, 0.99, 1e-6)),
    (lambda: Adam(0.1, betas=(0.8, 0.99)), Adam(0.1, 0.8, 0.99)),
    (lambda: SGD(learning_rate_init=0.1, momentum=0.5), SGD(0.1, 0.5)),
    (lambda: SGD(learning_rate=0.1, clipvalue=1.0, global_clipnorm=2.0), SGD(0.1, clip_value=1.0, clip_norm=2.0)),
    (lambda: SGD(max_grad_norm=2.0, gradient_accumulation_steps=3), SGD(clip_norm=2.0, accumulate=3)),
    (
        lambda: Rprop(etas=(0.4, 1.3), step_sizes=[1e-5, 40]),
        Rprop(eta_minus=0.4, eta_plus=1.3, min_step=1e-5, max_step=40),
    ),
    (lambda: RMSprop(rho=0.8), RMSprop(alpha=0.8)),
    (lambda: Dense(out_features=3, use_bias=False), Dense(3, bias=False)),
    (lambda: Dense(3, kernel_initializer="zeros"), Dense(3, weight_initializer="zeros")),
    (lambda: Dropout(p=0.2), Dropout(0.2)),
    (lambda: BatchNorm(epsilon=1e-3), BatchNorm(eps=1e-3)),
    (lambda: LeakyReLU(alpha=0.2), LeakyReLU(0.2)),
]


@pytest.mark.parametrize(
    ("make", "same"), SECOND_NAMES, ids=lambda value: repr(value) if isinstance(value, Part) else ""
)
def test_a_part_is_made_with_names_of_other_libraries(make, same):
    assert repr(make()) == repr(same)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(0.1, learning_rate=0.2), "Adam: lr is given twice, also as learning_rate"),
        (lambda: Adam(lr=0.1, learning_rate=0.2), "Adam: lr is given twice"),
        (lambda: Adam(learning_rate=0.2, lr=0.1), "Adam: lr is given twice"),
        (lambda: Adam(beta1=0.9, betas=(0.9, 0.99)), "Adam: beta1 is given twice, also as betas"),
        (
            lambda: EarlyStopping("val_loss", patience=3),
            "EarlyStopping: patience is given twice, .* as 3: .*monitor",
        ),
        (lambda: Dense(3, units=4), "Dense: units is given twice, as 3 without a name and as 4"),
        (lambda: Adam(betas=0.9), "Adam: betas is 0.9, expected 2 numbers: beta1 and beta2"),
        (lambda: Adam(betas=(0.9,)), "Adam: betas is .*, expected 2 numbers"),
    ],
)
def test_a_setting_that_is_given_twice_is_refused(make, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        make()


def test_what_is_needed_is_named_with_an_example():
    for kind, example in (
        (Model, "layers: Model([Dense(1)])"), (Sequential, "layers: Sequential([Dense(1)])"),
        (Dense, "units: Dense(units)"), (fastnn.Linear, "units: Dense(units)"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"^{kind.__name__} needs {re.escape(example)}$"):
            kind()
    assert inspect.signature(Model).parameters["layers"].default is inspect.Parameter.empty
    with pytest.raises(TypeError, match=r"^Model\.save\(\) missing 1 required positional argument: 'path'$"):
        Model([Dense(1)]).save()
    assert pickle.loads(pickle.dumps(Model.save)) is Model.save


def test_the_first_argument_of_an_early_stopping_is_not_what_it_watches():
    with pytest.raises(TypeError, match=r"patience is 'val_loss', .*; did you mean monitor='val_loss'\?$"):
        EarlyStopping("val_loss")


def test_a_part_shows_what_it_is_made_with():
    assert [*inspect.signature(Adam).parameters][:4] == ["lr", "beta1", "beta2", "eps"]
    assert [*inspect.signature(Dropout).parameters] == ["rate"]


def test_a_part_may_be_an_abstract_class():
    class Base(Layer, ABC):
        @abstractmethod
        def size(self): ...

    with pytest.raises(TypeError, match="abstract"):
        Base()


OPTIONS = [
    ("fit", "validation_fraction", "it is called validation_split here"),
    ("fit", "lr", "optimizer=Adam"),
    ("fit", "learning_rate", "optimizer=Adam"),
    ("fit", "n_epochs", "it is called epochs here"),
    ("fit", "callback", "it is called callbacks here"),
    ("fit", "x_val", "validation_data="),
    ("fit", "eval_set", "it is called validation_data here"),
    ("fit", "criterion", "it is called loss here"),
    ("fit", "patience", "EarlyStopping"),
    ("fit", "epoch", "did you mean epochs"),
    ("fit", "random_state", "seed of the model"),
    ("fit", "n_jobs", "it is called n_threads here"),
    ("fit", "steps_per_epoch", r"feeds\.Batches\(batches, steps=100\)"),
    ("fit", "train_loader", r"net\.fit\(loader\), or feeds\.Batches\(loader, steps=100\)"),
    ("fit", "zzz", "it has augment, batch_size, callbacks, .*verbose, x, y"),
    ("train_batch", "lr", "optimizer=Adam"),
    ("train_batch", "sample_weights", "it is called sample_weight here"),
    ("train_batch", "class_weight", "setting of the loss"),
    ("evaluate", "verbose", "shows nothing"),
    ("train_batch", "metrics", "given to fit and to evaluate"),
    ("evaluate", "criterion", "it is called loss here"),
]


@pytest.mark.parametrize(("method", "name", "message"), OPTIONS)
def test_an_option_of_another_library_is_answered_with_the_right_word(method, name, message):
    net = Model([Dense(1)], seed=0)
    with pytest.raises(TypeError, match=rf"^{method} has no {name}.*{message}"):
        getattr(net, method)(X, Y, **{name: 1})
    assert not net.built


ATTRIBUTES = [
    (lambda: Dense(3), "weight", "Dense has no weight: it is called w here"),
    (lambda: Dense(3), "weights", "Dense has no weights: it is called w here"),
    (lambda: Dense(3), "out_features", "Dense has no out_features: it is called units here"),
    (lambda: Dense(3), "in_features", "Dense has no in_features: it is called n_in here"),
    (lambda: Model([Dense(1)]), "state_dict", "Model has no state_dict: it is called snapshot here"),
    (lambda: Model([Dense(1)]), "parameters", "Model has no parameters: it is called params here"),
    (lambda: Model([Dense(1)]), "get_weights", "Model has no get_weights: it is called params here"),
    (lambda: Model([Dense(1)]), "predict_proba", "Model has no predict_proba: it is called predict here"),
    (lambda: Model([Dense(1)]), "train_on_batch", "Model has no train_on_batch: it is called train_batch here"),
    (lambda: Model([Dense(1)]), "compile", r"Model has no compile: .*net.fit\(x, y, loss, optimizer\)"),
    (lambda: Model([Dense(1)]), "add", r"Model has no add: layers are given together: Model\(\["),
    (lambda: Model([Dense(1)]), "eval", "Model has no eval: .*there is no mode to set"),
    (lambda: Model([Dense(1)]), "trainable", "Model has no trainable: layers have it"),
    (lambda: Model([Dense(1)]), "get_layer", r"Model has no get_layer: .* net\[0\]"),
    (lambda: Model([Dense(1)]), "clone", r"Model has no clone: copy.deepcopy\(net\)"),
    (lambda: Model([Dense(1)]), "stop_training", "Model has no stop_training: a callback that returns True"),
    (lambda: Model([Dense(1)]), "load", r"Model has no load: net.save\(path\) .*fastnn.load\(path\)"),
    (lambda: Model([Dense(1)]), "load_weights", r"Model has no load_weights: .*fastnn.load\(path\)"),
    (lambda: Model([Dense(1)]), "lr", "Model has no lr: it is a setting of the optimizer"),
    (lambda: Model([Dense(1)]), "zzz", "'Model' object has no attribute 'zzz'"),
    (BatchNorm, "gamma", "BatchNorm has no gamma: it is called scale here"),
    (BatchNorm, "running_mean", "BatchNorm has no running_mean: it is called mean here"),
]


@pytest.mark.parametrize(
    ("make", "name", "message"), ATTRIBUTES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_attribute_of_another_library_is_answered_with_the_right_word(make, name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(make(), name)
    assert not hasattr(make(), name)
    assert name not in dir(make())


@pytest.mark.parametrize("make", [Int8Dense, BFloat16Dense, PanelDense])
def test_a_property_that_lacks_what_it_reads_is_no_word_of_another_library(make):
    with pytest.raises(AttributeError, match=f"{make.__name__} has no attribute 'weights' before it is built"):
        make(8).weights  # noqa: B018
    assert Model([make(8)], seed=0).build(4)[0].weights.shape == (4, 8)


NAMES = [
    (fastnn, "BatchNorm1d", "it is called BatchNorm here"),
    (fastnn, "BatchNormalization", "it is called BatchNorm here"),
    (fastnn, "CrossEntropyLoss", r"it is called CrossEntropy\(\) here"),
    (fastnn, "BCELoss", r"it is called BinaryCrossEntropy\(\) here"),
    (fastnn, "BCEWithLogitsLoss", r"it is called BinaryCrossEntropy\(from_logits=True\) here"),
    (fastnn, "MSELoss", r"it is called MSE\(\) here"),
    (fastnn, "Swish", r"it is called SiLU\(\) here"),
    (fastnn, "StepLR", "it is called StepDecay here"),
    (fastnn, "load_model", "it is called load here"),
    (fastnn, "Conv2D", "nets are dense"),
    (fastnn, "LSTM", "nets are dense"),
    (fastnn, "Input", "learnt from the first data"),
    (fastnn, "Activation", r"ReLU\(\), or settings, Dense\(8, 'relu'\)"),
    (fastnn, "nn", "fastnn.Dense"),
    (fastnn, "optim", "fastnn.Adam"),
    (fastnn, "set_seed", "seed of the model"),
    (fastnn, "save", r"net.save\(path\)"),
    (fastnn, "dense", r"did you mean Dense\?"),
    (fastnn, "Densee", "did you mean .*Dense"),
    (callbacks, "ReduceLROnPlateau", "it is called ReduceOnPlateau here"),
    (callbacks, "LearningRateScheduler", r"Adam\(lr=Cosine\(steps=1000\)\)"),
    (callbacks, "EarlyStoping", r"did you mean EarlyStopping\?"),
]


@pytest.mark.parametrize(
    ("module", "name", "message"), NAMES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_name_of_another_library_is_answered_by_the_package(module, name, message):
    with pytest.raises(AttributeError, match=rf"^module '{module.__name__}' has no attribute '{name}': .*{message}"):
        getattr(module, name)
    assert not hasattr(module, name)


@pytest.mark.parametrize("name", ["__wrapped__", "_nothing", "zzzzzzz", "cli"])
def test_what_the_package_has_not_is_an_attribute_error_all_the_same(name, monkeypatch):
    monkeypatch.delattr(fastnn, name, raising=False)  # a module that is not yet imported
    with pytest.raises(AttributeError, match=f"^module 'fastnn' has no attribute '{name}'$"):
        getattr(fastnn, name)


def test_what_names_of_the_package_are_called_exists():
    assert {*words._CALLED_IN_PACKAGE.values()} <= {*fastnn.__all__}
    assert not {*words._CALLED_IN_PACKAGE, *words._ABSENT_IN_PACKAGE} & {*fastnn.__all__, *callbacks.__all__}


def test_words_of_other_libraries_may_be_names_of_ones_own():
    class Saved(Model):
        def state_dict(self):
            return {"params": self.params}

    net = Saved([Dense(1)], seed=0).build(2)
    net.parameters = 3  # as any name of a class of one's own
    assert list(net.state_dict()) == ["params"]
    assert net.parameters == 3
    assert {"state_dict", "parameters", "fit", "_tree"} <= {*dir(net)}
    assert not hasattr(Saved, "compile")


def test_what_other_words_are_called_here_exists():
    """No row of the table has outlived what it names."""
    own = (getattr(callbacks, name) for name in callbacks.__all__)
    kinds = (Model, *PARTS, *schedules._BY_NAME.values(), *own)
    known = {name for kind in kinds for name in (*words.own_names(kind), *inspect.signature(kind).parameters)}
    known |= {name for method in ("fit", "train_batch", "evaluate") for name in options_of(method)}
    known |= {"w", "b", "scale", "shift", "mean", "variance", "groups", "accumulate", "clip_norm", "clip_value"}
    known |= {*inspect.signature(fastnn.cross_validate).parameters}
    for theirs, ours in words._CALLED.items():
        for name in ours:
            assert {*name.split(" and ")} <= known, theirs


def options_of(method):
    return inspect.signature(getattr(Model, method)).parameters


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_a_part_takes_no_argument_that_it_does_not_have(kind):
    with pytest.raises(TypeError, match=rf"^{kind.__name__} has no zzz: "):
        kind(zzz=1)
    names = [p for p in inspect.signature(kind).parameters.values() if p.kind is not p.VAR_KEYWORD]
    places = [p.name for p in names if p.kind is p.POSITIONAL_OR_KEYWORD]
    if any(p.kind is p.VAR_POSITIONAL for p in names):  # as many as there are columns
        return
    with pytest.raises(TypeError, match=rf"^{kind.__name__} got {len(places) + 1} arguments? without a name, "):
        kind(*range(len(places) + 1))


def test_signatures_are_those_of_what_is_accepted():
    assert [*inspect.signature(Model).parameters] == [
        "layers",
        "seed",
        "dtype",
        "penalties",
        "constraints",
        "precision",
    ]
    assert [*inspect.signature(MSE).parameters] == ["reduction", "output_weights", "missing"]
    assert [*inspect.signature(Huber).parameters] == ["delta", "options"]
    assert [*inspect.signature(Model([Dense(1)]).fit).parameters][-3:] == ["class_weight", "augment", "resume"]


def test_a_class_of_a_user_has_the_arguments_that_it_takes():
    class Own(Dense):
        def __init__(self, units, gain, **options):
            super().__init__(units, **options)
            self.gain = gain

    class Mapped(Adam):
        def __init__(self, **options):
            super().__init__(options.pop("learning_rate"), **options)

    assert Own(3, gain=2, bias=False).bias is False
    assert Mapped(learning_rate=0.5, eps=1e-3).lr == 0.5
    with pytest.raises(TypeError, match="unexpected keyword argument 'zzz'"):
        Own(3, 2, zzz=1)
    with pytest.raises(TypeError, match="Plain has no zzz"):
        type("Plain", (Layer,), {"forward": lambda self, x: x})(zzz=1)


@pytest.mark.parametrize("kind", [Dense, fastnn.Linear])
def test_dense_explains_that_it_takes_the_number_of_outputs_alone(kind):
    with pytest.raises(
        TypeError, match=r"Dense: activation is 8, .*the number of outputs alone, Dense\(8\), and learns"
    ):
        kind(4, 8)
    with pytest.raises(
        TypeError, match=r"Dense got 3 arguments without a name, \(4, 8, True\), expected at most 2 \(un"
    ):
        kind(4, 8, True)


@pytest.mark.parametrize("size", [64, 1, np.int64(64), (64,), [64]], ids=repr)
@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm, RMSNorm])
def test_a_normalization_explains_that_it_is_given_no_number_of_inputs(kind, size):
    name = "momentum" if kind is BatchNorm else "eps"
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: {name} is .*the number of inputs is learnt from the"):
        kind(size)
    layer = kind(1.0)
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: eps is .*, expected a finite number as a float"):
        layer.eps = size
    assert getattr(kind(1.0), name) == 1.0


@pytest.mark.parametrize("kind", [Sequential, fastnn.Residual, fastnn.Parallel, fastnn.Add])
def test_a_container_explains_that_its_layers_are_one_list(kind):
    with pytest.raises(TypeError, match=r"expected at most 1 \(layers\): pass one list, \[Dense\(3\), Dense\(4\)\]$"):
        kind(Dense(3), Dense(4))
