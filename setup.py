"""The compiled core: one source, built once per instruction set and dtype. Everything else is in pyproject.toml.

Environment variables: FASTNN_DEBUG=1 builds with bounds checks and assertions, FASTNN_SANITIZE=1 with the address and
undefined-behaviour sanitizers (CONTRIBUTING.md says how to run them), FASTNN_BUILDS=avx2 (or several, with commas) only
some of the instruction sets.
"""

import os
import platform
import sys
from pathlib import Path
from zlib import crc32

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# The table of builds: instruction set -> compiler flags. cpu.pyx says which of them a processor supports.
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32":
    INSTRUCTION_SETS = {
        "baseline": ["-march=x86-64-v2"],
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
else:
    INSTRUCTION_SETS = {"baseline": []}
DTYPES = ("float32", "float64")
if os.environ.get("FASTNN_BUILDS"):
    wanted = os.environ["FASTNN_BUILDS"].split(",")
    if not set(wanted) <= set(INSTRUCTION_SETS):
        sys.exit(f"FASTNN_BUILDS is {','.join(wanted)}, expected some of {', '.join(INSTRUCTION_SETS)}")
    INSTRUCTION_SETS = {isa: flags for isa, flags in INSTRUCTION_SETS.items() if isa in wanted}

DEBUG = os.environ.get("FASTNN_DEBUG", "0") not in ("", "0")
SANITIZE = os.environ.get("FASTNN_SANITIZE", "0") not in ("", "0")
VARIANT = ("-debug" if DEBUG else "") + ("-sanitize" if SANITIZE else "")

PACKAGE = "fastnn._core"
BUILD = Path("build")
STUBS = BUILD / "stubs"  # generated sources, laid out as the package is, because Cython finds declarations by package


def compiler_flags():
    """Return the flags for compiling and for linking, the same for every build."""
    if sys.platform == "win32":
        return ["/O2", "/fp:precise", "/std:c11"], []
    compile_flags = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fvisibility=hidden"]
    # -g0 and stripping keep the wheel small
    compile_flags += ["-O1", "-g1"] if DEBUG or SANITIZE else ["-O3", "-g0"]
    link_flags = [] if DEBUG or SANITIZE or sys.platform == "darwin" else ["-s"]
    if SANITIZE:
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
        compile_flags += sanitizers
        link_flags += sanitizers
    return compile_flags, link_flags


def write(path, text):
    """Write a generated file, and leave its time alone where nothing changed, so that nothing is built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return str(path)


def extensions():
    """Return team, tape and cpu, built once, and the kernels, built per instruction set and dtype."""
    compile_flags, link_flags = compiler_flags()
    flags = write(BUILD / "flags", f"{compile_flags} {link_flags} {INSTRUCTION_SETS}\n")
    headers = [*(str(path) for path in sorted(Path("src").rglob("*.[ch]"))), flags]
    package = STUBS.joinpath(*PACKAGE.split("."))
    write(package / "__init__.py", "")
    write(package.parent / "__init__.py", "")
    for name in ("team", "tape"):
        write(package / f"{name}.pxd", Path(f"src/{name}.pxd").read_text())

    layout = crc32(Path("src/tape.pxd").read_bytes())

    def extension(name, source, isa_flags=(), macros=()):
        return Extension(
            f"{PACKAGE}.{name}",
            [source],
            include_dirs=["src"],
            define_macros=[("FASTNN_LAYOUT", f"{layout}u"), *macros],
            depends=headers,
            extra_compile_args=[*compile_flags, *isa_flags],
            extra_link_args=link_flags,
        )

    yield extension("cython_shared", str(package / "cython_shared.c"))  # what all of them need of Cython's memoryviews
    yield extension("team", "src/team.pyx")
    yield extension("tape", "src/tape.pyx")
    yield extension("cpu", "src/cpu.pyx")
    for isa, isa_flags in INSTRUCTION_SETS.items():
        for dtype in DTYPES:
            stub = write(package / f"{dtype}_{isa}.pyx", 'include "kernels.pxi"\n')
            yield extension(f"{dtype}_{isa}", stub, isa_flags, [("FASTNN_DOUBLE", str(int(dtype == "float64")))])


class ParallelBuild(build_ext):
    """Compile as many modules at once as there are processors."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()


def cythonized():
    from Cython.Build import cythonize

    return cythonize(
        list(extensions()),
        nthreads=os.cpu_count() if sys.platform.startswith("linux") else 0,
        build_dir=str(BUILD / f"cython{VARIANT}"),
        include_path=["src", str(STUBS)],
        shared_utility_qualified_name=f"{PACKAGE}.cython_shared",
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "nonecheck": DEBUG,
            "cdivision": True,
        },
    )


if __name__ == "__main__":
    setup(ext_modules=cythonized(), cmdclass={"build_ext": ParallelBuild})
