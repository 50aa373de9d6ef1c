"""What a benchmark ran on, and what is there to run."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib import import_module, metadata
from pathlib import Path

import numpy as np

import fastnn

_PEERS = (
    "scikit-learn", "torch", "jax", "jaxlib", "onnxruntime", "openvino", "lightgbm", "xgboost", "catboost", "pytabkit",
)  # fmt: skip


def missing(modules: Iterable[str], cure: str) -> str:
    """Return why one of them cannot be imported here, and what helps; nothing where all can."""
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        return f"{error} ({cure})"
    return ""


def describe(threads: int) -> dict[str, str]:
    """Return the processor, the system, the versions and the load, as text."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": f"{processor()}, {cores} cores to use, {threads} thread{'s' if threads > 1 else ''} used",
        "instruction sets": ", ".join(fastnn.kernels.supported),
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "numpy": f"{np.__version__}, {_blas()}",
        "fastnn": f"{fastnn.__version__}, kernels for {fastnn.kernels.selected}, in {Path(fastnn.__file__).parent}",
        "peers": ", ".join(f"{name} {version}" for name in _PEERS if (version := _version(name))) or "none",
        "load": f"{load} (1, 5, 15 minutes)",
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def processor() -> str:
    """Return the name of the model, which only Linux's own file tells, its family, what makers call that, and more."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if ":" in line)
        facts = {name.strip(): value.strip() for name, value in fields.items()}
        if "model name" in facts:
            family, model, stepping = (facts.get(name, "?") for name in ("cpu family", "model", "stepping"))
            known = generation(*(int(number) if number.isdigit() else -1 for number in (family, model, stepping)))
            names = f"{f'{known}, ' if known else ''}family {family} model {model}"
            return f"{facts['model name']} ({names}), {platform.machine()}"
    return f"{platform.processor() or 'unknown'}, {platform.machine()}"


def generation(family: int, model: int, stepping: int) -> str:
    """Return what AMD and Intel call the cores of a family, "Zen 4"; nothing where it is not known here."""
    if family == 25:
        return "Zen 4" if any(model in models for models in _ZEN_4) else "Zen 3"
    if (family, model) == (6, 85):
        return "Skylake-SP" if stepping < 5 else "Cascade Lake" if stepping < 10 else "Cooper Lake"
    return {26: "Zen 5"}.get(family, "") or (_INTEL.get(model, "") if family == 6 else "")


_ZEN_4 = range(0x10, 0x20), range(0x60, 0x80), range(0xA0, 0xB0)  # models of family 25
_INTEL = {
    106: "Ice Lake-SP", 108: "Ice Lake-D", 143: "Sapphire Rapids", 173: "Granite Rapids", 207: "Emerald Rapids",
}  # fmt: skip


def _blas() -> str:
    """Return the BLAS that NumPy uses and, where threadpoolctl is installed, the kernels that it chose here."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        try:
            blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index]
        except TypeError:  # before NumPy 1.25 it only prints
            return "BLAS unknown"
        return f"{blas.get('name')} {blas.get('version')}"
    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return ", ".join(f"{p['internal_api']} {p['version']} for {p.get('architecture', 'any')}" for p in found[:1])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
