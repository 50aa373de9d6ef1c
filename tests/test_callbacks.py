"""Callbacks: when each of their methods is called, what it is given, and what a fit does where one ends it or fails."""

import copy
import pickle

import numpy as np
import pytest
from custom import Scale
from nets import data, same_bits, small_net

from fastnn import LBFGS, SGD, Adam, Callback, Dense, EarlyStopping, LambdaCallback, Model

X, T = data()
ROWS = len(X)  # 21: batches of 8, 8 and 5


class Told(Callback):
    """Writes down what it is told; raises, or returns True, where it is asked to."""

    def __init__(self, at=None, error=None):
        self.at, self.error, self.seen = at, error, []

    def _told(self, *what):
        self.seen.append(what)
        if what == self.at and self.error is not None:
            raise self.error
        return what == self.at

    def begin(self, model):
        assert model.built
        assert len(model.history) == 0
        self._told("begin")

    def begin_epoch(self, model, epoch):
        assert len(model.history) == epoch
        self._told("begin_epoch", epoch)

    def begin_batch(self, model, batch):
        self._told("begin_batch", batch)

    def end_batch(self, model, batch, logs):
        assert isinstance(logs["loss"], float)
        return self._told("end_batch", batch)

    def __call__(self, model, epoch, logs):
        assert logs["loss"] == model.history.loss[epoch]
        return self._told("epoch", epoch)

    def end(self, model):
        self._told("end")


@pytest.mark.parametrize("place", ["end_batch", "__call__", "begin_epoch"])
@pytest.mark.parametrize("in_batches", [False, True])
def test_a_callback_that_removes_losses_from_the_history_ends_the_fit(place, in_batches):
    """The fit counts its epochs by them: it would never end."""
    kind = type("Clearing", (Callback,), {place: lambda self, model, *given: model.history.loss.clear()})
    given = ([(X, T)],) if in_batches else (X, T)
    with pytest.raises(
        RuntimeError, match=r"a callback has removed losses from model.history: it has .* expected [12]"
    ):
        small_net().fit(*given, epochs=3, callbacks=[kind()])


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_such_a_callback_is_the_one_that_is_raised(error):
    def clear(model, epoch, logs):
        model.history.loss.clear()
        raise error

    with pytest.raises(error):
        small_net().fit(X, T, epochs=3, callbacks=[clear])


def told_in(epochs, batches):
    """What a callback is told in a whole fit."""
    in_batches = [(what, batch) for batch in range(batches) for what in ("begin_batch", "end_batch")]
    told = [("begin",)]
    for epoch in range(epochs):
        told += [("begin_epoch", epoch), *in_batches, ("epoch", epoch)]
    return [*told, ("end",)]


def fit(net, *callbacks, epochs=3, batch_size=8, **options):
    return net.fit(X, T, "mse", SGD(0.01), epochs=epochs, batch_size=batch_size, callbacks=callbacks, **options)


@pytest.mark.parametrize("layers", [[], [Scale]], ids=["kernels", "numpy"])
@pytest.mark.parametrize("batch_size", [8, 7, 1, 21, None])
def test_a_callback_is_told_of_all_and_changes_no_bit(batch_size, layers):
    nets = [Model([kind() for kind in layers] + [Dense(T.shape[1])], seed=0) for _ in range(2)]
    callback = Told()
    told = fit(nets[0], callback, batch_size=batch_size)
    assert callback.seen == told_in(3, -(-ROWS // (batch_size or ROWS)))
    silent = fit(nets[1], batch_size=batch_size)
    assert told.loss == silent.loss
    assert same_bits(nets[0].params, nets[1].params)


def test_an_iteration_of_lbfgs_is_an_epoch_of_one_batch():
    callback = Told()
    small_net().fit(X, T, "mse", LBFGS(), epochs=3, callbacks=[callback])
    assert callback.seen == told_in(3, 1)


def test_batches_have_the_losses_of_which_the_epoch_is_the_mean():
    losses = []

    class Batches(Callback):
        def end_batch(self, model, batch, logs):
            losses.append(logs["loss"])

    history = fit(small_net(), Batches(), epochs=1)
    assert history.loss[0] == pytest.approx(np.average(losses, weights=[8, 8, 5]))


def test_rates_that_are_set_between_batches_count_at_once():
    class Halving(Callback):
        def begin_batch(self, model, batch):
            model.optimizer.lr = 0.1 / 2**batch

    callback, other, rates = small_net(), small_net(), []
    callback.fit(X, T, "mse", SGD(0.1), epochs=1, batch_size=8, shuffle=False, callbacks=[Halving()])
    optimizer = SGD(0.1)
    for batch in range(3):
        optimizer.lr = 0.1 / 2**batch
        rows = slice(8 * batch, 8 * batch + 8)
        other.train_batch(X[rows], T[rows], loss="mse", optimizer=optimizer)
        rates.append(optimizer.lr)
    np.testing.assert_allclose(callback.params, other.params, rtol=1e-6)


@pytest.mark.parametrize("method", ["begin", "begin_epoch"])
def test_what_is_changed_at_a_beginning_counts_in_the_first_epoch(method):
    """Structure, too: what is recorded anew."""

    def freeze(self, model, *epoch):
        model.layers[0].trainable = False

    net = small_net()
    net.build(X.shape[1])
    before = net.layers[0].w.copy()
    fit(net, type("Freezing", (Callback,), {method: freeze})())
    assert same_bits(net.layers[0].w, before)


ENDS = {  # who returns True, and what of three epochs of three batches is there
    ("end_batch", 1): (0, "a callback returned True after batch 2 of an epoch: Told"),
    ("end_batch", 2): (1, "a callback returned True after batch 3 of an epoch: Told"),
    ("epoch", 1): (2, "a callback returned True after 2 epochs: Told"),
}


@pytest.mark.parametrize("at", ENDS, ids=str)
def test_a_callback_that_returns_true_ends_the_fit_there(at):
    epochs, why = ENDS[at]
    callback, net = Told(at), small_net()
    history = fit(net, callback, validation_data=(X, T))
    assert (len(history), history.ended) == (epochs, why)
    assert [*map(len, history.values())] == [epochs] * len(history.keys())
    assert callback.seen[-1] == ("end",)
    assert callback.seen.count(at) == 1
    fit(net, epochs=1)  # and it goes on as any


def test_each_fit_may_look_between_batches():
    """The one before has gone to the end of its rows, behind which there may be too few for a batch of the next."""
    nets = [Model([Dense(1)], seed=0) for _ in range(2)]
    for net, callbacks in zip(nets, ([], [LambdaCallback(begin_batch=lambda *given: None)]), strict=True):
        for rows, batch_size in ((100, 64), (100, 64), (64, None), (40, 32), (100, 64)):
            x = np.linspace(-1, 1, rows)[:, None]
            net.fit(x, x**2, "mse", "sgd", epochs=2, batch_size=batch_size, callbacks=callbacks)
    assert same_bits(nets[0].params, nets[1].params)


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt(), MemoryError()], ids=repr)
@pytest.mark.parametrize("at", [("begin",), ("begin_epoch", 1), ("begin_batch", 1), ("end_batch", 2), ("epoch", 1)])
def test_wherever_a_callback_fails_all_are_told_of_the_end_and_the_best_is_kept(at, error):
    first, last, stopping, net = Told(), Told(at, error), EarlyStopping(9), small_net()
    with pytest.raises(type(error)):
        fit(net, first, last, stopping, validation_data=(X, -T))
    assert first.seen[-1] == last.seen[-1] == ("end",)
    if net.history.val_loss:
        assert net.evaluate(X, -T)["loss"] == min(net.history.val_loss) == stopping.best
    assert not net._trainer.claim.taken
    fit(net, epochs=1)


def test_methods_of_objects_that_are_no_callbacks_count_too():
    seen = []

    class Mine:
        def __call__(self, model, epoch, logs):
            seen.append("epoch")

        def begin(self, model):
            seen.append("begin")

        def end_batch(self, model, batch, logs):
            seen.append("batch")

    fit(small_net(), Mine(), epochs=2)
    assert seen == ["begin", *["batch", "batch", "batch", "epoch"] * 2]


NO_HOOKS = {  # methods of a subclass, and what is said of them
    "end_epoch": r"no fit calls its end_epoch: name it __call__, which is called as __call__\(model, epoch, logs\)",
    "on_epoch_end": "name it __call__", "on_train_epoch_end": "name it __call__", "after_epoch": "name it __call__",
    "on_epoch_begin": r"name it begin_epoch, which is called as begin_epoch\(model, epoch\)",
    "epoch_start": "name it begin_epoch", "on_train_batch_end": "name it end_batch", "batch_end": "name it end_batch",
    "on_batch_begin": "name it begin_batch", "on_train_begin": "name it begin,", "begin_fit": "name it begin,",
    "before_fit": "name it begin,", "end_fit": r"name it end, which is called as end\(model\)",
    "on_train_end": "name it end,", "on_test_begin": "no fit calls its on_test_begin: a fit calls begin, begin_epoch, ",
    "on_predict_batch_end": "a fit calls begin",
}  # fmt: skip


@pytest.mark.parametrize("base", [Callback, EarlyStopping])
def test_a_method_that_reads_like_a_hook_and_is_none_is_refused(base):
    for name, message in NO_HOOKS.items():
        net = small_net()
        for kind in (own := type("Own", (base,), {name: lambda *_: None}), type("Derived", (own,), {})):
            with pytest.raises(TypeError, match=f"^callbacks holds .*{message}"):
                fit(net, kind())
        assert not net.built


def test_other_methods_are_a_callbacks_own():
    """Also one with the name of another library, where the one that a fit calls is there, which may call it."""
    seen = []

    class Keras(Callback):
        def __call__(self, model, epoch, logs):
            self.on_epoch_end(epoch, logs)

        def on_epoch_end(self, epoch, logs):
            seen.append(epoch)

        def on_improvement(self): ...

        def append(self): ...

        def restart(self): ...

        end_epoch_at = begin_lr = 3

    fit(small_net(), Keras(), epochs=2)
    assert seen == [0, 1]


def test_epochs_in_which_nothing_looks_run_in_one_call():
    """Also with a callback that has something to do at the begin and the end alone."""
    calls = []

    class Ends(Callback):
        def begin(self, model):
            calls.append("begin")

        def end(self, model):
            calls.append("end")

    from fastnn.training.epochs import Fit

    class Counting(Fit):
        def _epochs(self, n, team):
            calls.append(n)
            return super()._epochs(n, team)

    from fastnn.training import fitting

    original, fitting.Fit = fitting.Fit, Counting
    try:
        fit(small_net(), Ends(), epochs=50)
    finally:
        fitting.Fit = original
    assert calls == ["begin", 50, "end"]


# What is logged is kept


def test_the_history_keeps_all_numbers_that_are_logged():
    def log(model, epoch, logs):
        logs["score"] = np.float32(epoch)
        if epoch == 1:
            logs["late"] = True
        if epoch != 1:
            logs["gap"] = epoch
        logs["text"] = "no number"

    net = small_net()
    history = fit(net, log, epochs=3, validation_data=(X, T))
    assert history.keys() == ["loss", "val_loss", "score", "gap", "late"]
    assert history["score"] == [0.0, 1.0, 2.0]
    expected = {"gap": [0.0, np.nan, 2.0], "late": [np.nan, 1.0, np.nan]}
    for name, numbers in expected.items():
        np.testing.assert_array_equal(history.to_dict()[name], numbers)
        np.testing.assert_array_equal(history[name], numbers)
    assert "nan</td>" not in history._repr_html_().partition("gap")[0]
    assert history.epoch == [0, 1, 2]
    assert repr(history).startswith(f"<History: 3 epochs, loss {history.loss[-1]:.4g}, val_loss ")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other.history) == repr(history)
    with pytest.raises(KeyError, match="the history has no accuracy, but loss and val_loss and score"):
        history["accuracy"]


def test_the_history_becomes_a_frame():
    pandas = pytest.importorskip("pandas")
    history = fit(small_net(), epochs=4, validation_data=(X, T))
    frame = history.to_frame()
    assert frame.index.name == "epoch"
    pandas.testing.assert_frame_equal(
        frame, pandas.DataFrame(history.to_dict(), index=pandas.RangeIndex(4, name="epoch"))
    )


def test_metrics_are_of_the_end_of_an_epoch():
    def error(y_true, y_pred, sample_weight=None):
        return np.average(np.abs(y_true - y_pred).mean(axis=1), weights=sample_weight)

    seen = []

    def look(model, epoch, logs):
        seen.append((error(T, model.predict(X)), error(T[:5], model.predict(X[:5]))))
        assert (logs["error"], logs["val_error"]) == seen[-1]

    history = fit(small_net(), look, metrics=[error], validation_data=(X[:5], T[:5]))
    assert [*zip(history["error"], history["val_error"], strict=True)] == seen


# EarlyStopping


def test_early_stopping_passes_over_the_first_epochs():
    numbers = [1.0, 9.0, 5.0, 6.0, 7.0, 8.0]

    def log(model, epoch, logs):
        logs["score"] = numbers[epoch]

    stopping = EarlyStopping(2, monitor="score", mode="min", start=1)
    history = fit(small_net(), log, stopping, epochs=6)
    assert (stopping.best, stopping.best_epoch, len(history)) == (5.0, 2, 5)
    waiting = EarlyStopping(2, monitor="score", mode="min", start=5)
    assert len(fit(small_net(), log, waiting, epochs=6)) == 6
    assert (waiting.best, waiting.best_epoch) == (8.0, 5)


def test_early_stopping_has_the_names_of_keras_too():
    for name in ("restore_best_weights", "restore", "restore_best"):
        own = EarlyStopping(3, start_from_epoch=2, **{name: False})
        assert repr(own) == "EarlyStopping(patience=3, restore_best=False, start=2)"


def test_number_of_not_a_number_is_never_the_best():
    numbers = [np.nan, 2.0, np.nan, 3.0]

    def log(model, epoch, logs):
        logs["score"] = numbers[epoch]

    stopping = EarlyStopping(9, monitor="score", mode="max")
    net = small_net()
    net.fit(X, T, "mse", Adam(0.01), epochs=4, callbacks=[log, stopping])
    assert (stopping.best, stopping.best_epoch) == (3.0, 3)
