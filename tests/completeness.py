"""What an operation needs to be complete: its kernel, twin, row of the cases, types, class and export.

    python tests/completeness.py

prints what is missing.
"""

import inspect

import stubs
from cases import CASES

import fastnn
from fastnn import activations, kernels, optimizers, reference

# Kernels that update parameters, or what a training step remembers, and are no optimizer of their own
INSIDE_OTHERS = {
    "dense_sgd", "embedding_sgd", "increment", "nadam_product", "schedule_free_part", "accumulate", "approach", "every",
    "ema_rate", "swa_rate", "batch_norm_averages", "bound", "bound_column_norms", "bound_row_norms",
}  # fmt: skip


def twins() -> dict[str, object]:
    functions = inspect.getmembers(reference, inspect.isfunction)
    return {name: function for name, function in functions if not name.startswith("_") and name != "partial"}


def missing() -> list[str]:
    """What is missing, a line each."""
    declared, cases = stubs.declared(), {case.op for case in CASES}
    found = []
    for name in sorted({*declared, *twins(), *cases}):
        if name not in declared:
            found.append(f"{name}: no kernel declares it in src/kernels")
        if name not in twins():
            found.append(f"{name}: no twin in fastnn/reference")
        if name not in cases:
            found.append(f"{name}: no row in tests/cases")
    if stubs.STUB.read_text(encoding="utf-8") != stubs.text():
        written = stubs.STUB.read_text(encoding="utf-8")
        others = [name for name, declaration in declared.items() if stubs.function_of(declaration) not in written]
        found.append(f"{', '.join(others) or 'types'}: fastnn/kernels.pyi says something else: python tests/stubs.py")
    by_kernel = {kind.kernel: kind for kind in activations.BY_NAME.values()}
    by_kernel |= {"gelu_tanh": activations.GELU, "softplus_threshold": activations.Softplus}
    for name in sorted({*kernels.float64.activations, *by_kernel}):
        if name not in kernels.float64.activations:
            found.append(f"{name}: no row in the table of activations, in src/kernels")
        if name not in by_kernel:
            found.append(f"{name}: no class in fastnn/layers/activations.py has this kernel")
        elif getattr(fastnn, by_kernel[name].__name__, None) is not by_kernel[name]:
            found.append(f"{by_kernel[name].__name__}: fastnn/__init__.py does not export it")
    rules = {name for name, declaration in declared.items() if declaration.updates} - INSIDE_OTHERS
    for name in sorted({*rules, *optimizers._BY_NAME} - {"adamw", "lbfgs"}):
        if name not in rules:
            found.append(f"{name}: no kernel of an optimizer, in src/kernels")
        if name not in optimizers._BY_NAME:
            found.append(f"{name}: no name in fastnn/optimizers/__init__.py")
        elif getattr(fastnn, optimizers._BY_NAME[name].__name__, None) is not optimizers._BY_NAME[name]:
            found.append(f"{optimizers._BY_NAME[name].__name__}: fastnn/__init__.py does not export it")
    return found + [
        f"{kind.__name__}: not in fastnn.__all__"
        for kind in {*by_kernel.values(), *optimizers._BY_NAME.values()}
        if kind.__name__ not in fastnn.__all__
    ]


if __name__ == "__main__":
    print("\n".join(missing()) or "nothing is missing")
