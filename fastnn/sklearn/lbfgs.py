"""A fit by L-BFGS over all rows, with scikit-learn's limits: SciPy's routine, and our loss and gradient."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import scipy
from scipy.optimize import minimize as scipy_minimize
from sklearn.exceptions import ConvergenceWarning

from fastnn.arena import Array
from fastnn.optimizers import LBFGS
from fastnn.sklearn.recorded import Recorded
from fastnn.sklearn.sparse import SparseRecorded, is_large, rows_of_block

if TYPE_CHECKING:
    from fastnn.sklearn.multilayer import Multilayer

_PRINTS = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15)  # later ones say nothing, and warn of "iprint"


def minimize(estimator: Multilayer, X: Any, y: Array, sample_weight: Array | None) -> None:
    """Train until the gradient is below `tol`, or `max_iter` or `max_fun` is reached, and write down how that went."""
    e, net = estimator, estimator.net_
    target = e._target(y)
    made: type[Recorded] = Recorded
    x, size = X, X.shape[0]
    if is_large(X, net.dtype):
        made, size = SparseRecorded, rows_of_block(X, net.dtype)
    elif hasattr(X, "toarray"):
        x = X.toarray()
    e.__dict__.pop("_rule", None)  # steps that come begin anew
    rule = LBFGS(e.max_iter, tolerance_grad=e.tol)
    recorded = made(net, rule, e._goal(target), x, target, sample_weight, size, 1, e._threads)
    with recorded.team:
        search = recorded.search()
        options = {"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol}
        if _PRINTS:
            options["iprint"] = 1 if e.verbose else -1
        result = scipy_minimize(search.loss_and_gradient, search.start(), method="L-BFGS-B", jac=True, options=options)
        search.put(result.x)
    net._written(net.params)
    recorded.close([float(result.fun)])
    e.n_iter_ = min(result.nit, e.max_iter)
    e.loss_ = result.fun
    if result.status != 0:
        _warn(result, e.n_iter_, e.max_iter)


def _warn(result: Any, n_iter: int, max_iter: int) -> None:
    """Warn as scikit-learn 1.9 does of a fit that has not converged."""
    text = f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n{result.message}\n"
    if n_iter == max_iter:
        text += f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
    text += (
        "\nYou might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )
    warnings.warn(text, ConvergenceWarning, stacklevel=3)
