"""Nets in C: written, compiled into one program, and run for rows; by `python c_programs.py` of another build, too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from predictions import ROWS_OF_LAYERS, inputs, net_of, random_net, trained

import fastnn
from fastnn import BatchNorm, Dense, Residual
from fastnn.formats.graph import Elementwise, IntegerProduct, Product, RowNorm, Softmax, graph_of

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
C99, CPP, GNU = ("gcc", "-std=c99"), ("g++", "-x", "c++"), ("gcc", "-std=gnu17")
ROWS = 12
WIDE = ((1024, 4), (2050, 4), (1100, 2), (1300, 1))  # inputs and outputs of layers that add blocks of inputs
_MAIN = """\
#include <stdio.h>
{includes}
#define RUN(predict, real, n_in, n_out) do {{ \\
    static real x[n_in], y[n_out]; \\
    for (int row = 0; row < {rows}; row++) {{ \\
        if (fread(x, sizeof x, 1, stdin) != 1 || predict(x, y) != 0) return 1; \\
        if (predict(NULL, y) == 0 || predict(x, NULL) == 0 || fwrite(y, sizeof y, 1, stdout) != 1) return 2; \\
    }} \\
}} while (0)
int main(void) {{
{calls}
    return 0;
}}
"""


def nets(dtype, n_random, step=1):
    """All nets of the tables in one dtype, or some, and random ones: pairs of a name and a net."""
    tables = [(name, net_of(name, dtype)) for name in [*ROWS_OF_LAYERS][::step]]
    wide = [(f"{n_in} inputs", trained([Dense(n_in, "tanh"), Dense(n_out)], dtype)) for n_in, n_out in WIDE]
    return [*tables, *wide, *((f"net {seed}", random_net(seed, dtype)) for seed in range(n_random))]


def of_integers(dtype):
    """Nets whose products are of 8-bit integers, in float32: where no bit differs before one, none does behind it."""
    layers = [Dense(40, "relu"), Dense(33, "tanh"), BatchNorm(), Residual([Dense(33, "relu"), Dense(33)]), Dense(3)]
    return [("integers", trained(layers, dtype).quantize(inputs()))] if dtype == "float32" else []


class Nets:
    """Files of C for nets in a folder, with rows for them, and what they predict."""

    def __init__(self, folder, named):
        self.folder, self.names = Path(folder), [name for name, _ in named]
        self.n_terms = [_terms(net) for _, net in named]
        x = inputs(ROWS)
        self.x = b"".join(x.astype(net.dtype).tobytes() for _, net in named)
        self.expected = [np.array([net.predict_one(row) for row in x.astype(net.dtype)]) for _, net in named]
        for i, (_, net) in enumerate(named):
            fastnn.to_c(net, self.folder / f"net{i}.h", name=f"net{i}", reentrant=i % 2 == 1)
        includes = "\n".join(f'#include "net{i}.h"' for i in range(len(named)))
        calls = "\n".join(
            f"    RUN(net{i}_predict, {'double' if net.dtype == 'float64' else 'float'}, NET{i}_N_IN, NET{i}_N_OUT);"
            for i, (_, net) in enumerate(named)
        )
        (self.folder / "main.c").write_text(_MAIN.format(includes=includes, calls=calls, rows=ROWS))

    def outputs(self, *flags, compiler=C99):
        """What the program gives for the rows, compiled so."""
        program = self.folder / "program"
        command = [*compiler, *STRICT, *flags, str(self.folder / "main.c"), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        done = subprocess.run([str(program)], input=self.x, capture_output=True, check=False)
        assert done.returncode == 0, (done.returncode, done.stderr[:4000])
        found, at = [], 0
        for expected in self.expected:
            own = np.frombuffer(done.stdout, expected.dtype, expected.size, at).reshape(expected.shape)
            found.append(own)
            at += own.nbytes
        assert at == len(done.stdout)
        return found

    def check(self, found, exact, only=""):
        """Outputs are those of the library: with the same bits, or but for 2 ULP of the largest times root k."""
        for name, own, expected, k in zip(self.names, found, self.expected, self.n_terms, strict=True):
            if only and name not in only:
                continue
            if exact:
                np.testing.assert_array_equal(own, expected, err_msg=name)
                continue
            rtol = 2 * np.finfo(expected.dtype).eps * np.sqrt(k)
            size = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(own, expected, rtol=0, atol=rtol * size, err_msg=name)


def _terms(net):
    """How many numbers are added on the way to one output; factors of angles multiply the errors before them."""
    found = 1
    for node in graph_of(net).nodes:
        if isinstance(node, (Product, IntegerProduct)):
            found += node.w.shape[-2]
        elif isinstance(node, Elementwise) and node.name in ("sine", "snake"):
            found *= max(1, node.constants[0] ** 2)
        elif isinstance(node, (RowNorm, Softmax)):
            found += node.y.n
    return found


def in_build(isa, folder, dtype, n_random):
    """The same in a process that takes another instruction set, with the same bits; returns how many nets have them."""
    command = [sys.executable, __file__, str(folder), dtype, str(n_random)]
    done = subprocess.run(command, env={**os.environ, "FASTNN_ISA": isa}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert found["isa"] == isa
    return found["exact"]


if __name__ == "__main__":
    own = Nets(sys.argv[1], [*nets(sys.argv[2], int(sys.argv[3])), *of_integers(sys.argv[2])])
    own.check(own.outputs("-O0"), exact=True)
    print(json.dumps({"exact": len(own.names), "isa": fastnn.kernels.selected}))
