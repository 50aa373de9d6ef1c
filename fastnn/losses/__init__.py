"""Losses: what training makes small."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastnn.losses.classification import BinaryCrossEntropy, CrossEntropy
from fastnn.losses.contract import Loss
from fastnn.losses.distributions import GammaDeviance, GaussianNLL, PoissonNLL, TweedieDeviance
from fastnn.losses.focal import BinaryFocal, CategoricalFocal, KLDivergence
from fastnn.losses.heads import Head, Heads
from fastnn.losses.margins import CosineSimilarity, Hinge, MultiMargin, SquaredHinge
from fastnn.losses.quantiles import Expectile, Quantile
from fastnn.losses.regression import MAE, MAPE, MSE, MSLE, Huber, LogCosh, SmoothL1
from fastnn.settings import made

__all__ = [
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "CategoricalFocal",
    "CosineSimilarity",
    "CrossEntropy",
    "Expectile",
    "GammaDeviance",
    "GaussianNLL",
    "Head",
    "Heads",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MultiMargin",
    "PoissonNLL",
    "Quantile",
    "SmoothL1",
    "SquaredHinge",
    "TweedieDeviance",
    "get",
]

_BY_NAME: dict[str, Callable[[], Loss]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "mae": MAE,
    "mean_absolute_error": MAE,
    "l1": MAE,
    "huber": Huber,
    "smooth_l1": SmoothL1,
    "log_cosh": LogCosh,
    "quantile": Quantile,
    "pinball": Quantile,
    "expectile": Expectile,
    "msle": MSLE,
    "mean_squared_logarithmic_error": MSLE,
    "mape": MAPE,
    "mean_absolute_percentage_error": MAPE,
    "poisson_nll": PoissonNLL,
    "poisson": partial(PoissonNLL, log_input=False),
    "gamma": GammaDeviance,
    "gamma_deviance": GammaDeviance,
    "tweedie": TweedieDeviance,
    "tweedie_deviance": TweedieDeviance,
    "gaussian_nll": GaussianNLL,
    "kl_divergence": KLDivergence,
    "kl_div": KLDivergence,
    "kullback_leibler_divergence": KLDivergence,
    "binary_focal": BinaryFocal,
    "focal": BinaryFocal,
    "sigmoid_focal": BinaryFocal,
    "binary_focal_crossentropy": partial(BinaryFocal, alpha=None),
    "categorical_focal": CategoricalFocal,
    "categorical_focal_crossentropy": CategoricalFocal,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "multi_margin": MultiMargin,
    "cosine_similarity": CosineSimilarity,
    "binary_cross_entropy": BinaryCrossEntropy,
    "bce": BinaryCrossEntropy,
    "log_loss": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "categorical_crossentropy": CrossEntropy,
    "nll": CrossEntropy,
    "bce_with_logits": partial(BinaryCrossEntropy, from_logits=True),
}
_WITH_SUFFIX = (  # as in PyTorch
    *("mse", "l1", "smooth_l1", "huber", "bce", "bce_with_logits", "cross_entropy", "nll", "poisson_nll"),
    *("gaussian_nll", "kl_div", "multi_margin", "sigmoid_focal"),
)
_BY_NAME |= {f"{name}_loss": _BY_NAME[name] for name in _WITH_SUFFIX}


def get(loss: str | Loss) -> Loss:
    """Return a new loss of that name, or the loss itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    found: Loss = made("loss", loss, Loss, _BY_NAME)
    return found
