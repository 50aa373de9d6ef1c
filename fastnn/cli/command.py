"""The command line: its commands, their exit codes, and errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from fastnn import __version__, interrupts, show_config
from fastnn.cli.errors import DONE, FAILED, CommandError, OptionError
from fastnn.cli.files import FORMATS
from fastnn.cli.output import drop_output
from fastnn.demo import demo
from fastnn.formats import ModelFormatError
from fastnn.formats.safely import FULL
from fastnn.formats.showing import show

_ENDS = "exit codes: 0 done, 1 the data, a file or the model is at fault, 2 an option is, 130 interrupted"

# Commands with a module of their own, which is imported when its command is asked for; what each is for; who reads a
# table and who writes a file
_COMMANDS = (
    ("train", "train a model on a table, and print how good it is", True, True),
    ("predict", "predict with a model, row by row of a table", True, True),
    ("evaluate", "print how good a model is on a table with the right answers", True, False),
    ("export", "write a model as ONNX, C, NumPy or PyTorch", False, True),
    ("bench", "time this machine, beside the libraries that are installed", False, False),
)
_SHORT: tuple[tuple[str, Callable[[argparse.Namespace], object], str, str], ...] = (
    ("show", lambda asked: show(asked.file), "print what a model file holds: layers, optimizer, arrays, history",
     "fastnn show houses.fastnn"),
    ("info", lambda asked: show_config(), "show the version, the builds, the one selected and why", "fastnn info"),
    ("demo", lambda asked: demo(), "learn handwritten digits, and compare the time with plain NumPy", "fastnn demo"),
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """A parser whose commands take their options when they are asked for."""

    module: str | None = None
    reads = writes = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("action", None, _Once)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.module is not None:
            module, self.module = _module(self.module), None
            module.add_to(self)
            self.epilog = f"{module.EXAMPLE}\n\n{_ENDS}"
            self.set_defaults(function=module.run, reads=self.reads)
            if self.reads:
                _add_reading(self)
            if self.writes:
                self.add_argument("--force", action="store_true", help="replace the file that is there")
            _add_debug(self)
        return super().parse_known_args(args, namespace)


class _Once(argparse.Action):
    """What keeps the value of an option, which argparse would let a second one replace."""

    given: str | None = None

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if self.given is not None and option_string is not None:
            raise OptionError(f"{option_string} is given twice, {self.given!r} and {values!r}: leave one of them out")
        self.given = values
        setattr(namespace, self.dest, values)


def _module(name: str) -> ModuleType:
    return import_module(f"fastnn.cli.{name}")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, help="of the table, where its name does not say it; csv for -")
    parser.add_argument("--delimiter", metavar="LETTER", help="between fields; that of the first line of , ; tab |")
    parser.add_argument("--encoding", default="utf-8-sig", help="of text; utf-8")


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    found = argparse.ArgumentParser(prog="fastnn", description="Dense neural networks on the CPU.", epilog=_ENDS)
    found.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = found.add_subparsers(title="commands", required=True, metavar="command", parser_class=_Parser)
    options: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    for name, what, reads, writes in _COMMANDS:
        one = commands.add_parser(name, help=what, description=what, **options)
        one.module, one.reads, one.writes = name, reads, writes
    for name, function, what, example in _SHORT:
        one = commands.add_parser(
            name, help=what, description=what, epilog=f"example:\n  {example}\n\n{_ENDS}", **options
        )
        if name == "show":
            one.add_argument("file")
        _add_debug(one)
        one.set_defaults(function=function)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    asked = argparse.Namespace(debug="--debug" in (sys.argv if argv is None else argv))
    if sys.stdout is None:
        print("fastnn: standard output is closed: redirect it, as by > /dev/null", file=sys.stderr)
        return 1
    try:
        asked = parser().parse_args(argv)
        if getattr(asked, "reads", False):
            _module("kinds")  # and with it scikit-learn: Python ends by the signal after one in an import's exec()
        interrupts.raise_again()
        with warnings.catch_warnings():
            warnings.showwarning = partial(_warned, set())
            code = asked.function(asked)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough, as in `fastnn info | head -1`
        drop_output()
    except (CommandError, OSError, ImportError, ModelFormatError, MemoryError) as error:
        if asked.debug:
            raise
        print(f"fastnn: {_said(error)}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            drop_output()
        return error.code if isinstance(error, CommandError) else FAILED
    except KeyboardInterrupt:
        print(interrupts.SAID, file=sys.stderr)
        return interrupts.INTERRUPTED
    else:
        return code if isinstance(code, int) else DONE
    return DONE


def _said(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in FULL:  # files are named by what writes them
        return f"standard output: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"memory is not enough: {error}" if str(error) else "memory is not enough"
    return " ".join(str(error).split()) or type(error).__name__


def _warned(before: set[str], message: Warning | str, *where: Any, **more: Any) -> None:
    """Print a warning in one line, once for all folds; where nobody reads it, what is computed goes on."""
    line = f"fastnn: {' '.join(str(message).split())}"
    if line not in before:
        before.add(line)
        with suppress(BrokenPipeError):
            print(line, file=sys.stderr)
