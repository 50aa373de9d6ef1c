"""Deployment: save a trained net, load it in another program, and answer requests, one row at a time.

What is saved are arrays: those of the net, and how its inputs are scaled. `numpy.load` without pickles reads nothing
else, so such a file may come from anywhere. A pickle (`pickle.dump(net, file)` works, too) runs code when it is loaded:
take one from nobody but yourself.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from picture import save_picture

from fastnn import Adam, BatchNorm, CrossEntropy, Dense, Model, datasets

CALLS, THREADS = 2000, 4


def make_net(dtype="float32"):
    """Return the net without its numbers: the program that answers makes the same one."""
    return Model([Dense(64), BatchNorm(), Dense(64, "relu"), Dense(10, "softmax")], seed=0, dtype=dtype)


def arrays_of(net):
    """Return all arrays by name: parameters, and states such as the averages of BatchNorm."""
    return {
        f"{place}.{name}": array
        for place, layer in enumerate(net.layers)
        for name, array in {**layer.parameters, **layer.states}.items()
    }


def save(path, net, mean, spread):
    np.savez(path, mean=mean, spread=spread, **arrays_of(net))


def load(path, dtype="float32"):
    """Return the net and how its inputs are scaled."""
    with np.load(path, allow_pickle=False) as file:  # False is the default: what is no array is refused
        mean, spread = file["mean"].astype(dtype), file["spread"].astype(dtype)
        net = make_net(dtype).build(len(mean))
        for name, array in arrays_of(net).items():
            if file[name].shape != array.shape:
                raise ValueError(f"{path}: {name} has shape {file[name].shape}, expected {array.shape}")
            array[...] = file[name]
    return net, mean, spread


def train():
    pixels, labels = datasets.load_digits()
    x, y = pixels[:1400], labels[:1400]
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1
    net = make_net()
    net.fit((x - mean) / spread, y, loss=CrossEntropy(), optimizer=Adam(), epochs=20)
    return net, mean, spread


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
    path = Path("digits_net.npz")
    trained, mean, spread = train()
    save(path, trained, mean, spread)

    # The other program. A first call costs more, because it prepares the others: make it before requests come.
    net, mean, spread = load(path)
    pixels, labels = datasets.load_digits()
    rows = ((pixels[1400:] - mean) / spread).astype(net.dtype)
    start = time.perf_counter()
    net.predict_one(rows[0])
    first = time.perf_counter() - start
    answers = np.array([net.predict_one(row) for row in rows])
    same = np.array_equal(answers, trained.predict(rows))
    accuracy = np.mean(answers.argmax(axis=1) == labels[1400:])
    print(f"{path}: {path.stat().st_size:,} bytes, {net.n_parameters:,} parameters; loaded, it gives the same: {same}")
    print(f"accuracy on {len(rows)} rows that were not trained: {accuracy:.3f}\n")

    double = load(path, "float64")[0]
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
