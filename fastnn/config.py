"""What is installed here, and which build runs."""

from __future__ import annotations

import os
import platform
import sys

import numpy as np

from fastnn import __version__, kernels, threads


def describe() -> str:
    """Return versions, builds, the one selected and why, as lines of text."""
    return "\n".join(
        [
            f"fastnn {__version__}, NumPy {np.__version__}, Python {platform.python_version()} on {sys.platform}",
            f"built:     {', '.join(kernels.built)}, each for float32 and float64",
            f"supported: {', '.join(kernels.supported)}",
            f"selected:  {kernels.selected} ({kernels.reason}; FASTNN_ISA=<name> forces another)",
            f"threads:   at most {threads.available()} of {os.cpu_count()} processors (FASTNN_NUM_THREADS bounds "
            "them, or OMP_NUM_THREADS where that is not set)",
        ]
    )


def show_config() -> None:
    """Print versions, the instruction sets that are built and supported, the one selected and why, and threads."""
    print(describe())
