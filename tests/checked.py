"""The suite on the checked build: bounds checks, assertions, and GCC's sanitizers of addresses and undefined behaviour.

    python tests/checked.py [arguments of pytest]

Builds a copy of the project for the selected instruction set, or for those of FASTNN_BUILDS, and runs the tests there.
Python itself is not built with the sanitizers, so their run-time library is loaded first. Tests that start processes
of their own are left out: these measure memory, stacks and times that the sanitizers change. So are those marked
`once`, which test no compiled code: texts, pictures, benchmarks, checks of other packages.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fastnn import kernels

ROOT = Path(__file__).resolve().parents[1]
CHECKED = {"FASTNN_DEBUG": "1", "FASTNN_SANITIZE": "1"}


def copy_project(folder):
    made = shutil.ignore_patterns(".*", "*.so", "__pycache__", "*.egg-info")
    shutil.copytree(
        ROOT, folder, ignore=lambda place, names: {*made(place, names), *({"build"} if Path(place) == ROOT else ())}
    )


def environment(folder, **variables):
    """Return the variables for a process that imports the copy in a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FASTNN_")}
    if "FASTNN_CACHE" in os.environ:
        kept["FASTNN_CACHE"] = os.environ["FASTNN_CACHE"]
    return kept | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | variables


def under_sanitizers(folder, options=""):
    """Return the same for the checked build."""
    found = [
        subprocess.run(
            ["gcc", f"-print-file-name={name}.so"], text=True, capture_output=True, check=True
        ).stdout.strip()
        for name in ("libasan", "libubsan")
    ]
    return environment(
        folder,
        LD_PRELOAD=" ".join(found),
        ASAN_OPTIONS=f"detect_leaks=0{options}",  # the interpreter keeps memory until it ends
        UBSAN_OPTIONS=f"print_stacktrace=1{options}",
    )


def build(folder, isa, **variables):
    """Build the copy in its place, and make sure that it is what would be imported."""
    variables = environment(folder, FASTNN_BUILDS=isa, **variables)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the build failed:\n{done.stdout}{done.stderr}")
    command = [sys.executable, "-c", "import importlib.util; print(importlib.util.find_spec('fastnn').origin)"]
    done = subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True, check=True)
    if done.stdout.strip() != str(folder / "fastnn" / "__init__.py"):
        sys.exit(f"the tests would import {done.stdout.strip()}, expected the copy in {folder}")


def main(*arguments):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "project"
        copy_project(folder)
        build(folder, os.environ.get("FASTNN_BUILDS") or kernels.selected, **CHECKED)
        # A report would end up in what pytest captures, and end with the process.
        variables = under_sanitizers(folder, f":log_path={folder.with_name('report')}")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "not subprocess", "-m", "not once"]
        code = subprocess.run([*command, *arguments], cwd=folder, env=variables, check=False).returncode
        for report in folder.parent.glob("report.*"):
            print(report.read_text(encoding="utf-8", errors="replace"))
        return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
