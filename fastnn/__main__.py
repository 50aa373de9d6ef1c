"""The command line: ``fastnn demo`` and ``fastnn info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastnn import __version__, show_config
from fastnn.demo import demo


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="fastnn", description="Dense neural networks on the CPU.")
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    for name, function, what in (
        ("demo", demo, "learn handwritten digits, and compare the time with plain NumPy"),
        ("info", show_config, "show the version, the builds, the one selected and why"),
    ):
        commands.add_parser(name, help=what, description=what).set_defaults(function=function)
    try:
        parser.parse_args(argv).function()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough, as in `fastnn info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
