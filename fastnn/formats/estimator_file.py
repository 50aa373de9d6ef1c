"""What the file of an estimator holds: its settings, what it has come to, and its models; and back."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from fastnn.formats.errors import ModelFormatError
from fastnn.formats.model_file import OF_A_MODEL, Arrays, Texts, described, model_of
from fastnn.formats.parts import Custom
from fastnn.formats.records import Record, Source, Writer
from fastnn.formats.strict_json import Budget

_PACKAGE = "fastnn.sklearn"  # whose public classes a file may name
_RULES = "fastnn.sklearn.rules"  # which has parts that are not public


class Saved(Protocol):
    """An estimator that a file may hold."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return its settings."""

    def _state(self, rows: bool) -> dict[str, Any]:
        """Return what it has come to, as plain values, arrays and models."""

    def _about(self) -> list[list[str]]:
        """Return the same in words, for people: lines, each of some cells."""

    @classmethod
    def _restored(cls, settings: dict[str, Any], record: Record) -> Any:
        """Return the estimator that has come to that; its predictions have been tried."""


def estimator_texts(
    estimator: Saved, rows: bool, trains: bool, custom: Custom | None, budget: Budget
) -> tuple[Texts, Arrays]:
    """Return the texts and the arrays of the file of an estimator, and take of a budget what reading it will cost."""
    name = type(estimator).__name__
    if getattr(import_module(_PACKAGE), name, None) is not type(estimator):
        raise TypeError(f"save: {name} is none of the classes of {_PACKAGE}, which files know: save one of those")
    writer, parts = Writer(custom, budget), import_module(_RULES).IN_FILES
    settings = writer.settings(estimator.get_params(deep=False), f"save: {name}")
    state = writer.value(estimator._state(rows), name)
    arrays, models = dict(writer.arrays), []
    for i, (model, rules) in enumerate(writer.models):
        texts, own = described(model, custom, trains, budget, parts, rules)
        models.append(texts)
        arrays.update((f"models.{i}.{key}", array) for key, array in own.items())
    of = {"class": name, "settings": settings, "state": state, "about": estimator._about()}
    return {"estimator": of, "models": {"list": models}}, arrays


def estimator_of(texts: Texts, arrays: Arrays, budget: Budget, custom: Custom | None) -> Any:
    """Return the estimator that texts and arrays describe."""
    models, parts = [], import_module(_RULES).IN_FILES
    for i, one in enumerate(texts["models"]):
        before = f"models.{i}."
        own = {name: arrays.pop(name) for name in [*arrays] if name.startswith(before)}
        own = {name[len(before) :]: array for name, array in own.items()}
        models.append(model_of(one, own, budget, custom, parts))
    source = Source(arrays, models, budget, custom)
    of = Record(texts["estimator"], "its estimator", source)
    module = import_module(_PACKAGE)
    name = of.choice("class", [name for name in module.__all__ if hasattr(getattr(module, name), "_restored")])
    settings = of.settings("settings")
    found = of.part("state", lambda record: getattr(module, name)._restored(settings, record))
    for left in source.arrays:
        raise ModelFormatError(f"nothing takes the array {left[:40]!r}")
    return found


def texts_in(given: Any) -> list[Texts]:
    """Return the texts of the models of a file."""
    models = given.get("list")
    if not isinstance(models, list) or not models:
        raise ModelFormatError("it has no models")
    for one in models:
        if not isinstance(one, dict) or not all(isinstance(one.get(name), dict) for name in OF_A_MODEL):
            raise ModelFormatError(f"one of its models is {str(one)[:60]}, expected its {', '.join(OF_A_MODEL)}")
    return models


def lines_about(estimator: Texts) -> list[Sequence[str]]:
    """Return what a file says of an estimator for people."""
    about = estimator.get("about")
    rows = about if isinstance(about, list) else []
    return [row for row in rows if isinstance(row, list) and all(isinstance(cell, str) for cell in row)]
