"""The curves of a fit: in a picture, and as a sparkline where a notebook shows a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, log10
from typing import Any

from fastnn.drawing import BEST, GREY, axes, color, cut, panels, say_nothing, spans_decades, whole_numbers

_PANEL = 2.0  # inches that each panel behind the first makes the figure higher
_MARKED = 24  # epochs up to which each is marked by a point
_MOST_PANELS = 5
_RATES = ("lr", "learning_rate", "momentum")  # are no metrics, although they are below 1
_SIZE = 240, 48  # of a sparkline, in pixels

Curves = Mapping[str, Sequence[float]]


def plot(curves: Curves, ax: Any, epochs: Sequence[int] | None = None, best: int | None = None) -> Any:
    """Draw what was logged after each epoch and return the axes of the losses.

    Losses stand in the first panel; metrics from -1 to 1 share the second, and others have one each, because their
    scales say nothing of each other. A number of validation data has the colour of that of the training, and its line
    is not dashed.

    Parameters
    ----------
    curves : mapping of str to sequence of float
        "loss", "val_loss" and any others.
    ax : matplotlib axes or None
    epochs : sequence of int or None
        Their numbers; None counts from 1.
    best : int or None
        The place of the best epoch, which is marked; None is that of the least validation loss, or training loss.
    """
    groups = _groups(curves)
    n = len(groups)
    ax = axes("history.plot()", ax, (6.4, 4.0 + _PANEL * (n - 1)))
    n_epochs = max((len(values) for values in curves.values()), default=0)
    at = list(epochs) if epochs is not None else list(range(1, n_epochs + 1))
    watched = _watched(curves)
    if best is None and watched:
        best = _least(curves[watched])
    drawn = panels(ax, n)
    for own, (title, names) in zip(drawn, groups, strict=True):
        _draw(own, curves, names, at)
        own.set_ylabel(title)
        if best is not None:
            own.axvline(at[best], color=GREY, linewidth=1, linestyle=":", zorder=0)
    if best is not None and watched and isfinite(curves[watched][best]):
        label = f"best: epoch {at[best]} ({curves[watched][best]:.4g})"
        dot = {"color": "black", "markerfacecolor": "white", "markersize": 7, "zorder": 5}
        ax.plot([at[best]], [curves[watched][best]], "o", label=label, **dot)
    for own in drawn:
        if len(own.get_lines()) > 1 + (best is not None):
            own.legend(fontsize="small", framealpha=0.8, **BEST)
    whole_numbers(ax.xaxis)
    drawn[-1].set_xlabel("epoch")
    return ax


def _draw(ax: Any, curves: Curves, names: Sequence[str], at: Sequence[int]) -> None:
    bases = list(dict.fromkeys(map(_base, names)))
    finite = [value for name in names for value in curves[name] if isfinite(value)]
    for name in names:
        base = _base(name)
        values, is_validation = curves[name], name != base
        has_both = base in names and f"val_{base}" in names
        kind = "validation " if is_validation else "training " if has_both or base == "loss" else ""
        ax.plot(
            at[: len(values)],
            list(values),
            color=color(bases.index(base) + (is_validation and base == "loss" and has_both)),
            linestyle="--" if has_both and not is_validation else "-",
            marker="." if len(values) <= _MARKED else None,
            label=f"{kind}{cut(base)}",
        )
    if not finite and names:
        say_nothing(ax)
    if spans_decades(finite):
        ax.set_yscale("log")
    elif len(bases) > 1 and max(map(abs, finite), default=0) > 100:
        ax.set_yscale("symlog")


def _base(name: str) -> str:
    return name.removeprefix("val_")


def _groups(curves: Curves) -> list[tuple[str, list[str]]]:
    """Return the names that share a panel, with what the panel is called."""
    losses = [name for name in curves if _base(name) == "loss" and len(curves[name])]
    shares: list[str] = []
    others: dict[str, list[str]] = {}
    for name, values in curves.items():
        if _base(name) == "loss" or not len(values):
            continue
        of_both = [value for key in (_base(name), f"val_{_base(name)}") for value in curves.get(key, ())]
        is_rate = _base(name) in _RATES or spans_decades([value for value in of_both if isfinite(value)])
        is_share = not is_rate and all(-1 <= value <= 1 for value in of_both if isfinite(value))
        if is_share:
            shares.append(name)
        else:
            others.setdefault(_base(name), []).append(name)
    groups = [("loss", losses)] if losses else []
    if shares:
        bases = {_base(name) for name in shares}
        groups.append((cut(bases.pop()) if len(bases) == 1 else "metrics", shares))
    kept = list(others.items())
    room = _MOST_PANELS - len(groups)
    groups += [(cut(title), names) for title, names in kept[:room]]
    for _, names in kept[room:]:
        groups[-1][1].extend(names)
    if len(kept) > room:
        groups[-1] = ("others", groups[-1][1])
    return groups or [("", [])]


def _watched(curves: Curves) -> str | None:
    """Return the loss that says which epoch was best."""
    for name in ("val_loss", "loss"):
        if any(map(isfinite, curves.get(name, ()))):
            return name
    return None


def _least(values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda i: values[i] if isfinite(values[i]) else float("inf"))


def sparkline(curves: Curves) -> str:
    """Return the losses as a small picture in SVG, in the colours of the page around it."""
    width, height = _SIZE
    names = [name for name in ("loss", "val_loss") if len(curves.get(name, ()))]
    finite = [value for name in names for value in curves[name] if isfinite(value)]
    if not finite:
        return ""
    is_log = spans_decades(finite)
    low, high = min(finite), max(finite)

    def place(value: float) -> float:
        part = (value - low) / (high - low or 1.0)
        if is_log:
            part = log10(value / low) / log10(high / low)
        return 3 + (height - 6) * (1 - part)

    lines = []
    for name in names:
        values = curves[name]
        points = [
            f"{3 + (width - 6) * i / max(1, len(values) - 1):.1f},{place(value):.1f}"
            for i, value in _thinned(values)
            if isfinite(value)
        ]
        dashes = ' stroke-dasharray="4 3"' if name == "loss" and len(names) > 1 else ""
        shape = f'<polyline points="{" ".join(points)}"{dashes}/>'
        if len(points) == 1:
            shape = f'<circle cx="{points[0].partition(",")[0]}" cy="{points[0].partition(",")[2]}" r="2"/>'
        lines.append(f"<g><title>{name}</title>{shape}</g>")
    scale = " (logarithmic)" if is_log else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{" and ".join(names)} over the epochs{scale}" fill="none" stroke="currentColor" '
        f'stroke-width="1.5">{"".join(lines)}</svg>'
    )


def _thinned(values: Sequence[float]) -> list[tuple[int, float]]:
    """Return as many values, with their places, as can be seen in a sparkline."""
    step = max(1, len(values) // _SIZE[0])
    kept = list(range(0, len(values), step))
    if values and kept[-1] != len(values) - 1:
        kept.append(len(values) - 1)
    return [(i, values[i]) for i in kept]
