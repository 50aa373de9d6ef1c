"""The compiled core. What it consists of stands in the tables below; everything else is in pyproject.toml.

A family of kernels is translated to C once, and that C is compiled for each instruction set and dtype; what has been
made is not made again (src/build/cached_build.py).

Environment variables: FASTNN_DEBUG=1 builds with bounds checks and assertions, FASTNN_SANITIZE=1 with the address and
undefined-behaviour sanitizers (CONTRIBUTING.md says how to run them), FASTNN_BUILDS=avx2 (or several, with commas) only
some of the instruction sets. FASTNN_CACHE is the folder for what has been made, where it is not build/objects: several
copies of the sources may share it.
"""

import os
import platform
import re
import sys
import zlib
from importlib.metadata import version
from pathlib import Path
from zlib import crc32

from setuptools import Extension, setup

sys.path.insert(0, str(Path(__file__).parent / "src" / "build"))
from cached_build import CachedBuild, cached, copy, key_of, run, write

# The families of kernels: name -> the texts of src/kernels that are included, in this order, and the C sources that are
# linked with them, built as they are. All other paths of these tables are relative to src.
FAMILIES = {
    "activations": (["common", "rectangle", "elementwise", "circular", "activations", "piecewise", "gated"], []),
    "dense": (
        ["common", "subnormals", "rectangle", "index", "dense", "narrow", "packed", "int8", "grouped", "lanes", "peak"],
        [f"gemm/{name}.c" for name in ("pack", "tile", "workspace", "products", "few_columns", "few_rows", "dots")]
        + [f"gemm/{name}.c" for name in ("packed", "narrow", "gemm", "lanes", "lane_rows", "peak")]
        + [f"gemm/bf16_{name}.c" for name in ("pack", "tile", "amx", "products")]
        + [f"gemm/int8_{name}.c" for name in ("tile", "product")],
    ),
    "layers": (
        [
            "common",
            "subnormals",
            "views",
            "rectangle",
            "columns",
            "circular",
            "dropout",
            "normalization",
            "prelu",
            "parametric",
            "periodic",
            "bins",
            "maxout",
            "copy",
            "elementwise",
            "elementary",
        ],
        [],
    ),
    "losses": (
        [
            "common",
            "views",
            "softmax",
            "sparsemax",
            "losses",
            "regression",
            "cross_entropies",
            "distributions",
            "focal",
            "margins",
            "row_losses",
        ],
        [],
    ),
    "optimizers": (
        ["common", "subnormals", "views", "index", "optimizers", "transforms", "penalties", "adam", "gather"],
        [],
    ),
}
MODULES = ("team/team.pyx", "tape/tape.pyx", "kernels/kernel.pyx", "cpu.pyx")  # built once
# What fastnn.to_c takes functions from: installed with the core
TEXTS = ("math/elementary.h", "math/circular.h", "math/waves.h")
LAYOUT_FILES = ("tape/call.h", "tape/tape.pxd", "kernels/kernel.pxd")  # what the tape and the kernels must agree upon
INCLUDE_DIRS = ("src",)  # of C and of Cython

# Instruction set -> compiler flags. cpu.pyx says which of them a processor supports.
if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "win32":
    INSTRUCTION_SETS = {
        "baseline": ["-march=x86-64-v2"],
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
    # In the modules of another: functions of gemm/int8_tile.c, bf16_words.h, bf16_tile.c and bf16_amx.c ask for them.
    BESIDE = {"avx512_vnni": "avx512", "avx512_bf16": "avx512", "amx_bf16": "avx512"}
else:
    INSTRUCTION_SETS, BESIDE = {"baseline": []}, {}
DTYPES = ("float32", "float64")
if os.environ.get("FASTNN_BUILDS"):
    wanted = [BESIDE.get(isa, isa) for isa in os.environ["FASTNN_BUILDS"].split(",")]
    if not set(wanted) <= set(INSTRUCTION_SETS):
        sys.exit(f"error: FASTNN_BUILDS is {','.join(wanted)}, expected some of {', '.join(INSTRUCTION_SETS)}")
    INSTRUCTION_SETS = {isa: flags for isa, flags in INSTRUCTION_SETS.items() if isa in wanted}

DEBUG = os.environ.get("FASTNN_DEBUG", "0") not in ("", "0")
SANITIZE = os.environ.get("FASTNN_SANITIZE", "0") not in ("", "0")

PACKAGE = "fastnn._core"
SHARED = "cython_shared"  # the module with what all others need of Cython's memoryviews
# What replays is as fast with fewer copies of what Cython repeats at each place, and an eighth smaller.
FEW_INLINED = ["--param=max-inline-insns-single=20", "--param=max-inline-insns-auto=5"]
FEW_INLINED += ["-fno-thread-jumps", "-fno-tree-dominator-opts", "-fno-tree-pre", "-falign-loops=1"]
# Processors order instructions themselves: what has no loops over numbers, and what old ones run, is smaller where the
# compiler leaves that to them.
UNORDERED = ["-fno-schedule-insns2"]
SMALLEST = ["-Os", *UNORDERED]
SMALL = {SHARED: SMALLEST, "kernel": SMALLEST, "cpu": SMALLEST, "team": SMALLEST, "tape": ["-O2", *FEW_INLINED]}
# Losses have many loops, each in several forms: what is left behind their vectors is not written out 15 times. They are
# a seventh smaller, and as fast; with fewer, or where layers sum, GCC leaves sums out of vectors. Activations have
# none.
FEW_COPIES = ["--param=max-completely-peel-times=8"]
# What whole vectors leave is done one by one: of optimizers, which run once over all parameters, up to 15 numbers.
ONE_WIDTH = ["--param=vect-epilogues-nomask=0"]
# Loops over what may lie apart have one form: where it mostly lies side by side, the source has another.
ONE_STRIDE = ["-fno-version-loops-for-strides"]
# A loop whose condition holds from some point on is not written twice: those that lead through products are large.
ONE_LOOP = ["-fno-split-loops"]
# Intel's processors from Skylake to Cascade Lake run a branch that lies across 32 bytes, or ends there, and what is
# beside it, without their cache of decoded instructions: loops of products would take up to 1.3 times as long.
UNBROKEN = ["-Wa,-mbranches-within-32B-boundaries"]
# Under sanitizers, too, loops over the sums of a tile are written out, and what they look at is looked at in line: else
# a tile takes 13 times as long.
UNROLLED = ["-O2", "--param=asan-instrumentation-with-call-threshold=1000000"]
# Numbers of tiles would lie in memory if they were looked at behind the end of their block: the compiler does that.
OF_TILES = ["-fno-sanitize-address-use-after-scope", "-Werror=dangling-pointer"]
OF_FAMILIES = {
    "losses": [*FEW_COPIES, *ONE_LOOP],
    "activations": FEW_COPIES,
    "layers": ONE_STRIDE,
    "dense": ONE_LOOP,
    "optimizers": [*ONE_WIDTH, "--param=max-completely-peel-times=15"],
}
# Of code, only loops begin at addresses that processors like: that functions and branches do is 1 % of the wheel, and
# may be seen in short products alone.
UNALIGNED = ["-fno-align-functions", "-fno-align-jumps", "-fno-align-labels"]
# Those of products begin at cache lines: steps of the smallest nets take 5 % more where they happen to lie badly.
ALIGNED = ["-falign-functions=64"]
# Processors without AVX2 are from before 2013: for them, code is small first. What -O2 leaves out of vectors, or leaves
# as calls, it does with the limits of -O3.
SMALL_VECTORS = ["-O2", *UNORDERED, "-ftree-vectorize", "-fvect-cost-model=dynamic", "--param=early-inlining-insns=14"]
SMALL_VECTORS += ["--param=inline-min-speedup=15", "--param=max-inline-insns-auto=30"]
SMALL_VECTORS += ["--param=max-inline-insns-single=200"]
OF_BASELINE = {
    "losses": [*FEW_COPIES, *SMALL_VECTORS],
    "activations": [*FEW_COPIES, *ONE_WIDTH, *SMALL_VECTORS],
    "optimizers": [*SMALL_VECTORS, "-funswitch-loops"],
    "layers": SMALL_VECTORS,
    "dense": [*SMALL_VECTORS, "-funswitch-loops"],
}
# What Cython adds behind the functions of these families, no kernel runs; others have some of it in their loops.
SMALL_BEHIND = ("activations", "dense")
SUPPORT = "/* --- Runtime support code --- */"
SMALL_SUPPORT = f'#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC optimize("Os")\n#endif\n{SUPPORT}'
# Cython's compression of a module's texts, and what undoes it when the module is imported, take more of a wheel than
# the texts do there as they are: 45 KB, of all modules.
PLAIN_TEXTS = ("CYTHON_COMPRESS_STRINGS", "0")
STUBS = Path("build", "stubs")  # laid out as the package is, because Cython finds declarations by package
C_FILES = Path("build", "cython-debug" if DEBUG else "cython")
DIRECTIVES = {
    "binding": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": False,  # the kernels' memoryviews have no object behind them
    "cdivision": True,
}

# Cython enters what it translates into the table of modules under one name. The modules that are compiled from a family
# have names of their own: the entry must go.
FAMILY = """\
__import__("sys").modules.pop("{name}", None)
{includes}
"""


def compiler_flags():
    """Return the flags for compiling and for linking, the same for every module."""
    if sys.platform == "win32":
        return ["/O2", "/fp:precise", "/std:c11"], []
    compile_flags = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fvisibility=hidden"]
    compile_flags += ["-Werror=overflow", "-Werror=shift-count-overflow"]  # of constants
    # Of what Cython adds, some is never called; that C of our own is, is looked at (flags_of_c).
    compile_flags += ["-Wno-unused-function"]
    # Some distributions' Pythons ask for it: it would be in each function with a loop over a buffer.
    compile_flags += ["-fno-stack-protector"]
    # No symbols, and no tables for unwinding, which nothing here needs, keep the wheel small.
    compile_flags += ["-O1", "-g1"] if DEBUG or SANITIZE else ["-O3", "-g0", "-fno-asynchronous-unwind-tables"]
    link_flags = [] if DEBUG or SANITIZE or sys.platform == "darwin" else ["-s"]
    link_flags += ["-Wl,-z,noseparate-code"] if link_flags and sys.platform.startswith("linux") else []  # fewer pages
    if link_flags and sys.platform.startswith("linux"):
        link_flags += ["-Wl,--build-id=none", "-Wl,--no-eh-frame-hdr"]  # of no symbols, and no tables
        compile_flags += ["-fno-plt"]  # what Python's and C's library have is called by its address: less code
    if SANITIZE:
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
        compile_flags += [*sanitizers, "-fno-wrapv"]  # Python's flags define what a signed sum that overflows is
        link_flags += sanitizers
    return compile_flags, link_flags


def stub(name):
    return STUBS.joinpath(*PACKAGE.split("."), name)


def extensions():
    """Return the modules. The first source of each is Cython's."""
    compile_flags, link_flags = compiler_flags()
    layout = crc32(b"".join(Path("src", name).read_bytes() for name in LAYOUT_FILES))

    def extension(name, *sources, isa_flags=(), of_c=(), of_tiles=(), macros=()):
        # What has no loops over numbers is small rather than unrolled; what runs at every step is as fast with -O2.
        small = [*SMALL[name], *UNALIGNED] if name in SMALL and "-O3" in compile_flags else []
        made = Extension(
            f"{PACKAGE}.{name}",
            [source.as_posix() for source in sources],
            include_dirs=list(INCLUDE_DIRS),
            define_macros=[("FASTNN_LAYOUT", f"{layout}u"), PLAIN_TEXTS, *macros],
            extra_compile_args=[*compile_flags, *small, *isa_flags],
            extra_link_args=link_flags,
        )
        own = {source: of_tiles if source.stem.endswith("tile") else () for source in sources[1:]}
        warned = ["-Wunused-function"] if "-Wno-unused-function" in compile_flags else []
        made.flags_of_c = {source.as_posix(): [*warned, *of_c, *flags] for source, flags in own.items()}
        return made

    for family, (_, c_sources) in FAMILIES.items():
        sources = [stub(f"{family}.pyx"), *(Path("src", source) for source in c_sources)]
        for isa, isa_flags in INSTRUCTION_SETS.items():
            for dtype in DTYPES:
                name = f"{family}_{dtype}_{isa}"
                macros = [("FASTNN_DOUBLE", str(int(dtype == "float64"))), (f"PyInit_{family}", f"PyInit_{name}")]
                is_small = isa == "baseline" and isa_flags and "-O3" in compile_flags
                own = (OF_BASELINE if is_small else OF_FAMILIES).get(family, [])
                own = [*own, *ALIGNED] if family == "dense" and not is_small else [*own, *UNALIGNED]
                own = own if sys.platform != "win32" else []
                of_c = UNROLLED if SANITIZE else UNBROKEN if isa_flags and not is_small else []
                flags = {"isa_flags": [*isa_flags, *own], "of_c": of_c, "of_tiles": OF_TILES if SANITIZE else []}
                yield extension(name, *sources, macros=macros, **flags)
    for module in MODULES:
        yield extension(Path(module).stem, Path("src", module))
    yield extension(SHARED, stub(f"{SHARED}.pyx"))


def write_stubs():
    """Write what the families consist of, and the declarations of the other modules where Cython looks for them."""
    for package in (stub("__init__.py"), stub("../__init__.py")):
        write(package, b"")
    for module in (Path("src", module) for module in MODULES):
        if module.with_suffix(".pxd").exists():
            write(stub(f"{module.stem}.pxd"), module.with_suffix(".pxd").read_bytes())
    for family, (texts, _) in FAMILIES.items():
        includes = "".join(f'include "kernels/{text}.pxi"\n' for text in texts)
        write(stub(f"{family}.pyx"), FAMILY.format(name=f"{PACKAGE}.{family}", includes=includes).encode())


def texts_of(path, found):
    """Add to `found` the texts that a Cython source consists of, by their paths."""
    if path.exists() and path not in found:
        found[path] = path.read_bytes()
        for name in re.findall(r"""^\s*include\s+["'](.+?)["']""", found[path].decode(), re.MULTILINE):
            for folder in (path.parent, *INCLUDE_DIRS):
                texts_of(Path(folder, name), found)
    return found


class Build(CachedBuild):
    def build_extensions(self):
        write_stubs()
        super().build_extensions()
        if not self.inplace:
            for text in TEXTS:
                copy(Path("src", text), Path(self.build_lib, *PACKAGE.split("."), Path(text).name))

    def translate(self, source):
        """Return the path of the C of a Cython source."""
        name, texts, support = Path(source).stem, {}, SUPPORT
        command = [sys.executable, "-m", "cython", "-3", *(f"-X{key}={value}" for key, value in DIRECTIVES.items())]
        if name == SHARED:
            command += ["--generate-shared"]
        else:
            for path in (Path(source), *sorted(STUBS.rglob("*.pxd"))):
                texts_of(path, texts)
            folders = [f"-I{folder}" for folder in (*INCLUDE_DIRS, STUBS)]
            support = SMALL_SUPPORT if name in SMALL_BEHIND else SUPPORT
            command += [source, "--module-name", f"{PACKAGE}.{name}", "--shared", f"{PACKAGE}.{SHARED}", *folders, "-o"]

        def make(path):
            # Cython 3.1 writes the path of the shared module into its C.
            run(*command, path.name, cwd=path.parent) if name == SHARED else run(*command, str(path))
            write(path, path.read_bytes().replace(SUPPORT.encode(), support.encode()))

        made = cached(name, ".c", key_of(version("cython"), command[1:], texts, support), make)
        c_file = C_FILES / f"{name}.c"  # objects may contain its name, so it is the same wherever the cache is
        copy(made, c_file)
        return str(c_file)


def in_short_blocks(level, method, wbits, memory=7, *more, compressobj=zlib.compressobj):
    """Return what compresses with codes for half as many bytes as usual: of programs a 400th less is left."""
    return compressobj(level, method, wbits, memory, *more)


# Of wheels, for which setuptools has no such settings
zlib.Z_DEFAULT_COMPRESSION, zlib.compressobj = zlib.Z_BEST_COMPRESSION, in_short_blocks

if __name__ == "__main__":
    setup(ext_modules=list(extensions()), cmdclass={"build_ext": Build})
