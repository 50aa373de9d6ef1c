"""Calls as programs make them, one not like the other, against the same call again and again.

Batches of many sizes, losses and optimizers in turn, data that grow by a row, rows that are lists or of another dtype.
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import cycle

import frame
import numpy as np

from fastnn import MAE, MSE, SGD, Adam, Dense, Model

SIZES = (20, 64, 2)
ROWS = 32
USUAL, VARIED = "always the same", frame.OURS
IN_TURN, OF_A_ROW = 1.5, 2.4  # of the usual time, at most
FEW_NET, FEW = (20, 64, 64, 2), 8
OF_RECORDED, MORE, OF_A_NEW_ARRAY = 1.6, 1.5, 1.0  # times; microseconds for other numbers; times
MOST = 64  # numbers of rows in turn
FEW_ROWS = 40  # of the data that grow, from here on
GROWN = 24  # rows, before they shrink to that again

Call = Callable[[], object]


def net() -> Model:
    return Model([Dense(SIZES[1], "relu"), Dense(SIZES[-1])], seed=0).build(SIZES[0])


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, SIZES[0])).astype(np.float32), rng.normal(size=(rows, SIZES[-1])).astype(np.float32)


def sizes(n: int) -> list[int]:
    """Return n numbers of rows whose mean is ROWS, or nearly so: what a step takes by itself is the same in all."""
    return [ROWS + (i + 1) // 2 * (-1) ** i for i in range(n)] if n < MOST else list(range(1, MOST + 1))


def again(call: Call, n: int) -> Call:
    """Return what calls n times, as often as a round of what takes turns."""

    def calls() -> None:
        for _ in range(n):
            call()

    return calls


def each(calls: list[Call]) -> Call:
    """Return what calls all of them, in turn."""

    def in_turn() -> None:
        for call in calls:
            call()

    return in_turn


def of_sizes(n: int) -> tuple[dict[str, Call], int]:
    x, t = data(MOST)
    nets = [net(), net()]
    for model in nets:
        model.train_batch(x[:ROWS], t[:ROWS], loss="mse", optimizer=Adam(1e-4))
    batches = [(x[:rows], t[:rows]) for rows in sizes(n)]
    usual = x[:ROWS], t[:ROWS]
    return {
        USUAL: again(lambda: nets[0].train_batch(*usual), n),
        VARIED: each([lambda batch=batch: nets[1].train_batch(*batch) for batch in batches]),
    }, n


def by_hand_of_sizes(n: int) -> tuple[dict[str, Call], int]:
    x, t = data(MOST)
    models, adam = [net(), net()], Adam(1e-4)

    def step(model: Model, x: np.ndarray, dy: np.ndarray) -> None:
        model.forward(x)
        model.backward(dy)
        adam.step(model)

    batches = [(x[:rows], t[:rows]) for rows in sizes(n)]
    return {
        USUAL: again(lambda: step(models[0], x[:ROWS], t[:ROWS]), n),
        VARIED: each([lambda batch=batch: step(models[1], *batch) for batch in batches]),
    }, n


def predictions_of_sizes(n: int) -> tuple[dict[str, Call], int]:
    (x, _), models = data(MOST), [net(), net()]
    batches, usual = [x[:rows] for rows in sizes(n)], x[:ROWS]
    return {
        USUAL: again(lambda: models[0].predict(usual), n),
        VARIED: each([lambda batch=batch: models[1].predict(batch) for batch in batches]),
    }, n


def in_turn(losses: list, optimizers: list) -> tuple[dict[str, Call], int]:
    """Each loss and each optimizer alone, then both in turn."""
    x, t = data(ROWS)
    pairs = list(zip(losses, optimizers, strict=True))
    alone, varied = [net() for _ in pairs], net()
    return {
        USUAL: each(
            [
                lambda model=model, loss=loss, rule=rule: model.train_batch(x, t, loss=loss, optimizer=rule)
                for model, (loss, rule) in zip(alone, pairs, strict=True)
            ]
        ),
        VARIED: each(
            [lambda loss=loss, rule=rule: varied.train_batch(x, t, loss=loss, optimizer=rule) for loss, rule in pairs]
        ),
    }, len(pairs)


def new_losses() -> tuple[dict[str, Call], int]:
    (x, t), (usual, varied), loss, (a, b) = data(ROWS), (net(), net()), MSE(), (SGD(1e-4), SGD(1e-4))
    return {
        USUAL: lambda: usual.train_batch(x, t, loss=loss, optimizer=a),
        VARIED: lambda: varied.train_batch(x, t, loss=MSE(), optimizer=b),
    }, 1


def growing(batch_size: int) -> tuple[dict[str, Call], int]:
    (x, t), models = data(FEW_ROWS + GROWN), [net(), net()]
    for model in models:
        model.fit(x, t, "mse", SGD(1e-4), epochs=1)
    middle = FEW_ROWS + GROWN // 2
    ends: Iterator[int] = cycle(range(FEW_ROWS, FEW_ROWS + GROWN))

    def grow() -> None:
        end = next(ends)
        models[1].fit(x[:end], t[:end], epochs=1, batch_size=batch_size)

    def stay() -> None:
        models[0].fit(x[:middle], t[:middle], epochs=1, batch_size=batch_size)

    return {USUAL: again(stay, GROWN), VARIED: again(grow, GROWN)}, GROWN


def one_row(row: object, dtype: str = "float32", as_matrix: bool = False) -> tuple[dict[str, Call], int]:
    model = Model([Dense(SIZES[1], "relu"), Dense(SIZES[-1])], seed=0, dtype=dtype).build(SIZES[0])
    own = np.asarray(row).astype(dtype)
    if as_matrix:
        own, row = own[None, :], np.asarray(row)[None, :]
        return {USUAL: lambda: model.predict(own), VARIED: lambda: model.predict(row)}, 1
    return {USUAL: lambda: model.predict_one(own), VARIED: lambda: model.predict_one(row)}, 1


def few_rows() -> dict[str, tuple[dict[str, Call], float | None]]:
    """Return calls on few rows, each beside what it is compared with, and how many times as long it may take.

    None stands for what may take so many microseconds more.
    """
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=(FEW, n)).astype(np.float32) for n in (FEW_NET[0], FEW_NET[-1]))
    hidden = [Dense(units, "relu") for units in FEW_NET[1:-1]]
    model = Model([*hidden, Dense(FEW_NET[-1])], seed=0).build(FEW_NET[0])
    model.loss, model.optimizer = "mse", SGD(1e-6)
    recorded = {n: model._trainer.take_batch(x[:n], t[:n], None, None, None)[3][1] for n in (FEW, 1)}
    wide, wide_t, out = x.astype(np.float64), t.astype(np.float64), np.empty(FEW_NET[-1], np.float32)
    for n in (FEW, 1):
        model.train_batch(x[:n], t[:n])
        model.predict(x[:n])
    block = model._predictors.current()._take(FEW)
    one, one_t, row = x[:1], t[:1], x[0]
    found: dict[str, tuple[dict[str, Call], float | None]] = {
        f"predict, {FEW} rows": (
            {USUAL: block.recorded(FEW).tape.replay, VARIED: lambda: model.predict(x)}, OF_RECORDED,
        ),
        "train_batch, one row": (
            {USUAL: recorded[1].replay, VARIED: lambda: model.train_batch(one, one_t)}, OF_RECORDED,
        ),
        f"train_batch, {FEW} rows": (
            {USUAL: recorded[FEW].replay, VARIED: lambda: model.train_batch(x, t)}, OF_RECORDED,
        ),
        "predict_one, into an array": (
            {USUAL: lambda: model.predict_one(row), VARIED: lambda: model.predict_one(row, out)}, OF_A_NEW_ARRAY,
        ),
    }  # fmt: skip
    for what, rows, targets in (("float64", wide, wide_t), ("lists", wide.tolist(), wide_t.tolist())):
        found[f"predict, {FEW} rows, {what}"] = (
            {USUAL: lambda: model.predict(x), VARIED: lambda rows=rows: model.predict(rows)},
            None,
        )
        found[f"train_batch, {FEW} rows, {what}"] = (
            {
                USUAL: lambda: model.train_batch(x, t),
                VARIED: lambda rows=rows, targets=targets: model.train_batch(rows, targets),
            },
            None,
        )
    return found


def benchmark_of_few_rows(chosen: argparse.Namespace, report: frame.Report) -> None:
    rows = []
    for what, (calls, at_most) in few_rows().items():
        if chosen.only not in what:
            continue
        for call in calls.values():
            call()
        timings = frame.measure(calls, 0.0 if chosen.smoke else 0.6 if chosen.quick else 4.0, at_least=2)
        usual, varied = (timings[name].minimum for name in (USUAL, VARIED))
        rows.append([what, f"{usual * 1e6:.2f}", f"{varied * 1e6:.2f}", f"{varied / usual:.2f}"])
        report.add(timings, calls=what)
        if at_most is None:
            report.require(f"{what}, microseconds more", (varied - usual) * 1e6, at_most=MORE)
        else:
            report.require(f"{what}, times", varied / usual, at_most=at_most)
    if rows:
        columns = [f"{'-'.join(map(str, FEW_NET))}, SGD", "µs recorded, or usual", "as said", "ratio"]
        print("\n" + frame.table(columns, rows))


def workloads() -> dict[str, tuple[Callable[[], tuple[dict[str, Call], int]], float | None]]:
    """Return what makes the two contenders and says how many calls each consists of, and what is allowed."""
    found: dict = {}
    for n in (1, 4, 8, MOST):
        found[f"train_batch, {n} sizes"] = (lambda n=n: of_sizes(n)), IN_TURN
    for n in (8, MOST):
        found[f"by hand, {n} sizes"] = (lambda n=n: by_hand_of_sizes(n)), IN_TURN
    for n in (1, 8, MOST):
        found[f"predict, {n} sizes"] = (lambda n=n: predictions_of_sizes(n)), IN_TURN
    mse, adam = MSE(), Adam(1e-4)
    for name, losses, optimizers in (
        ("two losses", [mse, MAE()], [adam, adam]),
        ("two losses by name", ["mse", "mae"], [adam, adam]),
        ("two optimizers", [mse, mse], [adam, SGD(1e-4)]),
        ("two optimizers by name", [mse, mse], ["adam", "sgd"]),
        ("two of both", [mse, MAE()], [adam, SGD(1e-4)]),
        ("two of both by name", ["mse", "mae"], ["adam", "sgd"]),
    ):
        found[f"train_batch, {name}"] = (lambda a=losses, b=optimizers: in_turn(a, b)), IN_TURN
    found["train_batch, loss=MSE() each time"] = new_losses, IN_TURN
    for batch_size in (16, 64):
        found[f"fit of growing data, batches of {batch_size}"] = (lambda size=batch_size: growing(size)), IN_TURN
    numbers = np.random.default_rng(1).normal(size=SIZES[0])
    ints = np.arange(SIZES[0])
    for name, row, dtype in (
        ("list of floats", numbers.tolist(), "float32"),
        ("list of ints", ints.tolist(), "float32"),
        ("tuple", tuple(numbers.tolist()), "float32"),
        ("list of floats, float64", numbers.tolist(), "float64"),
        ("float64 row", numbers, "float32"),
        ("float32 row, float64", numbers.astype(np.float32), "float64"),
        ("int row", ints, "float32"),
        ("strided row", np.repeat(numbers.astype(np.float32), 2)[::2], "float32"),
    ):
        found[f"predict_one, {name}"] = (lambda row=row, dtype=dtype: one_row(row, dtype)), OF_A_ROW
    found["predict, float64 row"] = (lambda: one_row(numbers, as_matrix=True)), OF_A_ROW
    return found


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    rows = []
    for what, (make, at_most) in workloads().items():
        if chosen.only not in what:
            continue
        calls, n = make()
        results = {name: call() for name, call in calls.items()}
        if results[USUAL] is not None:  # of one row: that training is the same is tested bit for bit
            frame.verify(what, {name: [result] for name, result in results.items()}, 0)
        timings = frame.measure(calls, 0.0 if chosen.smoke else 0.6 if chosen.quick else 4.0, at_least=2)
        timings = {name: timing.per(n) for name, timing in timings.items()}
        usual, varied = timings[USUAL], timings[VARIED]
        ratio = varied.minimum / usual.minimum
        rows.append([what, *(f"{t.minimum * 1e6:.2f}" for t in (usual, varied)), f"{ratio:.2f}"])
        report.add(timings, calls=what)
        report.require(what, ratio, at_most=at_most)
    if rows:
        print(frame.table(["float32 where not said", "µs always the same", "as said", "ratio"], rows))


def all_benchmarks(chosen: argparse.Namespace, report: frame.Report) -> None:
    benchmark(chosen, report)
    benchmark_of_few_rows(chosen, report)


if __name__ == "__main__":
    frame.run(__doc__.splitlines()[0], all_benchmarks)
