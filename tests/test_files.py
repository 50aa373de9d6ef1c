"""Model files: whatever a model is made of and has come to is in them, and comes back to the bit."""

import inspect
import json
from contextlib import suppress

import custom
import numpy as np
import pytest
import test_contract
import test_losses
import test_schedules
import trajectories
from nets import OPTIMIZERS, OUTPUTS, data, memory_of, same_bits, through_a_file

import fastnn
from fastnn import (
    EMA,
    L2,
    SGD,
    SWA,
    Adam,
    BatchNorm,
    Columns,
    Cosine,
    Dense,
    Dropout,
    Embedding,
    Function,
    Group,
    Lambda,
    Layer,
    LinearWarmup,
    MaxNorm,
    Model,
    Normalization,
    OneCycle,
    ReduceOnPlateau,
    Residual,
    Sequential,
    initializers,
)
from fastnn.formats.parts import Decoder, Encoder, public_classes
from fastnn.formats.strict_json import Budget
from fastnn.settings import Part

X, T = data()
OWN = {name: value for module in (custom, test_contract) for name, value in vars(module).items() if callable(value)}
OWN |= {"arcsinh": np.arcsinh}

# How parts are made that have to be given something; all others are made without, too
MADE_WITH = (
    "Dense(5, GELU('tanh'), bias=False, weight_initializer=initializers.orthogonal(gain=1.4), trainable=False)",
    "Sequential([Dense(3), ReLU()])", "Residual([Tanh()])", "Add([Dense(3)])", "Parallel([Identity(), Dense(2)])",
    "Columns(0, -1, slice(3, None), 'city')", "Embedding({'city': 12, 3: 7}, {'city': 4, 3: 2}, initializer='uniform')",
    "Embedding(5, 3)", "OneHot({0: 2}, unseen_column=True)", "Normalization(True, columns=['age', slice(2)])",
    "GaussianNoise(0.1)", "Maxout(4, 3)", "Reshape((2, -1))", "Penalize(ElasticNet(0.1, 0.2))",
    "Dropout(0.3 * LinearWarmup(steps=5))", "PReLU(True, init=-0.5)", "Softplus(2, 1)", "HardTanh(-0.5, 2)",
    "Lambda(arcsinh, dx_of_arcsinh, 4)", "GroupedDense(2, 3)", "Int8Dense(5, 'tanh')",
    "BFloat16Dense(5, 'tanh', bias=False)", "PanelDense(5, 'tanh', bias=False)",
    "BatchEnsemble(4, 3, 'relu')", "MeanOfMembers(3, 'softmax')", "ParametricActivation(ELU(0.5), init=0.3)",
    "PiecewiseLinearEmbedding(4, edges=[[0, 1], []])", "PLREmbedding(3, 4, 0.5, True)", "PBLDEmbedding(3, 4, 0.5)",
    "Heads({'a': Head(MSE(), 1, 0.5), 'b': Head(CrossEntropy(from_logits=True, class_weight={0: 2.0}), 3)})",
    "Head(MAE(), 2, weight=0.5 * Cosine())",
    "Quantile([0.1, 0.9], crossing=0.5)", "BinaryCrossEntropy(pos_weight=[1.0, 2.0])",
    "CrossEntropy(class_weight=[1.0, 2.0, 0.5], label_smoothing=0.1, ignore_index=-1)",
    "MSE(reduction='sum', output_weights=[1.0, 2.0], missing='ignore')",
    "Adam(1e-3 * (LinearWarmup(steps=3) >> Cosine()), groups=[Group('biases', 0.5 * Cosine(), 0.0)], decay='weights')",
    "SGD(0.1, clip_value=1.0, clip_layer_norm=2.0, clip_norm=0.5 * LinearWarmup(steps=4), accumulate=3)",
    "SGD(0.1, transforms=[ClipNorm(1.0), ClipValue(0.3)], average=SWA(3, 2, 'step'))", "Adam(average=EMA(0.9, True))",
    "Accumulate(3)", "ClipLayerNorm(2.0)", "ClipNorm(0.5)", "ClipValue(0.1)", "Group('0.*', weight_decay=0.3)",
    "Constant(0.5, epochs=3)", "CosineRestarts(steps=3)", "CosineWarmup(steps=4)", "CycledMomentum(OneCycle(0.1))",
    "ExponentialDecay(0.9)", "Function(dx_of_arcsinh_of_steps)", "InverseSquareRoot(steps=3)",
    "LinearWarmup(epochs=3, start=0)", "MultiStepDecay(steps=[3, 4])", "OneCycle(0.1, epochs=4)",
    "Cosine() * 0.5 * StepDecay(steps=3)", "LinearWarmup(steps=3) >> Constant(1, steps=3) >> Cosine()",
    "CSVLogger('log.csv')", "ModelCheckpoint('net.safetensors')", "TimeLimit(3.0)",
    "TopK(3)", "FBeta(2.0, average='macro')", "FunctionMetric(distance)", "MaxNorm(2.0, '1.w')",
    "Box(-1, 2)", "L2(0.1, 'biases')", "EarlyStopping(3, 0.1, monitor='accuracy', mode='max')",
)  # fmt: skip


def distance(y_true, y_pred):
    return np.abs(y_true - y_pred).max()


def dx_of_arcsinh_of_steps(step):
    return 0.1 / (1 + step)


NAMES = {
    **vars(fastnn),
    **vars(fastnn.schedules),
    **vars(fastnn.optimizers),
    **vars(fastnn.metrics),
    **vars(fastnn.callbacks),
    **OWN,
}
NAMES["dx_of_arcsinh_of_steps"] = dx_of_arcsinh_of_steps
NAMES["distance"] = distance
CUSTOM = {**OWN, "dx_of_arcsinh_of_steps": dx_of_arcsinh_of_steps, "distance": distance}
BASES = {  # of which there is nothing to be made, or only of functions
    "Average", "Constraint", "Layer", "Loss", "Metric", "Optimizer", "Penalty", "Schedule", "Transform", "Activation",
    "Callback", "LambdaCallback",
}  # fmt: skip


def read_again(part):
    text = json.dumps(Encoder().value(part, "it"), allow_nan=False)
    return Decoder(CUSTOM, Budget(0)).value(json.loads(text), "it")


def settings_of(part):
    return repr(part.settings()) if isinstance(part, Part) else repr(vars(part))


def parts_without_arguments():
    for name, kind in public_classes().items():
        if name not in BASES:
            with suppress(TypeError, ValueError):  # it needs some
                yield name, kind()


def test_every_part_is_what_it_was_made_with():
    """And of what, and of what those are."""
    tried = set()
    made = [*parts_without_arguments(), *((text, eval(text, dict(NAMES))) for text in MADE_WITH)]
    made += [(str(name), make()) for name, make in OPTIMIZERS.items()]
    made += [(rule.name, rule.make()) for rule in trajectories.RULES]
    made += [(repr(schedule), schedule) for schedule in test_schedules.EXPRESSIONS]
    made += [(kind.__name__, make()) for kind, forms in test_losses.FORMS.items() for make, *_ in forms]
    for name, part in made:
        again = read_again(part)
        assert type(again) is type(part)
        assert repr(again) == repr(part), name
        is_plain = " object at" not in settings_of(part) and "<function" not in settings_of(part)
        assert not is_plain or "Columns" in name or settings_of(again) == settings_of(part), name
        tried.add(type(part).__name__)
    assert {*public_classes()} - tried == BASES & {*public_classes()}


def test_every_initializer_is_what_it_was():
    drawn = [*initializers.BY_NAME.values(), initializers.orthogonal(gain=2.0), initializers.he_normal(mode="fan_out")]
    for draw in drawn:
        again = read_again(Dense(3, weight_initializer=draw)).weight_initializer
        assert again == draw


def test_public_classes_have_names_of_their_own():
    found = {}
    for module in (fastnn.layers, fastnn.losses, fastnn.optimizers, fastnn.schedules, fastnn):
        for name in module.__all__:
            one = getattr(module, name)
            if isinstance(one, type) and issubclass(one, (Part, fastnn.schedules.Schedule)):
                assert found.setdefault(one.__name__, one) is one
    of_data = ("fastnn.splits", "fastnn.feeds")  # of which a model holds nothing
    left_out = [kind for name, kind in found.items() if name not in public_classes()]
    assert all(kind.__module__.startswith(of_data) for kind in left_out)
    assert all(public_classes().get(name, kind) is kind for name, kind in found.items())


# Models


def state_of(net):
    states = [array for layer in net._tree.all for array in layer.states.values()]
    memory = [array for _, array in sorted(memory_of(net).items())]
    return [array.copy() for array in (net.params, *states, *memory)]


def same_state(a, b):
    return len(a) == len(b) and all(map(same_bits, a, b))


def assert_goes_on_alike(net, other, epochs=2, **options):
    """Both have the same state, predict the same, and are trained on to the same."""
    assert repr(other) == repr(net)
    assert repr(other.optimizer) == repr(net.optimizer)
    assert repr(other.loss) == repr(net.loss)
    assert repr(other.history) == repr(net.history)
    assert same_state(state_of(net), state_of(other))
    assert same_bits(net.predict(X), other.predict(X))
    for one in (net, other):
        one.fit(X, T, epochs=epochs, batch_size=4, **options)
        one.train_batch(X[:5], T[:5])
    assert net.history.loss == other.history.loss
    assert same_state(state_of(net), state_of(other))
    assert same_bits(net.predict(X), other.predict(X))


NOT_MADE_AGAIN = {  # layers that forget what they were made with, or keep something else
    "in attributes": "InAttributes, does not keep what it is made with: let its __init__ set self.held = held",
    "in a dict": r"InADict\(.*\) would be another one, made anew of what it keeps: each argument of __init__ has to be",
    "in a list of dicts": r"InAListOfDicts\(.*\) would be another one",
}


@pytest.mark.parametrize("mmap", [False, True], ids=["", "mmap"])
def test_models_of_all_layers_go_on_as_if_they_had_not_been_saved(mmap):
    for i, (name, make) in enumerate(test_contract.LAYERS.items()):
        net = Model(make(), seed=i, dtype=("float32", "float64")[i % 2])
        net.fit(X, T, "mse", SGD(0.01, momentum=0.5), epochs=2, batch_size=8)
        if name in NOT_MADE_AGAIN:
            with pytest.raises(TypeError, match=NOT_MADE_AGAIN[name]):
                through_a_file(net, OWN)
            continue
        other = through_a_file(net, OWN, mmap=mmap)
        for a, b in zip(net._tree.all, other._tree.all, strict=True):
            assert type(a) is type(b), name
            assert a.title == b.title
        assert_goes_on_alike(net, other)


AVERAGED = {
    "ema": lambda: Adam(0.01, average=EMA(0.9, True)),
    "swa": lambda: SGD(0.05, momentum=0.9, average=SWA(1, 2, "epoch")),
    "all at once": lambda: Adam(
        LinearWarmup(steps=7) >> 0.1 * Cosine(steps=50), groups=[Group("biases", 0.5, 0.1)], clip_norm=1.0,
        accumulate=2, amsgrad=True, weight_decay=0.01, average=EMA(0.9),
    ),
    "plateau": lambda: SGD(0.1 * ReduceOnPlateau(0.5, patience=0) * Cosine(steps=40)),
    "epochs": lambda: SGD(Function(dx_of_arcsinh_of_steps, per="epochs")),
    "own": custom.SignSGD,
    "own, kernels": custom.TwiceSGD,
}  # fmt: skip


def test_models_with_all_optimizers_go_on_as_if_they_had_not_been_saved():
    rules = {rule.name: rule.make for rule in trajectories.RULES}
    for i, (name, make) in enumerate({**OPTIMIZERS, **AVERAGED, **rules}.items()):
        net = Model([Dense(5, "tanh"), BatchNorm(), Dropout(0.2), Dense(OUTPUTS)], seed=i, dtype="float64")
        net.fit(X, T, "mse", make(), epochs=3, batch_size=5)
        assert_goes_on_alike(net, through_a_file(net, {**CUSTOM}), callbacks=[lambda *_: None][: i % 2]), name


def test_every_number_that_follows_a_schedule_goes_on():
    for name, (_, _, _, _, number, schedule) in test_schedules.NUMBERS.items():
        net, part = test_schedules.made(name)
        setattr(part, number, schedule)
        x, t = test_schedules.X, test_schedules.T
        net.fit(x, t, epochs=2, batch_size=5)
        other = through_a_file(net)
        for one in (net, other):
            one.fit(x, t, epochs=1, batch_size=5)
        assert same_state(state_of(net), state_of(other)), name


# What else there is


def test_what_stands_in_several_places_is_one_thing():
    rate, watching = Cosine(steps=30), ReduceOnPlateau(0.5, patience=0)
    net = Model([Dense(5, "tanh"), Dropout(0.1 * rate), Dense(4, "tanh"), Dropout(0.2 * rate), Dense(OUTPUTS)], seed=3)
    group = Group(net[0], 0.5 * watching)
    net.penalties, net.constraints = [L2(0.01, net[2])], [MaxNorm(2.0, net[4])]
    net.fit(X, T, "mse", SGD(0.1 * watching * rate, groups=[group]), epochs=2)
    other = through_a_file(net)
    assert other.optimizer.groups[0].which is other[0]
    assert other.penalties[0].which is other[2]
    assert other.constraints[0].which is other[4]
    rates = [layer._setting("rate").factors[1] for layer in (other[1], other[3])]
    assert rates[0] is rates[1] is other.optimizer._setting("lr").factors[2]
    assert other.optimizer._setting("lr").factors[1] is other.optimizer.groups[0]._setting("lr_factor").factors[1]
    assert_goes_on_alike(net, other)


def test_numbers_and_settings_are_as_they_have_become():
    net = Model([Dense(5, "leaky_relu"), Dropout(0.2), Dense(OUTPUTS)], seed=3)
    net.fit(X, T, "huber", "adam", epochs=2)
    net[1].rate, net[0].activation.negative_slope, net.loss.delta, net.optimizer.lr = 0.4, 0.3, 0.7, 0.05
    net.optimizer.clip_norm, net[2].trainable, net.optimizer.decay = 1.0, False, "weights"
    net.class_names = ["a", "b", "é"]
    other = through_a_file(net)
    assert (other[1].rate, other[0].activation.negative_slope, other.loss.delta) == (0.4, 0.3, 0.7)
    assert (other[2].trainable, other.class_names, other.optimizer.lr) == (False, ("a", "b", "é"), 0.05)
    assert_goes_on_alike(net, other)
    assert_goes_on_alike(net, other, optimizer="adam")  # the model's own of that name, with what it remembers
    assert other.optimizer is other._trainer._named["adam"]


def changed_settings():
    """Optimizers, a setting of each that may decide what is remembered, and what it is changed to."""
    for name, make in {**OPTIMIZERS, "sgd": SGD, "ema": AVERAGED["ema"]}.items():
        for setting in {*inspect.signature(type(make())).parameters} & {*Part.settings(make())[0], *make()._cells}:
            value = getattr(make(), setting, None)
            if type(value) is bool or value == 0:
                yield name, make, setting, not value if type(value) is bool else 0.5
        yield name, make, "average", None if name == "ema" else EMA(0.9)
        yield name, make, "accumulate", 2


def test_what_an_optimizer_remembers_may_be_of_other_settings_than_now():
    """Set since its last step, or before it: then it remembers more than it needs."""
    seen = set()
    for name, make, setting, value in changed_settings():
        for before, now in ((getattr(make(), setting), value), (value, getattr(make(), setting))):
            for steps in (0, 1):
                net, rule = Model([Dense(5, "tanh"), BatchNorm(), Dense(OUTPUTS)], seed=3, dtype="float64"), make()
                try:
                    setattr(rule, setting, before)
                    net.fit(X, T, "mse", rule, epochs=1, batch_size=5)
                    setattr(rule, setting, now)
                    for _ in range(steps):
                        net.train_batch(X, T)
                except (AttributeError, ValueError):  # which this one is made with, or needs
                    continue
                other = through_a_file(net)
                assert same_bits(net.predict(X), other.predict(X)), (name, setting, steps)
                assert_goes_on_alike(net, other), (name, setting, steps)
                seen.add((type(rule).__name__, setting))
    assert seen >= {("SGD", "momentum"), ("RMSprop", "centered"), ("RMSprop", "momentum"), ("Adam", "amsgrad")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_that_is_not_built_is_built_alike(dtype):
    """With weights that were set before, too."""
    for build in (lambda: [Dense(5, "tanh"), Normalization(), Dense(OUTPUTS)], lambda: [Embedding({0: 3}), Dense(3)]):
        net = Model(build(), seed=2**70, dtype=dtype)
        net[-1].b = [1.0, 2.0, 3.0]
        other = through_a_file(net)
        assert (other.built, other.seed, other.dtype, other.optimizer, other.loss) == (False, 2**70, dtype, None, None)
        x = np.abs(X).round()
        for one in (net, other):
            one.fit(x, T, epochs=2)
        assert same_state(state_of(net), state_of(other))


def test_columns_are_known_by_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.abs(X).round(), columns=["größe", "b", "c", "d"])
    layers = [Normalization(columns=["b"]), Embedding({"größe": 4}), Columns("d", "b"), Dense(OUTPUTS)]
    with pytest.raises(ValueError, match="there is no column 'd'"):
        Model(layers).fit(frame[["größe", "b", "c"]], T)
    net = Model([Normalization(columns=["b"]), Embedding({"größe": 4}), Dense(OUTPUTS)], seed=0)
    net.fit(frame, T, epochs=2)
    other = through_a_file(net)
    assert other.feature_names == net.feature_names == ("größe", "b", "c", "d")
    assert same_bits(other.predict(frame[["d", "c", "größe", "b"]]), net.predict(frame))


def test_steps_in_between_go_on():
    """What has been accumulated, the masks, and the averages, in the middle of everything."""
    nets = [Model([Dense(5), BatchNorm(), Dropout(0.3), Dense(OUTPUTS)], seed=1) for _ in range(2)]
    for net in nets:
        net.optimizer = SGD(0.1 * Cosine(steps=20), momentum=0.9, accumulate=3, average=EMA(0.9))
    for i in range(10):
        for k, net in enumerate(nets):
            net.train_batch(X[i : i + 4], T[i : i + 4], loss="mse")
            nets[k] = through_a_file(net) if k else net
    assert same_state(state_of(nets[0]), state_of(nets[1]))
    assert same_bits(nets[0].predict(X), nets[1].predict(X))


class Factor(Layer):
    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Forgetful(Factor):
    def __init__(self, number):
        self.factor = number


def second(name):
    return type(name, (Factor,), {})


NOT_WRITTEN = {
    "a lambda": (lambda: Lambda(lambda x: x), "layer 1: function is a function without a name of its own, .*define it"),
    "a schedule": (lambda: Dropout(lambda t: 0.1), "layer 1: rate: function is a function without a name"),
    "a number of a method": (lambda: Lambda(X.dot, units=4), "layer 1: function is "),
    "an object": (lambda: Factor({1, 2}), r"layer 1: factor is \{1, 2\}, which no model file holds"),
    "large": (lambda: Factor(np.zeros(2000)), "layer 1: factor is ndarray of shape"),
    "forgotten": (
        lambda: Forgetful(3),
        "layer 1, Forgetful, does not keep .* self.number = number",
    ),
    "two of a name": (lambda: Sequential([second("A")(1), second("A")(2)]), "layer 1: layers\\[1\\] is a second 'A'"),
    "no text": (lambda: Factor("\ud800"), "layer 1: factor is .*, which is no text of Unicode"),
}


@pytest.mark.parametrize("name", NOT_WRITTEN)
def test_what_cannot_be_written_is_told_and_nothing_is_written(name, tmp_path):
    make, message = NOT_WRITTEN[name]
    with pytest.raises((TypeError, ValueError), match=f"^(save: )?{message}"):
        Model([make(), Dense(2)]).save(tmp_path / "net.safetensors")
    assert not [*tmp_path.iterdir()]


def test_what_is_a_users_own_is_named():
    """Functions without names are given some where the model is saved."""
    square = lambda x: x**2  # noqa: E731
    net = Model([Lambda(square), custom.Scale(), Dense(2)], seed=0).build(3)
    names = {"square": square, "Scale": custom.Scale}
    assert same_bits(through_a_file(net, names).predict(np.ones((2, 3))), net.predict(np.ones((2, 3))))


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (
            {},
            ValueError,
            r"layer 1 is 'Scale', a class that is not .*load\(path, custom=\{'Scale': Scale\}\)",
        ),
        ({"scale": custom.Scale}, ValueError, "did you mean scale"),
        ({"Scale": dict}, ValueError, r"custom\['Scale'\] is <class 'dict'>, expected a class of parts"),
        ({"Scale": 3}, TypeError, "load: custom has 'Scale': 3, expected names with classes or functions"),
        ([custom.Scale], TypeError, "load: custom is "),
    ],
)
def test_what_is_a_users_own_has_to_be_passed(given, kind, message, tmp_path):
    path = tmp_path / "net.safetensors"
    Model([custom.Scale(), Dense(2)], seed=0).build(3).save(path)
    with pytest.raises(kind, match=message):
        fastnn.load(path, given)


def test_the_package_of_the_format_reads_it(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    net = Model([Dense(5, "tanh"), BatchNorm(), Residual([Dense(5)]), Dense(OUTPUTS)], seed=0, dtype="float64")
    net.fit(X, T, "mse", Adam(OneCycle(0.1)), epochs=2)
    net.save(tmp_path / "net.safetensors")
    arrays = safetensors.load_file(tmp_path / "net.safetensors")
    assert same_bits(arrays["0.w"], net[0].w)
    assert same_bits(arrays["2.0.b"], net[2][0].b)
    assert same_bits(arrays["1.mean"], net[1].mean)
    assert same_bits(arrays["optimizer.0.m"], memory_of(net)["m"])
    assert same_bits(arrays["history.loss"], np.array(net.history.loss))
