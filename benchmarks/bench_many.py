"""Nets trained at once: fastnn's fit_many against one fit after another, and others.

Twenty nets on several threads, and sixteen tiny ones, which one thread trains side by side in the lanes of vectors:
also with optimizers of their own, and losses that are computed net by net, against one fit after another alone.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import frame
import numpy as np
from trainers import FastNN, ScikitLearn, jax_state, jax_step, missing
from workloads import Weights, Workload

import fastnn

# nets, what they are, on how many threads, and at most what part of the time of one fit after another, by epochs: on
# several threads where these are two
POPULATIONS = (
    (20, Workload((20, 64, 64, 2), 3200, 32, epochs=10), frame.THREADS, {1: 0.60, 10: 0.52}),
    (16, Workload((2, 8, 4, 2), 2016, 32, epochs=50), 1, {50: 0.4}),
)

# what tiny nets have of their own, or another loss, and at most what part of the time that takes: fastnn alone
TINY, OF_TINY = POPULATIONS[-1][1], {
    "rates of their own": (lambda i: {"optimizer": fastnn.SGD(0.005 * (1 + i))}, 0.6),
    "rates of their own, Adam": (lambda i: {"optimizer": fastnn.Adam(0.001 * (1 + i))}, 0.6),
    "smoothed labels": (lambda i: {"loss": fastnn.CrossEntropy(label_smoothing=0.1)}, 0.6),
}  # fmt: skip

Many = dict[str, Callable[[int, bool], list[list[np.ndarray]]]]  # (epochs, shuffle) -> of each net: losses, weights


def nets(workload: Workload, n: int) -> list[FastNN]:
    """Make nets of which each has another order of rows, but the same for each contender."""
    return [FastNN(workload, workload.weights(seed), *workload.data(), threads=1, seed=seed) for seed in range(n)]


def results(trainers: Sequence[Any], losses: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    return [[np.asarray(own), *trainer.weights()] for own, trainer in zip(losses, trainers, strict=True)]


def of_fastnn(
    workload: Workload, n: int, n_threads: int, own: Callable[[int], dict[str, Any]] = lambda i: {}
) -> Many:  # fmt: skip
    one, many, each = nets(workload, n), nets(workload, n), [own(i) for i in range(n)]
    for trainer, options in zip(one, each, strict=True):
        trainer.options |= options
    models = [trainer.model for trainer in many]
    x, t = many[0].data

    def after_another(epochs: int, shuffle: bool) -> list[list[np.ndarray]]:
        return results(one, [trainer.fit(epochs, shuffle) for trainer in one])

    def together(epochs: int, shuffle: bool) -> list[list[np.ndarray]]:
        options = many[0].options | {"n_threads": n_threads}
        histories = fastnn.fit_many(models, x, t, epochs=epochs, shuffle=shuffle, each=each, **options)
        return results(many, [np.array(history.loss) for history in histories])

    return {"one after another": after_another, frame.OURS: together}


def of_sklearn(workload: Workload, n: int, n_threads: int) -> Many:
    from joblib import Parallel, delayed

    trainers = [ScikitLearn(workload, workload.weights(seed), *workload.data(), threads=1) for seed in range(n)]
    parallel = Parallel(n_jobs=n_threads)  # processes, which it keeps for the next call

    def train(epochs: int, shuffle: bool) -> list[list[np.ndarray]]:
        done = parallel(delayed(fitted)(trainer, epochs, shuffle) for trainer in trainers)
        trainers[:] = [trainer for trainer, _ in done]
        return results(trainers, [losses for _, losses in done])

    return {"scikit-learn": train}


def fitted(trainer: ScikitLearn, epochs: int, shuffle: bool) -> tuple[ScikitLearn, np.ndarray]:
    """Train in another process, which has a copy of the trainer, and return that."""
    losses = trainer.fit(epochs, shuffle)
    return trainer, losses


def of_jax(workload: Workload, n: int, n_threads: int) -> Many:
    import jax
    from jax import numpy as jnp

    def train_all(states: Any, x: Any, t: Any, order: Any) -> Any:
        def step(states: Any, rows: Any) -> Any:
            def one(state: Any, rows: Any) -> Any:
                return jax_step(workload, state, *(a.at[rows].get(mode="promise_in_bounds") for a in (x, t)))

            return jax.vmap(one)(states, rows)

        return jax.lax.scan(step, states, order)

    def stacked(all_weights: list[Weights]) -> Any:
        return jax.tree.map(lambda *arrays: jnp.stack(arrays), *(jax_state(workload, own) for own in all_weights))

    run = jax.jit(train_all, donate_argnums=0)
    x, t = (jnp.array(array) for array in workload.data())
    states, rng = stacked([workload.weights(seed) for seed in range(n)]), np.random.default_rng(0)

    def train(epochs: int, shuffle: bool) -> list[list[np.ndarray]]:
        nonlocal states
        order = np.tile(np.arange(workload.rows, dtype=np.int32), (epochs, n, 1))
        if shuffle:
            rng.permuted(order, axis=2, out=order)
        order = order.reshape(epochs, n, workload.steps, workload.batch).transpose(0, 2, 1, 3)
        states, losses = run(states, x, t, order.reshape(-1, n, workload.batch))
        means = np.asarray(losses).reshape(epochs, workload.steps, n).mean(axis=1)
        arrays = [np.asarray(array) for pair in states[0] for array in pair]
        return [[means[:, i], *(array[i] for array in arrays)] for i in range(n)]

    return {"JAX": train}


LIBRARIES = {"fastnn": of_fastnn, "scikit-learn": of_sklearn, "JAX": of_jax}


def same_bits(what: str, a: list[list[np.ndarray]], b: list[list[np.ndarray]]) -> None:
    """Raise Disagreement unless every number of every net is the same."""
    for i, (first, second) in enumerate(zip(a, b, strict=True)):
        if any(one.tobytes() != other.tobytes() for one, other in zip(first, second, strict=True)):
            raise frame.Disagreement(f"{what}: net {i} has other bits than the one that was trained alone")


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    for n, workload, n_threads, at_most in POPULATIONS:
        if chosen.smoke:
            workload, n = replace(workload, rows=64), min(n, 16 if n_threads == 1 else 4)  # noqa: PLW2901
        if chosen.only in f"{n} nets {workload.name}":
            population(n, workload, n_threads, at_most, chosen, report)
    tiny = replace(TINY, rows=64) if chosen.smoke else TINY
    for title, (own, bound) in OF_TINY.items():
        what = f"16 nets {tiny.name}, {title}"
        if chosen.only in what:
            contenders = of_fastnn(tiny, 16, 1, own)
            require_same_bits(what, tiny, 1, contenders)
            compare(what, tiny, 1, bound, contenders, seconds(chosen), 2 if chosen.smoke else 4, report)


def seconds(chosen: argparse.Namespace) -> float:
    return 0.0 if chosen.smoke else 10.0 if chosen.quick else 40.0


def require_same_bits(what: str, workload: Workload, n_threads: int, contenders: Many) -> None:
    for shuffle in (False, True):
        alone, many = (contenders[name](workload.epochs, shuffle) for name in ("one after another", frame.OURS))
        same_bits(f"{what} {on(n_threads)}", alone, many)


def population(
    n: int,
    workload: Workload,
    n_threads: int,
    at_most: dict[int, float],
    chosen: argparse.Namespace,
    report: frame.Report,
) -> None:
    what = f"{n} nets {workload.name}"
    left_out = {name: reason for name in LIBRARIES if (reason := missing(name))}
    contenders: Many = {}
    for name, make in LIBRARIES.items():
        if name not in left_out:
            contenders |= make(workload, n, n_threads)
    verified = {name: train(1, False) for name, train in contenders.items()}
    for i in range(n):
        frame.verify(f"{what}, net {i} after 1 epoch", {name: of[i] for name, of in verified.items()}, workload.rtol)
    require_same_bits(what, workload, n_threads, contenders)
    how = on(n_threads)
    print(f"\nverified: {how} the same bits as one after another; others agree to {workload.rtol:g} after 1 epoch")
    for epochs in sorted(at_most):
        bound = at_most[epochs] if n_threads in (1, 2) else None
        compare(
            what,
            replace(workload, epochs=epochs),
            n_threads,
            bound,
            contenders,
            seconds(chosen),
            2 if chosen.smoke else 4,
            report,
        )
    for name, reason in left_out.items():
        print(f"without {name}: {reason}")


def on(n_threads: int) -> str:
    return f"on {n_threads} thread{'s' * (n_threads > 1)}"


def compare(
    what: str,
    workload: Workload,
    n_threads: int,
    bound: float | None,
    contenders: Many,
    seconds: float,
    at_least: int,
    report: frame.Report,
) -> None:
    """Measure fits of so many epochs, and require what fit_many is to reach."""
    epochs, how = workload.epochs, on(n_threads)
    print(f"\n{what}, {workload.rows} rows in batches of {workload.batch}, epochs: {epochs}")
    calls = {name: lambda train=train: train(epochs, True) for name, train in contenders.items()}
    timings = frame.measure(calls, seconds, at_least=at_least)
    titles = {
        "one after another": "fastnn, one fit after another, 1 thread",
        frame.OURS: f"fastnn, fit_many, {how[3:]}",
        "scikit-learn": f"scikit-learn, joblib, processes: {n_threads}",
        "JAX": "JAX, vmap in one scan",
    }
    rows = []
    alone = timings["one after another"].minimum
    for name in sorted(timings, key=lambda name: timings[name].minimum):
        t = timings[name]
        times = [f"{t.minimum * 1e3:.1f}", f"{t.median * 1e3:.1f}", f"{t.minimum / alone:.3f}", f"{t.processors:.2f}"]
        rows.append([titles[name], *times])
    headings = ["contender", "ms", "median", "of one after another", "processors of this process"]
    print(frame.table(headings, rows))
    report.add(timings, what=what, workload=workload.name, epochs=epochs)
    part = timings[frame.OURS].minimum / alone
    report.require(f"{what}, {how}, epochs: {epochs}: part of the time of one after another", part, at_most=bound)


if __name__ == "__main__":
    frame.run(__doc__, benchmark)
