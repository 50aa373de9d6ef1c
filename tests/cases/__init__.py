"""The table of all kernels: how to make their arguments, and how far from `fastnn.reference` they may be.

A row is a `Case`. Most tests of single kernels are loops over `CASES`: a new kernel needs a new row and no new test.
"""

# ruff: noqa: F403, F405 - what these have is what this has
from cases.columns import *
from cases.contract import *
from cases.dense import *
from cases.elementwise import *
from cases.lanes import *
from cases.layers import *
from cases.losses import *
from cases.numbers import *
from cases.optimizers import *
from cases.penalties import *
from cases.transforms import *

CASES = (
    *ELEMENTARY,
    *DENSE,
    *ACTIVATIONS,
    *SOFTMAX,
    *DROPOUT,
    *NOISE,
    *MAXOUT,
    *COLUMNS,
    *NORMALIZATION,
    *LOSSES,
    *OPTIMIZERS,
    *TRANSFORMS,
    *PENALTIES,
    *GATHER,
    *OF_COLUMNS,
    *OF_NUMBERS,
    *LANES,
)
