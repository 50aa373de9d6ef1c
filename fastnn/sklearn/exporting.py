"""What the estimators predict, in nodes that other formats are written from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from fastnn.formats.graph import Value
from fastnn.formats.table_graph import Input, TableGraph

if TYPE_CHECKING:
    from fastnn.model import Model


class Exporting:
    """An estimator of which other formats can be written, as by `fastnn.to_onnx`."""

    def _prediction_graph(self, inputs: str | None, preprocessing: bool, labels: bool | None) -> TableGraph:
        """Return what it predicts.

        Parameters
        ----------
        inputs : {"matrix", "columns"} or None
        preprocessing : bool
            Whether it begins with the table, or with the matrix that the nets read.
        labels : bool or None
            Whether classes are among the outputs; None is yes for a classifier.
        """
        check_is_fitted(self)
        name = type(self).__name__
        if labels and not hasattr(self, "classes_"):
            raise ValueError(f"labels=True, but {name} predicts numbers, not classes: leave labels out")
        to, x = self._graph_of_rows(inputs, preprocessing)
        self._graph(x, to, labels is not False)
        names: Any = getattr(self, "feature_names_in_", None)
        if names is not None and to.is_matrix and preprocessing:
            to.feature_names = tuple(map(str, names))
        known = {
            "estimator": name,
            "inputs": {one.title: one.holds for one in to.inputs},
            "feature_names": None if names is None else [*map(str, names)],
            "target_name": getattr(self, "target_name_", None),
        }
        to.about |= {key: value for key, value in known.items() if value is not None}
        return to

    @abstractmethod
    def _graph_of_rows(self, inputs: str | None, preprocessing: bool) -> tuple[TableGraph, Value]:
        """Return a new graph with its inputs, and in it the matrix that nets read."""

    @abstractmethod
    def _graph(self, x: Value, to: TableGraph, labels: bool) -> None:
        """Add what the nets make of a matrix, and the outputs."""


def graph_of_matrix(net: Model, names: Sequence[str]) -> tuple[TableGraph, Value]:
    """Return a graph that is given what nets read, of columns with these names."""
    x = Value("x", net.n_in, net.dtype)
    to = TableGraph([Input(x, "x", "numbers")])
    to.feature_names = tuple(names) if len(names) == x.n else None
    return to, x
