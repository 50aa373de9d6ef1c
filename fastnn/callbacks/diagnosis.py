"""A look at a training, on its way: what goes wrong, in words."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks.contract import Callback
from fastnn.callbacks.finding import Finding, learns, of_losses
from fastnn.checks import count, flag, shown, warn

if TYPE_CHECKING:
    from fastnn.inspection.check import Check
    from fastnn.model import Model


_APART = ("inputs", "classes")  # what is seen of the data has no other cause, and classes are none of units that die


class Diagnosis(Callback):
    """Say in words what is wrong with a training, and what to do: as warnings, each once, and in `findings`.

    It looks before the first step, behind epochs 1, 2, 4, 8, 16 ... and at the end, by `Model.check` on some rows: for
    inputs that are not scaled, classes that are not balanced, dead units, saturated units and outputs, gradients that
    vanish or explode from layer to layer (Glorot & Bengio 2010), and numbers that are not finite. Of the losses it says
    where they do not move, or grow. What is seen behind a fault may follow from it, and does no harm where the loss has
    halved: then it is not said. Thresholds are wide, so that what goes well is left in peace; they stand with their
    reasons in fastnn/inspection/findings.py. Nothing of the model or of the fit changes.

    Parameters
    ----------
    data : tuple (x, y) or None
        What to look at. None takes rows of the fit itself, evenly: it has to be given where the fit reads batches from
        elsewhere, has several heads, or a loss of your own that reads targets itself.
    rows : int
        How many rows of the fit, at least 1; fewer than 32 say nothing of units, fewer than 100 nothing of classes.
    say : bool
        Whether findings are warned of, by a UserWarning each.

    Attributes
    ----------
    findings : list of Finding
        Of the last fit, each with its kind, where it was seen, what it is and the cure.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Diagnosis, Model
    >>> x = np.random.default_rng(0).normal(size=(200, 3)) * 500  # not scaled
    >>> diagnosis = Diagnosis(say=False)
    >>> net = Model([Dense(8, "relu"), Dense(1)], seed=0)
    >>> history = net.fit(x, x[:, 0] > 0, "mse", epochs=2, callbacks=diagnosis)
    >>> diagnosis.findings[0].kind
    'inputs'
    """

    findings: list[Finding]

    def __init__(self, data: tuple[Any, Any] | None = None, rows: int = 512, say: bool = True) -> None:
        self.data, self.rows, self.say = data, rows, say
        self.findings, self._first, self._constant = [], nan, nan

    def __setattr__(self, name: str, value: Any) -> None:
        where = f"Diagnosis: {name}"
        if name == "rows":
            value = count(where, value)
        elif name == "say":
            value = flag(where, value)
        elif name == "data" and value is not None and not (isinstance(value, (tuple, list)) and len(value) == 2):
            raise TypeError(f"{where} is {shown(value)}, expected a tuple (x, y), or None for rows of the fit")
        super().__setattr__(name, value)

    def _setting(self, name: str) -> Any:
        given = super()._setting(name)
        return ... if name == "data" and given is not None else given

    def begin(self, model: Model) -> None:
        """Look before the first step."""
        self.findings, self._first, self._constant = [], nan, nan
        check = self._look(model)
        if check is not None:
            self._first, self._constant = check.loss, check.constant

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Look behind an epoch, ever more rarely."""
        done = epoch + 1
        if done & (done - 1) == 0:
            self._look(model)

    def end(self, model: Model) -> None:
        """Look at the end, also at the losses."""
        if not model.history.loss:
            return
        check, losses = self._look(model), model.history.loss
        known = any(found.kind != "classes" for found in self.findings)
        last = losses[-1] if check is None else check.loss
        found = None if known else of_losses(losses, self._first, last, self._constant)
        if found is not None:
            self._add(found)

    def state(self) -> dict[str, Any]:
        known = np.array([self._first, self._constant])  # NaN, perhaps, which JSON does not know
        return {"findings": [list(found) for found in self.findings], "known": known}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.findings = [Finding(*found) for found in state["findings"]]
        self._first, self._constant = np.asarray(state["known"]).tolist()

    def _look(self, model: Model) -> Check | None:
        """Look at some rows, if there is a fit of more than 0 epochs, or rows are given."""
        if self.data is not None:
            x, y, weight = *self.data, None
        else:
            fitting: Any = model._trainer.fitting
            if fitting is None:
                return None
            found = fitting.some_rows(self.rows)
            if found is None:
                raise ValueError("Diagnosis: the fit has no rows that can be looked at: pass some, Diagnosis((x, y))")
            x, y, weight, _ = found
        check = model.check(x, y, model.loss, weight)
        known = any(found.kind not in _APART for found in self.findings)
        known = known or learns(model.history.loss, self._first, self._constant)
        for finding in check.findings:
            if finding.kind in (*_APART, "not finite") or not known:  # else that may be its cause, or it does no harm
                self._add(finding)
        return check

    def _add(self, finding: Finding) -> None:
        if not any((known.kind, known.where) == (finding.kind, finding.where) for known in self.findings):
            self.findings.append(finding)
            if self.say:
                warn(f"Diagnosis: {finding}")
