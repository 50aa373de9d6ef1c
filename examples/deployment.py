"""Deployment: save a trained net, load it in another program, and answer requests, one row at a time.

The file holds all that answers need: how inputs are scaled is a layer of the net. Nothing in it is run when it is
loaded, so it may come from anywhere, unlike a pickle. With `mmap=True` the parameters are read where they lie in the
file: many processes that answer share them.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from picture import save_picture

import fastnn
from fastnn import Adam, BatchNorm, CrossEntropy, Dense, Model, Normalization, datasets

CALLS, THREADS = 2000, 4
PIXELS, DIGITS = 64, 10


def make_net(dtype="float32"):
    layers = [Normalization(), Dense(64), BatchNorm(), Dense(64, "relu"), Dense(DIGITS, "softmax")]
    return Model(layers, seed=0, dtype=dtype)


def train():
    pixels, labels = datasets.load_digits()
    net = make_net()
    net.fit(pixels[:1400], labels[:1400], loss=CrossEntropy(), optimizer=Adam(), epochs=20)
    return net


def load(path):
    """Return the net of a file, if it is one for these requests."""
    net = fastnn.load(path, mmap=True)
    if (net.n_in, net.n_out) != (PIXELS, DIGITS):
        raise ValueError(f"{path}: {net.n_in} inputs and {net.n_out} outputs, expected {PIXELS} and {DIGITS}")
    return net


def in_float64(net):
    """Return the same net in float64: with the same parameters, scaling and averages."""
    double = make_net("float64").build(net.n_in)
    for layer, given in zip(double.layers, net.layers, strict=True):
        for name, array in {**layer.parameters, **layer.states}.items():
            array[...] = getattr(given, name)
    return double


def latencies(net, rows):
    """Return the seconds of each call, sorted."""
    seconds = []
    for call in range(CALLS):
        row = rows[call % len(rows)]
        start = time.perf_counter()
        net.predict_one(row)
        seconds.append(time.perf_counter() - start)
    return np.sort(seconds)


def main():
    path = Path("digits_net.safetensors")
    trained = train()
    trained.save(path)

    # The other program. A first call costs more, because it prepares the others: make it before requests come.
    net = load(path)
    pixels, labels = datasets.load_digits()
    rows = pixels[1400:].astype(net.dtype)
    start = time.perf_counter()
    net.predict_one(rows[0])
    first = time.perf_counter() - start
    answers = np.array([net.predict_one(row) for row in rows])
    same = np.array_equal(answers, trained.predict(rows))
    accuracy = np.mean(answers.argmax(axis=1) == labels[1400:])
    print(f"{path}: {path.stat().st_size:,} bytes, {net.n_parameters:,} parameters; loaded, it gives the same: {same}")
    print(f"accuracy on {len(rows)} rows that were not trained: {accuracy:.3f}\n")

    double = in_float64(net)
    rows64 = rows.astype(np.float64)
    lists = [row.tolist() for row in rows]  # as they come out of JSON
    kinds = {"float32": (net, rows), "float32, lists": (net, lists), "float64": (double, rows64)}
    times = {name: latencies(*kind) for name, kind in kinds.items()}
    print(f"predict_one, one thread: the first call takes {1e6 * first:.0f} µs, the others")
    for name, seconds in times.items():
        middle, slow = 1e6 * seconds[CALLS // 2], 1e6 * seconds[int(0.99 * CALLS)]
        print(f"  {name:<15} {middle:5.2f} µs (99 % below {slow:5.2f})")
    print(
        f"parameters take {net.params.nbytes:,} bytes in float32, {double.params.nbytes:,} in float64, and the outputs"
    )
    apart = np.abs(double.predict(rows64) - answers).max()
    print(f"differ by {apart:.0e} at most: far too little to change an answer\n")

    # Any number of threads may use one net. Each call runs in the thread that makes it; predict of many rows would
    # start helpers, which a server with a thread or process for each core does not want: n_threads=1, or
    # FASTNN_NUM_THREADS=1 (or OMP_NUM_THREADS=1) in its environment.
    with ThreadPoolExecutor(THREADS) as pool:
        together = np.array(list(pool.map(net.predict_one, rows)))
    many = net.predict(rows, n_threads=1)
    agree = np.array_equal(together, answers) and np.array_equal(many, answers)
    print(f"{THREADS} threads at once, and all rows in one call, give the same bits: {agree}")

    def draw(axes):
        for name, seconds in times.items():
            axes.loglog(1e6 * seconds, 1 - np.arange(CALLS) / CALLS, label=name)
        axes.set(title=f"predict_one, {CALLS} calls", xlabel="microseconds", ylabel="share of calls that take longer")
        axes.legend()

    save_picture("deployment.png", draw, columns=1)
    return {"same": same, "agree": agree, "accuracy": accuracy, "apart": apart, "path": path}


if __name__ == "__main__":
    main()
