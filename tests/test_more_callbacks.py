"""The callbacks of this package: what each does in a fit, however that ends, and which settings are refused."""

import csv
import os
import pickle
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from nets import data, same_bits, small_net

import fastnn
from fastnn import (
    LBFGS,
    SGD,
    Adam,
    Callback,
    CSVLogger,
    Dense,
    EarlyStopping,
    LambdaCallback,
    LearningRateMonitor,
    Model,
    ModelCheckpoint,
    Softmax,
    StepDecay,
    TensorBoard,
    TerminateOnNaN,
    TimeLimit,
)

pytestmark = pytest.mark.once

X, T = data()


def fit(net, *callbacks, epochs=3, optimizer=None, **options):
    options = {"batch_size": 8, "validation_data": (X, -T), **options}
    return net.fit(X, T, "mse", optimizer or SGD(0.01), epochs=epochs, callbacks=callbacks, **options)


def log(**numbers):
    """Return a callback that logs numbers, one for each epoch."""

    def callback(model, epoch, logs):
        logs.update((name, own[epoch]) for name, own in numbers.items() if own[epoch] is not None)

    return callback


def fail(model, epoch, logs):
    if epoch == 1:
        raise ZeroDivisionError("mine")


# ModelCheckpoint


@pytest.fixture
def saved(monkeypatch):
    """The files that a model is saved to, each with the parameters."""
    files = {}

    def save(model, path):
        files[path] = model.params.copy()
        Path(path).write_text("a model")

    monkeypatch.setattr(Model, "save", save, raising=False)
    return files


def test_a_model_is_saved_after_each_epoch_and_the_last_ones_are_kept(saved, tmp_path):
    checkpoint, seen, net = ModelCheckpoint(tmp_path / "net-{epoch:02d}-{val_loss:.3f}", last=2), [], small_net()
    history = fit(net, checkpoint, lambda model, *_: seen.append(model.params.copy()), epochs=5)
    names = [f"net-{i + 1:02d}-{loss:.3f}" for i, loss in enumerate(history.val_loss)]
    assert [os.path.basename(path) for path in saved] == names
    assert sorted(os.listdir(tmp_path)) == names[-2:]
    assert all(same_bits(kept, params) for kept, params in zip(saved.values(), seen, strict=True))
    fit(net, checkpoint, epochs=1)  # another fit deletes none of this one
    assert {*names[-2:]} <= {*os.listdir(tmp_path)}


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"monitor": "score", "mode": "max", "save_best_only": True}, [1, 3, 4]),
        ({"monitor": "score", "mode": "min", "save_best_only": True}, [1, 2]),
        ({"monitor": "score", "mode": "max", "save_best_only": True, "min_delta": 1.5}, [1, 3]),
        ({"every": 2}, [2, 4]),
        ({"every": 2, "save_best_only": True, "monitor": "score", "mode": "max"}, [2, 4]),
        ({"last": 1}, [1, 2, 3, 4, 5]),
    ],
    ids=str,
)
def test_it_is_saved_where_it_is_asked(saved, tmp_path, options, epochs):
    checkpoint = ModelCheckpoint(f"{tmp_path}/{{epoch}}", **options)
    fit(small_net(), log(score=[2.0, 1.0, 4.0, 5.0, 4.5]), checkpoint, epochs=5)
    assert [int(os.path.basename(path)) for path in saved] == epochs


def test_it_is_saved_behind_all_other_callbacks(saved, tmp_path):
    """So that what they log and remember is in it."""
    stopping = EarlyStopping(9)
    checkpoint = ModelCheckpoint(tmp_path / "{score}", monitor="score", mode="max", save_best_only=True)
    with pytest.raises(ValueError, match="monitor is 'score', expected one that is logged"):
        fit(small_net(), checkpoint, stopping)
    fit(small_net(), checkpoint, Callback(), log(score=[7, 8, 9]), epochs=3)
    assert [os.path.basename(path) for path in saved] == ["7", "8", "9"]


def test_names_in_a_path_are_looked_at_before_the_fit(tmp_path):
    net, saving = small_net(), ModelCheckpoint(tmp_path / "a{val_los:.2f}", every=10)
    with pytest.raises(ValueError, match="names val_los, expected epoch, or a number that is logged: loss, val_loss"):
        fit(net, saving)
    assert not net.built
    with pytest.raises(ValueError, match="names score, expected"):  # another callback may log it
        fit(net, lambda *_: None, ModelCheckpoint(tmp_path / "a{score:.2f}"))


def test_errors_of_saving_end_a_fit(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"path .*names score, expected epoch, or a number that is logged: loss, val"):
        fit(small_net(), ModelCheckpoint(tmp_path / "{score}"))
    with pytest.raises(ValueError, match="cannot be filled in"):
        fit(small_net(), ModelCheckpoint(tmp_path / "{loss:d}"))
    with pytest.raises(FileNotFoundError, match=r"expected one in a folder that exists: os\.makedirs"):
        fit(small_net(), ModelCheckpoint(tmp_path / "no" / "net"))


# CSVLogger


def lines(path, separator=","):
    with open(path, newline="") as file:
        return [*csv.reader(file, delimiter=separator)]


def test_a_table_has_a_line_for_each_epoch_with_all_digits(tmp_path):
    path = tmp_path / "log.csv"
    history = fit(small_net(), CSVLogger(path, ";"), log(score=[1, 2, 3]))
    head, *rows = lines(path, ";")
    assert head == ["epoch", "loss", "val_loss", "score"]
    assert [[*map(float, row)] for row in rows] == [
        [i, history.loss[i], history.val_loss[i], i + 1] for i in range(3)
    ]  # fmt: skip


def test_pandas_reads_it(tmp_path):
    pandas = pytest.importorskip("pandas")
    history = fit(small_net(), CSVLogger(tmp_path / "log"))
    frame = pandas.read_csv(tmp_path / "log", index_col="epoch")
    pandas.testing.assert_frame_equal(frame, history.to_frame(), check_index_type=False, rtol=1e-14)


def test_what_is_logged_late_gets_a_column(tmp_path):
    path = tmp_path / "log"
    fit(small_net(), log(a=[1, None, 3], b=[None, 5, 6]), CSVLogger(path), validation_data=None)
    rows = lines(path)
    assert rows[0] == ["epoch", "loss", "a", "b"]
    assert [row[2:] for row in rows[1:]] == [["1", ""], ["", "5"], ["3", "6"]]


def test_lines_are_appended_or_begun_anew(tmp_path):
    path, net = tmp_path / "log", small_net()
    fit(net, CSVLogger(path), epochs=2)
    fit(net, CSVLogger(path, append=True), epochs=1)
    assert [row[0] for row in lines(path)] == ["epoch", "0", "1", "0"]
    fit(net, CSVLogger(path), epochs=1)
    assert [row[0] for row in lines(path)] == ["epoch", "0"]


def test_a_fit_that_is_resumed_goes_on_with_its_lines(tmp_path):
    """Those of epochs after it has been saved are taken back, those of a fit before it stay."""
    path, net, states = tmp_path / "log", small_net(), []
    fit(net, CSVLogger(path), epochs=2)
    logger = CSVLogger(path, append=True)
    fit(net, logger, lambda model, epoch, logs: states.append(logger.state()), epochs=4)
    before = lines(path)
    again = CSVLogger(path, append=True)
    again.begin(net)
    again.set_state(states[2])
    again(net, 2, {"loss": 1.0, "val_loss": 2.0})
    again(net, 3, {"loss": 1.5, "val_loss": 2.5})
    assert lines(path)[:5] == before[:5]
    assert lines(path)[5:] == [["2", "1.0", "2.0"], ["3", "1.5", "2.5"]]
    assert again.state() == logger.state()


def test_a_line_is_there_of_an_epoch_in_which_a_callback_fails(tmp_path):
    path = tmp_path / "log"
    with pytest.raises(ZeroDivisionError):
        fit(small_net(), fail, CSVLogger(path))
    assert [row[0] for row in lines(path)] == ["epoch", "0", "1"]


# TensorBoard


def events(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    tags = found.Tags()
    scalars = {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["tensors"]:
        scalars[tag] = [(one.step, one.tensor_proto.float_val[0]) for one in found.Tensors(tag)]
    return scalars


@pytest.mark.parametrize(("every", "steps"), [("epoch", []), ("batch", range(9)), (2, range(0, 9, 2))])
def test_tensorboard_reads_what_it_is_told(tmp_path, every, steps):
    pytest.importorskip("tensorboard")
    losses = []
    batches = LambdaCallback(end_batch=lambda model, batch, logs: losses.append(logs["loss"]))
    history = fit(
        small_net(), batches, TensorBoard(tmp_path, update_freq=every), log(score=[1, np.float32(2), np.array(3)])
    )
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    assert {*train} == {"epoch_loss", "epoch_score", *(["batch_loss"] if steps else [])}
    for found, expected in ((train["epoch_loss"], history.loss), (validation["epoch_loss"], history.val_loss)):
        assert [step for step, _ in found] == [0, 1, 2]
        np.testing.assert_allclose([value for _, value in found], expected, rtol=1e-7)
    if steps:
        assert [step for step, _ in train["batch_loss"]] == [*steps]
        np.testing.assert_allclose([value for _, value in train["batch_loss"]], [losses[i] for i in steps], rtol=1e-7)


def test_files_are_closed_however_a_fit_ends(tmp_path):
    pytest.importorskip("tensorboard")
    board = TensorBoard(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fit(small_net(), fail, board)
    assert len(events(tmp_path / "train")["epoch_loss"]) == 2
    assert not board._writers


def test_without_tensorboard_an_error_says_what_installs_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.summary", None)
    net = small_net()
    with pytest.raises(ImportError, match=r"TensorBoard needs tensorboard: pip install 'fastnn-numpy\[tensorboard\]'"):
        fit(net, TensorBoard(tmp_path))


# LambdaCallback, LearningRateMonitor


def test_functions_are_called_where_they_are_asked_to():
    seen = []
    functions = {
        name: lambda model, *given, name=name: seen.append((name, *given[:1]))
        for name in ("begin", "begin_epoch", "begin_batch", "end_batch", "end_epoch", "end")
    }
    fit(small_net(), LambdaCallback(**functions), epochs=1, batch_size=None)
    assert seen == [("begin",), ("begin_epoch", 0), ("begin_batch", 0), ("end_batch", 0), ("end_epoch", 0), ("end",)]
    history = fit(small_net(), LambdaCallback(lambda model, epoch, logs: epoch == 1), epochs=9)
    assert len(history) == 2


def test_rates_are_those_with_which_epochs_begin():
    rate = 0.1 * StepDecay(0.5, epochs=2)
    history = fit(small_net(), LearningRateMonitor(momentum=True), epochs=5, optimizer=SGD(rate, momentum=0.9))
    assert history["lr"] == [0.1, 0.1, 0.05, 0.05, 0.025]
    assert history["momentum"] == [0.9] * 5
    other = fit(small_net(), LearningRateMonitor("rate", momentum=True), optimizer=Adam(0.02))
    assert other.keys() == ["loss", "val_loss", "rate", "beta1"]
    with pytest.raises(TypeError, match=r"LearningRateMonitor: LBFGS.* has no learning rate"):
        fit(small_net(), LearningRateMonitor(), optimizer=LBFGS(), batch_size=None)
    stopping = EarlyStopping(1, monitor="lr", mode="min", restore_best=False)
    assert len(fit(small_net(), LearningRateMonitor(), stopping, epochs=5, optimizer=SGD(rate))) == 2


@pytest.mark.parametrize("name", ["", 3, ("a", 1), b"score"], ids=repr)
def test_numbers_are_logged_by_names(name):
    with pytest.raises(TypeError, match=r"a callback has logged 1.0 as .*, expected a name, as in logs"):
        fit(small_net(), lambda model, epoch, logs: logs.update({name: 1.0}))


def test_whole_numbers_beyond_float_are_logged_as_infinite(tmp_path):
    def log(model, epoch, logs):
        logs.update(large=10**400, low=-(10**400))
        if epoch == 1:
            model.save(tmp_path / "net.safetensors")
            raise RuntimeError("stopped")

    net = small_net()
    with pytest.raises(RuntimeError, match="stopped"):
        fit(net, log)
    for one in (net, fastnn.load(tmp_path / "net.safetensors")):
        assert one.history["large"][0] == np.inf == -one.history["low"][0]


# TimeLimit, TerminateOnNaN


@pytest.mark.parametrize("batch_size", [8, None])
@pytest.mark.parametrize("options", [{}, {"validation_data": None}], ids=["looking", "in one call"])
def test_a_fit_ends_when_its_time_is_over(options, batch_size):
    net, begin = small_net(), time.perf_counter()
    history = fit(net, TimeLimit(0.2), epochs=10**9, batch_size=batch_size, **options)
    assert 0.2 <= time.perf_counter() - begin < 20
    assert history.ended == "TimeLimit: 0.2 seconds have passed"
    assert len(history) > 1
    assert len(history.val_loss) in (0, len(history))
    assert not net._trainer.claim.taken
    fit(net, epochs=1)


def test_a_fit_ends_within_a_long_epoch():
    net = Model([Dense(64), Dense(1)], seed=0)
    x = np.ones((200_000, 50), "f")
    history = net.fit(
        x, x[:, :1], "mse", SGD(1e-6), epochs=1000, batch_size=1, callbacks=[TimeLimit(timedelta(0, 0.3))]
    )
    assert history.ended == "TimeLimit: 0.3 seconds have passed"
    assert len(history) < 1000
    assert np.isfinite(net.params).all()


@pytest.mark.parametrize("verbose", [False, True])
def test_a_fit_over_batches_of_others_ends_when_its_time_is_over(verbose):
    """Also in its first epoch."""
    told = []

    def forever():
        while True:
            yield X[:8], T[:8]

    net = Model([Dense(3)], seed=0)
    batches = LambdaCallback(end_batch=lambda model, batch, logs: told.append(batch))
    for callbacks in ([TimeLimit(0.1)], [TimeLimit(0.1), batches]):
        history = net.fit(forever, None, "mse", SGD(1e-3), epochs=2, callbacks=callbacks, verbose=verbose)
        assert (history.ended, len(history)) == ("TimeLimit: 0.1 seconds have passed", 0)
    assert told == [*range(len(told))]


def test_lbfgs_ends_when_its_time_is_over():
    history = fit(Model([Dense(20, "tanh"), Dense(3)], seed=0), TimeLimit(0.05), epochs=10**6, optimizer=LBFGS(
        tolerance_grad=0.0, tolerance_change=0.0), batch_size=None)  # fmt: skip
    assert history.ended.startswith(("TimeLimit: 0.05", "converged"))


def test_a_fit_that_diverges_ends_without_an_error_where_that_is_asked():
    net, stopping = small_net(), EarlyStopping(9)
    fit(net, epochs=1)
    before = net.params.copy()
    history = fit(net, TerminateOnNaN(), epochs=50, optimizer=SGD(1e30), validation_data=None)
    assert history.ended.startswith("diverged: the loss became")
    assert same_bits(net.params, before)
    history = fit(net, TerminateOnNaN(), epochs=50, optimizer=LBFGS(), batch_size=None)
    assert history.ended

    def grow(model, epoch, logs):
        if epoch == 3:
            model.optimizer.lr = 1e300

    history = fit(net, TerminateOnNaN(), stopping, grow, epochs=50)
    assert history.ended.startswith(("diverged", "TerminateOnNaN: val_loss is "))
    assert net.evaluate(X, -T)["loss"] == min(history.val_loss)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan"), np.array(-np.inf)], ids=repr)
def test_other_numbers_end_it_too(value):
    history = fit(small_net(), log(score=[1.0, value, 2.0]), TerminateOnNaN())
    assert history.ended == f"TerminateOnNaN: score is {float(value):g} after epoch 2"


# What is refused

WRONG = {
    "path": (lambda: CSVLogger(3), "CSVLogger: path is 3, expected a path"),
    "empty": (lambda: CSVLogger(""), "CSVLogger: path is '', expected a path that is not empty"),
    "separator": (lambda: CSVLogger("a", "ab"), "separator is 'ab', expected one character"),
    "append": (lambda: CSVLogger("a", append="yes"), "append is 'yes', expected True or False"),
    "log_dir": (lambda: TensorBoard(None), "TensorBoard: log_dir is None, expected a path"),
    "update_freq": (lambda: TensorBoard(update_freq="step"), "update_freq is 'step', expected 'epoch', 'batch' or a"),
    "update_freq 0": (lambda: TensorBoard(update_freq=0), "update_freq is 0, expected a whole number >= 1"),
    "seconds": (lambda: TimeLimit(0), "TimeLimit: seconds is 0, expected a finite number > 0"),
    "seconds text": (lambda: TimeLimit("00:10"), "TimeLimit: seconds is '00:10', expected a number"),
    "last": (lambda: ModelCheckpoint("a{epoch}", last=0), "last is 0, expected a whole number >= 1"),
    "last alone": (lambda: ModelCheckpoint("a", last=3), "last is 3, but path is 'a', the same file for all epochs"),
    "every": (lambda: ModelCheckpoint("a", every=-1), "every is -1, expected a whole number >= 1"),
    "braces": (lambda: ModelCheckpoint("a{epoch"), "path is 'a{epoch', expected braces around names alone"),
    "number": (lambda: ModelCheckpoint("a{0}"), "expected names in braces"),
    "mode": (lambda: ModelCheckpoint("a", mode="most"), "ModelCheckpoint: mode is 'most'"),
    "function": (lambda: LambdaCallback(3), "end_epoch is 3, expected a function of .model, epoch, logs."),
    "arguments": (
        lambda: LambdaCallback(begin=lambda: 0),
        r"begin is .* of \(model\): it takes \(\)",
    ),
    "batches": (
        lambda: LambdaCallback(end_batch=lambda a, b: 0),
        r"of \(model, batch, logs\): it takes \(a",
    ),
    "keras": (lambda: LambdaCallback(on_epoch_end=print), "LambdaCallback has no on_epoch_end: it is called end_epoch"),
    "name": (lambda: LearningRateMonitor("loss"), "name is 'loss', expected a name for the rate"),
    "start": (lambda: EarlyStopping(start=-1), "start is -1, expected a whole number >= 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_refused(case):
    make, message = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_they_are_made_with_names_of_other_libraries():
    assert repr(ModelCheckpoint(filepath="a")) == repr(ModelCheckpoint("a"))
    assert repr(CSVLogger(filename="a")) == repr(CSVLogger("a"))
    assert repr(TensorBoard(logdir="a")) == repr(TensorBoard("a"))


EACH = {
    "ModelCheckpoint": lambda: ModelCheckpoint("a{epoch}", last=2, monitor="loss"),
    "CSVLogger": lambda: CSVLogger("a", ";"),
    "TensorBoard": lambda: TensorBoard("a", 3),
    "LearningRateMonitor": lambda: LearningRateMonitor("rate"),
    "TimeLimit": lambda: TimeLimit(3.0),
    "TerminateOnNaN": TerminateOnNaN,
    "EarlyStopping": lambda: EarlyStopping(3, start=2),
    "LambdaCallback": lambda: LambdaCallback(fail),
}


@pytest.mark.parametrize("name", EACH)
def test_they_are_pickled_and_shown(name):
    callback = EACH[name]()
    for other in (pickle.loads(pickle.dumps(callback)), eval(repr(callback)) if name != "LambdaCallback" else callback):
        assert repr(other) == repr(callback)
    assert name in repr(callback)


# scikit-learn's protocol


class Recording:
    """A callback as scikit-learn has them, which writes down what it is told."""

    def __init__(self, stop_at=None, fail_at=None):
        self.stop_at, self.fail_at, self.seen, self.scores = stop_at, fail_at, [], []

    def _told(self, *what):
        self.seen.append(what)
        if what == self.fail_at:
            raise ZeroDivisionError("mine")
        return what == self.stop_at

    def setup(self, estimator, context):
        assert context.max_subtasks == 4
        self._told("setup", context.task_name)

    def teardown(self, estimator, context):
        self._told("teardown", context.task_name)

    def on_fit_task_begin(self, estimator, context):
        self._told("begin", context.task_name, context.task_id)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        np.testing.assert_array_equal(X, COLUMNS)
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X, y, **(metadata or {})))
        return self._told("end", context.task_name, context.task_id)


COLUMNS, LABELS = np.random.default_rng(1).normal(size=(60, 3)), np.arange(60) % 3
WEIGHT = np.linspace(0.5, 2, 60)


def fit_classes(*callbacks, **options):
    net = Model([Dense(3), Softmax()], seed=0, dtype="float64")
    history = net.fit(COLUMNS, LABELS, optimizer=SGD(0.5), epochs=4, callbacks=[*callbacks], **options)
    return net, history


def test_a_callback_of_scikit_learn_is_told_of_a_fit_as_of_an_estimators():
    pytest.importorskip("sklearn.callback")
    callback, accuracies = Recording(), []

    def note(model, epoch, logs):
        accuracies.append(model.evaluate(COLUMNS, LABELS, sample_weight=WEIGHT)["accuracy"])

    fit_classes(callback, note, sample_weight=WEIGHT)
    epochs = [(what, "epoch", i) for i in range(4) for what in ("begin", "end")]
    fit_task = ("begin", "fit", 0), ("end", "fit", 0)
    assert callback.seen == [("setup", "fit"), fit_task[0], *epochs, fit_task[1], ("teardown", "fit")]
    assert callback.scores[:4] == pytest.approx(accuracies)


def test_a_callback_of_scikit_learn_may_end_a_fit_or_fail():
    pytest.importorskip("sklearn.callback")
    _, history = fit_classes(Recording(("end", "epoch", 1)))
    assert history.ended == "a callback of scikit-learn has ended it: Recording"
    assert len(history) == 2
    for at in (("setup", "fit"), ("begin", "epoch", 1), ("end", "epoch", 2)):
        callback = Recording(fail_at=at)
        with pytest.raises(ZeroDivisionError, match="mine"):
            fit_classes(callback)
        assert callback.seen[-1] == ("teardown", "fit")


def test_scikit_learns_own_callbacks_can_be_passed():
    sklearn = pytest.importorskip("sklearn.callback")
    monitor = sklearn.ScoringMonitor(scoring="accuracy")
    accuracies = []
    fit_classes(monitor, lambda model, *_: accuracies.append(model.evaluate(COLUMNS, LABELS)["accuracy"]))
    scores = [one["accuracy"] for one in monitor.get_logs().data if "accuracy" in one]
    assert scores == pytest.approx([accuracies[-1], *accuracies])  # the fit, and its epochs
    pytest.importorskip("rich")
    fit_classes(sklearn.ProgressBar())


def test_without_scikit_learns_protocol_an_error_says_what_is_needed(monkeypatch):
    from fastnn.callbacks import scikit_learn

    monkeypatch.setitem(__import__("sys").modules, "sklearn.callback", None)
    scikit_learn._estimators.cache_clear()
    with pytest.raises(ImportError, match=r"need its version 1.9 or later: pip install 'scikit-learn>=1.9'"):
        fit_classes(Recording())
    scikit_learn._estimators.cache_clear()
