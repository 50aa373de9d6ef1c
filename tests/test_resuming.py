"""A training that goes on where it was left, in this process or from a file, equals one that nobody has interrupted."""

import copy
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import reduce

import numpy as np
import pytest
from nets import OPTIMIZERS, OUTPUTS, data, same_bits
from test_files import AVERAGED, CUSTOM, same_state, state_of

import fastnn
from fastnn import (
    EMA,
    SGD,
    SWA,
    Adam,
    BatchNorm,
    Cosine,
    Dense,
    Dropout,
    EarlyStopping,
    LinearWarmup,
    MixUp,
    Model,
    Noise,
    Normalization,
    ReduceOnPlateau,
    Split,
    feeds,
)
from fastnn.callbacks import Callback, CSVLogger, ModelCheckpoint

X, T = data(rows=23)
EPOCHS, AT = 7, 3


def net_of(dtype="float64"):
    return Model([Dense(5, "tanh"), BatchNorm(), Dropout(0.3 * Cosine()), Dense(OUTPUTS)], seed=1, dtype=dtype)


PLAIN = {
    "nothing": None, "text": "é", "nested": {"a": [1, {2: 3.0}]}, "tuple": (1, [(2,)], ()),
    "keys": {("a", (1, 2.5)): 2, True: (3, {(4,): 5}), None: {}, -np.inf: [], 7: "", "": 0},
}  # fmt: skip


class SavedAt(Callback):
    """Saves the model at the end of an epoch."""

    def __init__(self, path, epoch=AT):
        self.path, self.epoch = path, epoch

    def __call__(self, model, epoch, logs):
        if epoch == self.epoch:
            model.save(self.path)


class Counting(Callback):
    """Logs numbers that follow from what it has seen."""

    def begin(self, model):
        self.seen, self.total = [], np.zeros(2)

    def __call__(self, model, epoch, logs):
        self.seen.append(epoch)
        self.total += epoch
        logs["seen"] = float(self.total.sum())
        return epoch == 50

    def state(self):
        return {"seen": self.seen, "total": self.total, **PLAIN}

    def set_state(self, state):
        assert {name: state[name] for name in PLAIN} == PLAIN
        assert {*map(type, state["keys"])} == {*map(type, PLAIN["keys"])}
        self.seen, self.total = state["seen"], state["total"]


SCHEDULED = {
    "spans the fit": lambda: SGD(0.1 * Cosine(), momentum=0.9),
    "warm-up": lambda: Adam(0.02 * (LinearWarmup(steps=9) >> Cosine(epochs=4))),
    "plateau": lambda: SGD(0.1 * ReduceOnPlateau(0.5, patience=0, threshold=0.5)),
    "plateau of a callback": lambda: SGD(0.1 * ReduceOnPlateau(0.5, patience=0, monitor="seen")),
    "swa of the fit": lambda: SGD(0.05, average=SWA(0.5)),
    "accumulated": lambda: Adam(0.01, accumulate=4, average=EMA(0.9)),
}  # fmt: skip


def fit(net, optimizer, path=None, behind=(), resume=False, epochs=EPOCHS, **options):
    before = [] if path is None else [SavedAt(path)]
    callbacks = [Counting(), *before, Counting(), *behind]
    return net.fit(
        X, T, "mse", optimizer, epochs=epochs, batch_size=5, validation_data=(X[:9], T[:9]), callbacks=callbacks,
        resume=resume, **options,
    )  # fmt: skip


def test_a_fit_goes_on_from_a_file_as_if_it_had_not_been_left(tmp_path):
    """With every optimizer, schedules that span the fit, averages, and the states of callbacks on both sides."""
    for i, (name, make) in enumerate({**OPTIMIZERS, **AVERAGED, **SCHEDULED}.items()):
        path, dtype = tmp_path / f"{i}.safetensors", ("float32", "float64")[i % 2]
        net = net_of(dtype)
        expected = fit(net, make(), path)
        other = fastnn.load(path, CUSTOM, mmap=bool(i % 3 == 0))
        assert len(other.history) == AT + 1
        given = None if i % 4 == 0 else make()
        history = fit(other, given, path, resume=True)
        assert history is other.history
        assert history.to_dict() == expected.to_dict(), name
        assert history.ended == expected.ended
        assert same_state(state_of(net), state_of(other)), name
        assert (net.predict(X) == other.predict(X)).all()


def test_a_fit_goes_on_from_each_of_its_checkpoints(tmp_path):
    """Those that are kept are the last ones; so are those that it writes when it goes on."""

    def callbacks(folder):
        folder.mkdir(exist_ok=True)
        kept = ModelCheckpoint(folder / "{epoch}.safetensors", last=3)
        best = ModelCheckpoint(folder / "best.safetensors", save_best_only=True, monitor="val_loss")
        return [EarlyStopping(9), CSVLogger(folder / "log.csv"), kept, best]

    def train(net, folder, **options):
        given = {"validation_data": (X[:9], T[:9]), "batch_size": 5, "epochs": EPOCHS, **options}
        return net.fit(X, T, "mse", Adam(0.02 * LinearWarmup(steps=9)), callbacks=callbacks(folder), **given)

    net = net_of()
    expected = train(net, tmp_path / "first")
    assert {path.name for path in (tmp_path / "first").glob("[0-9]*")} == {f"{n}.safetensors" for n in (5, 6, 7)}
    best = fastnn.load(tmp_path / "first" / "best.safetensors")
    assert best.evaluate(X[:9], T[:9], "mse")["loss"] == pytest.approx(min(expected.val_loss), rel=1e-12)
    for n in (5, 6):
        shutil.copytree(tmp_path / "first", tmp_path / str(n))
        other = fastnn.load(tmp_path / "first" / f"{n}.safetensors")
        assert train(other, tmp_path / str(n), resume=True).to_dict() == expected.to_dict()
        assert same_state(state_of(net), state_of(other))
        lines = [(tmp_path / folder / "log.csv").read_text(encoding="utf-8") for folder in ("first", str(n))]
        assert lines[0] == lines[1]


def test_the_best_state_is_in_the_file_too(tmp_path):
    """Saved behind the best epoch, to which the model returns at the end."""
    path, options = tmp_path / "net.safetensors", {"epochs": 30, "behind": [EarlyStopping(4)]}
    best = fit(net_of(), SGD(0.1, momentum=0.9), **options) and options["behind"][0].best_epoch
    net, stopping = net_of(), EarlyStopping(4)
    expected = fit(net, SGD(0.1, momentum=0.9), behind=[stopping, SavedAt(path, best + 2)], epochs=30)
    other, again = fastnn.load(path), EarlyStopping(4)
    history = fit(other, None, behind=[again, SavedAt(path)], resume=True, epochs=30)
    assert history.to_dict() == expected.to_dict()
    assert "EarlyStopping" in history.ended == expected.ended
    assert (again.best, again.best_epoch) == (stopping.best, stopping.best_epoch) == (min(expected.val_loss), best)
    assert same_state(state_of(net), state_of(other))
    assert net.evaluate(X[:9], T[:9])["loss"] == min(expected.val_loss)


def test_a_fit_goes_on_in_the_same_process_and_is_prolonged():
    whole, net = net_of(), net_of()
    optimizer = Adam(0.02 * LinearWarmup(steps=30))
    for model, epochs in ((whole, (7,)), (net, (3, 5, 7, 7))):
        model.layers[2].rate = 0.3
        for n in epochs:
            rule = optimizer if model is net else Adam(0.02 * LinearWarmup(steps=30))
            history = model.fit(X, T, "mse", rule, n, 5, resume=True)
            assert len(history) == n
    assert net.history.loss == whole.history.loss
    assert same_state(state_of(net), state_of(whole))


def test_ctrl_c_between_epochs_loses_nothing():
    def interrupt(model, epoch, logs):
        if epoch == 2 and len(calls) == 0:
            calls.append(epoch)
            raise KeyboardInterrupt

    calls, whole, net = [0], net_of(), net_of()
    whole.fit(X, T, "mse", Adam(0.1 * Cosine()), 7, 5, callbacks=[interrupt])
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, T, "mse", Adam(0.1 * Cosine()), 7, 5, callbacks=[interrupt])
    assert "interrupted" in net.history.ended
    net.fit(X, T, "mse", Adam(0.1 * Cosine()), 7, 5, callbacks=[interrupt], resume=True)
    assert net.history.loss == whole.history.loss
    assert same_state(state_of(net), state_of(whole))
    assert net.history.ended == whole.history.ended


class Interrupting(Callback):
    """Raises KeyboardInterrupt once, in the midst of an epoch."""

    def __init__(self, epoch=1, batch=2):
        self.epoch, self.batch, self.at = epoch, batch, 0

    def begin_epoch(self, model, epoch):
        self.at = epoch

    def end_batch(self, model, batch, logs):
        if (self.at, batch) == (self.epoch, self.batch):
            self.epoch = -1
            raise KeyboardInterrupt


def test_an_epoch_that_was_left_in_its_midst_begins_once_more():
    net, interrupting = net_of(), Interrupting()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, T, "mse", Adam(0.01 * Cosine()), 4, 5, callbacks=[interrupting])
    assert len(net.history) == 1
    first = net.history.loss[0]
    history = net.fit(X, T, None, None, 4, 5, callbacks=[interrupting], resume=True)
    assert len(history) == 4
    assert history.loss[0] == first
    assert history.ended == "after 4 epochs, as asked"


def test_what_has_ended_is_left_as_it_is(tmp_path):
    net = net_of()
    net.fit(X, T, "mse", "adam", 3, 5, callbacks=[EarlyStopping(2)])
    net.save(tmp_path / "net.safetensors")
    other = fastnn.load(tmp_path / "net.safetensors")
    before = state_of(other)
    assert len(other.fit(X, T, "mse", "adam", 3, 5, callbacks=[EarlyStopping(2)], resume=True)) == 3
    assert same_state(before, state_of(other))


def begun():
    net = net_of()
    net.layers[2].rate = 0.2
    net.fit(X, T, "mse", Adam(0.01), 3, 5, callbacks=[lambda *_: None])
    return net


MISMATCHES = {
    "rows": ({"x": X[:20], "y": T[:20]}, "begun with 23 rows of data, got 20"),
    "batch_size": ({"batch_size": 6}, "begun with batch_size=5, got 6"),
    "shuffle": ({"shuffle": False}, "begun with shuffle=True, got False"),
    "loss": ({"loss": "mae"}, r"begun with the loss MSE\(\), got MAE\(\)"),
    "optimizer": ({"optimizer": Adam(0.02)}, r"begun with the optimizer Adam\(lr=0.01\), got Adam\(lr=0.02\)"),
    "validation": ({"validation_data": (X, T)}, "begun with validation_data: False, got True"),
    "callbacks": ({"callbacks": []}, "begun with the callbacks <lambda>, got none: pass the same, or begin another"),
    "split": ({"validation_split": Split(0.2, last=True)}, "begun with validation_data: False, got True"),
    "epochs": ({"epochs": 2}, "epochs=2, and that fit has had 3 epochs"),
    "no epochs": ({"epochs": 0}, "epochs=0, and that fit has had 3 epochs"),
}
MONITORS = {
    "monitor": (EarlyStopping(2, monitor="val_loss"), r"EarlyStopping\(monitor='loss'\), got .*\(monitor='val_loss'\)"),
    "mode": (EarlyStopping(2, monitor="loss", mode="min"), r"monitor='loss'\), got .*\(monitor='loss', mode='min'\)"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_what_would_be_another_fit_is_told(name):
    options, message = MISMATCHES[name]
    net = begun()
    before = state_of(net)
    same = {
        "x": X,
        "y": T,
        "loss": "mse",
        "optimizer": Adam(0.01),
        "epochs": 6,
        "batch_size": 5,
        "callbacks": [lambda *_: None],
    }
    if "epochs" in name:
        net._trainer.begun.ended = False
    with pytest.raises(ValueError, match=message):
        net.fit(**{**same, **options}, resume=True)
    assert same_state(before, state_of(net))
    assert len(net.fit(**same, resume=True)) == 6


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"class_weight": "balanced"}, {}, "begun with class_weight='balanced', got None"),
        (
            {"class_weight": {0: 1, 1: 5}},
            {"class_weight": {0: 1, 1: 2}},
            r"begun with class_weight=.*1: 5}, got .*1: 2}",
        ),
        ({"validation_split": 0.2}, {"validation_split": Split(0.2, last=True)}, "begun with validation_split=Split"),
        (
            {"validation_split": 0.2},
            {"validation_split": 0.4},
            r"begun with validation_split=Split\(\), got .*0.4",
        ),
    ],
)
def test_other_rows_and_weights_would_be_another_fit(first, second, message, tmp_path):
    labels = np.arange(len(X)) % 2
    net = Model([Dense(5, "tanh"), Dense(2, "softmax")], seed=1)
    stopped = [lambda model, epoch, logs: epoch == 2]
    net.fit(X, labels, epochs=6, callbacks=stopped, **first)
    net._trainer.begun.ended = False
    net.save(tmp_path / "net.safetensors")
    for model in (net, fastnn.load(tmp_path / "net.safetensors")):
        with pytest.raises(ValueError, match=message):
            model.fit(X, labels, epochs=9, callbacks=stopped, resume=True, **second)
        assert len(model.fit(X, labels, epochs=6, callbacks=stopped, resume=True, **first)) == 6


@pytest.mark.parametrize("name", MONITORS)
def test_what_watches_another_number_is_another_callback(name):
    stopping, message = MONITORS[name]
    net, options = begun(), {"x": X, "y": T, "batch_size": 5, "validation_data": (X, T)}
    net.fit(**options, epochs=3, callbacks=[EarlyStopping(9, restore_best=False, monitor="loss")])
    with pytest.raises(ValueError, match=message):
        net.fit(**options, epochs=6, callbacks=[stopping], resume=True)
    same = EarlyStopping(99, restore_best=False, monitor="loss")  # what else it is set to may change
    assert len(net.fit(**options, epochs=6, callbacks=[same], resume=True)) == 6


NOT_KEPT = {
    "a key of no order": ({frozenset({1}): 2}, TypeError, r"the state of callback 1 has a dict with the key frozenset"),
    "a key in a tuple": ({(1, (b"",)): 2}, TypeError, "a dict with the key b''.*: keys are texts, numbers, or tuples"),
    "an object": ({1, 2}, TypeError, r"the state of callback 1 is \{1, 2\}, which no model file holds"),
    "an array of objects": (np.array([None]), TypeError, "the array 'fit.0' has the dtype object"),
    "an array of 9 dimensions": (np.zeros([1] * 9), ValueError, "could not be read again: .* has 9 dimensions"),
    "half of a letter": ("\ud800", ValueError, "the state of callback 1 is .*, which is no text"),
    "deep": (reduce(lambda inside, _: [inside], range(70), 1), ValueError, "it is nested more than 64 deep"),
    "digits": (10**500, ValueError, "it has a number of 501 digits"),
    "many": ([0.5] * 200_000, ValueError, "could not be read again: .* would take more memory"),
    "another model": (net_of().build(3).snapshot(), ValueError, "could not be read again: .*expected"),
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_no_file_gives_back_is_not_saved(name, tmp_path):
    state, error, message = NOT_KEPT[name]

    class Keeping(Callback):
        def state(self):
            return {"kept": state}

    net, path = net_of(), tmp_path / "net.safetensors"
    net.fit(X, T, "mse", epochs=1, callbacks=[Keeping()])
    with pytest.raises(error, match=f"^(save: .*)?{message}"):
        net.save(path)
    assert not [*tmp_path.iterdir()]


def by_hand(net):
    net.backward(np.ones_like(net.forward(X)))
    net.step()


def test_what_is_lost_is_told():
    for lose, message in (
        (lambda net: net.restore(net.snapshot()), "another state has been put back"),
        (lambda net: net.train_batch(X, T), "train_batch has taken steps"),
        (lambda net: net.partial_fit(X, T), "partial_fit has taken steps"),
        (lambda net: net.learn_one(X[0], T[0]), "train_batch has taken steps"),
        (by_hand, "step has taken steps"),
    ):
        net = begun()
        for row in range(3):  # the compiled step of a row is there
            net.learn_one(X[row], T[row])
        net.fit(X, T, "mse", None, 3, 5, callbacks=[lambda *_: None])
        lose(net)
        with pytest.raises(ValueError, match=f"resume=True, but the state of that fit is lost: {message}"):
            net.fit(X, T, "mse", None, 6, 5, callbacks=[lambda *_: None], resume=True)
    net = net_of()
    net.fit(X, T, "mse", Adam(0.01 * Cosine()), 3, 5)
    with pytest.raises(
        ValueError, match=r"epochs=6, and Adam: lr, 0.01 \* Cosine\(\), spans a fit, which was to have 3 ep"
    ):
        net.fit(X, T, epochs=6, batch_size=5, resume=True)


def test_a_pickle_says_that_it_holds_no_states_of_callbacks(tmp_path):
    kept = []
    net = net_of()
    fit(net, Adam(0.01), None, [lambda model, epoch, logs: kept.append(pickle.dumps(model)) if epoch == 2 else None])
    other = pickle.loads(kept[0])
    with pytest.raises(
        ValueError, match=r"what Counting\(\) has come to is not in a copy or a pickle of a model: net.save"
    ):
        fit(other, None, None, [lambda *_: None], resume=True)


KEPT = {
    "a pickle": lambda net, path: pickle.dumps(net),
    "a copy": lambda net, path: copy.deepcopy(net),
    "a file": lambda net, path: net.save(path),
}
READ = {
    "a pickle": lambda kept, path: pickle.loads(kept),
    "a copy": lambda kept, path: kept,
    "a file": lambda kept, path: fastnn.load(path),
}


@pytest.mark.parametrize("how", KEPT)
@pytest.mark.parametrize("case", ["told later", "stopped before", "a plateau"])
def test_what_a_callback_keeps_of_its_model_goes_on_with_the_callbacks_behind_it(case, how, tmp_path):
    """What they have logged that is no number, such as a picture, is not in the way of that."""
    path, kept = tmp_path / "net.safetensors", []

    def before(model, epoch, logs):
        logs["before"], logs["picture"], logs["array"] = float(epoch), object(), np.array([object()])
        return case == "stopped before" and epoch == AT

    def keep(model, epoch, logs):
        if epoch == AT and not kept:
            kept.append(KEPT[how](model, path))

    def behind(model, epoch, logs):
        logs["behind"] = logs["before"] + 1

    rate = 0.1 * ReduceOnPlateau(0.5, patience=0, monitor="behind") if case == "a plateau" else 0.01
    options = {"epochs": EPOCHS, "batch_size": 5, "callbacks": [before, keep, behind]}
    whole = net_of()
    whole.fit(X, T, "mse", SGD(rate), **options)
    parts = READ[how](kept[0], path)
    parts.fit(X, T, resume=True, **options)
    assert whole.history.to_dict() == parts.history.to_dict()
    assert whole.history.ended == parts.history.ended
    assert same_bits(whole.params, parts.params)


def feeds_of(folder):
    """The same rows in feeds whose fits go on: what makes each anew, and options of a fit."""
    rows, labels = np.random.default_rng(3).normal(size=(200, 4)).astype(np.float32), np.arange(200) % OUTPUTS
    t = np.eye(OUTPUTS, dtype=np.float32)[labels] + rows[:, :1]
    np.save(folder / "x.npy", rows)
    np.save(folder / "t.npy", t)

    def batches():
        for i in range(0, 200, 16):
            yield rows[i : i + 16], t[i : i + 16]

    def npy(**options):
        return feeds.Npy(folder / "x.npy", folder / "t.npy", **options)

    sparse = pytest.importorskip("scipy.sparse").csr_matrix(np.where(rows > 0, rows, 0))
    return {
        "blocks": lambda: npy(block_bytes=800),
        "one block": npy,
        "by row": lambda: feeds.Arrays(sparse, t, block_bytes=800),
        "steps of a function": lambda: feeds.Batches(batches, steps=9),
        "a function": lambda: feeds.Batches(batches),
        "a list": lambda: feeds.Batches([*batches()]),
        "steps of a list": lambda: feeds.Batches([*batches()], steps=5),
    }, (rows, t)


def test_a_fit_over_a_feed_goes_on_as_if_it_had_not_been_left(tmp_path):
    """From a file that was saved within the fit, with and without changed batches, and so does one over arrays."""
    made, arrays = feeds_of(tmp_path)
    made["arrays"] = None
    rules = (
        lambda: Adam(0.01 * Cosine(), average=EMA(0.9)),
        lambda: SGD(0.02, momentum=0.9, accumulate=3),  # these two also where nobody knows how many steps there are
        lambda: SGD(0.02, average=SWA(4, per="step")),
    )
    for i, (name, make) in enumerate(made.items()):
        for k, augment in enumerate((None, [Noise(0.1), MixUp(0.5)])):
            path = tmp_path / f"{i}.safetensors"
            rule = rules[(i + k) % 3]

            def fit(net, given, make=make, path=path, augment=augment, **options):
                x, t = arrays if make is None else (make(), None)
                callbacks = [Counting(), SavedAt(path), EarlyStopping(9)]
                return net.fit(
                    x, t, "mse", given, EPOCHS, augment=augment, callbacks=callbacks,
                    validation_data=arrays, **options,
                )  # fmt: skip

            dropout = Dropout(0.3 if name == "a function" else 0.3 * Cosine())
            norm = [] if rule is rules[2] else [BatchNorm()]  # which would have to see all data once more
            net = Model([Normalization(), Dense(5, "tanh"), *norm, dropout, Dense(OUTPUTS)], seed=1)
            expected = fit(net, rule())
            other = fastnn.load(path)
            assert len(other.history) == AT + 1
            history = fit(other, rule(), resume=True)
            assert history.to_dict() == expected.to_dict(), name
            assert same_state(state_of(net), state_of(other)), name


def test_another_feed_would_be_another_fit(tmp_path):
    made, (rows, t) = feeds_of(tmp_path)
    of_blocks, of_steps = made["blocks"], made["steps of a list"]
    batches = [(rows, t)] * 20
    for begun_with, goes_on_with, options, message in (
        (of_blocks, lambda: rows, {"y": t}, "begun with blocks of 32 rows, got data in memory"),
        (of_blocks, lambda: feeds.Arrays(rows, t, block_bytes=1600), {}, "blocks of 32 rows, got blocks of 96 rows"),
        (of_blocks, lambda: feeds.Arrays(rows[:150], t[:150], block_bytes=800), {}, "with 200 rows of data, got 150"),
        (of_blocks, lambda: iter(batches), {}, "blocks of 32 rows, got batches as they come"),
        (of_blocks, of_blocks, {"augment": Noise(0.1)}, "with augment: none, got Noise"),
        (of_steps, made["a list"], {}, "batches as they come, 5 in an epoch, got batches as they come, 13 in an epoch"),
        (of_steps, lambda: feeds.Batches(iter(batches), steps=5), {}, "nobody knows where .* is: pass a function"),
    ):
        net = Model([Dense(OUTPUTS)], seed=0)
        net.fit(begun_with(), None, "mse", "adam", 2)
        before = state_of(net)
        with pytest.raises(ValueError, match=message):
            net.fit(goes_on_with(), epochs=4, **options, resume=True)
        assert same_state(before, state_of(net))
        assert len(net.fit(begun_with(), epochs=4, resume=True)) == 4


PROGRAM = """
import os, signal, sys
import numpy as np
import fastnn
from fastnn import Adam, Dense, Dropout, Cosine, Model
path, kill_at = sys.argv[1], int(sys.argv[2])
x = np.random.default_rng(0).normal(size=(40, 3))
def save(model, epoch, logs):
    model.save(path)
    if epoch == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
net = fastnn.load(path) if os.path.exists(path) else Model([Dense(9, "tanh"), Dropout(0.2), Dense(1)], seed=0)
net.fit(x, x[:, 0], "mse", Adam(0.05 * Cosine()), epochs=9, batch_size=8, callbacks=[save], resume=True)
print(net.params.tobytes().hex(), net.history.loss)
"""


def test_a_program_that_is_killed_is_begun_again_and_ends_alike_in_a_subprocess(tmp_path):
    def run(name, kill_at):
        command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / name), str(kill_at)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    whole = run("whole.safetensors", -1)
    assert whole.returncode == 0, whole.stderr
    assert run("net.safetensors", 2).returncode == -signal.SIGKILL
    assert run("net.safetensors", 6).returncode == -signal.SIGKILL
    assert run("net.safetensors", -1).stdout == whole.stdout
