"""Parts of the recipe of fastnn's Tabular estimators, each left out or exchanged for another one.

Each is a contender of bench_accuracy.py: the estimator, one of whose functions is another while it learns and predicts.
``--parts`` measures those of presets, and holds them against the preset as it is, split by split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from accuracy_methods import METHODS, Fit, Method
from accuracy_ranks import markdown
from sklearn.preprocessing import QuantileTransformer

from fastnn import initialize_from_data
from fastnn.schedules import Constant, Cosine, Coslog, FlatThenDecay
from fastnn.sklearn import ensemble, preprocessing, recipes
from fastnn.sklearn.jobs import Job
from fastnn.sklearn.recipes import LastBest, Recipe

Line = dict[str, Any]
Change = Callable[[], Any]  # a context in which the part is another one


def _recipe(**other: Any) -> Change:
    """Return what changes numbers of the recipe."""

    def recipe_for(preset: str, rows: int) -> Recipe:
        found = recipes.recipe_for(preset, rows)
        return replace(found, **other, others=tuple(replace(form, **other) for form in found.others))

    return lambda: patch.object(ensemble, "recipe_for", recipe_for)


def _rate(plain: Any, tabm: Any = FlatThenDecay) -> Change:
    """Return what lets learning rates follow other schedules, that of plain nets and that of TabM."""

    @contextmanager
    def changed() -> Iterator[None]:
        def optimizer_for(recipe: Recipe, *rest: Any) -> Any:
            with patch.object(recipes, "FlatThenDecay", tabm if recipe.members else FlatThenDecay):
                return recipes.optimizer_for(recipe, *rest)

        with patch.object(recipes, "Coslog", plain), patch.object(ensemble, "optimizer_for", optimizer_for):
            yield

    return changed


def _constant(_: float) -> Constant:
    return Constant(1.0)


def _cosine(_: float) -> Cosine:
    return Cosine()


class _Last(LastBest):
    """The state behind the last epoch."""

    def _is_better(self, value: float, than: float) -> bool:
        return True


def _last_epoch() -> Any:
    return patch.object(ensemble, "LastBest", _Last)


@contextmanager
def _from_data() -> Iterator[None]:
    """First weights of hidden layers from the rows of each net."""
    train = ensemble.Tabular._train

    def trained(self: Any, jobs: Sequence[Job], data: Any, *rest: Any, **more: Any) -> None:
        left = list(jobs)

        def build(*what: Any) -> Any:
            net, rows = recipes.build(*what), left.pop(0).rows
            initialize_from_data(net, data[0] if rows is None else data[0][rows])
            net.layers[-2 if self._of_classes else -1].w[...] = 0  # of the outputs, as in the recipe
            return net

        with patch.object(ensemble, "build", build):
            train(self, jobs, data, *rest, **more)

    with patch.object(ensemble.Tabular, "_train", trained):
        yield


@contextmanager
def _refit() -> Iterator[None]:
    """All nets anew on all rows, for as many epochs as were best on the rows that each has not seen."""
    kept: list[Job] = []
    keep_rows = ensemble.Tabular._keep_rows

    def remember(self: Any, parts: Any, jobs: Sequence[Job], data: Any) -> None:
        kept[:] = jobs
        keep_rows(self, parts, jobs, data)

    with ExitStack() as stack:
        stack.enter_context(patch.object(ensemble.Tabular, "_keep_rows", remember))
        for kind in (ensemble.Tabular, *_below(ensemble.Tabular)):
            if "_after" in vars(kind) and not getattr(kind._after, "__isabstractmethod__", False):
                stack.enter_context(patch.object(kind, "_after", _refitting(kind._after, kept)))
        yield


def _below(kind: type) -> list[type]:
    return [one for below in kind.__subclasses__() for one in (below, *_below(below))]


def _refitting(after: Any, kept: list[Job]) -> Any:
    def changed(self: Any, data: Any, seeds: Any, began: float) -> None:
        after(self, data, seeds, began)
        best = [(job, job.best.best_epoch) for job in kept if job.best is not None]
        again = [Job(job.recipe, job.seed, None, None, max(epoch, 0)) for job, epoch in best]
        if again:
            self._train(again, data, None, began)
        for (job, _), fitted in zip(best, again, strict=True):
            job.net = fitted.net

    return changed


@contextmanager
def _unclipped() -> Iterator[None]:
    """Numbers as they are scaled, however large."""
    with patch.object(preprocessing, "_BOUND", np.inf):
        yield


@contextmanager
def _standardized() -> Iterator[None]:
    """Mean and standard deviation in place of the median and the quartiles."""

    def scale(self: Any, x: np.ndarray, weight: Any) -> None:
        self.center = x.mean(axis=0)
        spread = x.std(axis=0)
        self.factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)

    with patch.object(preprocessing.Preprocessing, "_scale", scale):
        yield


@contextmanager
def _normal_quantiles() -> Iterator[None]:
    """Quantiles of the numbers as those of a normal distribution, as TabM's authors have it; the rest as before."""
    scale, finish = preprocessing.Preprocessing._scale, preprocessing.Preprocessing._finish

    def learn(self: Any, x: np.ndarray, weight: Any) -> None:
        n = self.n_numbers
        scale(self, x, weight)
        if n:
            noisy = x[:, :n] + np.random.default_rng(0).normal(0, 1e-5, (len(x), n)) * x[:, :n].std(axis=0)
            quantiles = max(min(len(x) // 30, 1000), 10)
            transformer = QuantileTransformer(
                n_quantiles=min(quantiles, len(x)), output_distribution="normal", subsample=10**9, random_state=0
            )
            self.quantiles = transformer.fit(noisy)

    def transformed(self: Any, matrix: np.ndarray) -> np.ndarray:
        n = self.n_numbers
        normal = self.quantiles.transform(matrix[:, :n]) if n else None
        found = finish(self, matrix)
        if normal is not None:
            found[:, :n] = normal
        return found

    of = preprocessing.Preprocessing
    with patch.object(of, "_scale", learn), patch.object(of, "_finish", transformed):
        yield


CHANGES: dict[str, dict[str, Change]] = {
    "fast": {
        "first weights from data": _from_data,
        "normal quantiles": _normal_quantiles,
        "mean and deviation": _standardized,
        "no smooth clip": _unclipped,
        "biases at the whole rate": _recipe(bias_rate=1.0),
        "constant rate": _rate(_constant),
        "cosine to 0": _rate(_cosine),
        "3 tenths flat then to 0": _rate(lambda _: FlatThenDecay(0.3)),
        "last epoch": _last_epoch,
        "refit of all nets": _refit,
        "one net and its refit": _recipe(nets=1),
        "one net without a refit": _recipe(nets=1, refit_below=0),
    },
    "balanced": {
        "normal quantiles": _normal_quantiles,
        "mean and deviation": _standardized,
        "no smooth clip": _unclipped,
        "constant rate": _rate(Coslog, _constant),
        "coslog": _rate(Coslog, lambda _: Coslog(4)),
        "last epoch": _last_epoch,
        "refit of all nets": _refit,
    },
}


class _Changed:
    """An estimator that learns and predicts in a context."""

    def __init__(self, estimator: Any, change: Change) -> None:
        self._estimator, self._change = estimator, change

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._estimator, name)

        def call(*data: Any) -> Any:
            with self._change():
                return method(*data)

        return call


_REALMLP = _recipe(  # of pytabkit's RealMLP-TD; its rate for numbers is that of version 1.7
    hidden=(256, 256, 256), dropout=0.15, decay=0.02, smoothing=0.1, parametric=True, embedding="pbld", nets=1,
    rate_numbers=0.2, epochs=256, row_budget=10**12, batch_size=256, refit_below=0, watch="accuracy", clip=True,
)  # fmt: skip


@contextmanager
def _as_realmlp() -> Iterator[None]:
    with _REALMLP(), _from_data():
        yield


def realmlp(fit: Fit) -> Any:
    """Return RealMLP-TD of the parts that the estimators for tables are made of."""
    return _Changed(METHODS["Tabular fast"].make(fit), _as_realmlp)


def _method(preset: str, part: str, change: Change) -> Method:
    whole = METHODS[f"Tabular {preset}"]

    def make(fit: Fit) -> Any:
        return _Changed(whole.make(fit), change)

    return Method(f"{whole.name}: {part}", whole.module, make)


PARTS = {
    method.name: method
    for preset, changes in CHANGES.items()
    for method in (_method(preset, part, change) for part, change in changes.items())
}


def of_preset(preset: str) -> list[str]:
    """Return the names of a preset as it is, and of all its parts."""
    return [name for name in (*METHODS, *PARTS) if name.split(":")[0] == f"Tabular {preset}"]


def gains(lines: Sequence[Line], method: str, measure: str, against: str) -> dict[str, float]:
    """Return by how much a method makes a measure larger, by set: the mean over the splits that both have."""
    values: dict[str, dict[tuple[str, int], float]] = {}
    for line in lines:
        if measure in line:
            values.setdefault(line["method"], {})[line["set"], line["seed"]] = line[measure]
    base, other = values.get(against, {}), values.get(method, {})
    found: dict[str, list[float]] = {}
    for split in base.keys() & other.keys():
        found.setdefault(split[0], []).append(other[split] - base[split])
    return {name: float(np.mean(one)) for name, one in found.items()}


GAINS = ("score · 1,000", "better – worse", "log loss · 1,000", "better – worse")


def of_gains(lines: Sequence[Line], method: str, against: str) -> list[str]:
    """Return what a method gains or loses, `GAINS`: means over the sets, with their standard errors; [] of too few."""
    cells: list[str] = []
    for measure, sign in (("score", 1), ("log_loss", -1)):
        by_set = gains(lines, method, measure, against)
        by_set.pop("linnerud", None)  # whose R² of four rows would be all there is to see
        if len(by_set) < 2:
            return [*cells, *[""] * (4 - len(cells))] if cells else []
        each = 1000 * np.array([*by_set.values()])
        error = each.std(ddof=1) / np.sqrt(len(each))
        better, worse = ((mark * sign * each > 0.05).sum() for mark in (1, -1))
        cells += [f"{each.mean():+.1f} ± {error:.1f}".replace("-", "−"), f"{better} – {worse}"]
    return cells


def of_parts(lines: Sequence[Line], names: Mapping[str, Any]) -> str:
    """Return what each change gains or loses as a table."""
    rows = []
    for method in (name for name in names if ":" in name):
        preset, part = method.removeprefix("Tabular ").split(": ")
        if cells := of_gains(lines, method, f"Tabular {preset}"):
            splits = len({(line["set"], line["seed"]) for line in lines if line["method"] == method})
            rows.append([f'"{preset}": {part}', str(splits), *cells])
    return markdown(["changed", "splits", *GAINS], rows)


def of_methods(lines: Sequence[Line], names: Sequence[str], against: str) -> str:
    """Return what methods gain or lose against another one as a table."""
    rows = [[name, *cells] for name in names if name != against and (cells := of_gains(lines, name, against))]
    return markdown([f"against {against}", *GAINS], rows)
