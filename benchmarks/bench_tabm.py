"""One training step of TabM: fastnn against its authors' package `tabm` with PyTorch, at identical settings."""

import argparse
from collections.abc import Callable
from typing import Any

import frame
import machine
import numpy as np

from fastnn import MSE, AdamW, BatchEnsemble, Dropout, GroupedDense, Layer, MeanOfMembers, Members, Model

BATCH, COLUMNS = 256, 20
NETS = ((32, 512, 3), (16, 128, 2))  # members, units, blocks
SETTINGS: dict[str, Any] = {"lr": 2e-3, "weight_decay": 3e-4}
CLIP, DROPOUT = 1.0, 0.1
RTOL = 2e-3  # of weights behind three steps, of the largest
EPS = 1e-3  # of Adam there: with a smaller one, a step of a gradient near 0 has the sign of its rounding error
AT_LEAST = 2.0  # times less processor time

Trained = Callable[[], list[np.ndarray]]  # a step; what the weights are behind it


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    return x, np.sin(x[:, :1] * x[:, 1:2]).astype(np.float32)


def model(members: int, units: int, blocks: int, dropout: float) -> Model:
    layers: list[Layer] = [Members(members)]
    for i in range(blocks):
        layers.append(BatchEnsemble(units, members, "relu", r_initializer="ones" if i else "signs"))
        if dropout:
            layers.append(Dropout(dropout))
    net = Model([*layers, GroupedDense(1, members), MeanOfMembers(members)], seed=0)
    return net.build(COLUMNS)


def operations(members: int, units: int, blocks: int, rows: int) -> int:
    """Return those of the products of a step: forward and dw, and dx but for the first layer."""
    inner = (blocks - 1) * units * units + units
    return 2 * rows * members * (2 * COLUMNS * units + 3 * inner)


def parameters(net: Model) -> list[np.ndarray]:
    """Return the arrays of a net in the order of those of the package: of each block, then of the heads."""
    found = []
    for layer in net.layers:
        if isinstance(layer, BatchEnsemble):
            found += [layer.w, layer.r, layer.s, layer.b]
        elif isinstance(layer, GroupedDense):
            found += [layer.w, layer.b]
    return [np.asarray(array) for array in found]


def of_fastnn(net: Model, x: np.ndarray, y: np.ndarray, eps: float = 1e-8) -> Trained:
    optimizer, loss = AdamW(**SETTINGS, eps=eps, clip_norm=CLIP), MSE()

    def step() -> list[np.ndarray]:
        net.train_batch(x, y, loss=loss, optimizer=optimizer)
        return parameters(net)

    return step


def of_tabm(
    net: Model, x: np.ndarray, y: np.ndarray, size: tuple[int, int, int], dropout: float, eps: float = 1e-8
) -> Trained:
    """Make the package's model with the same numbers: its weights have the shapes (outputs, inputs)."""
    import tabm
    import torch

    torch.set_num_threads(frame.THREADS)
    members, units, blocks = size
    made = tabm.TabM.make(
        n_num_features=COLUMNS, cat_cardinalities=None, d_out=1, k=members, d_block=units, n_blocks=blocks,
        dropout=dropout,
    )  # fmt: skip
    own: list[Any] = []
    for block in made.backbone.blocks:
        own += [block[0].weight, block[0].r, block[0].s, block[0].bias]
    own += [made.output.weight, made.output.bias]
    turned = [i % 4 == 0 and i < 4 * blocks for i in range(len(own))]  # the shared weights
    with torch.no_grad():
        for parameter, array, is_turned in zip(own, parameters(net), turned, strict=True):
            parameter.copy_(torch.tensor(np.ascontiguousarray(array.T if is_turned else array)))
    optimizer = torch.optim.AdamW(made.parameters(), **SETTINGS, eps=eps)
    rows, target = torch.tensor(x), torch.tensor(y[:, 0])

    def step() -> list[np.ndarray]:
        optimizer.zero_grad()
        predicted = made(rows).squeeze(-1)  # (rows, members)
        loss = torch.nn.functional.mse_loss(predicted.flatten(0, 1), target.repeat_interleave(members))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), CLIP)
        optimizer.step()
        arrays = [parameter.detach().numpy() for parameter in own]
        return [array.T if is_turned else array for array, is_turned in zip(arrays, turned, strict=True)]

    return step


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    why_not = machine.missing(("torch", "tabm"), "pip install torch tabm")
    rows_of_table = []
    for size in ((4, 16, 2),) if chosen.smoke else NETS:
        members, units, blocks = size
        what = f"TabM {members}x{units}x{blocks}"
        if chosen.only not in what:
            continue
        x, y = data(32 if chosen.smoke else BATCH)
        plain = model(*size, 0.0)
        contenders: dict[str, Trained] = {}
        if not why_not:
            contenders["tabm"] = of_tabm(plain, x, y, size, 0.0, EPS)
        contenders[frame.OURS] = of_fastnn(plain, x, y, EPS)
        for _ in range(3):
            behind = {name: step() for name, step in contenders.items()}
        frame.verify(f"{what} after 3 steps", behind, RTOL)
        net = model(*size, DROPOUT)
        timed: dict[str, Callable[[], object]] = {frame.OURS: of_fastnn(net, x, y)}
        if not why_not:
            timed["tabm"] = of_tabm(net, x, y, size, DROPOUT)
        seconds = 0.0 if chosen.smoke else 10.0 if chosen.quick else 30.0
        timings = frame.measure(timed | frame.peak("float32"), seconds, at_least=2)
        at_peak = operations(*size, len(x)) / frame.peak_flops(timings, "float32")
        report.add(timings, net=what, batch=len(x), left_out=why_not)
        ours = timings[frame.OURS].processor_seconds
        for name, t in timings.items():
            cells = (t.processor_seconds * 1e3, t.minimum * 1e3, t.processor_seconds / ours)
            share = f"{at_peak / t.processor_seconds:.0%}"
            rows_of_table.append([what, name, *(f"{cell:.2f}" for cell in cells), share])
        if not why_not:
            found = timings["tabm"].processor_seconds / ours
            possible = timings["tabm"].processor_seconds / at_peak
            report.require(f"{what}: processor time of tabm / of fastnn", found, AT_LEAST, possible=possible)
    if rows_of_table:
        how = f"on {frame.THREADS} threads: AdamW, clipped, dropout {DROPOUT}"
        print(f"\nA step of {BATCH} rows, {COLUMNS} columns, {how}")
        print(f"verified: the same weights to {RTOL:g} after 3 steps without dropout, which draws other numbers")
        headings = ["net", "contender", "ms of processors", "ms", "of fastnn", "of FMA peak"]
        print(frame.table(headings, rows_of_table))
    if why_not:
        print(f"without tabm: {why_not}")


if __name__ == "__main__":
    frame.run(__doc__, benchmark)
