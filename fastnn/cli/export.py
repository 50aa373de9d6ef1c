"""``fastnn export``: a net, or an estimator, as ONNX, C, NumPy or PyTorch."""

from __future__ import annotations

import argparse
import os
from typing import Any

from fastnn.cli import models
from fastnn.cli.errors import DONE, CommandError, told
from fastnn.cli.output import refuse_existing, show_size
from fastnn.formats.table_graph import MoreThanNetError
from fastnn.model import Model

EXAMPLE = """example:
  fastnn export houses.fastnn --to onnx
  fastnn export net.fastnn --to c -o net.c"""

_SUFFIXES = {"onnx": ".onnx", "c": ".c", "numpy": ".py", "torch": ".safetensors"}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="a file that fastnn train, or save, has written")
    parser.add_argument("--to", required=True, choices=tuple(_SUFFIXES), help="torch: a state_dict, as safetensors")
    parser.add_argument("-o", "--output", metavar="FILE", help="the name of the model with another ending")


def run(asked: argparse.Namespace) -> int:
    """Write the model in another form."""
    import fastnn

    output = asked.output or os.path.splitext(asked.model)[0] + _SUFFIXES[asked.to]
    refuse_existing(output, asked.force, asked.model)
    model: Any = models.load(asked.model)
    net = f"fastnn.load({asked.model!r}).{'nets_[0]' if hasattr(model, 'nets_') else 'net_'}"
    if asked.to == "torch" and not isinstance(model, Model):
        raise CommandError(
            f"--to torch writes nets alone, and {asked.model} holds the estimator {type(model).__name__}: --to onnx "
            f"writes all of it; in Python, fastnn.to_torch({net}) takes its net"
        )
    writers: dict[str, Any] = {"onnx": fastnn.to_onnx, "c": fastnn.to_c, "torch": _to_torch}
    written = [output]
    with told(f"{asked.model}: "):
        try:
            if asked.to == "numpy":
                from fastnn.formats import numpy_source

                written = numpy_source.write(model, output, replaces=asked.force)[1]
            else:
                writers[asked.to](model, output)
        except MoreThanNetError as error:
            writer = "to_numpy_source" if asked.to == "numpy" else "to_c"
            raise CommandError(
                f"{asked.model}: {error.why}: --to onnx writes all of it; in Python, fastnn.{writer}({net}, "
                f"{output!r}) writes one of its nets"
            ) from error
    print(f"written: {', '.join(f'{file} ({show_size(file)})' for file in written)}")
    return DONE


def _to_torch(model: Model, output: str) -> None:
    import fastnn
    from fastnn.formats.safely import replace

    module = fastnn.to_torch(model)
    try:
        from safetensors.torch import save
    except ImportError:
        raise CommandError("--to torch writes safetensors: pip install safetensors") from None
    replace(output, [save({name: value.contiguous() for name, value in module.state_dict().items()})])
