"""The test of the tests: flip a sign in the compiled core, build it, and the suite must fail.

    python tests/mutations.py [word]

Copies the project to a temporary folder, makes one change of MUTATIONS at a time (those whose file or text contains
the word), builds one instruction set without optimization and runs the tests named there. Prints which mutants are
found and exits with 1 if one survives, or if a change no longer applies because the source has another text.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fastnn import kernels

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ("test_kernels.py",)

# (file in src, text that stands there, what it becomes, the tests that must find it)
MUTATIONS = (
    ("dense.pxi", "s.x + i * s.n_in + j", "s.x + i * s.n_in", KERNELS),
    ("dense.pxi", "whole.stride + j", "whole.stride", KERNELS),
    ("dense.pxi", "p.a_rows = indices(s) + i", "p.a_rows = indices(s)", KERNELS),
    ("gemm/products.h", "t->a_rows = p->a_rows + i", "t->a_rows = p->a_rows", KERNELS),
    ("team.h", "rest * (next + 1) / chunks", "rest * next / chunks", ("test_kernels.py", "test_training.py")),
    ("dense.pxi", "s.w + j * s.n_out, 1, s.n_out", "s.w + j, 1, s.n_out", KERNELS),
    ("activations.pxi", "return dy if y > 0 else 0", "return dy if y >= 0 else 0", KERNELS),
    ("activations.pxi", "return dy * (1 - y * y)", "return dy * (1 + y * y)", KERNELS),
    ("activations.pxi", "return dy * y * (1 - y)", "return dy * y * (y - 1)", KERNELS),
    ("softmax.pxi", "return y * (dy - inner)", "return y * (dy + inner)", KERNELS),
    ("losses.pxi", "return 2 * (y - t)", "return 2 * (t - y)", KERNELS),
    ("losses.pxi", "[at + t[row + i]] -= scale[i]", "[at + t[row + i]] += scale[i]", KERNELS),
    ("optimizers.pxi", "lr * (g + momentum * velocity[i])", "lr * (g - momentum * velocity[i])", KERNELS),
    ("optimizers.pxi", "rest2 * g * g", "rest2 * g", KERNELS),
    ("gather.pxi", "s.x + index[i] * s.stride", "s.x + index[begin] * s.stride", KERNELS),
    ("loops.h", "x + index[i + r] * stride", "x + index[i] * stride", KERNELS),
    ("gemm/tile.c", "sum[i][v] = sum[i][v] + bias", "sum[i][v] = sum[i][v] - bias", KERNELS),
    ("gemm/products.c", "t.resume = q > 0", "t.resume = 0", KERNELS),
    ("loops.h", "lanes[lane] += f(x[i], y[i])", "lanes[lane] -= f(x[i], y[i])", KERNELS),
    ("elementary.h", "l.f + low", "l.f - low", KERNELS),
    ("elementary.h", "difference - high + step", "difference - high - step", ("test_accuracy.py",)),
    ("elementary.h", "real_fma(-a * s.most, s.last,", "real_fma(-a, s.most * s.last,", ("test_accuracy.py",)),
    ("tape.pyx", "total += value[0] * rows", "total += value[0] * batch_size", ("test_training.py",)),
    ("tape.pyx", "first_epoch + epoch)", "first_epoch - epoch)", ("test_fit.py",)),
)


def run(folder, *arguments):
    environment = {
        name: value for name, value in os.environ.items() if name == "FASTNN_CACHE" or not name.startswith("FASTNN_")
    }
    environment |= {
        "FASTNN_BUILDS": "avx2" if "avx2" in kernels.supported else "baseline",
        "FASTNN_DEBUG": "1",  # -O1: builds in a third of the time
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


def build(folder):
    done = run(folder, "setup.py", "--quiet", "build_ext", "--inplace")
    if done.returncode != 0:
        sys.exit(f"the build failed:\n{done.stdout}")
    where = run(folder, "-c", "import fastnn; print(fastnn.__file__)").stdout.strip()
    if where != str(folder / "fastnn" / "__init__.py"):
        sys.exit(f"the tests would import {where}, expected the copy in {folder}")


def passes(folder, tests):
    options = ("-q", "-x", "--tb=line", "-p", "no:cacheprovider")
    done = run(folder, "-m", "pytest", *options, *(f"tests/{name}" for name in tests))
    if done.returncode not in (0, 1):
        sys.exit(f"the tests did not run:\n{done.stdout}")
    return done.returncode == 0, done.stdout


def main(word=""):
    survivors = []
    chosen = [mutation for mutation in MUTATIONS if word in mutation[0] or word in mutation[1]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "project"
        ignored = shutil.ignore_patterns(".*", "*.so", "__pycache__", "*.egg-info", "benchmarks")
        shutil.copytree(ROOT, folder, ignore=ignored)
        build(folder)
        for tests in sorted({tests for *_, tests in chosen}):
            passed, output = passes(folder, tests)
            if not passed:
                sys.exit(f"the tests fail without any mutation:\n{output}")
        for file, old, new, tests in chosen:
            start, source = time.perf_counter(), folder / "src" / file
            text = source.read_text(encoding="utf-8")
            if old not in text:
                survivors.append(f"{file}: {old!r} stands there no more: change the mutation, too")
                continue
            source.write_text(text.replace(old, new), encoding="utf-8")
            build(folder)
            survived, output = passes(folder, tests)
            if survived:
                survivors.append(f"{file}: {old!r} -> {new!r} passes {', '.join(tests)}")
            found = "SURVIVES" if survived else next(s for s in output.splitlines()[::-1] if s.startswith("FAILED"))
            print(f"{time.perf_counter() - start:5.1f} s  {file}: {new}\n         {found[:150]}", flush=True)
            source.write_text(text, encoding="utf-8")
    print("\n".join(survivors) or f"all {len(chosen)} mutants are found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
