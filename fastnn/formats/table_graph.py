"""What an estimator makes of a table, in nodes: beside those of nets (`graph`) what columns and labels need.

The plan of a column, an estimator and its labels each say in ``_graph`` what they are; writers know the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.graph import Graph, Node, Value, graph_of
from fastnn.network import Network

TEXT = np.dtype(object)
NOTHING = -(2**63)  # of whole numbers and dates what says that there is none: NumPy's NaT


class Input(NamedTuple):
    """What a table is given as.

    Attributes
    ----------
    value : Value
        Of float64 or float32, of int64 (`NOTHING` where it is missing), or of text ("" where it is missing).
    title : str
        The name of the column, or "x" for all of them.
    holds : {"numbers", "whole numbers", "dates", "text"}
    """

    value: Value
    title: str
    holds: str


class Output(NamedTuple):
    """What is predicted.

    Attributes
    ----------
    value : Value
    title : str
    shape : tuple of int
        Of what is predicted for one row: () for a label.
    names : sequence of str, or None
        Of the columns of a matrix.
    """

    value: Value
    title: str
    shape: tuple[int, ...]
    names: Sequence[str] | None = None


@dataclass(frozen=True, eq=False)
class Cast(Node):
    """y = x in the dtype of y."""

    x: Value


@dataclass(frozen=True, eq=False)
class Log(Node):
    """y = log x."""

    x: Value


@dataclass(frozen=True, eq=False)
class SmoothClip(Node):
    """y = x / sqrt(1 + (x / bound)^2)."""

    x: Value
    bound: float


@dataclass(frozen=True, eq=False)
class Missing(Node):
    """y = 1 where x is NaN, else 0."""

    x: Value


@dataclass(frozen=True, eq=False)
class Share(Node):
    """y = x / the sum of x over the row."""

    x: Value


@dataclass(frozen=True, eq=False)
class Less(Node):
    """y = x - first, rounded once, and NaN where x is `NOTHING`; x (rows, 1) and first of int64."""

    x: Value
    first: int


@dataclass(frozen=True, eq=False)
class DateParts(Node):
    """y = parts of dates, each by its name in `PARTS`, and NaN where there is none.

    x (rows, 1) of int64 are microseconds since 1970, of which `first` were gone at the first date of the fit.
    """

    x: Value
    first: int
    parts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Lookup(Node):
    """y = values[i] where x (rows, 1) is keys[i], else `default`: keys are text, numbers or whole ones, as x is."""

    x: Value
    keys: tuple[Any, ...]
    values_of: tuple[int, ...]
    default: int


@dataclass(frozen=True, eq=False)
class Above(Node):
    """y = 1 where x is above the threshold, else 0, of int64."""

    x: Value
    threshold: float


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS = (
    "days", "year", "sine of the year", "cosine of the year", "sine of the day", "cosine of the day", *DAYS,
)  # fmt: skip
A_DAY, A_YEAR = 86_400_000_000, 365.25  # microseconds, days


@runtime_checkable
class Predictor(Protocol):
    """An estimator that can be written."""

    def _prediction_graph(self, inputs: str | None, preprocessing: bool, labels: bool | None) -> TableGraph:
        """Return what it predicts; the arguments are those of `to_onnx`."""


class Given(NamedTuple):
    """A column of a table as a graph is given it: what it holds as `Input` says it, "" where nothing reads it."""

    name: str
    holds: str
    dtype: Any = np.float64  # of numbers


def graph_of_table(columns: Sequence[Given], inputs: str | None) -> TableGraph:
    """Return a graph that is given a table: a matrix where all columns are numbers, else an input for each of them.

    Parameters
    ----------
    columns : sequence of Given
    inputs : {"matrix", "columns"} or None
        None chooses.

    Raises
    ------
    ValueError
        Where columns that are no numbers, or of several dtypes, are to be a matrix, and where there are none.
    """
    dtypes = [np.dtype(_DTYPES.get(column.holds, column.dtype)) for column in columns]
    read = [i for i, column in enumerate(columns) if column.holds]
    of_matrix = dtypes[read[0] if read else 0]
    odd = next((i for i in read if dtypes[i] != of_matrix or columns[i].holds != "numbers"), None)
    if inputs == "matrix" and odd is not None:
        raise ValueError(
            f"inputs='matrix' is of numbers of one dtype, and column {columns[odd].name!r} holds {columns[odd].holds} "
            f"({dtypes[odd]}): pass inputs='columns', an input for each column"
        )
    if inputs != "columns" and odd is None:
        return TableGraph([Input(Value("x", len(columns), of_matrix), "x", "numbers")])
    if not read:
        raise ValueError(
            "all columns were dropped in the fit, so no input would say how many rows there are: fit it with columns "
            "that differ between rows"
        )
    given = [Input(Value(f"column_{i}", 1, dtypes[i]), columns[i].name, columns[i].holds) for i in read]
    return TableGraph(given, read)


_DTYPES: dict[str, Any] = {"text": TEXT, "dates": np.int64, "whole numbers": np.int64}


class TableGraph(Graph):
    """A prediction from a table: several inputs of several kinds, several outputs.

    Parameters
    ----------
    inputs : sequence of Input
    places : sequence of int or None
        Which columns of the table they are; None where the one input is all of them.

    Attributes
    ----------
    inputs : list of Input
    outputs : list of Output
    about : dict
        What is known beside the numbers: names, classes.
    is_matrix : bool
        Whether the one input is all columns.
    """

    def __init__(self, inputs: Sequence[Input], places: Sequence[int] | None = None) -> None:
        first = inputs[0].value
        super().__init__(first.n, first.dtype)
        self.x = self.y = first
        self.inputs, self.outputs, self.about = list(inputs), list[Output](), dict[str, Any]()
        self.is_matrix = places is None
        self._of_place = dict(zip(places or (), (one.value for one in inputs), strict=False))

    def of_table(self, places: Sequence[int]) -> Value:
        """Return columns of the table, side by side."""
        if self.is_matrix:
            return self.columns(self.x, places)
        return self.concat([self._of_place[place] for place in places])

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Say in errors of what comes which part it belongs to."""
        before, self._layer = self._layer, name
        yield
        self._layer = before

    def net(self, net: Network, x: Value) -> Value:
        """Add what a net makes of x."""
        return self.row(net._predictors.layers, self.cast(x, net.dtype))

    def mean(self, values: Sequence[Value]) -> Value:
        """Add the mean of values of the same size."""
        return values[0] if len(values) == 1 else self.scale(self.sum(values), 1 / len(values))

    def cast(self, x: Value, dtype: Any) -> Value:
        """Add x in another dtype."""
        return x if x.dtype == dtype else self._add(Cast, x.n, dtype, x=x)

    def log(self, x: Value) -> Value:
        """Add log x."""
        return self._add(Log, x.n, x=x)

    def smooth_clip(self, x: Value, bound: float) -> Value:
        """Add x / sqrt(1 + (x / bound)^2)."""
        return self._add(SmoothClip, x.n, x=x, bound=bound)

    def missing(self, x: Value) -> Value:
        """Add 1 where x is NaN, else 0."""
        return self._add(Missing, x.n, x=x)

    def share(self, x: Value) -> Value:
        """Add x / the sum of each row."""
        return self._add(Share, x.n, x=x)

    def less(self, x: Value, first: int) -> Value:
        """Add whole numbers less one."""
        return self._add(Less, 1, np.float64, x=x, first=first)

    def date_parts(self, x: Value, first: int, parts: Sequence[str]) -> Value:
        """Add parts of dates."""
        return self._add(DateParts, len(parts), np.float64, x=x, first=first, parts=tuple(parts))

    def lookup(self, x: Value, keys: Sequence[Any], values: Sequence[int], default: int) -> Value:
        """Add the values that belong to keys."""
        return self._add(Lookup, 1, np.float64, x=x, keys=tuple(keys), values_of=tuple(values), default=default)

    def zeros(self) -> Value:
        """Add (rows, 1) of 0."""
        x = self.inputs[0].value
        key: Any = "" if x.dtype == TEXT else x.dtype.type(0)
        return self.lookup(x if x.n == 1 else self.columns(x, [0]), [key], [0], 0)

    def above(self, x: Value, threshold: float) -> Value:
        """Add 1 where x is above a threshold."""
        return self._add(Above, x.n, np.int64, x=x, threshold=threshold)

    def output(self, value: Value, title: str, shape: tuple[int, ...], names: Sequence[str] | None = None) -> None:
        """Say that a value is predicted; the last one is that of formats with a single output."""
        self.outputs.append(Output(value, title, shape, names))
        self.y = value


def last_step_of(model: object) -> str:
    """Return what to do with a pipeline of scikit-learn, or "" for what is none."""
    return ": pass its last step, pipeline[-1], which reads what the others make" if hasattr(model, "steps") else ""


class MoreThanNetError(ValueError):
    """An estimator does more than a format can hold; `why` is the message without what to do in Python."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why}: to_onnx writes all of it; or write one of its nets, as estimator.nets_[0] or estimator.net_"
        )
        self.why = why


def graph_of_numbers(what: str, model: object, kind: type[Graph] = Graph) -> Graph:
    """Return the graph of a model, or of an estimator that is given a matrix of numbers and predicts another one.

    Parameters
    ----------
    what : str
        The function that writes it, for errors.
    kind : type
        Of the graph of a model.

    Raises
    ------
    TypeError
        For what is neither.
    ValueError
        For estimators of other columns, or of several targets, with what to do.
    """
    if isinstance(model, Network):
        return graph_of(model, kind)
    if not isinstance(model, Predictor):
        raise TypeError(
            f"{what}: net is {shown(model)}, expected a model such as Model([Dense(8, 'relu'), Dense(1)]), or an "
            f"estimator of fastnn.sklearn{last_step_of(model)}"
        )
    name = type(model).__name__
    try:
        graph = model._prediction_graph(None, True, False)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    odd = next((one for one in graph.inputs if one.holds != "numbers"), None)
    if not graph.is_matrix or len(graph.outputs) > 1 or len(graph.outputs[0].shape) > 1:
        why = "predicts several things"
        if not graph.is_matrix:
            why = "reads columns that are no numbers"
            if odd is not None:
                why = f"reads other columns: column {odd.title!r} holds {odd.holds}"
        raise MoreThanNetError(
            f"{what} writes an estimator that reads numbers and predicts one matrix, and this {name} {why}"
        )
    graph.gives = _MEANINGS.get(graph.outputs[0].title, "numbers")
    graph.class_names = None if graph.outputs[0].names is None else tuple(graph.outputs[0].names)
    return graph


_MEANINGS = {"probabilities": "class probabilities", "scores": "class margins"}


def refuse_tables(what: str, graph: Graph) -> None:
    """Raise ValueError for an estimator that computes in two dtypes, or in nodes that are of no net."""
    if any(node.y.dtype != graph.dtype or isinstance(node, _OF_TABLES) for node in graph.nodes):
        raise MoreThanNetError(
            f"{what} has no text for what this estimator does beside its nets (scaling in float64, shares of "
            "probabilities)"
        )


_OF_TABLES = (Cast, Log, SmoothClip, Missing, Share, Less, DateParts, Lookup, Above)


def label_array(classes: Array, who: str) -> NDArray[Any]:
    """Return labels as other formats hold them: whole numbers, truths, float64 or text.

    Raises
    ------
    TypeError
        For labels of other kinds, with what to do.
    """
    kind = classes.dtype.kind
    if kind in "iu" and (kind == "i" or int(classes.max()) < 2**63):
        return classes.astype(np.int64)
    if kind in "bf":
        return classes.astype(bool if kind == "b" else np.float64)
    if kind in "UO" and all(isinstance(one, str) for one in classes.tolist()):
        return classes.astype(object)
    raise TypeError(
        f"{who} has classes that ONNX has no labels for, such as {classes.tolist()[0]!r} of dtype {classes.dtype}: fit "
        "it with text or whole numbers, or pass labels=False and choose the class by the largest probability"
    )
