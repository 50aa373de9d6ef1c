"""Activations whose numbers follow from whole rows."""

from __future__ import annotations

from fastnn.layers.activation import Activation


class Softmax(Activation):
    """y_j = exp(x_j) / sum_k exp(x_k), over each row.

    At the end of a net with CrossEntropy, training uses the fused, stable form; before any other loss, backward is the
    product with the full Jacobian, dx = y * (dy - sum(y * dy)).
    """

    kernel = "softmax"
    gives = "class probabilities"


class LogSoftmax(Activation):
    """y_j = x_j - log(sum_k exp(x_k)), over each row."""

    kernel = "log_softmax"
    gives = "class log-probabilities"
