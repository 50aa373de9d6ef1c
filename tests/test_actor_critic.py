"""The example of an actor and a critic: it solves its task, soon, and says what it reached."""

import importlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example as a module, in an empty folder and without matplotlib."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    return importlib.import_module("actor_critic")


def test_the_pole_stays_up(example, capsys):
    begin = time.perf_counter()
    returns, seconds = example.main()
    assert time.perf_counter() - begin <= 30
    assert seconds <= 30
    assert len(returns) == 20
    assert returns.mean() >= example.SOLVED == 195
    said = capsys.readouterr().out
    assert f"solved: 20 new episodes last {returns.mean():.1f} of 200 steps" in said
    assert "no picture: pip install matplotlib" in said


def test_without_learning_it_falls(example):
    """So the task is one."""
    actors = [example.Model([example.Dense(64, "tanh"), example.Dense(1)], seed=seed) for seed in range(5)]
    assert np.mean([example.returns_of(actor, np.random.default_rng(0)).mean() for actor in actors]) < 100


def test_the_physics_are_those_of_the_paper(example):
    """A pole that stands still, pushed once to the right: x and v as Gymnasium's CartPole has them."""
    poles = example.CartPole(1, np.random.default_rng(0))
    poles.state[:] = [0.0, 0.0, 0.1, 0.0]
    assert not poles.step(np.array([True]))[0]
    np.testing.assert_allclose(poles.state, [[0.0, 0.19356, 0.1, -0.25954]], atol=1e-4)
    poles.state[:] = [2.41, 0.0, 0.0, 0.0]
    assert poles.step(np.array([True]))[0]
    poles.state[:] = [0.0, 0.0, 0.22, 0.0]
    assert poles.step(np.array([False]))[0]


def test_it_is_short_and_steps_by_hand():
    text = (EXAMPLES / "actor_critic.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for used in (".forward(", ".backward(", ".step(actor)", "clip_norm=", ".soft_update("):
        assert used in text


def test_it_runs_as_a_script_in_a_subprocess(tmp_path):
    command = [sys.executable, "-W", "error", EXAMPLES / "actor_critic.py"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=True)
    assert "solved: 20 new episodes" in done.stdout
    assert not done.stderr
