"""Pictures, drawn by matplotlib: each function takes ``ax=None`` and returns the axes that it has drawn in.

``history.plot()``, ``schedule.plot()`` and ``lr_find(...).plot()`` draw the others.
"""

from fastnn.plots.boundary import plot_decision_boundary
from fastnn.plots.inside import plot_activations, plot_gradients, plot_weights
from fastnn.plots.network import plot_network
from fastnn.plots.results import plot_calibration, plot_confusion, plot_residuals

__all__ = [
    "plot_activations",
    "plot_calibration",
    "plot_confusion",
    "plot_decision_boundary",
    "plot_gradients",
    "plot_network",
    "plot_residuals",
    "plot_weights",
]
