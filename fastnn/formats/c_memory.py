"""Where the values of a prediction lie while it is computed in C: in x, in y, or in memory that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastnn.formats.graph import (
    Clip,
    Columns,
    Elementwise,
    Fill,
    Graph,
    Multiply,
    Node,
    PRelu,
    RowNorm,
    Scale,
    Softmax,
    Sum,
    Value,
    inputs_of,
)

_IN_PLACE = (Clip, Elementwise, Fill, Multiply, PRelu, RowNorm, Scale, Softmax, Sum)  # y may be any that they read


@dataclass
class Place:
    """Numbers that lie together.

    Attributes
    ----------
    base : str
        "x", "y" or "memory".
    start, n : int
        Where in it they begin, and how many there are.
    """

    base: str
    start: int
    n: int

    def __str__(self) -> str:
        return f"{self.base} + {self.start}" if self.start else self.base

    def at(self, i: str | int) -> str:
        """Return the C of one of them, by its number or the name of that."""
        if isinstance(i, int):
            return f"{self.base}[{self.start + i}]"
        return f"{self.base}[{self.start} + {i}]" if self.start else f"{self.base}[{i}]"

    def behind(self, n: int) -> Place:
        """Return what follows the first n numbers."""
        return Place(self.base, self.start + n, self.n - n)


class Memory:
    """The places of all values of a graph.

    Values of elementwise nodes overwrite what they read, where nothing else reads it later; adjacent columns are read
    where they lie; and memory of values that are not read any more is given to others.

    Attributes
    ----------
    places : dict of Place
        By the names of values.
    size : int
        How many numbers the memory has.
    """

    def __init__(self, graph: Graph) -> None:
        self.views = {node.y.name for node in graph.nodes if is_slice(node) and node.y is not graph.y}
        self._last = _last_uses(graph, self.views)
        self.places: dict[str, Place] = {graph.x.name: Place("x", 0, graph.x.n)}
        self._home: dict[str, str] = {}  # of each value that in whose memory it lies
        self._until: dict[str, int] = {}  # the last node that reads what lies in the memory of a value
        self._living: list[str] = []  # values with memory of their own that was still read when some was last asked for
        self._lies_in(graph.x.name, graph.x.name)
        self.size = 0
        ends_in_y = self._in_y(graph)
        for i, node in enumerate(graph.nodes):
            if isinstance(node, Columns) and node.y.name in self.views:
                source = self.places[node.x.name]
                self._lies_in(node.y.name, self._home[node.x.name])
                self.places[node.y.name] = Place(source.base, source.start + int(node.index[0]), node.y.n)
                continue
            home = self._overwritten(node, i)
            if home is not None and not (node.y.name in ends_in_y and self.places[home].base != "y"):
                self._lies_in(node.y.name, home)
                self.places[node.y.name] = self.places[home]
                continue
            self._lies_in(node.y.name, node.y.name)
            if node.y.name in ends_in_y:
                self.places[node.y.name] = Place("y", 0, node.y.n)
            else:
                self.places[node.y.name] = self._free(node.y.n, i)
                self._living.append(node.y.name)

    def _lies_in(self, name: str, home: str) -> None:
        self._home[name] = home
        self._until[home] = max(self._until.get(home, -1), self._last[name])

    def _in_y(self, graph: Graph) -> set[str]:
        """Return the values that lie in y: the last one, and what is overwritten step by step until it is that."""
        found, value = {graph.y.name}, graph.y
        made_by = {node.y.name: (i, node) for i, node in enumerate(graph.nodes)}
        while value.name in made_by:
            i, node = made_by[value.name]
            before = [
                own
                for own in _overwritable(node)
                if own.n == node.y.n
                and own.name in made_by
                and own.name not in self.views
                and self._last[own.name] == i
            ]
            if not before:
                break
            value = before[0]
            found.add(value.name)
        return found

    def _overwritten(self, node: Node, i: int) -> str | None:
        """Return the value whose place a node's own may take, if any."""
        for value in _overwritable(node):
            home = self._home[value.name]
            is_whole = self.places[home] == self.places[value.name] and value.n == node.y.n
            if is_whole and self.places[home].base != "x" and self._until[home] == i:
                return home
        return None

    def _free(self, n: int, i: int) -> Place:
        """Return n numbers of memory that no value which is still read, or is read by this node, lies in."""
        self._living = [name for name in self._living if self._until[name] >= i]
        places = [self.places[name] for name in self._living]
        taken = sorted((place.start, place.start + place.n) for place in places)
        start = 0
        for begin, end in taken:
            if start + n <= begin:
                break
            start = max(start, end)
        self.size = max(self.size, start + n)
        return Place("memory", start, n)


def is_slice(node: Node) -> bool:
    """Whether a node's value is adjacent columns of another one: it may be read where that lies."""
    return isinstance(node, Columns) and bool((np.diff(node.index) == 1).all())


def _overwritable(node: Node) -> tuple[Value, ...]:
    """Return what a node reads and may overwrite; a sum of many values reads the third when the first two are added."""
    return inputs_of(node)[:2] if isinstance(node, _IN_PLACE) else ()


def _last_uses(graph: Graph, views: set[str]) -> dict[str, int]:
    """Return the last node that reads each value, or columns of it where they lie; the outputs are read at the end."""
    found = {graph.x.name: -1, **{node.y.name: i for i, node in enumerate(graph.nodes)}}
    for i, node in enumerate(graph.nodes):
        for value in inputs_of(node):
            found[value.name] = i
    found[graph.y.name] = len(graph.nodes)
    for node in reversed(graph.nodes):
        if node.y.name in views:
            source = inputs_of(node)[0].name
            found[source] = max(found[source], found[node.y.name])
    return found
