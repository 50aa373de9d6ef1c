"""Nets side by side: each has data, callbacks and metrics of its own, and is trained as it would be alone."""

import _thread
import threading

import numpy as np
import pytest

from fastnn import Callback, Dense, EarlyStopping, Model, Softmax, callbacks, fit_many, threads

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def nets(n=4):
    return [Model([Dense(6, "tanh"), Dense(3), Softmax()], seed=seed, dtype="float64") for seed in range(n)]


class Recorder(Callback):
    def __init__(self, wanted=100):
        self.seen, self.wanted = [], wanted

    def begin(self, model):
        self.model = model

    def __call__(self, model, epoch, logs):
        assert model is self.model  # of one net, though others begin beside it
        self.seen.append(logs["loss"])
        return len(self.seen) == self.wanted


def test_each_has_data_stopping_and_metrics_of_its_own():
    """To the bits of the net that is trained alone."""
    rng, own = np.random.default_rng(1), []
    for i in range(4):
        rows, others = np.split(rng.permutation(80), [50 + i])
        weight = rng.random(len(rows)) if i % 2 else None
        own.append({
            "x": X[rows], "y": LABELS[rows], "sample_weight": weight,
            "validation_data": (X[others], LABELS[others]), "metrics": ["accuracy", "f1"][: i % 2 + 1],
            "callbacks": [EarlyStopping(2 + i, min_delta=0.01, monitor="val_accuracy")],
        })  # fmt: skip
    many, alone = nets(), nets()
    histories = fit_many(many, X, LABELS, epochs=60, each=own, n_threads=2)
    for net, history, same, options in zip(many, histories, alone, own, strict=True):
        expected = same.fit(**options, epochs=60, n_threads=1)
        assert history.to_dict() == expected.to_dict()
        assert history.ended == expected.ended
        assert net.params.tobytes() == same.params.tobytes()
    assert len({len(history) for history in histories}) > 1


@pytest.mark.parametrize("n_threads", [1, 2])
def test_of_one_callback_for_all_each_net_has_a_copy(n_threads):
    recorder, stopping = Recorder(), EarlyStopping(3, min_delta=0.05)
    histories = fit_many(nets(), X, LABELS, epochs=40, callbacks=[recorder, stopping], n_threads=n_threads)
    alone = [net.fit(X, LABELS, epochs=40, callbacks=[Recorder(), EarlyStopping(3, min_delta=0.05)]) for net in nets()]
    assert [history.loss for history in histories] == [history.loss for history in alone]
    assert recorder.seen == []
    mine = [Recorder(i + 1) for i in range(4)]  # those of one net are its own
    fit_many(nets(), X, LABELS, epochs=9, each=[{"callbacks": one} for one in mine], n_threads=n_threads)
    assert [len(one.seen) for one in mine] == [1, 2, 3, 4]
    only = Recorder()
    fit_many(nets(1), X, LABELS, epochs=3, callbacks=only)
    assert len(only.seen) == 3
    twice = Recorder()
    fit_many(nets(2), X, LABELS, epochs=3, each=[{"callbacks": twice}] * 2, n_threads=n_threads)
    assert twice.seen == []


def test_functions_are_shared_and_what_cannot_be_copied_is_refused():
    called = []
    fit_many(nets(3), X, LABELS, epochs=2, callbacks=lambda model, epoch, logs: called.append(epoch))
    assert sorted(called) == [0, 0, 0, 1, 1, 1]
    locked = Recorder()
    locked.lock = threading.Lock()
    with pytest.raises(
        TypeError, match=r"fit_many: .*Recorder.* is for several nets.*each=\[{'callbacks': ...}, ...\]"
    ):
        fit_many(nets(2), X, LABELS, epochs=2, callbacks=locked)
    fit_many(nets(1), X, LABELS, epochs=2, callbacks=locked)
    for name, arguments in (("CSVLogger", ("a.csv",)), ("ModelCheckpoint", ("a.fnn",)), ("TensorBoard", ("a",))):
        callback = getattr(callbacks, name)(*arguments)
        with pytest.raises(ValueError, match=f"fit_many: {name}.* is for several nets, whose files would be the same"):
            fit_many(nets(2), X, LABELS, epochs=1, callbacks=callback)


def test_threads_that_die_before_they_begin_are_replaced(monkeypatch):
    """As where there is no memory for the first object that they make: the calling thread trains the nets."""
    monkeypatch.setattr(_thread, "start_new_thread", lambda function, given: given[0].release())
    assert [len(history) for history in fit_many(nets(), X, LABELS, epochs=2, n_threads=2)] == [2] * 4


def test_nets_that_nobody_has_trained_are_named(monkeypatch):
    monkeypatch.setattr(threads, "together", lambda *given, **named: None)
    with pytest.raises(RuntimeError, match=r"models\[0\]: no thread has had the memory to train it \(also: models"):
        fit_many(nets(), X, LABELS, epochs=2)
