"""What a model file holds, in short, to be read on a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from typing import Any

from fastnn.checks import number_of
from fastnn.formats.container import Container, Entry, size_of
from fastnn.formats.curves import curve
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.estimator_file import lines_about
from fastnn.formats.files import texts_of
from fastnn.formats.model_file import names_in
from fastnn.formats.parts import public_classes
from fastnn.markup import text_table
from fastnn.signatures import parameters_of

_MOST, _MOST_OF_A_CELL = 400, 100  # letters of a line
_BEGIN, _END = 2, 3  # epochs of the history that are shown
_CURVE = 4  # epochs, from which there is a curve of them
_MORE = "history._more."
_FIRST = "models.0."  # of the nets of an estimator: it alone has a curve


def show(path: str | os.PathLike[str]) -> None:
    """Print what a model file holds: layers, what it was trained with, its history and its arrays.

    Nothing of it is made: own parts need not be known.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    ModelFormatError
        Where it is no model file.
    OSError
        Where it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            size = size_of(file)
            container = Container(file, size)
            texts = texts_of(container)
            lines = [_title(container, size, "an estimator" if "estimator" in texts else "a model")]
            lines += _of_estimator(container, texts) if "estimator" in texts else _of_model(container, texts)
        except ModelFormatError as error:
            raise ModelFormatError(f"{os.fspath(path)}: {error}") from None
    print("\n".join(lines))


def _title(container: Container, size: int, what: str) -> str:
    metadata = container.metadata
    by = f"by fastnn {metadata.get('fastnn')} with NumPy {metadata.get('numpy')}"
    return _cut(f"{what} of fastnn (format {metadata.get('version')}, {by}), {size:,} bytes")


def _of_estimator(container: Container, texts: dict[str, Any]) -> Iterator[str]:
    estimator = texts["estimator"]
    settings = estimator.get("settings")
    made = {"type": estimator.get("class"), "settings": settings if isinstance(settings, dict) else {}}
    yield _cut(in_short(made))
    about = lines_about(estimator)
    for title, *cells in about:
        if title != "column":
            yield _cut(f"{title}: {'; '.join(cells)}")
    columns = [cells for title, *cells in about if title == "column"]
    if columns:
        yield ""
        rows = [[_cut(one, _MOST_OF_A_CELL) for one in (*cells, "", "", "")[:3]] for cells in columns]
        yield from map(_cut, text_table(("column", "kind", "becomes"), rows, 0))
    first = texts["models"][0]["architecture"]
    for i, one in enumerate(texts["models"]):
        model = one["architecture"]
        same = i and {**model, "seed": None} == {**first, "seed": None}
        yield ""
        yield _cut(f"net {i}, as net 0: seed {model.get('seed')}" if same else f"net {i}")
        yield from (_trained if same else _of_model)(container, one, f"models.{i}.")


def _of_model(container: Container, texts: dict[str, Any], before: str = "") -> Iterator[str]:
    model = texts["architecture"]
    entries = {k[len(before) :]: entry for k, entry in container.entries.items() if k.startswith(before)}
    n = sum(prod(entry.shape) for name, entry in entries.items() if name[:1].isdigit())
    built = f"{model.get('n_in')} inputs, {n:,} numbers in layers" if model.get("n_in") else "not built yet"
    products = ", products in bfloat16 where they gain" if model.get("precision") == "bf16" else ""
    yield _cut(f"{built}, {model.get('dtype')}{products}, seed {model.get('seed')}")
    for name, what in (("feature_names", "features"), ("class_names", "classes")):
        names = names_in(model, name)
        if names:
            yield _cut(f"{what}: {', '.join(names)}")
    yield ""
    for i, layer in enumerate(_list(model.get("layers"))):
        own = {name: entry for name, entry in entries.items() if name.startswith(f"{i}.")}
        yield _cut(f"{i}  {in_short(layer)}")
        for name, entry in own.items():
            yield _cut(f"     {name:<12} {_sizes(entry)}")
    for name in ("penalties", "constraints"):
        for part in _list(model.get(name)):
            yield _cut(f"{name}: {in_short(part)}")
    yield ""
    yield from _trained(container, texts, before)


def _trained(container: Container, texts: dict[str, Any], before: str) -> Iterator[str]:
    """Yield what a model was trained with, where that is there, and its history."""
    entries = [name[len(before) :] for name in container.entries if name.startswith(before)]
    for name in ("loss", "optimizer"):
        part = texts["training"].get(name)
        if part or not before:
            yield _cut(f"{name}: {in_short(part) if part else 'none yet'}")
    remembered = [name.split(".", 2)[-1] for name in entries if name.startswith("optimizer.")]
    if remembered:
        yield _cut(f"  remembers {', '.join(remembered)}")
    yield from _history(container, texts, before)


def _history(container: Container, texts: dict[str, Any], before: str) -> Iterator[str]:
    loss, of_others = f"{before}history.loss", f"{before}{_MORE}"
    losses = container.numbers(loss) if loss in container.entries else []
    more = [name.removeprefix(of_others) for name in container.entries if name.startswith(of_others)]
    if not losses:
        yield "history: none"
        return
    begin = losses[:_BEGIN] if len(losses) > _BEGIN + _END else losses
    end = losses[-_END:] if len(losses) > _BEGIN + _END else []
    shown = ", ".join(f"{loss:.4g}" for loss in begin) + (", ..., " if end else "")
    shown += ", ".join(f"{loss:.4g}" for loss in end)
    yield _cut(f"history: {number_of(len(losses), 'epoch')}, loss {shown}")
    if more:
        yield _cut(f"  also {', '.join(more)}")
    fit = texts.get("fit")
    if isinstance(fit, dict):
        epochs = fit.get("epochs")
        state = (
            "it has ended" if fit.get("ended") else f"epoch {len(losses)} of {epochs}: fit(..., resume=True) goes on"
        )
        yield _cut(f"  {state}")
    if len(losses) >= _CURVE and before in ("", _FIRST):
        validation = {"val_loss": container.numbers(f"{of_others}val_loss")} if "val_loss" in more else {}
        yield ""
        yield from curve({"loss": losses, **validation})


def in_short(part: Any) -> str:
    """Return a part in JSON as the expression that makes it, without what is false or nothing by default."""
    if isinstance(part, list):
        return f"[{', '.join(map(in_short, part))}]"
    if not isinstance(part, dict):
        return repr(part)
    for tag in ("tuple", "dict", "slice", "array"):
        if tag in part:
            return in_short(part[tag])
    if "same" in part:
        return f"(part {part['same']})"
    for tag in ("number", "function"):
        if tag in part:
            return str(part[tag])
    name = part.get("type") or part.get("own") or part.get("initializer")
    settings = part["settings"] if isinstance(part.get("settings"), dict) else part
    hidden = ("type", "own", "id", "initializer") if settings is part else ()
    kind = public_classes().get(part["type"]) if isinstance(part.get("type"), str) else None
    known = {} if kind is None else parameters_of(kind).all
    given = {k: v for k, v in settings.items() if k not in hidden and k != "settings" and not _is_usual(k, v, known)}
    return f"{name}({', '.join(f'{k}={in_short(v)}' for k, v in given.items())})" if given else f"{name}()"


def _is_usual(name: str, value: Any, known: dict[str, tuple[Any, bool]]) -> bool:
    """Whether a setting of a class with these defaults, as far as they are known, is not worth a word."""
    if value not in (None, False, [], {"tuple": []}):  # 0, too, is like False
        return (name, value) in _USUAL
    if name in known:
        return not known[name][0]
    return (value is False or not isinstance(value, (int, float))) and (name, True) not in _USUAL


_USUAL = (
    ("trainable", True), ("bias", True), ("bias_initializer", {"initializer": "zeros"}), ("decay", "all"),
    ("shuffle", True), ("nesterovs_momentum", True),
)  # fmt: skip


def _sizes(entry: Entry) -> str:
    return f"{' x '.join(map(str, entry.shape))} {entry.dtype.name}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _cut(line: str, most: int = _MOST) -> str:
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= most else f"{line[: most - 3]}..."
