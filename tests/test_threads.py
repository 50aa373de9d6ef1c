"""Threads: the same bits for any number, and nothing that hangs, leaks or slows down what is small."""

import _thread
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
from nets import DTYPES, each_dtype, memory_of, same_bits

from fastnn import (
    SGD,
    Adam,
    Dense,
    EarlyStopping,
    Layer,
    Model,
    fit_many,
    threads,
    to_c,
    to_numpy_source,
    to_onnx,
    to_sklearn,
    to_torch,
)
from fastnn._core.tape import Tape, run_epochs
from fastnn._core.team import Team, most_threads

OPTIMIZERS = {"plain": lambda: SGD(0.01), "momentum": lambda: SGD(0.01, momentum=0.9), "adam": lambda: Adam(0.001)}
BY_ANOTHER = (
    "the model is being trained by another thread: wait for that, or give each thread a copy of its own beforehand "
    "(copy.deepcopy)"
)
TASKS = Path("/proc/self/task")


def alive():
    """Which threads the process has, whoever has started them."""
    return {task.name for task in TASKS.iterdir()} if TASKS.exists() else {task.ident for task in threading.enumerate()}


def are_new(count, before):
    """Wait until there are so many threads more: the system knows of an end a moment after a thread has said it."""
    deadline = time.perf_counter() + 30
    while len(alive() - before) != count and time.perf_counter() < deadline:
        time.sleep(0.01)
    return len(alive() - before) == count


def wide_net(dtype="float32", seed=0):
    """So wide that its steps are divided, in rows and in columns, with tails in both."""
    return Model([Dense(301, "relu"), Dense(197, "tanh"), Dense(10, "softmax")], seed=seed, dtype=dtype)


def wide_data(rows=500):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 203)).astype(np.float32), rng.integers(0, 10, rows)


def trained(n_threads, optimizer=OPTIMIZERS["plain"], dtype="float32", batch_size=128):
    net = wide_net(dtype)
    net.fit(*wide_data(), optimizer=optimizer(), epochs=2, batch_size=batch_size, n_threads=n_threads)
    return net


@each_dtype
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_number_of_threads_trains_to_the_same_bits(optimizer, dtype):
    one = trained(1, OPTIMIZERS[optimizer], dtype)
    for n_threads in (2, 3, 4, None):
        other = trained(n_threads, OPTIMIZERS[optimizer], dtype)
        assert same_bits(other.params, one.params)
        assert other.history.loss == one.history.loss
        assert all(same_bits(array, memory_of(one)[name]) for name, array in memory_of(other).items())


def test_large_batches_train_to_the_same_bits():
    """Beyond the rows for which plain SGD's step is fused into the products."""
    assert same_bits(trained(3, batch_size=400).params, trained(1, batch_size=400).params)


@each_dtype
def test_any_number_of_threads_predicts_the_same_bits(dtype):
    net, x = wide_net(dtype), wide_data(3000)[0]
    one = net.predict(x, n_threads=1)
    for n_threads in (2, 3, 4, None):
        assert same_bits(net.predict(x, n_threads=n_threads), one)
        assert same_bits(net.predict(x, batch_size=17, n_threads=n_threads), one)


def test_steps_are_divided_where_it_is_worth_it():
    """Else the tests above show nothing, and small nets pay for threads."""
    net, (x, t) = wide_net(), wide_data()
    training, (x, t, *_) = net._trainer.ready(x, t, None, None, None)
    assert training.plan(128, t, False).recorded(128, training.step)[1].chunks >= 8
    small = Model([Dense(8, "relu"), Dense(2, "softmax")], seed=0)
    training, (x, t, *_) = small._trainer.ready(x[:, :4], t % 2, None, None, None)
    assert training.plan(32, t, False).recorded(32, training.step)[1].chunks == 0


def test_small_nets_start_no_threads(monkeypatch):
    started = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda *given: started.append(given))
    net = Model([Dense(8, "relu"), Dense(2, "softmax")], seed=0)
    x, t = wide_data(100)
    net.fit(x, t % 2, epochs=20, n_threads=4, verbose=False)
    net.fit(x, t % 2, epochs=20, verbose=False)
    net.predict(x[:20])
    assert not started


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", most_threads + 1])
def test_wrong_numbers_of_threads_are_refused(wrong):
    net, (x, t) = wide_net(), wide_data()
    for call in (lambda: net.fit(x, t, n_threads=wrong), lambda: net.predict(x, n_threads=wrong)):
        with pytest.raises((ValueError, TypeError), match="n_threads"):
            call()
    with pytest.raises((ValueError, TypeError), match="n_threads"):
        fit_many([net], x, t, n_threads=wrong)


# The team


def test_a_team_ends_with_its_block():
    before = alive()
    with Team(4):
        assert are_new(3, before)
    assert are_new(0, before)
    with pytest.raises(ZeroDivisionError), Team(3):
        raise ZeroDivisionError
    assert are_new(0, before)


def test_a_team_begins_once():
    with Team(2) as team, pytest.raises(RuntimeError, match="at work already"), team:
        pass
    with pytest.raises(RuntimeError, match="ended"), team:
        pass


@pytest.mark.parametrize("wrong", [0, -1, most_threads + 1])
def test_wrong_sizes_of_teams_are_refused(wrong):
    with pytest.raises(ValueError, match="n_threads"):
        Team(wrong)


def test_a_team_wakes_up_again():
    """Members sleep after some milliseconds without work."""
    net, (x, t) = wide_net(), wide_data()
    training, (x, t, *_) = net._trainer.ready(x, t, None, None, None)
    tape = training.plan(128, t, False).recorded(128, training.step)[1]
    with Team(3, divide_all=True) as team:
        for _ in range(10):
            tape.replay(team=team)
            time.sleep(0.02)


def test_what_a_step_reports_to_another_thread_is_raised():
    """A gather that finds its index changed fails in whichever thread computes it."""
    from fastnn import kernels

    x, index, cursor = np.ones((4000, 8), np.float32), np.arange(4000), np.zeros(1, np.int64)
    y, tape = np.empty((4000, 8), np.float32), Tape()
    kernels.float32.gather_rows(x, index, cursor, y, tape)
    index[3999] = 4000
    with Team(4, divide_all=True) as team:
        for _ in range(20):
            with pytest.raises(IndexError, match="chooses rows"):
                tape.replay(team=team)


# What surrounds a fit


def test_two_fits_at_once():
    nets, expected = [wide_net() for _ in range(4)], trained(1)
    x, t = wide_data()

    def fit(net):
        net.fit(x, t, optimizer=SGD(0.01), epochs=2, batch_size=128, n_threads=2, verbose=False)

    callers = [threading.Thread(target=fit, args=(net,)) for net in nets]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(same_bits(net.params, expected.params) for net in nets)


class Fails(Layer):
    """Passes on what it gets, three times."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls > 3:
            raise ZeroDivisionError("the fourth time")
        return x

    def backward(self, dy):
        return dy


def test_an_error_in_a_numpy_layer_leaves_the_parameters_of_whole_batches():
    """Also with plain SGD, whose steps are otherwise taken in backward."""

    class FailsBackward(Layer):
        def forward(self, x):
            return x

        def backward(self, dy):
            raise ZeroDivisionError

    net, (x, t) = Model([Dense(30), FailsBackward(), Dense(10, "softmax")], seed=0).build(203), wide_data()
    before = net.params.copy()
    with pytest.raises(ZeroDivisionError):
        net.fit(x, t, optimizer=SGD(0.1), batch_size=100)
    assert same_bits(net.params, before)


def test_an_error_in_a_numpy_layer_ends_all_threads():
    before = alive()
    net, (x, t) = Model([Dense(301, "relu"), Fails(), Dense(197), Dense(10, "softmax")], seed=0), wide_data()
    with pytest.raises(ZeroDivisionError, match="fourth"):
        net.fit(x, t, batch_size=128, epochs=5, n_threads=3, verbose=False)
    assert are_new(0, before)


def run(script, timeout=60):
    return subprocess.run(
        [sys.executable, "-c", script], timeout=timeout, check=False, capture_output=True, text=True, cwd=os.getcwd()
    )


PREPARE = """
import _thread, os, signal, sys, threading, time
import numpy as np
from pathlib import Path
from fastnn import Model, Dense, SGD, threads
rng = np.random.default_rng(0)
x, t = rng.normal(size=(500, 203)).astype("f"), rng.integers(0, 10, 500)
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where who started the tests ignores it
def net(): return Model([Dense(301, "relu"), Dense(197, "tanh"), Dense(10, "softmax")], seed=0)
def fit(model): model.fit(x, t, optimizer=SGD(0.01), epochs=2, batch_size=128, n_threads=2, verbose=False)
def interrupt():    # a signal wakes the main thread also where it waits
    if hasattr(signal, "pthread_kill"): signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else: _thread.interrupt_main()
def interrupt_in(seconds):
    sent = []
    def send():
        time.sleep(seconds)
        sent.append(time.perf_counter())
        interrupt()
    threading.Thread(target=send, daemon=True).start()
    return sent
def tasks(): return len(list(Path("/proc/self/task").iterdir())) if Path("/proc/self/task").exists() else 1
def ended(before):  # the system knows of it a moment after a thread has said that it ends
    for _ in range(1000):
        if tasks() <= before: return True
        time.sleep(0.01)
    return False
"""


if hasattr(os, "fork"):  # a system without it has nothing to break here
    FORK = """
def exit_code_of_child(function):   # 1 where it raises
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(30)
        try:
            code = 0 if function() else 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

    def test_a_child_that_is_forked_in_a_callback_goes_on_with_the_fit_in_a_subprocess():
        """Alone: the threads that help do not exist there. Its bits are the same, and so are those of another fit."""
        script = """
expected, model = net(), net()
fit(expected)
code = []
def callback(model, epoch, logs):
    if epoch == 0:
        code.append(os.fork())
        if code[0] == 0:
            signal.alarm(30)
try:
    model.fit(x, t, optimizer=SGD(0.01), epochs=2, batch_size=128, n_threads=2, verbose=False, callbacks=[callback])
    same = (model.params == expected.params).all()
    fit(model), fit(expected)
    same = same and (model.params == expected.params).all()
finally:
    if code[0] == 0:
        os._exit(0 if same else 3)
print(os.waitstatus_to_exitcode(os.waitpid(code[0], 0)[1]), same)
"""
        result = run(PREPARE + script)
        assert result.stdout.split() == ["0", "True"], result.stderr

    def test_a_child_that_is_forked_within_a_replay_goes_on_with_it_in_a_subprocess():
        script = """
from fastnn import Tape, kernels
from fastnn._core.team import Team
k, tape, children = kernels.float32, Tape(), []
x, y, z = (np.ones((4000, 50), "f") for _ in range(3))
k.relu_forward(x, y, tape)
tape.call(lambda: children.append(os.fork()))
k.tanh_forward(y, z, tape)
with Team(3, divide_all=True) as team:
    tape.replay(team=team)
    if children[0] == 0:
        signal.alarm(30)
    right = (z == z[0, 0]).all() and z[0, 0] == np.tanh(np.float32(1))
    tape.replay(0, 1, team=team)
if children[0] == 0:
    os._exit(0 if right else 3)
print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
"""
        result = run(PREPARE + script)
        assert result.stdout.split() == ["0"], result.stderr

    def test_a_child_is_free_to_replay_what_another_thread_was_replaying_in_a_subprocess():
        """What the thread replays that has forked, it still replays there."""
        script = """
from fastnn import Tape
inside, done, first, second = threading.Event(), threading.Event(), Tape(), Tape()
def wait():
    inside.set()
    done.wait()
def is_free(tape):
    try:
        tape.replay(0, 0)
        tape.call(int)
        return True
    except RuntimeError as error:
        return "being replayed" not in str(error)
first.call(wait)
thread = threading.Thread(target=first.replay)
thread.start()
inside.wait()
print(is_free(first), exit_code_of_child(lambda: is_free(first)))
second.call(lambda: print(is_free(second), exit_code_of_child(lambda: not is_free(second) and is_free(first))))
second.replay()
done.set()
thread.join()
print(is_free(first))
"""
        result = run(PREPARE + FORK + script)
        assert result.stdout.split() == ["False", "0", "False", "0", "True"], result.stderr

    def test_a_child_predicts_with_a_model_that_another_thread_uses_in_a_subprocess():
        """Of one row, too, whose recording one thread at a time may use."""
        script = """
model = Model([Dense(700, "relu"), Dense(700, "relu"), Dense(10, "softmax")], seed=0)
model.build(203)
few, one = model.predict(x), model.predict_one(x[0])
done = threading.Event()
def use():
    while not done.is_set():
        model.predict_one(x[0])
        model.predict(x, n_threads=2)
thread = threading.Thread(target=use)
thread.start()
def child():
    return (model.predict(x) == few).all() and (model.predict_one(x[0]) == one).all()
codes = [exit_code_of_child(child) for _ in range(20)]
done.set()
thread.join()
print(set(codes))
"""
        result = run(PREPARE + FORK + script)
        assert result.stdout.split() == ["{0}"], result.stderr

    def test_fork_after_fit_in_a_subprocess():
        script = """
first = net(); fit(first)
child = os.fork()
if child == 0:
    second = net(); fit(second)
    os._exit(0 if (second.params == first.params).all() else 3)
fit(net())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
        result = run(PREPARE + script)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("batch_size", [32, None])
def test_ctrl_c_interrupts_within_a_tenth_of_a_second_in_a_subprocess(n_threads, batch_size):
    """Also a single batch that takes much longer; its parameters are then those from before it."""
    script = f"""
rng = np.random.default_rng(0)
x, t = rng.normal(size=(60_000, 300)).astype("f"), rng.integers(0, 10, 60_000)
model = Model([Dense(700, "relu"), Dense(700, "relu"), Dense(10, "softmax")], seed=0).build(300)
start = model.params.copy()
sent = interrupt_in(1.0)
try:
    model.fit(x, t, optimizer=SGD(0.001), epochs=10_000, batch_size={batch_size}, n_threads={n_threads}, verbose=False)
except KeyboardInterrupt:
    whole = len(model.history) > 0 or (model.params == start).all()
    print(time.perf_counter() - sent[0], np.isfinite(model.params).all(), whole)
"""
    outputs = [run(PREPARE + script).stdout.split() for _ in range(2)]
    assert min(float(delay) for delay, *_ in outputs) < 0.1  # the better one: a machine does other things, too
    for _, finite, whole in outputs:
        assert finite == "True"
        assert batch_size is not None or whole == "True"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_is_heard_within_the_first_layer_of_a_prediction_in_a_subprocess(n_threads):
    """It takes much longer than a tenth of a second, and reads the rows where they lie."""
    script = f"""
x = np.ones((12_000, 2048), "f")
model = Model([Dense(2048, "relu"), Dense(4)], seed=0).build(2048)
sent = interrupt_in(0.1)
try:
    while True:
        model.predict(x, batch_size={12_000 // n_threads}, n_threads={n_threads})
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
"""
    assert min(float(run(PREPARE + script).stdout) for _ in range(2)) < 0.1


LONG_CALLS = {
    "dense_forward": "k.dense_forward(x, w, None, y, 'tanh')",
    "dense_backward": "k.dense_backward(x, w, y, dx, dw, None)",
    "elementwise": "k.gelu_forward(z, dz)",
    "permutation": "permutation(10_000_000, 0, 0)",
    "shuffling": "run_epochs(Tape(), Tape(), None, None, index, *cells, len(index), True, 0, 0, np.empty(1))",
}


@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c_is_heard_within_long_eager_calls_in_a_subprocess(call):
    """They take much longer than a tenth of a second."""
    script = f"""
from fastnn import Tape, kernels
from fastnn._core.tape import permutation, run_epochs
k, n = kernels.float32, 1500
if {call!r}.startswith("dense"):
    x, w, y, dx, dw = (np.ones(shape, "f") for shape in ((9000, n), (n, n), (9000, n), (9000, n), (n, n)))
elif {call!r} == "elementwise":
    z, dz = np.ones((2, 20_000, 2_000), "f")
index, cells = np.arange(30_000_000), (np.zeros(1, np.int64), np.zeros(1))
sent = interrupt_in(0.1)
try:
    while True:
        {LONG_CALLS[call]}
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
"""
    assert min(float(run(PREPARE + script).stdout) for _ in range(3)) < 0.1


if hasattr(signal, "pthread_kill"):  # elsewhere a wait cannot be interrupted from within the process

    def test_ctrl_c_while_one_waits_for_the_others_ends_them_in_a_subprocess():
        script = """
stop = threading.Event()
def work():
    if threading.current_thread() is not threading.main_thread():
        stop.wait(50)
sent = interrupt_in(0.3)
try:
    threads.together(3, work, stop)
except KeyboardInterrupt:
    print("ended", stop.is_set(), time.perf_counter() - sent[0] < 30)
"""
        assert run(PREPARE + script).stdout.split() == ["ended", "True", "True"]


def test_epochs_do_not_ask_for_the_gil_while_no_signal_is_due():
    """Where they ask for it, they also ask what could stop them."""

    class CountsLooks:
        looks = 0

        def is_set(self):
            self.looks += 1
            return False

    stop, losses = CountsLooks(), np.empty(20)
    given = Tape(), Tape(), None, None, np.arange(60_000), np.zeros(1, np.int64), np.zeros(1)
    begin = time.perf_counter()
    run_epochs(*given, 1, False, 0, 0, losses, None, stop)
    seconds = time.perf_counter() - begin
    assert stop.looks <= seconds / 0.01 + 1  # however slow this machine is; a look at each clock would be a million


if hasattr(os, "sched_setaffinity"):  # elsewhere a process may use all processors

    def test_threads_are_as_many_as_the_process_may_use_in_a_subprocess():
        script = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(threads.available())"
        assert run(PREPARE + script).stdout.strip() == "1"


def test_an_environment_variable_bounds_the_threads(monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "1")
    assert threads.available() == 1
    pickled = pickle.dumps(Model([Dense(1)]).build(2))
    monkeypatch.setenv("FASTNN_NUM_THREADS", "many")
    for make in (lambda: Model([Dense(1)]), lambda: pickle.loads(pickled)):  # not only where there is enough work
        with pytest.raises(ValueError, match="FASTNN_NUM_THREADS is 'many', expected a whole number"):
            make()
    with pytest.raises(ValueError, match="FASTNN_NUM_THREADS is 'many', expected a whole number"):
        threads.available()


@pytest.mark.parametrize(
    ("openmp", "ours", "expected"),
    [
        ("1", None, 1),
        (" 1 ", None, 1),
        ("1,8", None, 1),  # for each level of nested regions
        ("1000", None, 3),
        ("2,1", None, 2),
        ("1", "2", 2),  # the variable of this package counts where it is set
        ("1", "1000", 3),
        ("2", " ", 2),
        ("", None, 3),
        ("0", None, 3),  # what is no number of threads is none of this package's business
        ("-1", None, 3),
        ("many", None, 3),
        (",2", None, 3),
    ],
)
def test_openmp_s_variable_bounds_the_threads_where_there_is_no_other(openmp, ours, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(threads, "_quota", lambda: 4.0)
    monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    monkeypatch.setenv("FASTNN_NUM_THREADS", ours) if ours else monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    assert threads.available() == expected


def test_a_number_that_is_asked_for_is_not_bounded(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads.chosen(2, 100, 100) == 2
    assert threads.chosen(None, 100, 100) == 1


def test_short_steps_stay_on_one_thread(monkeypatch):
    """By default: where another program takes a processor away, they would wait for longer than they take."""
    monkeypatch.setattr(threads, "available", lambda: 2)
    assert threads.chosen(None, 15, 10**6) == 1
    assert threads.chosen(None, 16, 10**6) == 2
    assert threads.chosen(2, 15, 10**6) == 2


LIMITS = """
import os
from concurrent.futures import ThreadPoolExecutor
os.sched_getaffinity = lambda process: {0, 1, 2}
os.environ.pop("FASTNN_NUM_THREADS", None), os.environ.pop("OMP_NUM_THREADS", None)
%s
threads._quota = lambda: 4.0
%s
def seen(): return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastnn"]
def both(): return threads.available(), seen()
found = [both()]
with threadpoolctl.threadpool_limits(2):
    found += [both()]
    with threadpoolctl.threadpool_limits(1, user_api="fastnn"):
        found += [both()]
        with ThreadPoolExecutor() as pool:
            found += [pool.submit(both).result()]
    found += [both()]
for given in ({"limits": 1, "user_api": "blas"}, {"limits": 5}, {"limits": {"fastnn": 1}}):
    with threadpoolctl.threadpool_limits(**given):
        found += [both()]
print(found + [both()])
"""
FIRST = "import threadpoolctl", "from fastnn import Dense, Model, threads"


@pytest.mark.parametrize(
    ("imports", "more"),
    [
        (FIRST, ""),
        (FIRST[::-1], "Model([Dense(2)])"),
        (FIRST[::-1], "threads.available()"),
    ],
    ids=["imported before", "before a model is made", "before a number is chosen"],
)
def test_threadpoolctl_sees_the_threads_and_limits_them_in_a_subprocess(imports, more):
    """A limit is for the thread that sets it; what is given back is no limit."""
    pytest.importorskip("threadpoolctl", minversion="3.2")
    printed = run(LIMITS % ("\n".join(imports), more))
    expected = [3, 2, 1, 3, 2, 3, 3, 1, 3]
    assert printed.stdout.strip() == str([(n, [n]) for n in expected]), printed.stderr


def test_importing_this_package_does_not_import_threadpoolctl_in_a_subprocess():
    script = "import sys; from fastnn import Dense, Model; Model([Dense(1)]); print('threadpoolctl' in sys.modules)"
    assert run(script).stdout.strip() == "False"


def test_a_threadpoolctl_that_cannot_be_told_is_left_alone(monkeypatch):
    """Before 3.2, or while it is being imported."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", types.ModuleType("threadpoolctl"))
    monkeypatch.setattr(threads, "_controllers", [])
    threads.register()
    assert threads.available() >= 1
    assert not threads._controllers


def available_here():
    return threads.available()


def test_workers_of_joblib_use_as_many_threads_as_it_gives_them_in_a_subprocess():
    joblib = pytest.importorskip("joblib")
    for given in (1, 2):
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=given):
            found = joblib.Parallel()(joblib.delayed(available_here)() for _ in range(2))
        assert found == [min(given, available_here())] * 2


def test_a_wrong_environment_variable_leaves_the_model_as_it_was(monkeypatch):
    net, expected = wide_net(), trained(2)
    x, t = wide_data()
    net.fit(x, t, optimizer=SGD(0.01), epochs=2, batch_size=128, n_threads=2)
    history, state = net.history, net.params.copy()
    monkeypatch.setenv("FASTNN_NUM_THREADS", "0")
    with pytest.raises(ValueError, match="FASTNN_NUM_THREADS"):
        net.fit(x, t, optimizer=SGD(0.01), epochs=200, batch_size=128)
    monkeypatch.delenv("FASTNN_NUM_THREADS")
    assert net.history is history
    assert same_bits(net.params, state)
    for model in (net, expected):
        model.fit(x, t, optimizer=SGD(0.01), epochs=1, batch_size=128)
    assert same_bits(net.params, expected.params)


def test_where_no_thread_can_be_started_one_does_the_work(monkeypatch):
    def refuse(*given):
        raise RuntimeError("can't start new thread")

    expected, (x, t) = trained(1), wide_data()
    outputs = expected.predict(x)
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert same_bits(trained(3).params, expected.params)
    assert same_bits(expected.predict(x, n_threads=3), outputs)
    assert len(fit_many([wide_net()], x, t, epochs=1, n_threads=3)) == 1


def test_threads_with_small_stacks_are_not_started():
    before = threading.stack_size(64 * 1024)
    try:
        with Team(3) as team:
            assert team.n_threads == 1
    finally:
        threading.stack_size(before)


def test_another_thread_cannot_train_the_same_model():
    net, (x, t), errors = wide_net(), wide_data(), []

    def fit():
        try:
            net.fit(x, t, epochs=1)
        except RuntimeError as error:
            errors.append(str(error))

    def callback(model, epoch, logs):
        other = threading.Thread(target=fit)
        other.start()
        other.join()
        model.fit(x, t, epochs=1)  # the same thread may

    net.fit(x, t, epochs=1, callbacks=[callback])
    assert errors == [BY_ANOTHER]
    fit()
    assert len(errors) == 1


NEEDS = {"to_onnx": "onnx", "to_sklearn": "sklearn", "to_torch": "torch"}
READERS = {
    "copy.deepcopy": copy.deepcopy,
    "copy.deepcopy of a list": lambda net: copy.deepcopy([net]),
    "copy.copy": copy.copy,
    "pickle": pickle.dumps,
    "pickle, arrays apart": lambda net: pickle.dumps(net, 5, buffer_callback=lambda buffer: False),
    "snapshot": Model.snapshot,
    "save": lambda net: net.save("net.safetensors"),
    "copy_from": lambda net: small_net(1).copy_from(net),
    "soft_update": lambda net: small_net(1).soft_update(net, 0.5),
    "quantize": lambda net: net.quantize(precision="bf16"),
    "to_c": lambda net: to_c(net, "net.c"),
    "to_numpy_source": to_numpy_source,
    "to_onnx": lambda net: to_onnx(net=net),
    "to_sklearn": to_sklearn,
    "to_torch": to_torch,
}


def small_net(seed=0):
    return Model([Dense(40, "relu"), Dense(10, "softmax")], seed=seed).build(203)


def from_another_thread(call, net):
    """Return what another thread is told where it calls this, or None."""
    said = [None]

    def run():
        try:
            call(net)
        except RuntimeError as error:
            said[0] = str(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return said[0]


@pytest.mark.parametrize("reader", READERS)
def test_no_thread_copies_what_another_one_trains(reader, tmp_path, monkeypatch):
    """It would be parts of several states."""
    pytest.importorskip(NEEDS.get(reader, "numpy"))
    call = READERS[reader]
    monkeypatch.chdir(tmp_path)
    (x, t), net, said = wide_data(100), small_net(), []

    def callback(model, epoch, logs):
        said.append(from_another_thread(call, model))
        call(model)  # the same thread may

    net.fit(x, t, epochs=1, callbacks=[callback])
    assert said == [BY_ANOTHER]
    assert from_another_thread(call, net) is None


@pytest.mark.parametrize("export", [to_c, to_numpy_source, to_onnx])
def test_estimators_of_others_are_refused_in_words(export, tmp_path):
    """Theirs may hold anything by the names of ours."""
    ensemble = pytest.importorskip("sklearn.ensemble").GradientBoostingClassifier(n_estimators=2)
    x, t = wide_data(100)
    pytest.importorskip("onnx")
    with pytest.raises(TypeError, match="GradientBoostingClassifier"):
        export(ensemble.fit(x, t), tmp_path / "file")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("n_ensemble", [1, 2])
def test_no_thread_writes_an_estimator_that_another_one_trains(n_ensemble, tmp_path):
    """Also one net of several: all are of one state."""
    estimators = pytest.importorskip("fastnn.sklearn")
    x, t = wide_data(100)
    made = estimators.MLPClassifier((8,), max_iter=2, random_state=0, n_ensemble=n_ensemble)
    made.fit(x, t)
    net = made.net_ if n_ensemble == 1 else made.nets_[-1]
    calls = {
        "save": lambda: made.save(tmp_path / "mlp.safetensors"),
        "to_numpy_source": lambda: to_numpy_source(made),
        "pickle": lambda: pickle.dumps(made),
        "copy.deepcopy": lambda: copy.deepcopy(made),
    }

    def callback(model, epoch, logs):
        for name, call in calls.items():
            assert from_another_thread(lambda _, call=call: call(), model) == BY_ANOTHER, name
            call()

    net.fit(x, t, epochs=1, callbacks=[callback])


def test_a_copy_is_of_one_state_and_shares_what_is_copied_with_it():
    class Own(Model):
        pass

    net = Own([Dense(4), Dense(2)], seed=0).build(3)
    net.fit(np.ones((6, 3)), np.ones((6, 2)), "mse", Adam(0.01), epochs=2)
    twin, optimizer, again = copy.deepcopy((net, net.optimizer, net))
    assert type(twin) is Own
    assert twin is again
    assert twin.optimizer is optimizer is not net.optimizer
    assert same_bits(twin.params, net.params)
    assert not np.shares_memory(twin.params, net.params)
    for one in (net, twin):
        one.fit(np.ones((6, 3)), np.zeros((6, 2)), epochs=2)
    assert same_bits(twin.params, net.params)


@pytest.mark.parametrize(("text", "expected"), [("max 100000", 10**6), ("150000 100000", 1), ("400000 100000", 4)])
def test_the_quota_of_a_container_bounds_the_threads(text, expected, tmp_path):
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert min(int(threads._quota(file)), 10**6) == min(expected, most_threads)
    assert threads._quota(tmp_path / "none") == most_threads


# Many nets


def some_nets(n=5, dtype="float32"):
    return [Model([Dense(17, "relu"), Dense(3, "softmax")], seed=seed, dtype=dtype) for seed in range(n)]


def some_data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(90, 6)), rng.integers(0, 3, 90)


@pytest.mark.parametrize("n_threads", [1, 2, 3, None])
def test_many_nets_have_the_bits_of_single_fits(n_threads):
    x, t = some_data()
    nets, alone = some_nets(), some_nets()
    histories = fit_many(nets, x, t, "cross_entropy", "adam", epochs=4, batch_size=16, n_threads=n_threads)
    for net, single, history in zip(nets, alone, histories, strict=True):
        assert single.fit(x, t, "cross_entropy", "adam", epochs=4, batch_size=16).loss == history.loss
        assert net.history is history
        assert same_bits(net.params, single.params)


def test_many_nets_each_with_their_own_rows_and_settings():
    x, t = some_data()
    folds = [np.arange(90) % 3 != i for i in range(3)]
    each = [{"x": x[rows], "y": t[rows], "optimizer": SGD(0.1 * (i + 1))} for i, rows in enumerate(folds)]
    nets, alone = some_nets(3), some_nets(3)
    fit_many(nets, x, t, epochs=3, each=each, n_threads=2)
    for net, single, own in zip(nets, alone, each, strict=True):
        single.fit(own["x"], own["y"], optimizer=own["optimizer"], epochs=3)
        assert same_bits(net.params, single.params)


def test_many_nets_of_both_dtypes_share_their_data():
    x, t = some_data()
    nets = [Model([Dense(3, "softmax")], seed=0, dtype=dtype) for dtype in DTYPES]
    assert len(fit_many(nets, x, t, epochs=1)) == 2


def test_an_error_of_one_net_names_it_and_the_others_are_trained():
    x, t = some_data()
    nets, alone = some_nets(4), some_nets(4)
    each = [{}, {"sample_weight": [1.0]}, {}, {"y": t[:5]}]
    with pytest.raises(ValueError, match=r"^models\[1\]: sample_weight .* \(also: models\[3\]\)$"):
        fit_many(nets, x, t, epochs=2, each=each, n_threads=2)
    with pytest.raises(ValueError, match=r"^models\[0\]: .* \(also: models\[1\], .*, models\[8\], 3 more\)$"):
        fit_many(some_nets(12), x, t[:5], epochs=2, n_threads=2)
    for i in (0, 2):
        alone[i].fit(x, t, epochs=2)
        assert same_bits(nets[i].params, alone[i].params)


def test_each_net_stops_early_by_itself():
    x, t = some_data()
    stop = EarlyStopping(patience=2)
    nets, alone = some_nets(), some_nets()
    data = {"validation_data": (x[:30], t[:30]), "epochs": 30}
    fit_many(nets, x, t, optimizer=SGD(0.5), callbacks=[stop], n_threads=2, **data)
    for net, single in zip(nets, alone, strict=True):
        single.fit(x, t, optimizer=SGD(0.5), callbacks=[EarlyStopping(patience=2)], **data)
        assert same_bits(net.params, single.params)


def test_models_with_a_layer_in_common_are_refused():
    x, t = some_data()
    layers = [Dense(17, "relu"), Dense(3, "softmax")]
    with pytest.raises(ValueError, match="layer in common"):
        fit_many([Model(layers, seed=0), Model(layers, seed=1)], x, t)


def test_errors_of_other_kinds_name_their_net():
    def callback(model, epoch, logs):
        raise OSError(2, "gone")

    with pytest.raises(RuntimeError, match=r"models\[1\]: .*gone") as info:
        fit_many(some_nets(2), *some_data(), epochs=1, each=[{}, {"callbacks": [callback]}])
    assert isinstance(info.value.__cause__, OSError)


def test_no_common_data_are_needed_where_each_net_has_its_own():
    x, t = some_data()
    assert len(fit_many(some_nets(2), None, None, epochs=1, each=[{"x": x, "y": t}] * 2)) == 2


def test_wrong_arguments_of_fit_many_are_refused():
    x, t = some_data()
    nets = some_nets(2)
    for message, arguments, options in (
        ("models.0. is 3", ([3], x, t), {}),
        ("models is <Model", (nets[0], x, t), {}),
        ("stands in models twice", ([nets[0], nets[0]], x, t), {}),
        ("each has 1 entries, expected one for each of the 2", (nets, x, t), {"each": [{}]}),
        ("each.1. is 5", (nets, x, t), {"each": [{}, 5]}),
        ("a single model has no epoch: did you mean epochs", (nets, x, t), {"epoch": 3}),
        (
            "a single model has no n_threads: it has augment, batch_size, ",
            (nets, x, t),
            {"each": [{}, {"n_threads": 2}]},
        ),
        ("2 dimensions", (nets, x[0], t), {}),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            fit_many(*arguments, **options)
    assert not nets[0].built
    assert fit_many([], x, t) == []


def test_ctrl_c_ends_many_fits_in_a_subprocess():
    script = """
from fastnn import fit_many
nets, before = [net() for _ in range(4)], tasks()
interrupt_in(1.0)
try:
    fit_many(nets, x, t, epochs=10**9, n_threads=3)
except KeyboardInterrupt:
    print("ended", ended(before))
"""
    assert run(PREPARE + script).stdout.split() == ["ended", "True"]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_many_nets_are_trained_while_the_calling_thread_waits(n_threads):
    callers = set()

    def callback(model, epoch, logs):
        callers.add(threading.get_ident())

    fit_many(some_nets(), *some_data(), epochs=2, callbacks=[callback], n_threads=n_threads)
    assert threading.get_ident() not in callers


if hasattr(signal, "setitimer"):

    @pytest.mark.parametrize("n_threads", [1, 3])
    def test_a_time_limit_is_no_failure_of_a_net_in_a_subprocess(n_threads):
        """What the handler of a signal raises first ends all fits, and is raised: also where more of them come."""
        script = f"""
from fastnn import fit_many
nets, before, limits = [net() for _ in range(4)], tasks(), []
def handler(number, frame):
    # while threads complete a batch, and the compiled call of `together` waits: nobody waits for what comes later
    if len(limits) < 3 and frame.f_code.co_name == "together" and tasks() > before:
        limits.append(TimeoutError())
        raise limits[-1]
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 1.0, 0.001)
try:
    fit_many(nets, x, t, epochs=10**9, n_threads={n_threads})
except TimeoutError as error:
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(error is limits[0], ended(before), [len(model.history) > 0 for model in nets].count(True))
"""
        assert run(PREPARE + script).stdout.split() == ["True", "True", str(n_threads)]

    def test_threads_can_be_told_to_end_whatever_a_signals_handler_raises_in_a_subprocess():
        """At any moment: what is told is seen, and can be told again. An Event's lock would stay taken."""
        script = """
from fastnn._core.team import Stop
raises = [False]
def handler(number, frame):
    if raises[0]:
        raises[0] = False
        raise TimeoutError
signal.signal(signal.SIGALRM, handler)
for _ in range(2000):
    stop = Stop()
    try:
        raises[0] = True
        signal.setitimer(signal.ITIMER_REAL, 2e-5)
        while True: stop.set()
    except TimeoutError: pass
    stop.set()
    if not stop.is_set(): break
else: print("all")
"""
        assert run(PREPARE + script).stdout.split() == ["all"]

    def test_a_time_limit_ends_a_prediction_by_threads_in_a_subprocess():
        script = """
def handler(number, frame):
    raise TimeoutError
signal.signal(signal.SIGALRM, handler)
big, model = np.ones((200_000, 203), "f"), net().build(203)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    while True:
        model.predict(big, n_threads=2)
except TimeoutError:
    print("ended")
"""
        assert run(PREPARE + script).stdout.split() == ["ended"]
