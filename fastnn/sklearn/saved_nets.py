"""Multi-layer perceptrons as files: what each has come to, and back.

All of it is there that a fit goes on from (`partial_fit`, `warm_start`): the optimizer with what it remembers, curves
and counts of the rules to end, the best state so far. Random numbers are not: each fit begins with those of
`random_state`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnn.callbacks.calls import as_callbacks
from fastnn.checks import number_of
from fastnn.formats import files
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.records import Labels, Record, Settings, Trained
from fastnn.layers import Layer
from fastnn.sklearn.categories import Categories
from fastnn.sklearn.contract import random_state_of
from fastnn.sklearn.loop import Best
from fastnn.sklearn.nets import products
from fastnn.sklearn.side_by_side import gather

if TYPE_CHECKING:
    from fastnn.sklearn.extended import Extended

_COUNTS = ("n_iter_", "t_", "_no_improvement_count")
_NUMBERS = ("loss_", "best_loss_", "best_validation_score_")
_CURVES = ("loss_curve_", "validation_scores_")
_RULE = "of the estimator"  # the name of its optimizer


class SavedNets:
    """An estimator that can be saved, and loaded by `fastnn.load`."""

    def save(self, path: str | os.PathLike[str], *, custom: Mapping[str, Any] | None = None) -> None:
        """Write the estimator to a file that `fastnn.load` reads: it predicts the same and trains on, to the bit.

        Nothing in the file is run when it is read, so it may come from anybody. It holds the settings, the net or nets
        with what their optimizers remember, classes and categories, curves, and the best state so far: `partial_fit`,
        and `fit` with ``warm_start=True``, go on as if nothing had been between.

        Parameters
        ----------
        path : str or path
            It is replaced as a whole: whoever is killed meanwhile, or runs out of space, leaves the old file.
        custom : dict or None
            Names for functions and classes among the settings that have none; `fastnn.load` is given the same.

        Raises
        ------
        NotFittedError
            Before a fit.
        TypeError, ValueError, OSError
            For settings that no file can hold, such as a generator of random numbers, or a callback that writes files;
            where `net_` is another one than that which was trained; and where it cannot be written.

        Examples
        --------
        >>> import fastnn
        >>> from sklearn.datasets import load_iris
        >>> from fastnn.sklearn import MLPClassifier
        >>> x, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier((16,), random_state=0, early_stopping=True).fit(x, y)
        >>> model.save("iris.safetensors")
        >>> bool((fastnn.load("iris.safetensors").predict_proba(x) == model.predict_proba(x)).all())
        True
        """
        estimator: Any = self
        check_is_fitted(estimator)
        estimator._adopt()
        estimator._validate_params()
        for callback in _that_write(estimator):
            raise TypeError(
                f"save: callbacks holds {callback!r}, which would write files of the reader: "
                "set_params(callbacks=None), save, and let the reader set its own"
            )
        try:
            for one in estimator.__dict__.get("estimators_") or [estimator]:
                _require_net(one)
        except ModelFormatError as error:
            raise ValueError(
                f"save: {error}: net_ is not the one that was trained, as one that is quantized: save it as a model, "
                "net_.save(path), or the estimator with its own net_"
            ) from None
        files.save_estimator(estimator, path, False, True, custom)

    # -- what it has come to ------------------------------------------------------------------------------------------

    def _state(self, rows: bool) -> dict[str, Any]:
        own: Any = self
        nets = own.__dict__.get("estimators_")
        if nets is None:
            return _state_of(own)
        return {"nets": [{"settings": Settings(net.get_params(deep=False)), **_state_of(net)} for net in nets]}

    @classmethod
    def _restored(cls, settings: dict[str, Any], record: Record) -> Any:
        found: Any = _made(cls, settings)
        if record.has("nets"):
            own = [_restore(_made(cls, of.settings("settings")), of) for of in record.items("nets")]
            if not own:
                raise ModelFormatError("it has no nets")
            if len({(*_widths(net), net.n_features_in_, net.out_activation_) for net in own}) > 1:
                raise ModelFormatError("its nets read other rows, or say something else")
            gather(found, own)
        else:
            _restore(found, record)
        return _tried(found)

    def _about(self) -> list[list[str]]:
        own: Any = self
        nets = own.__dict__.get("estimators_") or [own]
        lines = [["nets", f"{len(nets)}"]] if len(nets) > 1 else []
        if hasattr(own, "loss_"):
            lines.append(["trained", f"{number_of(own.n_iter_, 'epoch')}, loss {own.loss_:.4g}"])
        lines += own._about_targets()
        categories = nets[0].__dict__.get("_categories")
        plans = {} if categories is None else categories.plans
        return [*lines, *(["column", plan.name, plan.kind, plan.said] for _, plan in sorted(plans.items()))]

    # -- what only one of the two has ---------------------------------------------------------------------------------

    def _state_of_targets(self) -> dict[str, Any]:
        """Return what has been learnt of targets."""
        return {}

    def _restore_targets(self, record: Record) -> None:
        """Know the same of targets again."""

    def _about_targets(self) -> list[list[str]]:
        """Return the same in words."""
        return []

    def _require_outputs(self) -> None:
        """Raise ModelFormatError unless there are as many outputs as targets need."""


def _state_of(e: Extended) -> dict[str, Any]:
    """Return what an estimator with one net has come to."""
    own, net = e.__dict__, e.net_
    rule = own.get("_rule")
    found: dict[str, Any] = {
        "n_features_in": e.n_features_in_,
        "feature_names_in": Labels(own["feature_names_in_"].tolist()) if "feature_names_in_" in own else None,
        "categories": own["_categories"].state() if "_categories" in own else None,
        "net": [Trained(net, {} if rule is None else {_RULE: rule})],
        "n_outputs": e.n_outputs_,
        "out_activation": e.out_activation_,
        "made_of": _differs(own["_made_of"], e._shape),
        **e._state_of_targets(),
    }
    for name in _COUNTS:
        if name in own:
            found[name] = int(own[name])
    for name in _NUMBERS:
        if name in own:
            found[name] = None if own[name] is None else float(own[name])
    for name in _CURVES:
        if name in own:
            found[name] = None if own[name] is None else np.array(own[name], np.float64)
    if "_stopped" in own:
        found["_stopped"] = bool(own["_stopped"])
    if "_best" in own:
        found["_best"] = {str(i): array for i, array in enumerate(own["_best"].kept)}
        found["_best"] |= {f"average {i}": array for i, array in enumerate(own["_best"].averaged)}
    return found


def _differs(made_of: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return of what a net was made where that is not what settings are now: these have been changed since."""
    return {name: made_of.get(name) for name, text in now.items() if made_of.get(name, text) != text}


def _made(kind: Any, settings: dict[str, Any]) -> Any:
    """Return an estimator with settings that it may have, none of which would write files."""
    found = kind(**settings)
    found._validate_params()
    for callback in _that_write(found):
        raise ModelFormatError(f"its settings have {callback!r}, which would write files")
    return found


def _that_write(estimator: Any) -> list[Any]:
    given = estimator.callbacks
    return [] if given is None else [one for one in as_callbacks(given) if getattr(one, "writes_files", False)]


def _restore(e: Extended, record: Record) -> Extended:
    """Let an estimator with one net come to the same again."""
    e.n_features_in_ = n = record.whole("n_features_in", 1)
    if record.has("feature_names_in"):
        e.feature_names_in_ = np.array(record.names("feature_names_in", n), object)
    if record.has("categories"):
        e._categories = record.part("categories", lambda of: Categories.from_state(e.categorical_features, n, of))
        e.is_categorical_ = e._categories.mask(n)
    e._random_state = random_state_of(e.random_state)
    _restore_net(e, record)
    e.n_outputs_, e.out_activation_ = record.whole("n_outputs", 1), record.text("out_activation")
    e._restore_targets(record)
    e._made_of = e._shape
    e._made_of |= record.part("made_of", lambda of: {name: of.text(name) for name in e._shape if of.has(name)})
    _restore_fit(e, record)
    _require_net(e)
    return e


def _restore_net(e: Extended, record: Record) -> None:
    models = record.models("net")
    if len(models) != 1 or not models[0].built:
        raise ModelFormatError(f"it has {number_of(len(models), 'net')}, expected one that is built")
    e.net_ = net = models[0]
    rule = net._trainer._named.pop(_RULE, None)
    if rule is not None:
        e._rule = rule
    e.n_layers_ = len(products(net)) + 1


def _restore_fit(e: Extended, record: Record) -> None:
    """Know again how the last fit went, and where its rules to end stand."""
    own: dict[str, Any] = e.__dict__
    there = record.names_left()
    for name in _COUNTS:
        if name in there:
            own[name] = record.whole(name)
    for name in _NUMBERS:
        if name in there:
            own[name] = record.real(name)
    for name in _CURVES:
        if name in there:
            own[name] = None
            if record.has(name):
                own[name] = record.array(name, np.float64, None, finite=False).tolist()
    if "_stopped" in there:
        own["_stopped"] = record.flag("_stopped")
    if record.has("_best"):
        e._best = record.part("_best", lambda of: _best_of(e, of))


def _best_of(e: Extended, record: Record) -> Best:
    kept = [record.array(str(i), array.dtype, *array.shape) for i, array in enumerate(Best.arrays_of(e.net_))]
    averages = [*enumerate(Best.averages_of(e.net_))] if record.has("average 0") else []
    averaged = [record.array(f"average {i}", array.dtype, *array.shape) for i, array in averages]
    return Best(e.net_, *([array.copy() for array in arrays] for arrays in (kept, averaged)))


def _widths(e: Any) -> tuple[int, int, str]:
    return e.net_.n_in, e.net_.n_out, e.net_.dtype.name


def _require_net(e: Extended) -> None:
    """Raise ModelFormatError unless the net reads such rows, says so much, and is what settings make, if they do."""
    net, dense = e.net_, products(e.net_)
    width = len(e._categories.made) if "_categories" in e.__dict__ else e.n_features_in_
    if (net.n_in, net.n_out) != (width, e.n_outputs_) or not dense or dense[-1].units != e.n_outputs_:
        raise ModelFormatError(
            f"its net has {net.n_in} inputs and {net.n_out} outputs, expected {width} and {e.n_outputs_}"
        )
    e._require_outputs()
    if e._made_of == e._shape:
        widths = [layer.units for layer in dense]
        expected = [*map(_kind, e._layers(widths[:-1], widths[-1]))]
        found = [*map(_kind, net.layers)]
        if (net.precision is None) != (e.precision is None):
            raise ModelFormatError(f"its net has the precision {net.precision!r}, expected {e.precision!r}")
        if found != expected:
            raise ModelFormatError(f"its net has the layers {str(found)[:80]}, expected {str(expected)[:80]}")


def _kind(layer: Layer) -> tuple[str, Any, str]:
    return type(layer).__name__, getattr(layer, "units", None), type(getattr(layer, "activation", None)).__name__


def _tried(e: Any) -> Any:
    """Return the estimator, which has predicted for a row of zeros."""
    nets = e.__dict__.get("estimators_") or [e]
    with np.errstate(all="ignore"):
        e._predicted_for(np.zeros((1, nets[0].net_.n_in), nets[0].net_.dtype))
    for one in nets:
        one.net_._predictors.forget()  # its memory: a file with many nets is read in little
    return e
