"""A build_ext that makes nothing twice: what has been translated, compiled or linked is kept under a hash of all that
it depends on. The times of files mean nothing: every edit of a header, a flag or a macro is seen, and what has been
made from a copy of the same sources is found again.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

CACHE = Path(os.environ.get("FASTNN_CACHE") or Path("build", "objects")).absolute()
KEPT = 8  # files of one name in the cache, those that have been used last: it stays small, and an edit can be undone
LINKED = Path("build", "linked.json")  # the objects of the modules in the package, which are stripped themselves

INSTALL = (
    "Install a C compiler and Python's headers: `apt install gcc python3-dev` (Debian, Ubuntu), "
    "`dnf install gcc python3-devel` (Fedora), `conda install c-compiler` (conda)."
)


def key_of(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def object_key(compiler, command, preprocessed):
    """Return the key of an object: the compiler, the text that it reads, and all flags that do not shape that text."""
    flags = [flag for flag in command if not flag.startswith(("-D", "-I", "-U"))]
    return key_of(compiler, flags, preprocessed)


# Where the preprocessor says from which file the lines come that follow
LINE_MARKER = re.compile(rb'^# \d+ "([^"\n]*)".*\n', re.MULTILINE)


def without_lines(preprocessed):
    """Return a preprocessed text without what says in which line of which file it stood."""
    return b"\n".join(line for line in LINE_MARKER.sub(b"", preprocessed).splitlines() if line.strip())


def digest_of(path):
    """Return the digest of a file, or None where it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


class Read:
    """What the compiler read for an object when it was last asked, to know without asking that it would be the same.

    To preprocess every source takes longer than to compile one of them.
    """

    def __init__(self, path, digest):
        self.path, self.digest = path, digest

    def key(self):
        """Return the key of the object, if all files are as they were, or None."""
        try:
            key, files = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return key if all(digest and self.digest(name) == digest for name, digest in files.items()) else None

    def remember(self, key, preprocessed):
        names = {os.fsdecode(name) for name in LINE_MARKER.findall(preprocessed) if not name.startswith(b"<")}
        write(self.path, json.dumps([key, {name: self.digest(name) for name in sorted(names)}]).encode())


@contextmanager
def completed(path, name):
    """Give a path to write to, in a folder of its own, and move the file to its place when it is complete.

    Builds may run at the same time, and processes may have loaded what stands there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder, name)
        yield temporary
        temporary.replace(path)


def cached(name, suffix, key, make):
    """Return the path of what `make(path)` writes, and call it only where that has not been made with the same key."""
    path = CACHE / f"{name}-{key}{suffix}"
    if path.exists():
        with suppress(OSError):  # somebody else's
            os.utime(path)
        return path
    start = time.perf_counter()
    with completed(path, f"{name}{suffix}") as temporary:
        make(temporary)
    logging.info("%s: %.1f s", f"{name}{suffix}", time.perf_counter() - start)
    with suppress(FileNotFoundError):  # another build tidies up, too
        for old in sorted(CACHE.glob(f"{name}-*{suffix}"), key=lambda entry: -entry.stat().st_mtime)[KEPT:]:
            old.unlink()
    return path


def write(path, content):
    """Write a generated file."""
    if not path.exists() or path.read_bytes() != content:
        with completed(path, path.name) as temporary:
            temporary.write_bytes(content)


def copy(source, path):
    if not path.exists() or path.read_bytes() != source.read_bytes():
        with completed(path, path.name) as temporary:
            shutil.copy(source, temporary)


def run(*command, **options):
    """Run a compiler, show its warnings, and return what it writes."""
    done = subprocess.run(command, capture_output=True, check=False, **options)
    if done.returncode:
        raise CompileError(f"{' '.join(command)}\n{(done.stdout + done.stderr).decode(errors='replace')}")
    sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.stdout


def identify(compiler):
    """Return the version of a compiler, or say what to install where it cannot compile for Python."""
    try:
        version = run(*compiler, "--version")  # not of what it may be called by, such as ccache
    except OSError:
        raise PlatformError(f"the C compiler `{compiler[0]}` is not found. {INSTALL}") from None
    try:
        run(*compiler, "-E", "-", input=b"#include <Python.h>\n")
    except CompileError as error:
        if "Python.h" not in str(error):
            raise
        raise PlatformError(f"`{compiler[0]}` does not find Python.h, or what it includes. {INSTALL}") from None
    return version


def unknown_to(compiler, flags):
    """Return which flags of optimization, of warnings and of the assembler are errors to a compiler."""

    def is_error(flag):
        command = [*compiler, flag, "-x", "c", "-c", os.devnull, "-o", os.devnull]
        return subprocess.run(command, capture_output=True, check=False).returncode != 0

    return {flag for flag in flags if flag.startswith(("-f", "--param", "-W")) and is_error(flag)}


def remove_others(modules):
    """Remove what an earlier build, of other families or instruction sets, has left beside these modules."""
    modules = {Path(module).absolute() for module in modules}
    for folder in {module.parent for module in modules}:
        for other in set(folder.glob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}")) - modules:
            other.unlink(missing_ok=True)


class CachedBuild(build_ext):
    """Build all modules at the same time. The first source of each is one that `translate` makes C of.

    An extension has `flags_of_c`: by the path of each of its other sources, the flags of that one.
    """

    def build_extensions(self):
        self.identity, self.linked, self.digest = b"", {}, cache(digest_of)
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        pool = ThreadPoolExecutor(self.parallel or processors)
        try:
            if self.compiler.compiler_type == "unix":
                self.build_cached(pool)
            else:  # only setuptools knows how to call it
                sources = dict.fromkeys(ext.sources[0] for ext in self.extensions)
                c_files = dict(zip(sources, pool.map(self.translate, sources), strict=True))
                for ext in self.extensions:
                    ext.sources[0] = c_files[ext.sources[0]]
                super().build_extensions()
        finally:
            pool.shutdown(cancel_futures=True)
        remove_others(self.get_ext_fullpath(ext.name) for ext in self.extensions)  # a wheel takes all that lies there

    def build_cached(self, pool):
        """Queue all jobs. A job waits for jobs before it only, so there is always one that can go on."""
        self.include_flags = [f"-I{folder}" for folder in self.compiler.include_dirs]
        self.identity = identify([*self.compiler.compiler_so, *self.include_flags])
        of_c = {flag for ext in self.extensions for flags in ext.flags_of_c.values() for flag in flags}
        of_all = {flag for ext in self.extensions for flag in ext.extra_compile_args}
        is_clang = b"clang" in self.identity  # the flags are those of GCC; an assembler may be older than it
        unknown = unknown_to(self.compiler.compiler_so, of_c | of_all if is_clang else of_c)
        for ext in self.extensions:
            ext.extra_compile_args = [flag for flag in ext.extra_compile_args if flag not in unknown]
            for flags in ext.flags_of_c.values():
                flags[:] = [flag for flag in flags if flag not in unknown]
        sources = dict.fromkeys(ext.sources[0] for ext in self.extensions)
        c_files = {source: pool.submit(self.translate, source) for source in sources}
        objects = [
            [pool.submit(self.compile, ext, source, c_files.get(source)) for source in ext.sources]
            for ext in self.extensions
        ]
        links = [pool.submit(self.link, *pair) for pair in zip(self.extensions, objects, strict=True)]
        for ext, link, jobs in zip(self.extensions, links, objects, strict=True):
            link.result()
            paths = [os.path.relpath(job.result()) for job in jobs]
            self.linked[ext.name] = {"flags": ext.extra_compile_args, "objects": paths}

    def compile(self, ext, source, translated):
        """Return the path of the object of a C source, or of what has been translated to C."""
        name = ext.name.rpartition(".")[2] + ("" if translated else f".{Path(source).stem}")
        c_file = translated.result() if translated else source
        macros = [f"-D{macro}={value}" for macro, value in (*self.compiler.macros, *ext.define_macros)]
        folders = [*(f"-I{folder}" for folder in ext.include_dirs), *self.include_flags]
        own = ext.flags_of_c.get(source, ())
        command = [*self.compiler.compiler_so, *macros, *folders, *ext.extra_compile_args, *own]
        headers = sorted(str(path) for folder in ext.include_dirs for path in Path(folder).rglob("*.h"))
        read = Read(CACHE / f"{name}-{key_of(self.identity, command, c_file, headers)}.json", self.digest)
        key = read.key()
        if key is None:
            text = run(*command, "-E", "-fno-working-directory", c_file)
            # Without debugging information, it does not matter in which line of which file a text stands.
            lines = without_lines(text) if "-g0" in ext.extra_compile_args else text
            key = object_key(self.identity, command, lines)
            read.remember(key, text)
        return cached(name, ".o", key, lambda path: run(*command, "-c", c_file, "-o", str(path)))

    def link(self, ext, objects):
        """Link a module, and put it where setuptools expects it."""
        paths = [job.result() for job in objects]
        target = Path(self.get_ext_fullpath(ext.name))
        options = {
            "libraries": self.get_libraries(ext),
            "library_dirs": ext.library_dirs,
            "runtime_library_dirs": ext.runtime_library_dirs,
            "extra_postargs": ext.extra_link_args,
        }
        key = key_of(self.identity, self.compiler.linker_so, options, [path.name for path in paths])
        module = cached(
            ext.name.rpartition(".")[2],
            "".join(target.suffixes),
            key,
            lambda path: self.compiler.link_shared_object([str(path) for path in paths], str(path), **options),
        )
        copy(module, target)

    def copy_extensions_to_source(self):
        """Copy the modules into the package, whichever is newer, unlike setuptools."""
        package = self.get_finalized_command("build_py")
        modules = [self._get_inplace_equivalent(package, ext) for ext in self.extensions]
        for target, module in modules:
            copy(Path(module), Path(target))
        remove_others(target for target, _ in modules)
        for ext, (target, _) in zip(self.extensions, modules, strict=True):
            if ext.name in self.linked:
                self.linked[ext.name]["sha256"] = hashlib.sha256(Path(target).read_bytes()).hexdigest()
        compiler = self.identity.decode(errors="replace").partition("\n")[0]
        entries = {"compiler": compiler, "command": self.compiler.compiler_so, "modules": self.linked}
        write(LINKED, json.dumps(entries, indent=1).encode())

    def get_source_files(self):
        return []  # MANIFEST.in names them
