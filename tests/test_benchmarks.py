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

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr("os.environ", dict(os.environ))  # which importing it changes
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import frame

    return frame


def run(script: str, tmp_path: Path, *options: str) -> tuple[str, dict]:
    path = tmp_path / "results" / "out.json"
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
    assert {row["workload"] for row in report["rows"]} >= {"2-8-1", "20-64-64-2", "784-128-10"}
    assert all({"fastnn", "NumPy"} <= row["seconds"].keys() for row in report["rows"])
    assert all(row["seconds"].keys().isdisjoint(row["left_out"]) for row in report["rows"])
    assert printed.count("fastnn is × faster") == len(report["rows"]) / 2  # a table has two forms
    assert "required at most 1/8" in printed


def test_bench_kernels(tmp_path: Path) -> None:
    printed, report = run("bench_kernels.py", tmp_path)
    check_rows(report)
    ops = {row["op"] for row in report["rows"]}
    assert {"x @ w", "x.T @ dy", "dy @ w.T", "dense_forward", "tanh_backward", "mse", "adam", "gather_rows"} <= ops
    assert {row["dtype"] for row in report["rows"]} == {"float32", "float64"}
    assert all(heading in printed for heading in ("GFLOP/s", "ns per element", "fastnn is × faster"))


def test_every_kernel_is_measured(tmp_path: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-c", "import bench_kernels as b; print(*b.ROWS)"],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=True,
    ).stdout  # fmt: skip
    from cases import CASES

    missing = {case.op for case in CASES} - set(listed.split()) - {"dense_forward", "dense_backward", "increment"}
    assert not missing, f"bench_kernels.py does not measure {sorted(missing)}"


def test_only_selects_and_says_when_nothing_is_left(tmp_path: Path) -> None:
    _, report = run("bench_kernels.py", tmp_path, "--only", "relu_forward")
    assert {row["op"] for row in report["rows"]} == {"relu_forward", "leaky_relu_forward"}
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


def test_trainers_agree_on_other_nets() -> None:
    """Losses, outputs and activations that no workload has yet: libraries scale the squared error differently."""
    code = """
import frame
from trainers import TRAINERS, missing
from workloads import Workload
regressions = [Workload((8, 16, n_out), 64, 32, "identity", "mse") for n_out in (1, 3)]
for workload in (*regressions, Workload((2, 8, 4, 2), 8, 4, hidden="tanh")):
    data = workload.data()
    trainers = {name: make(workload, workload.weights(), *data) for name, make in TRAINERS.items() if not missing(name)}
    results = {name: [trainer.fit(3, shuffle=False), *trainer.weights()] for name, trainer in trainers.items()}
    frame.verify(workload.name, results, workload.rtol)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


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
small = {"epochs": 2, "verified": 2}
bench_train.WORKLOADS = (Workload((2, 3, 2), 8, 4, at_least={"NumPy": 1e9}, **small),)
frame.run("", bench_train.benchmark)
"""
    path = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json", str(path), "--quick", *(["--smoke"] if smoke else [])],
        cwd=BENCHMARKS, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "DOES NOT HOLD" in done.stdout
    assert done.returncode == (0 if smoke else 1)
    assert ("Required, and missed" in done.stderr) is not smoke
    assert json.loads(path.read_text())["rows"]


def test_an_old_numpy_does_not_tell_its_blas(frame: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    import machine

    assert " " in machine._blas()
    monkeypatch.setattr(np, "show_config", lambda: None)  # as before NumPy 1.25: without mode
    assert machine._blas() == "BLAS unknown"


def test_contenders_take_turns(frame: ModuleType) -> None:
    calls: list[str] = []
    timings = frame.measure({name: lambda name=name: calls.append(name) for name in ("fastnn", "b")}, 0.0, at_least=3)
    assert timings["fastnn"].repeats == timings["b"].repeats == 3
    turns = [name for name, _ in groupby(calls)]
    assert turns == ["fastnn", "b", "fastnn", "b", "fastnn", "b"]  # warm up; then each repeat begins with another one
    assert frame.ratios(timings) == {"b": timings["b"].minimum / timings["fastnn"].minimum}
