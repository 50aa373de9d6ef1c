"""A fit by L-BFGS over all rows, with scikit-learn's limits: SciPy's routine, and our loss and gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy.optimize import minimize as scipy_minimize
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
from sklearn.utils.optimize import _check_optimize_result

from fastnn.arena import Array
from fastnn.optimizers import LBFGS
from fastnn.sklearn.loop import Recorded

if TYPE_CHECKING:
    from fastnn.sklearn.multilayer import Multilayer


def minimize(estimator: Multilayer, X: Any, y: Array, sample_weight: Array | None) -> None:
    """Train until the gradient is below `tol`, or `max_iter` or `max_fun` is reached, and write down how that went."""
    e, net = estimator, estimator.net_
    target = e._target(y)
    x = X.toarray() if hasattr(X, "toarray") else X
    e._rule = LBFGS(e.max_iter, tolerance_grad=e.tol)
    recorded = Recorded(net, e._rule, e._goal(target), x, target, sample_weight, len(x), 1)
    with recorded.team:
        search = recorded.search()
        result = scipy_minimize(
            search.loss_and_gradient, search.start(), method="L-BFGS-B", jac=True,
            options={
                "maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol,
                **_get_additional_lbfgs_options_dict("iprint", 1 if e.verbose is True or e.verbose >= 1 else -1),
            },
        )  # fmt: skip
        search.put(result.x)
    recorded.close([float(result.fun)])
    e.n_iter_ = _check_optimize_result("lbfgs", result, e.max_iter)
    e.loss_ = result.fun
