"""Dense neural networks on the CPU, from NumPy, as fast as the processor allows."""

__version__ = "0.1.0"

from fastnn import kernels, reference
from fastnn._core.tape import Tape
