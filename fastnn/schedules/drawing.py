"""The axes that are drawn in."""

from __future__ import annotations

from typing import Any


def axes(who: str, ax: Any) -> Any:
    """Return the axes to draw in."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError(f'{who} needs matplotlib: pip install matplotlib, or the extra "plot"') from None
    return pyplot.subplots()[1]
