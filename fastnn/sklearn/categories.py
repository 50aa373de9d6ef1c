"""Columns of categories beside numbers that stay as they are: what `categorical_features` of the MLPs does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.records import Labels, Record
from fastnn.formats.table_graph import Given, TableGraph, graph_of_table
from fastnn.layers import Embedding, Layer
from fastnn.sklearn.frames import Column, columns_in, is_frame
from fastnn.sklearn.plans import CategoryPlan, asked_in, of_kinds, values_of

if TYPE_CHECKING:
    from fastnn.formats.graph import Value

EMBEDDED = 8  # numbers that stand for a value of a category of many


def _says_so(column: Any) -> bool:
    """Whether the dtype of a column of a frame is that of categories."""
    dtype = getattr(column, "dtype", None)
    return type(dtype).__name__ in ("CategoricalDtype", "Categorical", "Enum")


class Categories:
    """What becomes of columns of categories, learnt from the rows of a fit.

    Of up to 8 values columns of 0 and 1, or -1 and 1 for two; of more a code, which the net embeds. Missing and unseen
    ones are all 0, or a vector of their own. Other columns stay as they are, and must be numbers.

    Attributes
    ----------
    plans : dict of int to CategoryPlan
        By the place of the column.
    made : list of str
        Names of the columns that the net reads, in order.
    codes : dict of int to int
        Of those that are codes how many values there are.
    """

    def __init__(self, asked: Any) -> None:
        self.asked = asked
        self._names: list[str] = []
        self.plans: dict[int, CategoryPlan] = {}
        self.made: list[str] = []
        self.codes: dict[int, int] = {}

    def learn(self, x: Any, more_may_come: bool) -> None:
        """Learn the values that there are; where more rows may come, also those that only a dtype knows of."""
        given, read = columns_in(x)
        names = [str(name) for name in x.columns] if is_frame(x) else [f"x{i}" for i in range(len(given))]
        places = asked_in(self.asked, names)
        if isinstance(self.asked, str):
            places = {i for i, column in enumerate(given) if _says_so(column)}
        self._names = names
        for i, (name, column) in enumerate(zip(names, given, strict=True)):
            if i in places:
                column_read = read(column, f"column {name!r}")
                self.plans[i] = self._learnt(i, name, column_read, more_may_come and _says_so(column))
        self._arrange()

    def _arrange(self) -> None:
        """Say what the net reads."""
        for i, name in enumerate(self._names):
            plan = self.plans.get(i)
            if plan is not None and plan.form == "embedding":
                self.codes[len(self.made)] = len(plan.values)
            self.made += [name] if plan is None else plan.made
        if not self.made:
            raise ValueError("X holds nothing to learn from: all of its columns are categories without a value")

    def mask(self, n: int) -> NDArray[np.bool_]:
        """Return which of n columns are categories."""
        return np.isin(np.arange(n), [*self.plans])

    # -- what is saved ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `from_state` makes it of again."""
        plans = sorted(self.plans.items())
        places, missing = [i for i, _ in plans], [plan.missing for _, plan in plans]
        return {
            "names": Labels(self._names),
            "places": np.array(places, np.int64),
            "missing": np.array(missing, np.int64),
            "columns": [plan.state() for _, plan in plans],
        }

    @classmethod
    def from_state(cls, asked: Any, n: int, state: Record) -> Categories:
        """Return what has been learnt of n columns."""
        found = cls(asked)
        found._names = state.names("names", n)
        places = state.array("places", np.int64, None).tolist()
        missing = state.array("missing", np.int64, len(places)).tolist()
        columns = [*zip(places, missing, strict=True)]
        if any(not 0 <= i < n for i in places) or any(i >= j for i, j in itertools.pairwise(places)):
            raise ModelFormatError(f"its categories are the columns {str(places)[:60]}, expected places below {n}")
        for of in state.items("columns"):
            if not columns:
                raise ModelFormatError("it has more columns of categories than places")
            i, rows = columns.pop(0)
            found.plans[i] = CategoryPlan.from_state(i, found._names[i], rows, of)
        if columns:
            raise ModelFormatError(f"it lacks {len(columns)} columns of categories")
        found._arrange()
        return found

    def _learnt(self, place: int, name: str, column: Column, all_of_them: bool) -> CategoryPlan:
        if column.kind == "date":
            raise ValueError(
                f"categorical_features has column {name!r}, which holds dates: leave it out, or make text of it"
            )
        if column.codes is None:
            column = values_of(column)
        assert column.codes is not None
        often = np.bincount(column.codes + 1, minlength=len(column.values) + 1).tolist()
        counts = dict(zip(column.values, often[1:], strict=True))
        counts = {value: max(n, 2) if all_of_them else n for value, n in counts.items() if n or all_of_them}
        return CategoryPlan.learnt(place, name, often[0], counts)

    def read(self, x: Any) -> Array:
        """Return the matrix that the net reads, in float32 where all numbers are."""
        given, read = columns_in(x)
        parts: list[Array] = []
        floats = []
        for i, column in enumerate(given):
            where = f"column {x.columns[i]!r}" if is_frame(x) else f"column {i}"
            if i in self.plans:
                parts.append(self._coded(self.plans[i], read(column, where)))
                continue
            numbers = self._numbers(read(column, where), where)
            kind = getattr(column, "dtype", None)
            floats.append(str(kind).lower() == "float32")
            parts.append(numbers[:, None])
        dtype = np.float32 if floats and all(floats) else np.float64
        return np.concatenate(parts, axis=1).astype(dtype)

    def _coded(self, plan: CategoryPlan, column: Column) -> Array:
        if column.kind == "date":
            raise ValueError(f"column {plan.name!r} holds dates, expected a category, as in the rows of the fit")
        column = of_kinds(plan, column)
        matrix = np.zeros((len(column.codes), len(plan.made)))
        plan.write(column, matrix)
        return matrix

    def _numbers(self, column: Column, where: str) -> Array:
        if column.kind == "category" and all(isinstance(value, (bool, np.bool_)) for value in column.values):
            return np.asarray(np.array([*map(float, column.values), np.nan])[column.codes])
        if column.kind in ("category", "date"):
            what = "dates" if column.kind == "date" else "text"
            raise ValueError(
                f"{where} holds {what}, expected numbers: name it in categorical_features, make it of categorical "
                "dtype for categorical_features='from_dtype', or drop it"
            )
        return np.asarray(column.numbers, np.float64)

    @property
    def layers(self) -> list[Layer]:
        """What comes first in the net."""
        return [Embedding(self.codes, EMBEDDED)] if self.codes else []  # type: ignore[arg-type]

    # -- in other formats ---------------------------------------------------------------------------------------------

    def _table(self, names: Sequence[str], inputs: str | None, dtype: np.dtype[Any]) -> TableGraph:
        """Return a graph that is given the columns: numbers of the dtype of the net, where it holds them exactly."""
        given = []
        for i, name in enumerate(names):
            plan = self.plans.get(i)
            holds = "numbers" if plan is None else plan.given_as
            exact = plan is None or holds != "numbers" or all(float(dtype.type(v)) == v for v in plan.values)
            given.append(Given(name, holds, dtype if exact else np.float64))
        return graph_of_table(given, inputs)

    def _graph(self, to: TableGraph, n: int, dtype: np.dtype[Any]) -> Value:
        """Add the matrix that the net reads, of n columns."""
        made = []
        for is_number, group in itertools.groupby(range(n), lambda i: i not in self.plans):
            if is_number:
                made.append(to.of_table([*group]))
                continue
            for i in group:
                with to.part(f"column {self.plans[i].name!r}"):
                    made.append(to.cast(self.plans[i]._graph(to.of_table([i]), to), dtype))
        return to.concat([one for one in made if one.n])
