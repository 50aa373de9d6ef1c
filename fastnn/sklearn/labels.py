"""What columns of labels are: their classes, how a net ends for them, and what its outputs say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastnn.arena import Array
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.graph import Value
from fastnn.formats.records import Record
from fastnn.formats.table_graph import TableGraph, label_array
from fastnn.losses import (
    BinaryCrossEntropy,
    BinaryFocal,
    CategoricalFocal,
    CrossEntropy,
    Head,
    Heads,
    Hinge,
    Loss,
    MultiMargin,
    SquaredHinge,
)
from fastnn.sklearn import choices
from fastnn.sklearn.classes import classes_from, classes_state


def binarized(y: Array) -> tuple[LabelBinarizer, Array | None]:
    """Return the binarizer of labels, and what it makes of them, or None.

    Two classes or more of whole numbers, words or truths, each often, as most labels are, are not looked at again and
    again: to find out what labels are takes scikit-learn longer than small data take to be learnt.
    """
    binarizer = LabelBinarizer()
    if y.ndim == 1 and y.dtype.kind in "iubU":
        classes, codes = np.unique(y, return_inverse=True)
        if 2 <= len(classes) <= len(y) / 2:  # of more, scikit-learn warns
            binarizer.classes_, binarizer.sparse_input_ = classes, False
            binarizer.y_type_ = "binary" if len(classes) == 2 else "multiclass"
            codes = codes.reshape(-1, 1)
            return binarizer, codes == 1 if len(classes) == 2 else codes == np.arange(len(classes))
    return binarizer.fit(y), None


def has_margins(loss: Any) -> bool:
    """Whether a loss is of margins, not of probabilities."""
    if isinstance(loss, str):
        return "hinge" in loss or loss == "multi_margin"
    return isinstance(loss, (Hinge, SquaredHinge, MultiMargin))


class Labels:
    """One target: a label for each row, or several of an indicator matrix.

    Parameters
    ----------
    binarizer : LabelBinarizer
        Of all that there are.

    Attributes
    ----------
    classes : ndarray
    kind : {"binary", "multiclass", "multilabel-indicator"}
    ends : {"softmax", "logistic", None}
        What the outputs of a net are made by, once `choose_end` has chosen it, with `loss`.
    margins : bool
        Whether nothing is, because the loss is of margins.
    """

    ends: str | None = None
    margins = False
    loss: Loss

    def __init__(self, binarizer: LabelBinarizer) -> None:
        self.binarizer = binarizer

    @property
    def classes(self) -> Any:
        return self.binarizer.classes_

    @property
    def kind(self) -> str:
        return self.binarizer.y_type_  # type: ignore[no-any-return]

    @property
    def ends_in(self) -> str:
        """The name of the output activation."""
        if self.ends is None:
            return "softmax" if self.kind == "multiclass" else "logistic"
        return "identity" if self.margins else self.ends

    def choose_end(self, e: Any) -> None:
        """Choose the loss and how the net ends: a probability or margin for each output, or one of all classes."""
        kind, given = self.kind, e.loss
        by_kind = "softmax" if kind == "multiclass" else "logistic"
        end = by_kind if e.out_activation is None else e.out_activation
        if given == "log_loss":
            loss: Loss = CrossEntropy() if end == "softmax" else BinaryCrossEntropy()
        elif isinstance(given, str) and given == "focal":
            loss = CategoricalFocal() if end == "softmax" else BinaryFocal()
        else:
            loss = choices.loss_of(e, given)
        of_all = isinstance(loss, (CrossEntropy, CategoricalFocal, MultiMargin))
        margins = has_margins(loss)
        if not (of_all or isinstance(loss, (BinaryCrossEntropy, BinaryFocal, Hinge, SquaredHinge))):
            raise choices.wrong(e, "loss", f"a loss of classes, or a str among {sorted(choices.CLASSIFIER_LOSSES)}")
        if of_all and kind.startswith("multilabel"):
            raise ValueError(
                f"loss={given!r} is of one class for each row, and y has rows of several labels: use loss='log_loss', "
                "'focal' or 'hinge'"
            )
        fits = "softmax" if of_all else "logistic"
        if e.out_activation is not None and (margins or end != fits):
            what = "margins, without an activation" if margins else f"out_activation={fits!r}"
            raise ValueError(f"out_activation={e.out_activation!r} does not fit loss={given!r}, which is of {what}")
        if kind.startswith("multilabel") and end == "softmax":
            raise ValueError("out_activation='softmax' is of one class for each row, and y has rows of several labels")
        self.ends, self.margins, self.loss = fits, margins, loss

    @property
    def _is_pair(self) -> bool:
        """Whether there is an output for each of two classes."""
        return self.ends == "softmax" and self.kind == "binary"

    @property
    def width(self) -> int:
        """How many outputs the net has for one label of each row."""
        return len(self.classes) if self.kind == "multiclass" else 1 + self._is_pair

    @property
    def n_outputs(self) -> int:
        """How many outputs the net has."""
        return len(self.classes) if self.kind.startswith("multilabel") else self.width

    def state(self) -> dict[str, Any]:
        """Return what `labels_from` makes it of again."""
        classes, sparse = classes_state(self.classes), bool(self.binarizer.sparse_input_)
        return {"classes": classes, "kind": self.kind, "sparse": sparse, "ends": self.ends, "margins": self.margins}

    def require(self, y: Array, what: str, all_of_them: bool = False, where: str = "") -> None:
        """Raise ValueError for labels that are none of the classes, or where not all of them are there."""
        found = unique_labels(y)
        if all_of_them:
            if set(found) != set(self.classes):
                raise ValueError(
                    f"{where}warm_start can only be used where `y` has the same classes as in the previous call to "
                    f"fit. Previously got {self.classes}, `y` has {found}"
                )
        elif len(unknown := np.setdiff1d(found, self.classes, assume_unique=True)):
            if what == "y":
                raise ValueError(
                    f"{where}`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' has "
                    f"{found}."
                )
            raise ValueError(f"{where}y of {what} has labels that are not in y: {unknown.tolist()}")

    def columns(self, y: Any) -> Array:
        """Return labels as True and False, in a column for each output of the net."""
        return self.for_end(self.binarizer.transform(y).astype(bool))

    def for_end(self, columns: Array) -> Array:
        """Return what the binarizer has made of labels, in a column for each output of the net."""
        return np.concatenate([~columns, columns], axis=1) if self._is_pair else columns

    def labels_of(self, columns: Array) -> Array:
        """Return what `columns` has been made of."""
        found: Array = self.binarizer.inverse_transform(columns[:, 1:] if self._is_pair else columns)
        return found

    def target(self, columns: Array, dtype: Any) -> Any:
        """Return what the loss takes."""
        return columns.argmax(axis=1) if self.ends == "softmax" else columns.astype(dtype)

    def goal(self, n: int) -> tuple[Loss, float]:
        """Return the loss of n outputs, and what it is multiplied by: those of outputs are summed."""
        return self.loss, 1.0 if self.ends == "softmax" else float(n)

    # -- what outputs say ---------------------------------------------------------------------------------------------

    def outputs(self, raw: Array) -> Array:
        """Return probabilities or margins: what the net gives."""
        return raw

    def right(self, outputs: Array, columns: Array) -> Array:
        """Return which rows are told right."""
        if self.kind == "multiclass" or self.ends == "softmax":
            return np.asarray(outputs.argmax(axis=1) == columns.argmax(axis=1))
        return np.asarray(((outputs > (0 if self.margins else 0.5)) == columns).all(axis=1))

    def margins_of(self, outputs: Array) -> Any:
        """Return margins: of two classes one number."""
        if self._is_pair:
            return np.asarray(outputs[:, 1] - outputs[:, 0])
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def labels(self, outputs: Array) -> Array:
        """Return the classes that outputs mean: as `LabelBinarizer` does, in less time."""
        found: Array
        if self.margins:
            if self._is_pair:
                outputs = (outputs[:, 1] > outputs[:, 0]).astype(float)
            elif self.kind != "multiclass":
                outputs = (outputs > 0).astype(float)
        if self.ends_in == "softmax" and len(self.classes) > 1:
            found = self.classes[outputs.argmax(axis=1)]
        elif outputs.size == len(outputs) and len(self.classes) == 2:
            found = self.classes[(outputs.ravel() > 0.5).astype(np.intp)]
        else:
            found = self.binarizer.inverse_transform(outputs[:, -1:] if self._is_pair else outputs)
        return found

    def probabilities(self, outputs: Array) -> Any:
        """Return the probabilities of the classes."""
        if outputs.shape[1] == 1:
            return np.concatenate([1 - outputs, outputs], axis=1)
        if self.kind == "multiclass" and self.ends_in == "logistic":
            return np.asarray(outputs / outputs.sum(axis=1, keepdims=True))  # each class against the rest
        return outputs

    # -- in other formats ---------------------------------------------------------------------------------------------

    def _graph(self, raw: Value, to: TableGraph) -> Value:
        """Add what `outputs` returns."""
        return raw

    def _graph_of_outputs(self, y: Value, to: TableGraph, who: str | None, end: str = "") -> None:
        """Add the labels of an estimator, where it is named, and probabilities or margins; `end` ends their names."""
        names = [*map(str, self.classes.tolist())]
        if who is not None and self.kind.startswith("multilabel"):
            to.output(to.above(y, 0.0 if self.margins else 0.5), f"label{end}", (y.n,), names)
        elif who is not None:
            one_of_two = y.n == 1 and len(self.classes) == 2
            threshold = (0.0 if self.margins else 0.5) if one_of_two else None
            to.output(to.label(y, label_array(self.classes, who), threshold), f"label{end}", ())
        if self.margins:
            y = to.product(y, np.array([[-1.0], [1.0]], y.dtype)) if self._is_pair else y
            to.output(y, f"scores{end}", (y.n,), names if y.n == len(names) else names[-1:])
            return
        if y.n == 1:
            y = to.concat([to.scale(y, -1, 1), y])
        elif self.kind == "multiclass" and self.ends_in == "logistic":
            y = to.share(y)
        to.output(y, f"probabilities{end}", (y.n,), names if y.n == len(names) else None)


class SeveralLabels:
    """Several targets with classes of their own: the net has outputs for each of them, one behind the other.

    They are numbers before a softmax or a sigmoid, since each target has its own: `outputs` are those behind it.

    Parameters
    ----------
    of : sequence of Labels
    """

    kind = "multiclass-multioutput"
    margins = False
    ends_in = "identity"

    def __init__(self, of: Sequence[Labels]) -> None:
        self.of = list(of)

    @property
    def classes(self) -> list[Array]:
        return [labels.classes for labels in self.of]

    @property
    def ends(self) -> str:
        return "identity"

    @property
    def n_outputs(self) -> int:
        """How many outputs the net has."""
        return sum(self._widths)

    def state(self) -> dict[str, Any]:
        """Return what `labels_from` makes it of again."""
        return {"of": [labels.state() for labels in self.of]}

    @property
    def _widths(self) -> list[int]:
        """How many outputs of the net each target has."""
        return [labels.width for labels in self.of]

    def _split(self, columns: Array) -> list[Array]:
        return np.split(columns, np.cumsum(self._widths)[:-1], axis=1)

    def _each(self, y: Array) -> list[Array]:
        """Return the column of each target."""
        y = np.asarray(y)
        if y.ndim != 2 or y.shape[1] != len(self.of):
            raise ValueError(f"y has shape {y.shape}, expected (rows, {len(self.of)}): a column for each output")
        return [column_of(y, j) for j in range(y.shape[1])]

    def choose_end(self, e: Any) -> None:
        for labels in self.of:
            labels.choose_end(e)
        self.margins = self.of[0].margins

    def require(self, y: Array, what: str, all_of_them: bool = False) -> None:
        for j, (labels, column) in enumerate(zip(self.of, self._each(y), strict=True)):
            labels.require(column, what, all_of_them, f"output {j}: ")

    def columns(self, y: Any) -> Array:
        found = [labels.columns(column) for labels, column in zip(self.of, self._each(y), strict=True)]
        return np.concatenate(found, axis=1)

    def labels_of(self, columns: Array) -> Array:
        parts = self._split(columns)
        return side_by_side([labels.labels_of(part) for labels, part in zip(self.of, parts, strict=True)])

    def target(self, columns: Array, dtype: Any) -> Any:
        return tuple(labels.target(part, dtype) for labels, part in zip(self.of, self._split(columns), strict=True))

    def goal(self, n: int) -> tuple[Loss, float]:
        """Return the sum of the losses of the targets: each as if there were no other."""
        heads = {}
        for j, (labels, width) in enumerate(zip(self.of, self._widths, strict=True)):
            loss, factor = labels.goal(width)
            if hasattr(loss, "from_logits"):
                loss.from_logits = True
            heads[f"output {j}"] = Head(loss, width, factor)
        return Heads(heads), 1.0

    def outputs(self, raw: Array) -> Array:
        if self.margins:
            return raw
        parts = [
            _softmax(part) if labels.ends == "softmax" else _sigmoid(part)
            for labels, part in zip(self.of, self._split(raw), strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _from_each(self, outputs: Array, what: Callable[[Labels, Array], Any]) -> list[Any]:
        return [what(labels, part) for labels, part in zip(self.of, self._split(outputs), strict=True)]

    def right(self, outputs: Array, columns: Array) -> Array:
        """Return which rows are told right: in all targets."""
        each = zip(self.of, self._split(outputs), self._split(columns), strict=True)
        return np.all([labels.right(part, own) for labels, part, own in each], axis=0)  # type: ignore[no-any-return]

    def margins_of(self, outputs: Array) -> list[Array]:
        return self._from_each(outputs, Labels.margins_of)

    def labels(self, outputs: Array) -> Array:
        return side_by_side(self._from_each(outputs, Labels.labels))

    def probabilities(self, outputs: Array) -> list[Array]:
        found = self._from_each(outputs, Labels.probabilities)
        alone = [len(labels.classes) == 1 for labels in self.of]
        return [np.ones((len(p), 1), p.dtype) if one else p for p, one in zip(found, alone, strict=True)]

    # -- in other formats ---------------------------------------------------------------------------------------------

    def _graph_of_each(self, y: Value, to: TableGraph) -> list[Value]:
        ends = np.cumsum(self._widths).tolist()
        return [to.columns(y, range(end - width, end)) for end, width in zip(ends, self._widths, strict=True)]

    def _graph(self, raw: Value, to: TableGraph) -> Value:
        """Add what `outputs` returns."""
        if self.margins:
            return raw
        parts = zip(self.of, self._graph_of_each(raw, to), strict=True)
        return to.concat(
            [to.activation(part, "softmax" if labels.ends == "softmax" else "sigmoid") for labels, part in parts]
        )

    def _graph_of_outputs(self, y: Value, to: TableGraph, who: str | None) -> None:
        """Add the labels and probabilities, or margins, of each target: their names end in its number."""
        for j, (labels, part) in enumerate(zip(self.of, self._graph_of_each(y, to), strict=True)):
            labels._graph_of_outputs(part, to, who, f"_{j}")
            if len(labels.classes) == 1 and not labels.margins:
                to.outputs.pop()
                sure = to.cast(to.scale(to.zeros(), None, 1), y.dtype)
                to.output(sure, f"probabilities_{j}", (1,), [*map(str, labels.classes.tolist())])


def of_targets(y: Array) -> tuple[Labels | SeveralLabels, Array | None]:
    """Return what targets are, and what a binarizer makes of them, or None."""
    if y.ndim == 2 and y.shape[1] > 1 and (y.dtype == object or type_of_target(y) == "multiclass-multioutput"):
        return SeveralLabels([Labels(binarized(_known(column_of(y, j), j))[0]) for j in range(y.shape[1])]), None
    if y.ndim == 2 and type_of_target(y) == "continuous-multioutput":
        check_classification_targets(y)
    binarizer, known = binarized(y)
    return Labels(binarizer), known


def of_classes(classes: Any, y: Any) -> Labels | SeveralLabels:
    """Return what targets are of which the classes are known, of which these are the first rows."""
    if isinstance(classes, (list, tuple)) and classes and all(np.ndim(one) == 1 for one in classes):
        return SeveralLabels([Labels(LabelBinarizer().fit(np.asarray(one))) for one in classes])
    several = type_of_target(y).startswith("multilabel")
    return Labels(LabelBinarizer().fit(y if several else classes))


def labels_from(record: Record) -> Labels | SeveralLabels:
    """Return what their state has been made of."""
    if record.has("of"):
        found = SeveralLabels([_one_from(of) for of in record.items("of")])
        if not found.of:
            raise ModelFormatError("it has no targets")
        found.margins = found.of[0].margins
        return found
    return _one_from(record)


def _one_from(record: Record) -> Labels:
    binarizer = LabelBinarizer()
    binarizer.classes_ = record.part("classes", lambda of: classes_from(of, 1))
    binarizer.y_type_ = record.choice("kind", ("binary", "multiclass", "multilabel-indicator"))
    binarizer.sparse_input_ = record.flag("sparse")
    n, kind = len(binarizer.classes_), binarizer.y_type_
    if (kind == "binary" and n > 2) or (kind == "multiclass" and n < 3):
        raise ModelFormatError(f"its labels are {kind}, of {n} classes")
    found = Labels(binarizer)
    found.ends = record.choice("ends", ("softmax", "logistic")) if record.has("ends") else None
    found.margins = record.flag("margins")
    return found


def column_of(y: Array, j: int) -> Array:
    """Return one target, of numbers as numbers where a table of several kinds holds them as objects."""
    column = y[:, j]
    return np.asarray(column.tolist()) if column.dtype == object else column


def _known(column: Array, j: int) -> Array:
    kind = type_of_target(column)
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"Unknown label type: {kind}. Output {j} of y holds {column[:3].tolist()} ..., expected classes: whole "
            "numbers, truths or text"
        )
    return column


def side_by_side(columns: Sequence[Array]) -> Array:
    """Return targets as one array (rows, outputs): of objects where numbers stand beside text."""
    kinds = {"U" if column.dtype.kind == "U" else "n" for column in columns}
    dtype = object if len(kinds) > 1 else np.result_type(*columns)
    return np.stack([column.astype(dtype) for column in columns], axis=1)


def _softmax(raw: Array) -> Array:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(raw: Array) -> Array:
    small = np.exp(-np.abs(raw))
    return np.asarray(np.where(raw >= 0, 1, small) / (1 + small))
