"""The command line: ``fastnn demo``, ``fastnn info`` and ``fastnn show``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastnn import __version__, show_config
from fastnn.demo import demo
from fastnn.formats import ModelFormatError
from fastnn.formats.showing import show


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
    what = "print what a model file holds: layers, optimizer, arrays, history"
    showing = commands.add_parser("show", help=what, description=what)
    showing.add_argument("file")
    showing.set_defaults(function=None)
    asked = parser.parse_args(argv)
    try:
        if asked.function is None:
            show(asked.file)
        else:
            asked.function()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough, as in `fastnn info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ModelFormatError) as error:
        print(f"fastnn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
