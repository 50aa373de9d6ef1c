"""Files of Keras: archives with a configuration and weights, weights alone, and whole models of earlier versions.

Nothing in them is run, and sizes are checked against the length of the file before memory is taken. HDF5's library,
which reads them, has loops of its own without an end, as over a free object of no bytes in a heap: they are not found
here.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np

from fastnn.arena import Array
from fastnn.formats.container import size_of
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.strict_json import Budget, parse

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MOST_TIMES = 20  # that what an archive holds may be longer than itself
_MOST_ENTRIES = 10_000
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_TOP = ("layers", "_layer_checkpoint_dependencies")  # where layers stand in files of weights
_BESIDE = re.compile(r"optimizer|metrics|_(?!layer_checkpoint_dependencies$).*")  # what else does


class Read(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    config : dict or None
        That of the model; None in a file of weights alone.
    version : str
        Of Keras; "" where it is not known.
    arrays : dict of list of ndarray
        Those of layers, by their places ("layers/dense_1") or names.
    by_name : bool
        Whether these are names, in the order of the layers.
    """

    config: dict[str, Any] | None
    version: str
    arrays: dict[str, list[Array]]
    by_name: bool


def read(path: str | os.PathLike[str]) -> Read:
    """Return what a file of Keras holds.

    Raises
    ------
    ModelFormatError
        Where it is none, or damaged.
    ImportError
        Without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError(
            "from_keras reads files with h5py, which is not installed: pip install 'fastnn-numpy[keras]'"
        ) from None
    with open(path, "rb") as file:
        size = size_of(file)
        start = file.read(8)
        file.seek(0)
        if start.startswith(_ZIP):
            return _archive(h5py, file, size)
        if start == _HDF5:
            with _opened(h5py, file) as h5:
                return _of_h5(h5py, h5, Budget(size), "")
    raise ModelFormatError("it is no file of Keras, expected an archive (.keras) or HDF5 (.weights.h5, .h5)")


def _archive(h5py: Any, file: IO[bytes], size: int) -> Read:
    try:
        with zipfile.ZipFile(file) as archive:
            known = {}
            if len(archive.infolist()) > _MOST_ENTRIES:
                raise ModelFormatError(f"the archive has {len(archive.infolist()):,} entries")
            for entry in archive.infolist():
                if entry.filename in known:
                    raise ModelFormatError(f"the archive has two entries {entry.filename[:80]!r}")
                known[entry.filename] = entry
            texts, left = {}, _MOST_TIMES * size
            for name in (_CONFIG, _METADATA, _WEIGHTS):
                if name not in known:
                    raise ModelFormatError(f"the archive has no {name}, expected that of a model of Keras 3")
                entry = known[name]
                left -= entry.file_size
                if left < 0 or entry.flag_bits & 1:
                    raise ModelFormatError(
                        f"the archive's {name} would have {entry.file_size:,} bytes, it has {size:,}"
                    )
                with archive.open(entry) as part:
                    texts[name] = part.read(entry.file_size + 1)
                if len(texts[name]) != entry.file_size:
                    raise ModelFormatError(f"the archive's {name} has another size than it says")
    except ModelFormatError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # whatever zipfile says of what is damaged
        raise ModelFormatError(f"the archive cannot be read: {error}") from error
    config, metadata = (_json(texts[name], name, size) for name in (_CONFIG, _METADATA))
    version = metadata.get("keras_version", "")
    with _opened(h5py, io.BytesIO(texts[_WEIGHTS])) as h5:
        found = _of_h5(h5py, h5, Budget(len(texts[_WEIGHTS])), str(version))
    return found._replace(config=config)


def _json(text: bytes | str, name: str, size: int) -> dict[str, Any]:
    Budget(_MOST_TIMES * size).spend_for_text(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    found = parse(text, name)
    if not isinstance(found, dict):
        raise ModelFormatError(f"its {name} is no JSON object")
    return found


@contextmanager
def _opened(h5py: Any, file: IO[bytes]) -> Iterator[Any]:
    """Open HDF5, and say of whatever its library finds wrong that the file is."""
    try:
        with h5py.File(file, "r") as h5:
            yield h5
    except (ModelFormatError, MemoryError):
        raise
    except Exception as error:
        raise ModelFormatError(f"its HDF5 cannot be read: {str(error)[:200]}") from error


def _of_h5(h5py: Any, h5: Any, budget: Budget, version: str) -> Read:
    if "layer_names" in h5.attrs or "model_config" in h5.attrs:  # of Keras 2, and of Keras 3 in its format
        version = _text(h5.attrs.get("keras_version", version))
        config, where = None, h5
        if "model_config" in h5.attrs:
            config = _json(_text(h5.attrs["model_config"]), "model_config", budget.left)
            where = _group(h5py, h5, "model_weights")
        arrays = {name: _named(h5py, _group(h5py, where, name), budget) for name in _texts(where, "layer_names")}
        return Read(config, version, arrays, True)
    if "vars" in h5:  # Keras 3, which has layers of a class of one's own beside the others, by their attributes
        return Read(None, version, dict(_numbered(h5py, h5, "", budget, 0)), False)
    for top in _TOP:
        if top in h5:
            return Read(None, version, dict(_numbered(h5py, _group(h5py, h5, top), "layers/", budget, 1)), False)
    raise ModelFormatError(
        f"there is no group {_TOP[0]!r} in it, expected a file of model.save or save_weights of Keras"
    )


def _numbered(h5py: Any, group: Any, path: str, budget: Budget, depth: int) -> Iterator[tuple[str, list[Array]]]:
    """Yield the arrays of all layers in a group, those of each in order."""
    if depth > 32:
        raise ModelFormatError("its groups are nested more than 32 deep")
    if "vars" in group and not path.endswith("seed_generator/"):
        place, variables = path[:-1] or "the model itself", _group(h5py, group, "vars")
        found = [_array(h5py, variables, str(i), budget) for i in range(len(variables)) if str(i) in variables]
        if len(found) != len(variables):
            raise ModelFormatError(f"{place} has the variables {[*variables][:9]}, expected numbered ones")
        if found:
            yield place, found
    for name in group:
        budget.spend_for_part()
        if isinstance(name, str) and name != "vars" and (depth or not _BESIDE.fullmatch(name)):
            below = re.sub(rf"^{_TOP[1]}$", _TOP[0], name)
            yield from _numbered(h5py, _group(h5py, group, name), f"{path}{below}/", budget, depth + 1)


def _named(h5py: Any, group: Any, budget: Budget) -> list[Array]:
    return [_array(h5py, group, name, budget) for name in _texts(group, "weight_names") if "seed" not in name]


def _texts(group: Any, name: str) -> list[str]:
    """Return a list of names in the attributes of a group, which may be in parts: they hold 64 KB at most."""
    parts = [name] if name in group.attrs else []
    while not (parts and parts[0] == name) and f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    if not parts:
        raise ModelFormatError(f"{group.name} has no {name}")
    return [_text(one) for part in parts for one in np.asarray(group.attrs[part]).reshape(-1).tolist()]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if not isinstance(value, str):
        raise ModelFormatError(f"it has {str(value)[:60]}, expected a text")
    return value


def _member(h5py: Any, group: Any, path: str, kind: Any) -> Any:
    """Return what stands at a path, not by links into other files or elsewhere in this one."""
    names: Sequence[str] = [name for name in path.split("/") if name]
    found = group
    for name in names:
        if not isinstance(found, h5py.Group) or name not in found or name in (".", ".."):
            raise ModelFormatError(f"there is no {path[:120]!r} in {group.name}")
        if not isinstance(found.get(name, getlink=True), h5py.HardLink):
            raise ModelFormatError(f"{name[:80]!r} in {found.name} is a link, expected what it names")
        found = found[name]
    if not isinstance(found, kind):
        raise ModelFormatError(f"{path[:120]!r} in {group.name} is {type(found).__name__}, expected {kind.__name__}")
    return found


def _group(h5py: Any, group: Any, path: str) -> Any:
    return _member(h5py, group, path, h5py.Group)


def _array(h5py: Any, group: Any, path: str, budget: Budget) -> Array:
    """Return an array, whose numbers lie in the file as they are."""
    found = _member(h5py, group, path, h5py.Dataset)
    where = f"{group.name}/{path}"[:160]
    if found.dtype.kind not in "fiuV" or found.dtype.itemsize > 8 or found.dtype.fields is not None:
        raise ModelFormatError(f"{where} has dtype {str(found.dtype)[:60]}, expected numbers")
    if found.external or found.is_virtual or found.id.get_create_plist().get_nfilters() or found.shape is None:
        raise ModelFormatError(f"{where} lies elsewhere, or is packed, expected numbers as they are")
    n_bytes = int(np.prod([int(n) for n in found.shape], dtype=object)) * found.dtype.itemsize
    if n_bytes != found.id.get_storage_size():
        raise ModelFormatError(
            f"{where} of shape {found.shape} has {n_bytes:,} bytes, and {found.id.get_storage_size():,} are there"
        )
    budget.spend(n_bytes, f"{where} of shape {found.shape}")
    array: Array = found[()]
    if "dtype" in found.attrs and _text(found.attrs["dtype"]) == "bfloat16":
        half = np.asarray(array).view(np.uint16).astype(np.uint32) << 16
        array = half.view(np.float32)
    return array
