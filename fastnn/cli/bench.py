"""``fastnn bench``: this machine, beside the libraries that are installed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn import Adam, Dense, Model
from fastnn.arena import Array
from fastnn.cli.errors import DONE, OptionError
from fastnn.markup import text_table

EXAMPLE = """example:
  fastnn bench
  FASTNN_NUM_THREADS=1 OMP_NUM_THREADS=1 fastnn bench --seconds 20

Each library trains the same nets, in the form that its users write. Steps are taken in turns, and the least time of
each counts. benchmarks/ in the sources has more nets, and checks that all learn the same."""

NETS = (((20, 64, 64, 2), 32), ((54, 128, 128, 7), 64), ((784, 128, 10), 64))  # sizes, rows of a batch
STEPS = 20  # of a turn
LR = 1e-3

Step = Callable[[], Any]


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--seconds", type=float, default=3.0, help="for each net; 3")


def run(asked: argparse.Namespace) -> int:
    """Time the steps of all nets."""
    from fastnn import show_config

    if not 0 < asked.seconds < 3600:
        raise OptionError(f"--seconds is {asked.seconds}, expected more than 0 and less than 3600")
    show_config()
    rows = []
    names = [name for name, module, _ in LIBRARIES if module is None or find_spec(module) is not None]
    for sizes, batch in NETS:
        found = dict(_least(dict(_steps(sizes, batch)), asked.seconds))
        cells = [f"{found[name] * 1e6:.1f} ({found[name] / found['fastnn']:.1f} x)" for name in names]
        rows.append([f"{'-'.join(map(str, sizes))}, {batch} rows", *cells])
    print("\nµs of a training step (Adam, float32), each with the threads that it takes by itself\n")
    for line in text_table(["net", *names], rows, len(names)):
        print(line)
    absent = [name for name, module, _ in LIBRARIES if module is not None and find_spec(module) is None]
    if absent:
        print(f"not installed: {', '.join(absent)}")
    return DONE


def _least(steps: dict[str, Step], seconds: float) -> Iterator[tuple[str, float]]:
    """Yield the least seconds of a step, of turns in which all take part."""
    least = dict.fromkeys(steps, np.inf)
    for step in steps.values():  # compiles, records, warms up
        for _ in range(3):
            step()
    end = time.perf_counter() + seconds
    while True:
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            least[name] = min(least[name], (time.perf_counter() - start) / STEPS)
        if time.perf_counter() > end:
            break
    yield from least.items()


def _steps(sizes: tuple[int, ...], batch: int) -> Iterator[tuple[str, Step]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], batch)
    for name, module, make in LIBRARIES:
        if module is None or find_spec(module) is not None:
            yield name, make(sizes, x, y)


def _fastnn(sizes: tuple[int, ...], x: Array, y: Any) -> Step:
    net = Model([*(Dense(units, "relu") for units in sizes[1:-1]), Dense(sizes[-1], "softmax")], seed=0)
    optimizer = Adam(LR)
    return lambda: net.train_batch(x, y, loss="cross_entropy", optimizer=optimizer)


def _numpy(sizes: tuple[int, ...], x: Array, y: Any) -> Step:
    """Return the textbook's step: no array is made twice, but for products' own."""
    rng, eps, t = np.random.default_rng(0), 1e-8, 0
    pairs = list(pairwise(sizes))
    w = [rng.normal(0, (2 / m) ** 0.5, (m, n)).astype(np.float32) for m, n in pairs]
    weights = [array for one in w for array in (one, np.zeros(one.shape[1], np.float32))]
    moments = [(np.zeros_like(array), np.zeros_like(array)) for array in weights]

    def step() -> None:
        nonlocal t
        t += 1
        outputs = [x]
        for i in range(len(w)):
            z = outputs[-1] @ weights[2 * i] + weights[2 * i + 1]
            outputs.append(np.maximum(z, 0) if i < len(w) - 1 else z)
        p = np.exp(outputs[-1] - outputs[-1].max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        d = p / len(y)
        gradients: list[Array] = []
        for i in reversed(range(len(w))):
            gradients[:0] = [outputs[i].T @ d, d.sum(axis=0)]
            if i:
                d = (d @ weights[2 * i].T) * (outputs[i] > 0)
        rate = LR * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
        for array, gradient, (m, v) in zip(weights, gradients, moments, strict=True):
            m[...] += 0.1 * (gradient - m)
            v[...] += 0.001 * (gradient * gradient - v)
            array[...] -= rate * m / (np.sqrt(v) + eps)

    return step


def _sklearn(sizes: tuple[int, ...], x: Array, y: Any) -> Step:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(sizes[1:-1], batch_size=len(x), random_state=0)
    classes = np.arange(sizes[-1])
    model.partial_fit(x, y, classes=classes)
    return lambda: model.partial_fit(x, y)


def _torch(sizes: tuple[int, ...], x: Array, y: Any) -> Step:
    import torch

    layers: list[Any] = []
    for m, n in pairwise(sizes):
        layers += [torch.nn.Linear(m, n), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(net.parameters(), LR)
    loss, rows, labels = torch.nn.CrossEntropyLoss(), torch.from_numpy(x), torch.from_numpy(y)

    def step() -> None:
        optimizer.zero_grad()
        loss(net(rows), labels).backward()
        optimizer.step()

    return step


# name, module (None: always there), what makes the step
LIBRARIES: tuple[tuple[str, str | None, Callable[..., Step]], ...] = (
    ("fastnn", None, _fastnn),
    ("NumPy", None, _numpy),
    ("scikit-learn", "sklearn", _sklearn),
    ("PyTorch", "torch", _torch),
)
