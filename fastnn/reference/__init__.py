"""The pure-NumPy twin of every kernel: the specification.

Each function has the name, the arguments and the order of arguments of the kernel that it specifies (without
``tape``), works in the dtype of its inputs and writes into its output arguments. Shapes are row-major, batch
first: x, y, dy, dx (batch, n); w is (n_in, n_out); b is (n_out). An activation's backward takes y where the derivative
follows from y, else x. An output may be the array that it is computed from: y is x, dx is dy.
"""

# ruff: noqa: F403 - what these have is what this has
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
