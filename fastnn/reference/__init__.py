"""The pure-NumPy twin of every kernel: the specification.

Each function has the name, the arguments and the order of arguments of the kernel that it specifies (without
``tape``), works in the dtype of its inputs and writes into its output arguments. Shapes are row-major, batch
first: x, y, dy, dx (batch, n); w is (n_in, n_out); b is (n_out). A number is a float, or an array of shape (1,). An
activation's backward takes y where the derivative follows from y, else x. An output may be the array that it is
computed from: y is x, dx is dy.
"""

# ruff: noqa: F403 - what these have is what this has
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.reference.activations import *
from fastnn.reference.columns import *
from fastnn.reference.cross_entropies import *
from fastnn.reference.distributions import *
from fastnn.reference.elementary import *
from fastnn.reference.focal import *
from fastnn.reference.int8 import *
from fastnn.reference.lanes import *
from fastnn.reference.layers import *
from fastnn.reference.losses import *
from fastnn.reference.margins import *
from fastnn.reference.numbers import *
from fastnn.reference.optimizers import *
from fastnn.reference.penalties import *
from fastnn.reference.regression import *
from fastnn.reference.transforms import *
from fastnn.reference.types import *


def _of_numbers(twin: Callable[..., None]) -> Callable[..., None]:
    """Return a twin whose numbers may be arrays, as those of its kernel may: it is written for floats."""
    numbers = {name for name, annotation in twin.__annotations__.items() if annotation in ("float", "float | None")}
    if not numbers:
        return twin
    places = {i for i, name in enumerate(inspect.signature(twin).parameters) if name in numbers}

    @functools.wraps(twin)
    def called(*given: Any, **named: Any) -> None:
        twin(
            *(_as_float(value) if i in places else value for i, value in enumerate(given)),
            **{name: _as_float(value) if name in numbers else value for name, value in named.items()},
        )

    called.__module__ = __name__  # where pickle finds it
    return called


def _as_float(value: Any) -> Any:
    return value.item() if isinstance(value, (np.ndarray, np.generic)) else value


for _name, _twin in tuple(globals().items()):
    if inspect.isfunction(_twin) and not _name.startswith("_"):
        globals()[_name] = _of_numbers(_twin)
