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

import numpy as np

COLUMNS, CLASSES, HIDDEN, BATCH = 64, 10, 64, 256
MOST_TIME, MOST_MEGABYTES = 1.15, 500.0
WAYS = ("memory", "npy", "memmap", "parquet")


def make(folder: Path, gigabytes: float, parquet: bool) -> None:
    """Write rows of normal numbers, labelled by the largest of as many mixtures as there are classes."""
    rows = int(gigabytes * 1e9 / (4 * COLUMNS))
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


def fit(folder: Path, way: str, epochs: int, n_threads: int | None) -> dict[str, float | str]:
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
    history = net.fit(*data, epochs=epochs, batch_size=BATCH, n_threads=n_threads, verbose=False)
    seconds = time.perf_counter() - begin
    peak = peak_bytes() / 1e6
    return {"way": way, "seconds": seconds, "megabytes": peak, "loss": history.loss[-1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where files are written, and deleted; by default a temporary one")
    parser.add_argument("--only", default="", help="ways whose name has this in it, beside that from memory")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "bench_feeds.json")
    parser.add_argument("--quick", action="store_true", help="0.1 GB, one turn")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(fit(options.folder, options.way, options.epochs, options.threads)))
        return 0
    gigabytes, turns = (0.1, 1) if options.quick else (options.gigabytes, options.turns)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        print("pyarrow is missing: Parquet is left out")
        ways = [way for way in WAYS if way != "parquet"]
    else:
        ways = list(WAYS)
    ways = [way for way in ways if way == "memory" or options.only in way]
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    try:
        make(folder, gigabytes, "parquet" in ways)
        for turn in range(turns):
            for way in ways if turn % 2 == 0 else reversed(ways):
                command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
                command += ["--epochs", str(options.epochs), "--threads", str(options.threads)]
                answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found[way].append(json.loads(answer))
    finally:
        shutil.rmtree(folder)
    least = {way: min(run["seconds"] for run in runs) for way, runs in found.items()}
    print(f"{gigabytes:g} GB, {options.epochs} epoch(s), batches of {BATCH}, {options.threads} thread(s)")
    print(f"{'way':8} {'seconds':>8} {'× memory':>9} {'peak MB':>9} {'loss':>9}")
    missed = False
    for way, runs in found.items():
        ratio, peak = least[way] / least["memory"], max(run["megabytes"] for run in runs)
        is_bound = way in ("npy", "memmap")
        bad = is_bound and (ratio > MOST_TIME or peak > MOST_MEGABYTES)
        missed |= bad and not options.quick
        print(f"{way:8} {least[way]:8.2f} {ratio:9.2f} {peak:9.0f} {runs[-1]['loss']:9.4f}{'  missed' if bad else ''}")
    print(f"required of npy and memmap: at most {MOST_TIME} × the time from memory, below {MOST_MEGABYTES:g} MB")
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps({"gigabytes": gigabytes, "runs": found}, indent=1), encoding="utf-8")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
