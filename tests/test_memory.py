"""The memory of a process while it trains and predicts on 500 MB: the data are not copied, nor looked at in one go."""

import copy
import gc
import subprocess
import sys
import tracemalloc
from weakref import ref

import numpy as np
import pytest
from nets import data, small_net
from peaks import peak_of

from fastnn import (
    L2,
    MSE,
    SGD,
    Adam,
    Callback,
    Constraint,
    Cosine,
    Dense,
    Layer,
    Loss,
    MaxNorm,
    Model,
    Optimizer,
    Penalty,
    Tanh,
    fit_many,
)
from fastnn.optimizers import Transform
from fastnn.training import step

pytest.importorskip("resource", reason="needs the counters of POSIX")

PROGRAM = """
import resource, sys
import numpy as np
from fastnn import Dense, Model, Softmax

ROWS, BATCH, UNIT = 125_000, 2048, 1 if sys.platform == "darwin" else 1024

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

def used(call):
    before = peak()
    call()
    return peak() - before

net = Model([Dense(8, "relu"), Dense(2), Softmax()], seed=0)
few = np.zeros((BATCH, 1000), np.float32)
net.fit(few, np.zeros(BATCH, np.int64), batch_size=BATCH, epochs=1)  # imports and arenas
net.evaluate(few, np.zeros(BATCH, np.int64))
x = np.ones((ROWS, 1000), np.float32)
labels = np.arange(ROWS) % 2
rows = np.eye(2, dtype=np.float32)[labels]
assert peak() > x.nbytes
print(used(lambda: {call}))
"""

# call: the memory that it needs by right, in bytes for each of the 125,000 rows
CALLS = {
    "net.fit(x, labels, epochs=1, batch_size=BATCH)": 8,  # the index
    "net.fit(x, labels, epochs=2, batch_size=BATCH, shuffle=False, sample_weight=1 + labels)": 8 + 4,
    # Of data with rows that are left out, those that count are copied, once.
    "net.fit(x, labels, epochs=2, batch_size=BATCH, sample_weight=labels)": 8 + 4000 // 2 + 8 // 2,
    "net.fit(x, rows, epochs=1, batch_size=BATCH)": 8,
    "net.fit(x[::-1], labels, epochs=1, batch_size=BATCH)": 8,
    "net.predict(x)": 8,  # the outputs
    "net.predict(x[:, ::-1])": 8,
    "net.predict(x.view(np.int32))": 8,  # converted block by block
    "net.evaluate(x, labels)": 8 + 8 + 8,  # the outputs, and the places of the largest of each row
    "net.evaluate(x, rows)": 8 + 8 + 8,
}


@pytest.mark.parametrize("call", CALLS)
def test_500_megabytes_are_not_copied_in_a_subprocess(call):
    command = [sys.executable, "-c", PROGRAM.replace("{call}", call)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    arenas = 2 * 2048 * 1000 * 4 if "fit" in call else 0
    assert int(done.stdout) <= CALLS[call] * 125_000 + arenas + 8 * 2**20


@pytest.mark.parametrize("shuffle", [True, False])
def test_no_memory_is_needed_per_batch(shuffle):
    """10 and 10,000 batches of the same data."""
    x, t = data(rows=10_000)
    net, peaks = small_net(), []
    for batch_size in (1000, 1):
        net.fit(x, t, "mse" if net.loss is None else None, SGD(1e-6), epochs=1, batch_size=batch_size, shuffle=shuffle)
        peaks.append(peak_of(lambda n=batch_size: net.fit(x, t, epochs=1, batch_size=n, shuffle=shuffle)))
    assert abs(peaks[1] - peaks[0]) < 500
    assert max(peaks) < x.nbytes


def test_no_memory_is_left_behind_by_steps():
    x, t = data(rows=32)
    net, kept = small_net(), []
    net.train_batch(x, t, loss="mse", optimizer=SGD(1e-6))
    tracemalloc.start()
    for steps in (10, 1000, 1000, 1000):
        for _ in range(steps):
            net.train_batch(x, t)
            net.predict(x)
            net.predict_one(x[0])
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert min(np.diff(kept)) < 500  # the least: other threads of the process hold something, too


def test_no_data_are_kept_after_a_fit():
    x, t = data(rows=10_000)
    net = small_net()
    net.fit(x, t, "mse", SGD(1e-6), epochs=1, validation_data=(x, t))
    net.predict(x)
    kept = [ref(x), ref(t)]
    del x, t
    assert [array() for array in kept] == [None, None]


def test_large_recordings_are_not_kept_between_fits(monkeypatch):
    net, (x, t) = Model([Dense(8, "relu"), Dense(3, "softmax")], seed=0), (np.ones((200, 40)), np.arange(200) % 3)
    net.fit(x, t, epochs=1, batch_size=None)
    assert len(net._trainer._training._plans) == 1
    net._trainer._training._plans.clear()
    monkeypatch.setattr(step, "_BYTES_KEPT", 1000)
    net.fit(x, t, epochs=1, batch_size=None)
    assert not net._trainer._training._plans
    net.train_batch(x, t)
    kept = [*net._trainer._training._plans.values()]
    net.train_batch(x, t)  # the next of a loop finds the memory of the last one
    assert [*net._trainer._training._plans.values()] == kept != []


def parts_of_a_trial(held):
    """Classes of parts that hold data, as those of a function that is called again and again, each with a use of it."""

    class OwnLayer(Layer):
        def forward(self, x):
            return x * held.mean()

        def backward(self, dy):
            return dy * held.mean()

    class OwnDense(Dense):
        def __init__(self, n):
            super().__init__(n)
            self.own = held

        def forward(self, x):
            return super().forward(x)

        def backward(self, dy):
            return super().backward(dy)

    class OwnTanh(Tanh):
        used = held

    class OwnLoss(Loss):
        def value_and_grad(self, y, t):
            return float(((y - t) ** 2).mean()), (y - t) * held.mean()

    class OwnMSE(MSE):
        used = held

    class OwnOptimizer(Optimizer):
        def update(self, params, grads):
            params -= 0.1 * grads * held.mean()

    class OwnAdam(Adam):
        used = held

    class OwnTransform(Transform):
        def apply(self, grads):
            grads *= held.mean()

    class OwnPenalty(Penalty):
        def value_and_grad(self, w):
            return float((w * w).sum()), 2 * w * held.mean()

    class OwnL2(L2):
        used = held

    class OwnConstraint(Constraint):
        def project(self, w):
            np.clip(w, -held.mean(), 1, out=w)

    class OwnMaxNorm(MaxNorm):
        used = held

    class OwnCallback(Callback):
        def begin(self, model):
            self.own = held

    class OwnCosine(Cosine):
        used = held

    return {
        OwnLayer: lambda: {"layer": OwnLayer()},
        OwnDense: lambda: {"layer": OwnDense(4)},
        OwnTanh: lambda: {"layer": OwnTanh()},
        OwnLoss: lambda: {"loss": OwnLoss()},
        OwnMSE: lambda: {"loss": OwnMSE()},
        OwnOptimizer: lambda: {"optimizer": OwnOptimizer()},
        OwnAdam: lambda: {"optimizer": OwnAdam(lr=0.01)},
        OwnTransform: lambda: {"optimizer": SGD(0.1, transforms=[OwnTransform()])},
        OwnPenalty: lambda: {"penalties": [OwnPenalty()]},
        OwnL2: lambda: {"penalties": [OwnL2(0.1)]},
        OwnConstraint: lambda: {"constraints": [OwnConstraint()]},
        OwnMaxNorm: lambda: {"constraints": [OwnMaxNorm(1.0)]},
        OwnCallback: lambda: {"callbacks": [OwnCallback()]},
        OwnCosine: lambda: {"optimizer": SGD(0.1 * OwnCosine())},
    }


def use(layer=None, penalties=(), constraints=(), loss="mse", **options):
    """Train, alone and side by side, copy and predict, and set what does not exist."""
    x = np.linspace(-1, 1, 24).reshape(8, 3)
    layers = [Dense(1)] if layer is None else [layer, Dense(1)]
    net = Model(layers, seed=0, penalties=penalties, constraints=constraints)
    net.fit(x, x[:, :1], loss, epochs=1, verbose=False, **options)
    twins = [copy.deepcopy(net) for _ in range(2)]
    fit_many(twins, x, x[:, :1], loss, epochs=1, verbose=False, **options)
    net.evaluate(x, x[:, :1])
    net.predict_one(x[0])
    for part in (net, net[0], net.loss, net.optimizer, *net.penalties, *net.constraints):
        with pytest.raises(AttributeError):
            part.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "i", range(len(parts_of_a_trial(None))), ids=[kind.__name__ for kind in parts_of_a_trial(None)]
)
def test_a_class_that_a_trial_makes_goes_with_the_data_that_it_holds(i):
    kind, options = list(parts_of_a_trial(np.ones(1000)).items())[i]
    use(**options())
    gone = ref(kind)
    del kind, options
    gc.collect()
    assert gone() is None
