"""A fit over files that are read block by block, beside the same fit from memory: time, and memory of the process.

    python benchmarks/bench_feeds.py --gigabytes 8 --folder /somewhere/with/room

Each way runs in a process of its own, in turn, and its peak of resident memory is that of this process. Files are in
the cache of the system before, as far as they fit there.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import frame
import numpy as np
from machine import missing

COLUMNS, CLASSES, HIDDEN, BATCH = 64, 10, 64, 256
MOST_TIME, MOST_MEGABYTES = 1.15, 500.0
WAYS = ("memory", "npy", "memmap", "parquet")
_FIT = """\
import json, pathlib, sys
import bench_feeds
folder, way, epochs = sys.argv[1:4]
print(json.dumps(bench_feeds.fit(pathlib.Path(folder), way, int(epochs))))
"""


def make(folder: Path, gigabytes: float, parquet: bool) -> None:
    """Write rows of normal numbers, labelled by the largest of as many mixtures as there are classes."""
    rows = max(BATCH, int(gigabytes * 1e9 / (4 * COLUMNS)))
    rng = np.random.default_rng(0)
    mixtures = rng.standard_normal((COLUMNS, CLASSES)).astype(np.float32)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, COLUMNS))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.int64, (rows,))
    some = rng.standard_normal((1 << 16, COLUMNS), dtype=np.float32)
    writer = None
    for start in range(0, rows, len(some)):
        part = np.roll(some, start // len(some), axis=1)[: rows - start]
        labels = (part @ mixtures).argmax(axis=1)
        x[start : start + len(part)], y[start : start + len(part)] = part, labels
        if parquet:
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.table({f"c{i}": part[:, i] for i in range(COLUMNS)} | {"y": labels})
            writer = writer or pq.ParquetWriter(folder / "t.parquet", table.schema, compression="none")
            writer.write_table(table, row_group_size=len(some))
    if writer is not None:
        writer.close()


def peak_bytes() -> float:
    """The most memory that this process has had: on Linux its own, and not that of the one that has started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(1024 * float(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fit(folder: Path, way: str, epochs: int) -> dict[str, float | str]:
    """Train one way, and say how long it took, and how much memory this process has had."""
    from fastnn import Dense, Model, Softmax, feeds

    net = Model([Dense(HIDDEN, "relu"), Dense(CLASSES), Softmax()], seed=0)
    names = str(folder / "x.npy"), str(folder / "y.npy")
    if way == "memory":
        data = np.load(names[0]), np.load(names[1])
    elif way == "memmap":
        data = np.load(names[0], mmap_mode="r"), np.load(names[1], mmap_mode="r")
    else:
        data = (feeds.Npy(*names) if way == "npy" else feeds.Parquet(folder / "t.parquet", target="y"),)
    begin = time.perf_counter()
    history = net.fit(*data, epochs=epochs, batch_size=BATCH, n_threads=frame.THREADS, verbose=False)
    seconds = time.perf_counter() - begin
    peak = peak_bytes() / 1e6
    return {"way": way, "seconds": seconds, "megabytes": peak, "loss": history.loss[-1]}


def benchmark(chosen: argparse.Namespace, report: frame.Report) -> None:
    gigabytes = chosen.gigabytes or (0.1 if chosen.quick else 1.0)
    known = [way for way in WAYS if way != "parquet" or not missing(["pyarrow"], "")]
    if known != list(WAYS):
        print("pyarrow is missing: Parquet is left out")
    named = [way for way in known if chosen.only in way]
    if not named:
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in dict.fromkeys(["memory", *named])}
    folder = Path(tempfile.mkdtemp(dir=chosen.folder)).resolve()
    try:
        make(folder, gigabytes, "parquet" in found)
        for turn in range(chosen.turns or (1 if chosen.quick else 3)):
            for way in found if turn % 2 == 0 else reversed(found):
                command = [sys.executable, "-c", _FIT, str(folder), way, str(chosen.epochs)]
                command += ["--threads", str(frame.THREADS)]
                done = subprocess.run(
                    command, cwd=Path(__file__).parent, env=frame.same_modules(),
                    stdout=subprocess.PIPE, text=True, check=True,
                )  # fmt: skip
                found[way].append(json.loads(done.stdout))
    finally:
        shutil.rmtree(folder)
    least = {way: min(run["seconds"] for run in runs) for way, runs in found.items()}
    report.more["gigabytes"] = gigabytes
    print(f"{gigabytes:g} GB, {chosen.epochs} epoch(s), batches of {BATCH}, {frame.THREADS} thread(s)")
    print(f"{'way':8} {'seconds':>8} {'× memory':>9} {'peak MB':>9} {'loss':>9}")
    for way, runs in found.items():
        ratio, peak = least[way] / least["memory"], max(run["megabytes"] for run in runs)
        report.rows.append({"way": way, "runs": runs})
        print(f"{way:8} {least[way]:8.2f} {ratio:9.2f} {peak:9.0f} {runs[-1]['loss']:9.4f}")
        if way in ("npy", "memmap"):
            report.require(f"{way}: × the time from memory", ratio, at_most=MOST_TIME)
            report.require(f"{way}: megabytes", peak, at_most=MOST_MEGABYTES)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that this benchmark alone has."""
    parser.add_argument("--gigabytes", type=frame.positive, metavar="N", help="of the files: 1, or 0.1 with --quick")
    parser.add_argument("--epochs", type=frame.count, default=1, metavar="N", help="of each fit: 1")
    parser.add_argument("--turns", type=frame.count, metavar="N", help="of each way: 3, or 1 with --quick")
    where = "where files are written, and deleted; by default a temporary one"
    parser.add_argument("--folder", type=frame.folder, metavar="PATH", help=where)


if __name__ == "__main__":
    frame.run(__doc__.splitlines()[0], benchmark, more_options)
