"""What fit does around its steps: the order of rows, history, validation, callbacks, interruptions, copies, memory."""

import _thread
import copy
import io
import pickle
import signal
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from custom import Scale, SignSGD
from nets import OPTIMIZERS, OUTPUTS, TASK, data, memory_of, same_bits, small_net
from peaks import peak_of

from fastnn import MSE, SGD, Dense, EarlyStopping, Layer, Loss, Model, Optimizer
from fastnn._core.tape import Tape, permutation, run_epochs

# The order of rows


class Recorder(Layer):
    """Writes down the first number of every row that passes."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append(x[:, 0].astype(int).tolist())
        return 0 * x

    def backward(self, dy):
        return 0 * dy

    def epochs(self, n):
        rows = [row for batch in self.seen for row in batch]
        return [rows[start : start + n] for start in range(0, len(rows), n)]


def visited(n, epochs=3, batch_size=4, seed=0, chunks=None, **options):
    """Which rows are in the batches of a fit."""
    recorder = Recorder()
    net = Model([recorder, Dense(1)], seed=seed)
    net.fit(np.arange(n)[:, None], np.zeros(n), "mse", SGD(0), epochs=epochs, batch_size=batch_size, **options)
    return recorder


@pytest.mark.parametrize(("n", "batch_size"), [(1, 4), (4, 4), (7, 4), (8, 4), (50, 7), (50, None), (50, 1000), (9, 1)])
def test_each_epoch_visits_every_row_once(n, batch_size):
    recorder = visited(n, batch_size=batch_size)
    for epoch in recorder.epochs(n):
        assert sorted(epoch) == list(range(n))
    size = min(batch_size or n, n)
    expected = [size] * (n // size) + [n % size] * (n % size > 0)
    assert [len(batch) for batch in recorder.seen] == 3 * expected


def test_each_epoch_has_another_order():
    """Rows move between batches, too, and not only the batches."""
    first, second, third = visited(50).epochs(50)
    assert first != second != third != first
    assert {frozenset(first[i : i + 4]) for i in range(0, 48, 4)}.isdisjoint(
        frozenset(second[i : i + 4]) for i in range(0, 48, 4)
    )


def test_without_shuffling_rows_keep_their_order():
    assert visited(10, shuffle=False).seen == 3 * [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_the_order_depends_on_seed_and_epoch_alone():
    together = visited(20, epochs=6)
    assert visited(20, epochs=6).seen == together.seen
    assert visited(20, epochs=6, callbacks=[lambda *_: None]).seen == together.seen
    assert visited(20, epochs=6, verbose=False, validation_data=None).seen == together.seen
    assert visited(20, epochs=2).seen == together.seen[:10]
    assert visited(20, epochs=6, batch_size=5).epochs(20) == together.epochs(20)
    assert visited(20, epochs=6, seed=1).seen != together.seen


def test_a_second_fit_has_another_order():
    recorder = Recorder()
    net = Model([recorder, Dense(1)], seed=0)
    for _ in range(2):
        net.fit(np.arange(20)[:, None], np.zeros(20), "mse", SGD(0), epochs=1)
    first, second = recorder.epochs(20)
    assert first != second


def test_all_orders_are_equally_likely():
    """The 24 orders of 4 rows, over 4800 epochs: chi-squared with 23 degrees of freedom is below 50 (p = 0.001)."""
    counts = Counter(tuple(permutation(4, 1, epoch)) for epoch in range(4800))
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 50


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 65_536, 65_537, 65_538, 131_074])
def test_the_order_is_that_of_fisher_and_yates(n):
    """Also where it is made in several parts, between which signals are looked at."""
    state, order = mix((5 + mix(7 + 0x9E3779B97F4A7C15)) % 2**64), list(range(n))
    for i in range(n - 1, 0, -1):
        j = (i + 1) * mix((state + i * 0x9E3779B97F4A7C15) % 2**64) >> 64
        order[i], order[j] = order[j], order[i]
    assert permutation(n, 5, 7) == order


if hasattr(signal, "setitimer"):

    def test_an_interrupt_while_rows_are_shuffled_leaves_out_the_epoch():
        """The next one puts them in its own order."""
        n, losses, calls = 3_000_000, np.full(1, np.nan), []
        index, cursor, value = np.arange(n), np.zeros(1, np.int64), np.zeros(1)
        gather, step = Tape(), Tape()
        gather.call(lambda: calls.append(1))
        arguments = gather, step, None, None, index, cursor, value, n, True, 5, 7, losses

        def handler(number, frame):
            raise ZeroDivisionError

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(ZeroDivisionError):
                run_epochs(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert not calls
        assert np.isnan(losses).all()
        assert run_epochs(*arguments) is None
        assert calls == [1]
        assert index.tolist() == permutation(n, 5, 7)


def test_features_targets_and_weights_of_a_row_stay_together():
    """Targets that a net without error needs, and rows without weight whose targets are wrong."""
    rng = np.random.default_rng(0)
    x, wrong = rng.normal(size=(50, 3)), np.arange(50) % 5 == 0
    t = np.where(wrong, 1e6, x @ [1, 2, 3])
    net = Model([Dense(1)], seed=0, dtype="float64")
    history = net.fit(x, t, "mse", SGD(0.2), epochs=200, batch_size=7, sample_weight=~wrong)
    assert history.loss[-1] < 1e-20
    np.testing.assert_allclose(net.layers[0].w[:, 0], [1, 2, 3], rtol=1e-9)


# Epochs in one call or in many: the same bits


def test_looking_between_epochs_changes_no_bit(capsys):
    x, t = data()
    nets = [small_net(dtype="float32") for _ in range(4)]
    options = [{}, {"callbacks": [lambda *_: None]}, {"validation_data": (x, t)}, {"verbose": True}]
    for net, option in zip(nets, options, strict=True):
        net.fit(x, t, "mse", OPTIMIZERS["adam"](), epochs=7, batch_size=8, **option)
        assert same_bits(net.params, nets[0].params)
        assert net.history.loss == nets[0].history.loss


# History, validation, evaluation


def test_history():
    x, t = data()
    net = small_net()
    history = net.fit(x, t, "mse", SGD(0.1), epochs=5, validation_data=(x[:4], t[:4]))
    assert history is net.history
    assert len(history) == len(history.loss) == len(history.val_loss) == 5
    assert history.loss[-1] < history.loss[0]
    assert history.val_loss[-1] == net.evaluate(x[:4], t[:4])["loss"]
    assert history.seconds > 0
    losses = f"loss {history.loss[-1]:.4g}, val_loss {history.val_loss[-1]:.4g}"
    assert repr(history) == f"<History: 5 epochs, {losses}; after 5 epochs, as asked>"
    assert len(net.fit(x, t, epochs=2)) == 2
    assert net.history.val_loss == []


def test_history_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    x, t = data()
    history = small_net().fit(x, t, "mse", epochs=5, validation_data=(x, t))
    ax = history.plot()
    assert [line.get_label() for line in ax.lines][:2] == ["training loss", "validation loss"]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.transpose([range(1, 6), history.loss]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert history.plot(ax) is ax
    pyplot.close(ax.figure)


def test_history_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"history\.plot\(\) needs matplotlib: pip install matplotlib"):
        small_net().fit(*data(), "mse", epochs=1).plot()


@pytest.mark.parametrize("name", ["mse", "huber", "softmax-labels", "softmax-rows", "sigmoid-bce", "rows-from-logits"])
def test_evaluate_is_the_loss_of_the_predictions(name):
    task = TASK[name]
    x, t = data(task, rows=1300)
    net = small_net("tanh", task)
    result = net.evaluate(x, t, task.loss())
    value, _ = task.loss().value_and_grad(net.predict(x), t)
    assert result["loss"] == pytest.approx(value, rel=1e-12)
    assert net.evaluate(x, t, task.loss(), batch_size=7) == result
    weighted = net.evaluate(x, t, task.loss(), sample_weight=np.r_[2.0, np.zeros(1299)])
    assert weighted == net.evaluate(x[:1], t[:1], task.loss())
    if "softmax" in name or "rows" in name:
        labels = t if t.ndim == 1 else t.argmax(axis=1)
        assert result["accuracy"] == np.mean(net.predict(x).argmax(axis=1) == labels)
    elif "bce" in name:
        assert result["binary_accuracy"] == np.mean((net.predict(x) > 0.5) == (t > 0.5))
    else:
        assert result.keys() == {"loss"}


def test_evaluate_and_predict_change_nothing():
    net = small_net()
    net.fit(*data(), "mse", epochs=1)
    before = net.params.copy(), net.loss, net.optimizer
    net.evaluate(*data(seed=1), "mae")
    net.predict(data()[0])
    assert same_bits(net.params, before[0])
    assert (net.loss, net.optimizer) == before[1:]


# Callbacks


def test_callbacks_are_called_after_each_epoch_with_its_losses():
    x, t = data()
    net, calls = small_net(), []
    net.fit(x, t, "mse", epochs=3, validation_data=(x, t), callbacks=[lambda *arguments: calls.append(arguments)])
    assert [(model, epoch) for model, epoch, _ in calls] == [(net, 0), (net, 1), (net, 2)]
    assert [logs["loss"] for _, _, logs in calls] == net.history.loss
    assert [logs["val_loss"] for _, _, logs in calls] == net.history.val_loss


def test_a_callback_that_returns_true_ends_the_fit():
    called = []
    net = small_net()
    stop = [lambda model, epoch, logs: epoch == 2, lambda model, epoch, logs: called.append(epoch)]
    assert len(net.fit(*data(), "mse", epochs=10, callbacks=stop)) == 3
    assert called == [0, 1, 2]
    assert len(net.fit(*data(), "mse", epochs=4, callbacks=[lambda *_: "not True"])) == 4


def test_a_callback_may_change_the_learning_rate():
    x, t = data()
    scheduled, by_hand = small_net(), small_net()

    def halve(model, epoch, logs):
        model.optimizer.lr /= 2

    options = {"batch_size": 8, "shuffle": False}
    scheduled.fit(x, t, "mse", SGD(0.1, momentum=0.9), epochs=3, callbacks=[halve], **options)
    optimizer = SGD(0.1, momentum=0.9)
    for lr in (0.1, 0.05, 0.025):
        optimizer.lr = lr
        by_hand.fit(x, t, "mse", optimizer, epochs=1, **options)
    assert same_bits(scheduled.params, by_hand.params)


@pytest.mark.parametrize("rows", [21, 3000], ids=["few rows", "many rows"])
def test_a_callback_may_fit_the_same_model_on_other_data(rows):
    """With a learning rate of 0, which changes no parameter."""
    (x, t), (other_x, other_t) = data(rows=rows), data(rows=rows, seed=1)
    plain, nested = small_net(), small_net()

    def fit_in_between(model, epoch, logs):
        model.optimizer.lr = 0
        model.fit(other_x, other_t, epochs=2, batch_size=8)
        model.optimizer.lr = 0.1

    plain.fit(x, t, "mse", SGD(0.1), epochs=1, batch_size=8)
    nested.fit(x, t, "mse", SGD(0.1), epochs=1, batch_size=8)
    plain.fit(x, t, epochs=4, batch_size=8)
    history = nested.fit(x, t, epochs=4, batch_size=8, callbacks=[fit_in_between])
    assert len(history) == 4
    assert nested.history is history
    assert same_bits(nested.params, plain.params)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("name", ["mse", "softmax-labels"])
def test_fits_on_few_data_follow_the_data(name, shuffle):
    """Few rows are copied to a place where those of the last fit were: what a fit sees are its own."""
    task = TASK[name]
    few, many = (small_net("tanh", task) for _ in range(2))
    optimizers = SGD(0.1), SGD(0.1)
    for seed, rows in enumerate((12, 12, 7, 12, 12)):
        x, t = data(task, rows=rows, seed=seed)
        weight = np.linspace(0, 1, rows) if seed % 2 else None
        few.fit(x, t, task.loss() if seed == 0 else None, optimizers[0], 2, 5, shuffle, sample_weight=weight)
        many._trainer._training = None  # nothing recorded is left
        many.fit(x, t, task.loss() if seed == 0 else None, optimizers[1], 2, 5, shuffle, sample_weight=weight)
        x[...] = np.nan  # not read any more
        assert same_bits(few.params, many.params)
        assert few.history.loss == many.history.loss


def test_early_stopping_returns_to_the_best_parameters():
    """The validation loss falls while w rises towards 3, and rises again when it moves on towards 9."""
    net = Model([Dense(1, bias=False, weight_initializer="zeros")], dtype="float64")
    stopping, seen = EarlyStopping(patience=3), []
    history = net.fit(
        [[1.0]], [9.0], "mse", SGD(0.05), epochs=100, validation_data=([[1.0]], [3.0]),
        callbacks=[lambda model, epoch, logs: seen.append(model.params[0]), stopping],
    )  # fmt: skip
    best = int(np.argmin(history.val_loss))
    assert 0 < best < 10
    assert len(history) == best + 1 + 3
    assert (stopping.best_epoch, stopping.best) == (best, min(history.val_loss))
    assert net.params[0] == seen[best]
    again = net.fit([[1.0]], [9.0], epochs=100, validation_data=([[1.0]], [3.0]), callbacks=[stopping])
    assert len(again) < 100


def test_early_stopping_without_validation_looks_at_the_training_loss():
    """At the end of each epoch: that of the parameters which it may return to."""
    x, t = data()
    net = small_net()
    history = net.fit(x, t, "mse", SGD(0.01), epochs=3, batch_size=8, callbacks=[EarlyStopping(5)])
    assert history.loss[-1] == net.evaluate(x, t)["loss"]
    history = small_net().fit(x, t, "mse", SGD(0), epochs=100, shuffle=False, callbacks=[EarlyStopping(patience=4)])
    assert len(history) == 5
    history = small_net().fit(x, t, "mse", SGD(1e-5), epochs=20, callbacks=[EarlyStopping(2, min_delta=1.0)])
    assert len(history) == 3
    with pytest.raises(ValueError, match="EarlyStopping: patience is 0, expected a whole number >= 1"):
        EarlyStopping(patience=0)


# Progress


def test_nothing_is_written_where_there_is_no_terminal(capfd):
    small_net().fit(*data(), "mse", epochs=3)
    small_net().fit(*data(), "mse", epochs=3, verbose=False)
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("with_tqdm", [True, False], ids=["tqdm", "plain"])
def test_progress_is_shown_on_a_terminal(with_tqdm, monkeypatch):
    if with_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    history = small_net().fit(*data(), "mse", epochs=30)
    text = sys.stderr.getvalue()
    assert "30/30" in text
    assert f"loss {history.loss[-1]:.4g}" in text
    assert text.count("\n") <= 1


# Interruptions and errors


@pytest.fixture
def ctrl_c():
    """Python's own handler, also where whoever started the tests ignores SIGINT, as nohup and some services do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield _thread.interrupt_main
    signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@pytest.mark.parametrize("callbacks", [[], [lambda *_: None]], ids=["", "callbacks"])
@pytest.mark.parametrize("layer", [None, Scale], ids=["kernels", "numpy"])
def test_ctrl_c_ends_a_fit_within_100_ms(layer, callbacks, ctrl_c):
    x, t = data(rows=200)
    net = Model([Dense(30, "tanh"), *([layer()] if layer else []), Dense(OUTPUTS)], seed=0)
    short = net.fit(x, t, "mse", SGD(1e-4), epochs=50, callbacks=callbacks)
    epochs = int(30 * 50 / short.seconds)  # without an interruption, a fit of about 30 seconds
    delays, shares, sent = [], [], []

    def interrupt():
        sent.append(time.perf_counter())
        ctrl_c()

    def fit_while(timer):
        timer.start()
        net.fit(x, t, epochs=epochs, callbacks=callbacks)

    for _ in range(3):  # the best of three: another program may hold the processor at one moment
        timer = threading.Timer(0.2, interrupt)
        begin = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            fit_while(timer)
        end = time.perf_counter()
        timer.join()
        delays.append(end - sent[-1])
        shares.append(net.history.seconds / (end - begin))
        assert 0 < len(net.history) < epochs
        assert np.isfinite(net.history.loss).all()
    assert min(delays) < 0.1
    assert 0.5 < max(shares) <= 1
    assert_usable(net, x, t)


def assert_usable(net, x, t):
    assert np.isfinite(net.params).all()
    assert np.isfinite(net.predict(x)).all()
    memory_of(net).clear() if isinstance(net.optimizer, SignSGD) else None
    assert len(net.fit(x, t, "mse", SGD(1e-3), epochs=3)) == 3


class Failing:
    """Mixed into a part of a net: raises where it is told to, in the third call."""

    calls = 0
    armed = True

    def tick(self):
        self.calls += 1
        if self.armed and self.calls == 3:
            self.armed = False
            raise ZeroDivisionError(f"in {type(self).__name__}")


class FailingForward(Failing, Layer):
    def forward(self, x):
        self.tick()
        return x

    def backward(self, dy):
        return dy


class FailingBackward(Failing, Layer):
    def forward(self, x):
        return x

    def backward(self, dy):
        self.tick()
        return dy


class FailingLoss(Failing, Loss):
    def value_and_grad(self, y, t):
        self.tick()
        return MSE().value_and_grad(y, t)


class FailingOptimizer(Failing, Optimizer):
    def update(self, params, grads):
        self.tick()
        params -= self.lr * grads


class FailingCallback(Failing):
    def __call__(self, model, epoch, logs):
        self.tick()


@pytest.mark.parametrize("kind", [FailingForward, FailingBackward, FailingLoss, FailingOptimizer, FailingCallback])
def test_an_error_in_a_users_own_part_comes_out_and_leaves_the_model_usable(kind):
    x, t = data()
    part = kind()
    net = Model([Dense(5), *([part] if isinstance(part, Layer) else []), Dense(OUTPUTS)], seed=0)
    with pytest.raises(ZeroDivisionError, match=f"in {kind.__name__}"):
        net.fit(
            x, t, part if isinstance(part, Loss) else "mse", part if isinstance(part, Optimizer) else SGD(0.01),
            epochs=4, batch_size=None, callbacks=[part] if isinstance(part, FailingCallback) else [],
        )  # fmt: skip
    assert part.calls == 3
    assert len(net.history) == (3 if kind is FailingCallback else 2)
    assert_usable(net, x, t)


def test_an_error_tells_where_it_was_raised():
    net = Model([FailingForward(), Dense(OUTPUTS)], seed=0)
    with pytest.raises(ZeroDivisionError) as caught:
        net.fit(*data(), "mse", epochs=4)
    assert caught.traceback[-1].name == "tick"
    assert caught.traceback[-2].name == "forward"


@pytest.mark.parametrize("callbacks", [[], [lambda *_: None]], ids=["", "callbacks"])
def test_a_loss_that_is_not_finite_ends_the_fit(callbacks):
    """The weight grows by a factor of 9 per step: in the third epoch, or later, its square is too large for float32."""
    net = Model([Dense(1, bias=False, weight_initializer="ones")], dtype="float32")
    with pytest.raises(FloatingPointError) as caught:
        net.fit(np.ones((3, 1)), np.zeros(3), "mse", SGD(5.0), epochs=100, batch_size=1, callbacks=callbacks)
    assert f"the loss became inf in epoch {len(net.history) + 1}, batch" in str(caught.value)
    assert "the parameters are again those from before this fit" in str(caught.value)
    assert "lower the learning rate (now 5; try 0.5)" in str(caught.value)
    assert len(net.history) >= 2
    assert net.params[0] == 1
    assert_usable(net, np.ones((3, 1)), np.zeros(3))


def test_a_batch_whose_loss_is_not_finite_says_so():
    net = Model([Dense(1, bias=False, weight_initializer="ones")], dtype="float32").build(1)
    net.params[...] = 1e30
    with pytest.raises(FloatingPointError, match=r"the loss became inf, .*lower the learning rate"):
        net.train_batch([[1.0]], [0.0], loss="mse", optimizer=SGD(0.1))
    assert net.params[0] == np.float32(1e30)


@pytest.mark.parametrize("epochs", [1, 2], ids=["in the last step", "before the last step"])
def test_parameters_stay_finite_where_a_gradient_overflows(epochs):
    """The loss is finite, and its gradient with respect to the first weights is not."""
    large = {"bias": False, "weight_initializer": lambda shape, rng: np.full(shape, 1e13)}
    net = Model([Dense(4, **large), Dense(4, **large), Dense(4, **large), Dense(1, **large)], dtype="float32")
    before = net.build(3).params.copy()
    with pytest.raises(FloatingPointError, match="again those from before this fit"):
        net.fit(np.full((2, 3), 1e-36), np.zeros(2), "mae", SGD(1.0, momentum=0.5), epochs=epochs)
    assert same_bits(net.params, before)
    assert not memory_of(net)


def turns_of_another_thread(function):
    """How long a call took, and how often another thread, which wants a turn every ms, had one in the middle of it."""
    stop, turns = threading.Event(), []

    def count():
        while not stop.is_set():
            turns.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begin = time.perf_counter()
    function()
    end = time.perf_counter()
    stop.set()
    thread.join()
    quarter = (end - begin) / 4
    return end - begin, sum(begin + quarter < turn < end - quarter for turn in turns)


def test_other_threads_run_during_a_fit():
    """During a single epoch, which is a single call: Python could change threads between two of them."""
    net, rows, seconds = Model([Dense(200, "tanh"), Dense(OUTPUTS)], seed=0), 10_000, 0
    while seconds < 0.3:
        rows *= 2
        x, t = data(rows=rows)
        x, t = x.astype(np.float32), t.astype(np.float32)
        net.fit(x[:1], t[:1], "mse", SGD(1e-4), epochs=1, batch_size=8)
        seconds, turns = turns_of_another_thread(lambda x=x, t=t: net.fit(x, t, epochs=1, batch_size=8))
    assert turns >= 10


def test_turns_of_another_thread_are_none_where_the_gil_is_held():
    """What the test above relies on: sum and range are C code that never lets go of the GIL."""
    seconds, turns, n = 0, 0, 1_000_000
    while seconds < 0.3:
        n *= 2
        seconds, turns = turns_of_another_thread(lambda n=n: sum(range(n)))
    assert turns == 0


def test_models_train_in_threads_of_their_own():
    x, t = data(rows=200)
    alone, *nets = (small_net(seed=0) for _ in range(3))
    alone.fit(x, t, "mse", SGD(0.01), epochs=50)
    threads = [threading.Thread(target=net.fit, args=(x, t, "mse", SGD(0.01), 50)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(net.params, alone.params) for net in nets)


# Copies

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda net: pickle.loads(pickle.dumps(net))}


@pytest.mark.parametrize("built", [True, False], ids=["trained", "not built"])
@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_of_a_model_trains_like_the_model(duplicate, built):
    x, t = data()
    net = small_net(dtype="float32")
    if built:
        net.fit(x, t, "mse", OPTIMIZERS["adam"](), epochs=2)
        net.forward(x)
    other = COPIES[duplicate](net)
    options = {} if built else {"loss": "mse", "optimizer": "adam"}
    for model in (net, other):
        model.fit(x, t, epochs=3, **options)
    assert same_bits(net.params, other.params)
    assert net.history.loss == other.history.loss
    assert same_bits(net.predict(x), other.predict(x))
    assert not np.shares_memory(net.params, other.params)
    for layer in other.layers:
        for name in layer.parameters:
            assert np.shares_memory(getattr(layer, name), other.params)
            assert np.shares_memory(getattr(layer, "d" + name), other.grads)
    other.layers[0].w[...] = 7
    assert (other.params[: other.layers[0].w.size] == 7).all()
    assert not (net.params == 7).any()


# Memory


def peak_of_fit(x, t, batch_size, **options):
    """The most memory, in bytes, that Python and NumPy hold at any time of a fit."""
    nets = [small_net() for _ in range(3)]
    for net in nets:
        net.fit(x[:4], t[:4], "mse", SGD(1e-4), epochs=1)
    return peak_of(lambda: nets.pop().fit(x, t, epochs=1, batch_size=batch_size, **options), len(nets))


def test_no_memory_is_left_behind_per_batch():
    x, t = data(rows=4000)
    assert peak_of_fit(x, t, 1) <= peak_of_fit(x, t, 40)


def calls_of_fit(net, n_batches):
    """Which functions, of Python and of C, Python calls during a fit, and how often."""
    x, t = data(rows=8 * n_batches)
    calls = Counter()

    def count(frame, event, argument):
        if event in ("call", "c_call"):
            calls[frame.f_code.co_name if event == "call" else argument.__name__] += 1

    net.fit(x[:8], t[:8], "mse", SGD(1e-4), epochs=1, batch_size=8)
    sys.setprofile(count)
    try:
        net.fit(x, t, epochs=1, batch_size=8)
    finally:
        sys.setprofile(None)
    return calls


def test_no_python_runs_per_batch():
    few, many = calls_of_fit(small_net(), 100), calls_of_fit(small_net(), 1000)  # both more than are copied in one go
    assert few == many
    assert few["fit"] == 2  # of the model, and of its trainer


def test_python_that_runs_per_batch_is_seen():
    """What the test above relies on."""
    net = Model([Dense(5), Scale(), Dense(OUTPUTS)], seed=0)
    assert calls_of_fit(net, 1000)["backward"] == 1000


def test_nothing_is_allocated_per_epoch_but_its_loss():
    x, t = data(rows=10)
    net = small_net()
    net.fit(x, t, "mse", SGD(1e-4), epochs=1)
    peaks = [peak_of(lambda n=epochs: net.fit(x, t, epochs=n)) for epochs in (10, 10010)]
    assert peaks[1] - peaks[0] < 100 * 10000


def test_data_of_the_right_dtype_are_not_copied():
    x, t = data(rows=40000)
    assert peak_of_fit(x, t, 8, shuffle=False) < x.nbytes
    wide = np.random.default_rng(0).normal(size=(40000, 8))
    assert peak_of_fit(wide[:, ::2], t, 8, shuffle=False) < x.nbytes


# To look at


def test_summary(capsys):
    net = Model([Dense(64, "relu"), Dense(10), *TASK["softmax-labels"].end()], seed=0)
    net.summary()
    assert "not built yet, float32" in capsys.readouterr().out
    net.build(784).summary()
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()[2:5]] == ["1", "2", "3"]
    assert text.splitlines()[2].split()[-2:] == ["50,240", "50,176"]  # parameters, multiply-adds
    assert "Dense(64, 'relu')" in text
    assert "(rows, 64)" in text
    assert "50,240" in text
    assert "784 inputs, 50,890 parameters, float32" in text.splitlines()
    assert str(net) == "<Model: Dense(64, 'relu'), Dense(10), Softmax(); 784 inputs, 50,890 parameters, float32>"


def test_what_a_model_does_not_know_yet():
    net = small_net()
    assert (net.built, net.n_in, net.n_out) == (False, 0, 0)
    for name in ("params", "grads", "n_parameters"):
        with pytest.raises(RuntimeError, match="no parameters yet: call build"):
            getattr(net, name)
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        net.backward(np.ones((1, 3)))
    assert net.build(4) is net
    assert (net.built, net.n_in, net.n_out) == (True, 4, OUTPUTS)
    assert net.build(4) is net


# Bits


@pytest.mark.filterwarnings("ignore:y has mean")  # it is far from unit scale
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 5, 5), (40, 9, 3), (64, 40, 32), (256, 40, 5), (30, 200, 64)], ids=str)
def test_a_fit_by_plain_sgd_takes_the_steps_of_train_batch_where_gradients_vanish(sizes, dtype):
    rows, n_in, n_out = sizes
    rng, least = np.random.default_rng(0), float(np.finfo(dtype).smallest_normal)
    x, t = rng.uniform(0.5, 1.5, (rows, n_in)), least * rng.uniform(-1, 1, (rows, n_out))
    nets = [Model([Dense(n_out)], seed=0, dtype=dtype).build(n_in) for _ in range(2)]
    for net in nets:
        net.params *= least
    nets[0].fit(x, t, MSE(), SGD(1.0), epochs=1, batch_size=None, shuffle=False)
    nets[1].train_batch(x, t, loss=MSE(), optimizer=SGD(1.0))
    assert same_bits(nets[0].params, nets[1].params)
