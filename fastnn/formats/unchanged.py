"""Reading a model, or all nets of an estimator, while no other thread trains it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from fastnn.network import Network

Given = ParamSpec("Given")
Result = TypeVar("Result")


def unchanged(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return what calls a function whose first argument, a model or an estimator, must not be trained meanwhile.

    Where another thread does so, a RuntimeError is raised, and the function is not called.
    """
    name = function.__code__.co_varnames[0]

    @wraps(function)
    def call(*given: Given.args, **named: Given.kwargs) -> Result:
        run: Callable[[], Result] = partial(function, *given, **named)
        for model in _models_of(given[0] if given else named.get(name)):
            run = partial(model._trainer.claim.run, run)
        return run()

    return call


def _models_of(given: object) -> list[Network]:
    """Return the models whose arrays are read for this one."""
    if isinstance(given, Network):
        return [given]
    own = getattr(given, "__dict__", {})
    found = [net for net in (own.get("net_"),) if isinstance(net, Network)]
    for name in ("nets_", "estimators_"):
        several = own.get(name)
        if isinstance(several, list):  # of other packages it may be anything
            found += [net for one in several for net in _models_of(one)]
    return found
