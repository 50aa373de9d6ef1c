"""One batch through a model, layer by layer, in numbers and words."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.callbacks.finding import Finding
from fastnn.inspection.findings import constant_loss, dead, findings_of, relative, rms, saturated
from fastnn.inspection.lines import Line
from fastnn.inspection.probe import Probe
from fastnn.markup import brief, escape, html_table, text_table

_WIDTH = 100  # letters of a line
_HEAD = ("layer", "mean", "std", "zeros", "saturated", "gradient", "grad. zeros", "dw / w")
_NAN = float("nan")


class Check:
    """What `Model.check` has seen of one batch.

    Attributes
    ----------
    findings : list of Finding
        What looks wrong, in words, each with what to do; empty where nothing does.
    loss : float
        Of the batch, without the penalties of the model.
    constant : float
        The least loss of outputs that are the same for all rows, where it is known, else NaN: what is had without x.
    rows : int
        How many there were.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> check = Model([Dense(8, "tanh"), Dense(1)], seed=0).check(x, x**2, "mse")
    >>> check.findings
    []
    >>> check.to_dict()["layer"]
    ["1 Dense(8, 'tanh')", '2 Dense(1)']
    """

    def __init__(self, probe: Probe) -> None:
        self.findings: list[Finding] = findings_of(probe)
        self.loss, self.rows = probe.value, len(probe.x)
        self.constant = constant_loss(probe)
        self._table: dict[str, list[Any]] = {}
        self._depths = [line.depth for line in probe.lines]
        with np.errstate(all="ignore"):
            for line in probe.lines:
                for name, value in _numbers(probe, line).items():
                    self._table.setdefault(name, []).append(value)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the numbers by name, a list with one for each layer: ``pandas.DataFrame(check.to_dict())`` is a table.

        "layer"; of its outputs "mean", "std", and as shares "zeros", "saturated" (at a bound of its activation, where
        that has two), "dead" (units through which no gradient comes in any row) and "non_finite"; of the gradient of
        the loss with respect to these "gradient" (the root of its mean square), "gradient_zeros" and
        "gradient_non_finite"; of its parameters "change", the norm of their gradient beside their own. NaN is what
        there is not.
        """
        return {name: list(values) for name, values in self._table.items()}

    def _rows(self) -> list[tuple[str, ...]]:
        table, found = self._table, []
        for i, depth in enumerate(self._depths):
            cells = [f"{'   ' * depth}{table['layer'][i]}"]
            for name in ("mean", "std", "zeros", "saturated", "gradient", "gradient_zeros", "change"):
                value, is_share = table[name][i], name in ("zeros", "saturated", "gradient_zeros")
                shown = f"{value:.0%}" if is_share else brief(value)
                cells.append("-" if value != value else shown)
            found.append(tuple(cells))
        return found

    @property
    def _title(self) -> str:
        return f"{self.rows} rows, loss {self.loss:.4g}"

    def __repr__(self) -> str:
        lines = text_table(_HEAD, self._rows(), right=7)
        said = [part for found in self.findings for part in wrap(f"* {found}", _WIDTH, subsequent_indent="  ")]
        return "\n".join([*lines, self._title, *(said or ["nothing looks wrong"])])

    def _repr_html_(self) -> str:
        said = [escape(str(found)) for found in self.findings] or ["nothing looks wrong"]
        items = "".join(f"<li>{text}</li>" for text in said)
        table = html_table(_HEAD, self._rows(), right=7)
        return f'<div style="line-height:1.4">{table}<div>{escape(self._title)}</div><ul>{items}</ul></div>'


def _share(array: Array | None) -> float:
    return _NAN if array is None or not array.size else float(np.mean(array))


def _numbers(probe: Probe, line: Line) -> dict[str, Any]:
    seen = probe.seen(line)
    y = None if seen is None else seen.y
    dy = None if seen is None else seen.dy
    end = probe.of(line.gives)
    return {
        "layer": f"{line.place} {line.text}",
        "mean": _NAN if y is None else float(y.mean(dtype=np.float64)),
        "std": _NAN if y is None else float(y.std(dtype=np.float64)),
        "zeros": _NAN if y is None else _share(y == 0),
        "saturated": _NAN if end is None else _share(saturated(line.gives, end.y)),
        "dead": _NAN if end is None else _share(dead(end)),
        "non_finite": _NAN if y is None else _share(~np.isfinite(y)),
        "gradient": _NAN if dy is None else rms(dy),
        "gradient_zeros": _NAN if dy is None else _share(dy == 0),
        "gradient_non_finite": _NAN if dy is None else _share(~np.isfinite(dy)),
        "change": relative(line) if line.n_parameters and dy is not None else _NAN,
    }
