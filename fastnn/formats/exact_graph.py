"""Nodes for writers that compute embeddings of numbers as the kernels do, to the bit: others get simpler ones."""

from __future__ import annotations

from dataclasses import dataclass

from fastnn.arena import Array
from fastnn.formats.graph import Graph, Node, Value


@dataclass(frozen=True, eq=False)
class Waves(Node):
    """y = cos(a) and sin(a) of each column of x, side by side; a = 2 pi x w + c; w (columns, k), c so, or None."""

    x: Value
    w: Array
    c: Array | None


@dataclass(frozen=True, eq=False)
class Bins(Node):
    """y = x w + b + e(x) v, of each column of x; edges (columns, bins + 1), w, b (columns, d), v (columns, bins, d).

    e(x) is what lies of x in each bin, as `PiecewiseLinearEmbedding` says it.
    """

    x: Value
    edges: Array
    w: Array
    b: Array
    v: Array


class ExactGraph(Graph):
    """A prediction whose writer knows the nodes above, too."""

    def waves(self, x: Value, w: Array, c: Array | None) -> Value:
        """Add cos and sin of the angles of each column."""
        return self._add(Waves, 2 * w.size, x=x, w=w, c=c)

    def bins(self, x: Value, edges: Array, w: Array, b: Array, v: Array) -> Value:
        """Add the piecewise linear functions of each column."""
        return self._add(Bins, w.size, x=x, edges=edges, w=w, b=b, v=v)
