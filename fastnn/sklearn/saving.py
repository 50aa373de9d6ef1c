"""Estimators for tables as files: what each has come to, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import __version__ as scikit_learn
from sklearn.utils.validation import check_is_fitted

from fastnn.arena import Array
from fastnn.checks import flag, number_of
from fastnn.formats import files
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.records import Record
from fastnn.model import Model
from fastnn.sklearn.jobs import Part
from fastnn.sklearn.preprocessing import Preprocessing
from fastnn.sklearn.recipes import Recipe, Task

if TYPE_CHECKING:
    from fastnn.sklearn.ensemble import Tabular

_FLOATS = (np.float32, np.float64)


class Saving:
    """An estimator that can be saved, and loaded by `fastnn.load`."""

    def save(self, path: str | os.PathLike[str], *, rows: bool = True, custom: Mapping[str, Any] | None = None) -> None:
        """Write the estimator to a file that `fastnn.load` reads: it predicts the same, to the bit.

        Nothing in the file is run when it is read (`fastnn.load`), so it may come from anybody. It holds the nets,
        what becomes of each column, classes, temperature, what intervals are made of, and settings; not what the nets
        were trained with, which a fit makes anew.

        Parameters
        ----------
        path : str or path
            It is replaced as a whole: whoever is killed meanwhile, or runs out of space, leaves the old file.
        rows : bool
            Whether the rows for `feature_importances_` are saved, too: 1,000 at most that were not trained with, as the
            nets read them, with their targets. Without them no data are in the file, but the sizes of errors.
        custom : dict or None
            Names for functions among the settings that have none; `fastnn.load` is given the same.

        Raises
        ------
        TypeError, ValueError, OSError
            For what no file can hold, and where it cannot be written.

        Examples
        --------
        >>> import fastnn
        >>> from sklearn.datasets import load_iris
        >>> from fastnn.sklearn import TabularClassifier
        >>> x, y = load_iris(return_X_y=True)
        >>> model = TabularClassifier("fast", random_state=0).fit(x, y)
        >>> model.save("iris.safetensors")
        >>> bool((fastnn.load("iris.safetensors").predict_proba(x) == model.predict_proba(x)).all())
        True
        """
        check_is_fitted(self)
        files.save_estimator(self, path, flag("save: rows", rows), False, custom)  # type: ignore[arg-type]


# -- what the two have in common --------------------------------------------------------------------------------------


def state_of(estimator: Tabular, rows: bool) -> dict[str, Any]:
    """Return what an estimator has come to, but for what only one of the two has."""
    e = estimator
    return {
        "scikit_learn": scikit_learn,
        "n_features_in": e.n_features_in_,
        "target_name": e.target_name_,
        "named_by_text": hasattr(e, "feature_names_in_"),
        "preprocessing": e.preprocessing_.state(),
        "recipe": _recipe_state(e.recipe_),
        "nets": [*e.nets_],
        "n_iter": int(e.n_iter_),
        "kept": [_of_part(part) for part in e._kept] if rows else None,
    }


def _of_part(part: Part) -> dict[str, Any]:
    return {"nets": [*part.nets], "matrix": part.matrix, "learnt": part.learnt, "weight": part.weight}


def restore(estimator: Tabular, record: Record, outputs: int) -> None:
    """Give an estimator the same again."""
    e = estimator
    e._settings()
    del e._scorer
    record.text("scikit_learn")
    e.n_features_in_ = record.whole("n_features_in", 1)
    e.target_name_ = record.text("target_name") if record.has("target_name") else None
    by_text = record.flag("named_by_text")
    e.preprocessing_ = record.part(
        "preprocessing", lambda state: Preprocessing.from_state(e.categorical_features, state)
    )
    names, plans = e.preprocessing_.names, e.preprocessing_.plans
    if len(plans) != e.n_features_in_ or (by_text and names is None):
        raise ModelFormatError(f"it has {len(plans)} columns, expected {e.n_features_in_}")
    if by_text:
        e.feature_names_in_ = np.array(names, object)
    e.recipe_ = record.part("recipe", _recipe)
    preprocessing = e.preprocessing_
    e._task = Task(outputs, e._of_classes, preprocessing.n_numbers, preprocessing.n_scaled, tuple(preprocessing.codes))
    e.nets_ = record.models("nets")
    e._dtype = e.nets_[0].dtype.name
    _require_nets(e, e.nets_)
    e.n_iter_ = record.whole("n_iter")
    e._kept = []
    if record.has("kept"):
        e._kept = [_part(e, part) for part in record.items("kept")]


def _require_nets(estimator: Tabular, nets: list[Model]) -> None:
    """Raise ModelFormatError unless nets read such rows, and say so many numbers."""
    width, outputs = max(1, len(estimator.preprocessing_.origin)), estimator._task.outputs
    for net in nets:
        if (net.n_in, net.n_out, net.dtype.name) != (width, outputs, estimator._dtype):
            raise ModelFormatError(
                f"a net has {net.n_in} inputs and {net.n_out} outputs of {net.dtype.name}, expected {width} and "
                f"{outputs} of {estimator._dtype}"
            )


def _recipe_state(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values, with recipes inside it."""
    found = {field.name: getattr(recipe, field.name) for field in fields(Recipe)}
    inside = {name: value for name, value in found.items() if isinstance(value, tuple)}
    return found | {
        name: [_recipe_state(one) if isinstance(one, Recipe) else one for one in value]
        for name, value in inside.items()
    }


def _recipe(record: Record) -> Recipe:
    """Return a recipe: what the file does not say, as it is by default, so that files may be older."""
    default, found = Recipe(), dict[str, Any]()
    for field in fields(Recipe):
        if record.has_objects(field.name):
            found[field.name] = tuple(_recipe(one) for one in record.items(field.name))
        elif field.name in record.names_left():
            found[field.name] = record.like(field.name, getattr(default, field.name))
    return Recipe(**found)


def _part(estimator: Tabular, record: Record) -> Part:
    nets = record.models("nets")
    _require_nets(estimator, nets)
    matrix = record.array("matrix", estimator._dtype, None, nets[0].n_in)
    n = len(matrix)
    if estimator._of_classes:
        learnt = record.array("learnt", np.int64, n)
        if n and not 0 <= learnt.min() <= learnt.max() < estimator._task.outputs:
            raise ModelFormatError("rows for importances have classes that are not there")
    else:
        learnt = record.array("learnt", _FLOATS, n, estimator._task.outputs)
    return Part(tuple(nets), matrix, learnt, record.array("weight", np.float64, n) if record.has("weight") else None)


def sizes_from(estimator: Tabular, record: Record) -> tuple[list[Model], Array, Array]:
    """Return what says how large residuals are: nets, and the scale of what they say."""
    nets = record.models("nets")
    _require_nets(estimator, nets)
    outputs = estimator._task.outputs
    return nets, record.array("mean", np.float64, outputs), record.array("spread", np.float64, outputs)


def tried(estimator: Tabular) -> Any:
    """Return the estimator, which has predicted for a row of which nothing is known."""
    row = np.full((1, estimator.n_features_in_), None, object)
    matrix = estimator.preprocessing_.transform(row).astype(estimator._dtype, copy=False)
    outputs = []
    for net in estimator.nets_:
        outputs.append(np.asarray(net.predict(matrix), np.float64))
        net._predictors.forget()  # its memory: a file with many nets is read in little
    estimator._predicted(np.mean(outputs, axis=0))
    return estimator


# -- the rest ---------------------------------------------------------------------------------------------------------


def about(estimator: Tabular, *more: tuple[str, str]) -> list[list[str]]:
    """Return lines that say what an estimator is: its nets, what is behind them, and what becomes of columns."""
    preset, nets = estimator.preset, estimator.nets_
    lines = [["preset", f"{preset}: {number_of(len(nets), 'net')}, {number_of(int(estimator.n_iter_), 'epoch')}"]]
    lines += [[*line] for line in more]
    lines += [["column", plan.name, plan.kind, plan.said] for plan in estimator.preprocessing_.plans]
    return lines
