"""Training by single rows: the row and its target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastnn.arrays import as_array
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.tables import Named, NamedRow, row_names
from fastnn.training.marks import Mark
from fastnn.training.rows import keep_for_rows
from fastnn.values import numbers_by_name

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer


def as_one_row(tree: Tree, row: Any, instead: str, may_name: bool = False) -> Any:
    """Return one row as `Model.fit` takes rows: an array (1, n_in), or one whose columns have names.

    Parameters
    ----------
    tree : Tree
    row : array_like of shape (n_in,), Series or dict
    instead : str
        What takes several.
    may_name : bool
        Whether a dict may be the first to name the columns.
    """
    known, table = tree.feature_names, Named
    if (
        isinstance(row, Mapping)
        and (known or (may_name and not tree.built))
        and all(isinstance(name, str) for name in row)
    ):
        names: Any = tuple(row)
        table = NamedRow
        array = numbers_by_name([*row.values()], names, "row")
    else:
        names = row_names(row, known)
        array = as_array(row, "row") if names is None else numbers_by_name(row, names, "row")
        array = tree.flat(array[None])[0] if array.ndim > 1 else array
    if names is not None:
        table(array[None, :], names).order(known, "row")  # says what is wrong with them
    if array.ndim != 1 or array.size != (tree.n_in or array.size):
        expected = f"({tree.n_in},)" if tree.built else "one dimension (n_in,)"
        raise ValueError(f"row has shape {array.shape}, expected {expected}; {instead} takes several rows")
    return array[None, :] if names is None else table(array[None, :], names)


def learn_one(trainer: Trainer, row: Any, y: Any, loss: str | Loss | None, optimizer: str | Optimizer | None) -> float:
    """Take a step of `train_batch` on one row."""
    mark = Mark(trainer)

    def read() -> tuple[Any, Any, Loss]:
        tree, chosen = trainer.tree, trainer.choose_loss(loss)
        x = as_one_row(tree, row, "train_batch", may_name=True)
        for layer in tree.adapting:
            if not layer.n_in or layer.waits:  # one that has been fitted alone is built
                raise RuntimeError(
                    f"learn_one: {layer.title} takes its scale from the first data, and one row has none: begin with "
                    "fit, partial_fit or train_batch on some rows, or give it some: layer.adapt(rows)"
                )
        return x, chosen.row(y), chosen

    x, target, chosen = trainer.as_it_was(read, mark)
    value, training, plan, recorded = trainer.take_batch(x, target, None, chosen, optimizer, mark)
    keep_for_rows(trainer, training, plan, recorded, loss, optimizer)
    return value
