"""ONNX files as steps: the nodes that an output needs, in order, with what is constant computed.

Nobody has to trust a file: its arrays lie in it and are as long as their shapes say, nothing of it is looked for
elsewhere, sizes are bounded by its own, and nothing in it is run but the operators below, on constants.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.onnx_codes import code_of
from fastnn.formats.onnx_computing import COMPUTED
from fastnn.formats.onnx_operators import ML_DOMAIN, onnx_package
from fastnn.formats.onnx_parts import Parts, numbers_behind
from fastnn.formats.onnx_steps import (
    BYTES,
    DTYPES,
    MOST_DIMENSIONS,
    ROWS,
    Step,
    Unknown,
    constant_of,
    named,
    require_texts,
    reshaped,
    shape_of,
    shaped,
    widths_of,
)

_SPARE = 2**22  # numbers that constants may have beyond those of the file
_MOST_NODES = 10_000
_FLOATS = (1, 11, 10)
_KINDS = "FLOAT, DOUBLE, FLOAT16, INT64, INT32, INT8 or UINT8"
_TRUTHS = ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "And", "Or", "Not", "IsNaN")
_COSTS = {"Erf": 16}  # of numbers that are computed one by one, in those of others
_COLUMNS = 4  # of those that a layer chooses among, which looks at each: how many are like one number
_CHOOSING = ("Gather", "Slice", "ArrayFeatureExtractor")
_SAME = ("Identity", "Dropout")
_SHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


class Read:
    """A file as steps.

    Attributes
    ----------
    x, y : Step
        The input, all inputs side by side, and the output.
    dtype : str
    feature_names, class_names : list of str or None
    """

    def __init__(self, x: Step, y: Step, dtype: str, features: list[str] | None, classes: list[str] | None) -> None:
        self.x, self.y, self.dtype, self.feature_names, self.class_names = x, y, dtype, features, classes


def parsed(source: str | os.PathLike[str] | bytes) -> Any:
    """Return the ONNX model of a file, or of its bytes."""
    onnx = onnx_package()
    if isinstance(source, (bytes, bytearray, memoryview)):
        text = bytes(source)
    else:
        with open(source, "rb") as file:
            text = file.read()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(text)
    except Exception as error:
        raise ModelFormatError(f"no ONNX file, or a damaged one: {error}") from None
    if not model.graph.node and not model.graph.output:
        raise ModelFormatError("no ONNX file: it has no graph")
    return model


def read(model: Any, output: str | None) -> Read:
    """Return the steps that one output of a model needs."""
    return _Reader(model).read(output)


class _Reader:
    def __init__(self, model: Any) -> None:
        self._onnx = onnx_package()
        graph = model.graph
        if len(graph.node) > _MOST_NODES:
            raise ModelFormatError(f"it has {len(graph.node):,} nodes, expected up to {_MOST_NODES:,}")
        if model.functions:
            raise ModelFormatError(f"it has functions of its own ({model.functions[0].name!r}): export it without")
        if graph.sparse_initializer:
            raise ModelFormatError("it has sparse arrays, which are not read")
        require_texts(graph, model)
        self._graph, self._model = graph, model
        self._left = self._unheld = _SPARE + model.ByteSize()
        self._values: dict[str, Any] = {"": None}
        self._is_double = False
        self._is_half = any(one.data_type == 10 for one in graph.initializer)
        self._codes: dict[Step, str] = {}  # whole numbers that only choose rows of tables, and the node that makes them
        self._whole: set[Step] = set()
        self._truths: set[Step] = set()
        self._parts = Parts()
        self._class_names: list[str] | None = None
        self._makers = self._made_by()
        self._tensors: dict[str, Any] = {}
        for tensor in graph.initializer:
            if tensor.name in self._tensors:
                raise ModelFormatError(f"the array {tensor.name!r} is there twice")
            self._tensors[tensor.name] = tensor

    def _made_by(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in self._graph.node:
            for name in node.output:
                if name and name in found:
                    raise ModelFormatError(f"two nodes make {name!r}")
                found[name] = node
        return found

    def _spend(self, numbers: int, where: str) -> None:
        self._left -= numbers
        if self._left < 0:
            raise ModelFormatError(f"{where} would take more memory than a file of this size may")

    # -- arrays -------------------------------------------------------------------------------------------------------

    def _array(self, tensor: Any, where: str) -> Array:
        """Return an array that lies in the file, checked before memory is taken."""
        if tensor.data_location or tensor.external_data:
            raise ModelFormatError(f"{where}: its numbers lie in another file: save the model with its data inside")
        known = (DTYPES | BYTES).get(tensor.data_type)
        if known is None:
            names = self._onnx.TensorProto.DataType
            kind = names.Name(tensor.data_type) if tensor.data_type in names.values() else tensor.data_type
            raise ModelFormatError(f"{where}: its numbers are {kind}, expected {_KINDS}")
        shape, dtype = tuple(tensor.dims), np.dtype(known)
        if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
            raise ModelFormatError(f"{where}: its shape is {shape[:10]}")
        n = prod(shape)
        if tensor.raw_data:
            have = len(tensor.raw_data)
            if have != n * dtype.itemsize:
                raise ModelFormatError(f"{where}: it has {have:,} bytes, expected {n * dtype.itemsize:,} for {shape}")
            if dtype == np.bool_ and tensor.raw_data.strip(b"\x00\x01"):
                raise ModelFormatError(f"{where}: it holds what is neither True nor False")
            array = np.frombuffer(tensor.raw_data, dtype.newbyteorder("<")).astype(dtype)
        else:
            field = {1: "float_data", 11: "double_data", 7: "int64_data"}.get(tensor.data_type, "int32_data")
            data = getattr(tensor, field)
            if len(data) != n:
                raise ModelFormatError(f"{where}: it has {len(data):,} numbers, expected {n:,} for {shape}")
            if tensor.data_type == 10:
                bits = np.array(data, np.int64)
                if bits.size and (bits.min() < 0 or bits.max() > 0xFFFF):
                    raise ModelFormatError(f"{where}: it holds what is no FLOAT16")
                array = bits.astype(np.uint16).view(np.float16)
            else:
                array = np.array(data, np.int64 if dtype.itemsize == 1 else dtype)
                if dtype.itemsize == 1 and (array != array.astype(dtype)).any():
                    raise ModelFormatError(f"{where}: it holds numbers that are no {dtype}")
                array = array.astype(dtype)
        if dtype == np.float16:
            array = array.astype(np.float32)
        self._is_double = self._is_double or dtype == np.float64
        return array.reshape(shape)

    # -- inputs and outputs -------------------------------------------------------------------------------------------

    def read(self, output: str | None) -> Read:
        graph = self._graph
        name = self._output(output)
        order = self._order(name)
        self._require_readable(order)
        needed = {name, *(one for node in order for one in node.input)}
        inputs = [one for one in graph.input if one.name not in self._tensors and one.name in needed]
        if not inputs:
            raise ModelFormatError(f"the output {name!r} depends on no input")
        widths = widths_of({one.name for one in inputs}, order, self._tensors)
        shapes = [self._shape(one, widths) for one in inputs]
        rows = {one.type.tensor_type.shape.dim[0].dim_value for one in inputs} - {0}
        if len(rows) > 1:
            raise ModelFormatError(
                f"its inputs have {sorted(rows)} rows, expected as many of each: say so at the export"
            )
        n = sum(map(prod, shapes))
        self._spend(n, "an input of that size")
        x = Step("Input", (), {}, shapes[0] if len(shapes) == 1 else (n,), "the input")
        at = 0
        for one, shape in zip(inputs, shapes, strict=True):
            made = x  # the only one
            if len(inputs) > 1:
                index = np.arange(at, at + prod(shape))
                made = Step("Columns", (x, index), {}, shape, f"the input {one.name!r}")
                self._spend(n // _COLUMNS, made.where)
                at += prod(shape)
            self._is_double |= one.type.tensor_type.elem_type == 11
            if one.type.tensor_type.elem_type in (7, 6):
                self._whole.add(made)
            self._values[one.name] = made
        for node in order:
            self._step(node)
        y = self._value(name, "the output")
        if not isinstance(y, Step):
            raise ModelFormatError(f"the output {name!r} does not depend on the input")
        self._parts.require_rows(y)
        if y in self._codes:
            raise ModelFormatError(f"{self._codes[y]}, which is the output here")
        features = [one.name for one in inputs] if len(inputs) > 1 and n == len(inputs) else None
        dtype = "float64" if self._is_double else "float32"
        return Read(x, y, dtype, features or self._texts("feature_names", n), self._classes(y.n))

    def _output(self, wanted: str | None) -> str:
        names = [one.name for one in self._graph.output]
        if wanted is not None:
            if wanted not in names:
                raise ModelFormatError(f"there is no output {wanted!r}, expected one of {names[:20]}")
            return wanted
        for one in reversed(self._graph.output):  # labels come first
            kind = one.type.WhichOneof("value")
            maker = self._makers.get(one.name)
            if kind == "tensor_type" and one.type.tensor_type.elem_type in (*_FLOATS, 0):
                return str(one.name)
            if maker is not None and maker.op_type == "ZipMap":
                return str(one.name)
        raise ModelFormatError(f"none of its outputs is an array of numbers: {names[:20]}")

    def _shape(self, value: Any, widths: Mapping[str, int | None]) -> tuple[int, ...]:
        """Return the sizes of a row of an input."""
        kind = value.type.tensor_type
        where = f"the input {value.name!r}"
        if value.type.WhichOneof("value") != "tensor_type" or kind.elem_type not in (*_FLOATS, 7, 6):
            raise ModelFormatError(f"{where} is no array of numbers")
        if not kind.HasField("shape"):
            raise ModelFormatError(f"{where} has no shape, expected that of rows and columns: say it at the export")
        sizes = [one.dim_value if one.WhichOneof("value") == "dim_value" else None for one in kind.shape.dim]
        if not 2 <= len(sizes) <= MOST_DIMENSIONS:
            raise ModelFormatError(f"{where} has {len(sizes)} dimensions, expected rows and columns")
        if sizes[1:] == [None]:
            sizes[1] = widths.get(value.name)
        if any(size is None or not 0 < size < 2**40 for size in sizes[1:]) or prod(sizes[1:]) >= 2**40:  # type: ignore[arg-type]
            raise ModelFormatError(f"{where} has rows of shape {sizes[1:]}, expected sizes above 0 that are known")
        self._spend(prod(sizes[1:]), where)  # type: ignore[arg-type]
        return tuple(sizes[1:])  # type: ignore[arg-type]

    def _require_readable(self, order: Sequence[Any]) -> None:
        """Raise ModelFormatError for nodes with graphs inside, or that read what nothing makes."""
        known = {"", *self._makers, *self._tensors, *(one.name for one in self._graph.input)}
        for node in order:
            if any(one.type in (5, 10) or one.HasField("g") or one.graphs for one in node.attribute):
                raise ModelFormatError(f"{named(node)}: graphs inside of nodes are not read")
            for name in node.input:
                if name not in known:
                    raise ModelFormatError(f"{named(node)}: there is no {name!r}, which it reads: nothing makes it")

    def _order(self, name: str) -> list[Any]:
        """Return the nodes that an output needs, each behind what it reads; no recursion."""
        makers: dict[str, Any] = self._makers
        found: list[Any] = []
        state: dict[int, int] = {}
        todo: list[tuple[str, bool]] = [(name, False)]
        while todo:
            wanted, is_done = todo.pop()
            node = makers.get(wanted)
            if node is None:
                continue
            key = id(node)
            if is_done:
                if state[key] == 1:
                    state[key] = 2
                    found.append(node)
                continue
            if state.get(key) == 1:
                raise ModelFormatError(f"{named(node)}: it reads what is made of it")
            if state.get(key) == 2:
                continue
            state[key] = 1
            todo.append((wanted, True))
            for one in node.input:
                own = makers.get(one)
                if own is not None and state.get(id(own)) == 1:
                    raise ModelFormatError(f"{named(node)}: it reads {one!r}, which is made of it")
                if own is not None:
                    todo.append((one, False))
        return found

    def _texts(self, name: str, n: int) -> list[str] | None:
        """Return texts that this library has written into the metadata."""
        from fastnn.formats.strict_json import parse

        for entry in self._model.metadata_props:
            if entry.key == name and len(entry.value) < 2**24:
                try:
                    found = parse(entry.value, name)
                except ModelFormatError:
                    return None
                is_list = isinstance(found, list) and len(found) == n and all(isinstance(one, str) for one in found)
                return found if is_list and len({*found}) == n else None
        return None

    def _classes(self, n: int) -> list[str] | None:
        found = self._texts("class_names", max(n, 2)) or self._class_names
        return found if found is not None and len(found) == max(n, 2) else None

    # -- nodes --------------------------------------------------------------------------------------------------------

    def _value(self, name: str, where: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._tensors:
            self._values[name] = self._array(self._tensors[name], f"the array {name!r}")
            return self._values[name]
        if name in self._makers:
            raise ModelFormatError(f"{named(self._makers[name])}: what it makes as {name!r} is not understood")
        raise ModelFormatError(f"{where}: there is no {name!r}")

    def _attributes(self, node: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in node.attribute:
            if one.ref_attr_name:
                raise ModelFormatError(f"{where}: its attribute {one.name!r} refers to a function's")
            if one.type == 4:
                found[one.name] = self._array(one.t, f"{where}, {one.name}")
            elif one.type == 1:
                found[one.name] = float(one.f)
            elif one.type == 2:
                found[one.name] = int(one.i)
            elif one.type == 3:
                found[one.name] = one.s
            elif one.type in (6, 7, 8):
                found[one.name] = list({6: one.floats, 7: one.ints, 8: one.strings}[one.type])
        return found

    def _step(self, node: Any) -> None:
        """Compute what a node makes of constants, or keep it as a step."""
        where = named(node)
        if node.domain not in ("", "ai.onnx", ML_DOMAIN):
            raise ModelFormatError(f"{where} is of the domain {node.domain!r}, of which nothing is known")
        attributes = self._attributes(node, where)
        inputs = [self._value(one, where) for one in node.input]
        if len(inputs) > 10_000 or len(node.output) > 10_000:
            raise ModelFormatError(f"{where} has {len(inputs):,} inputs and {len(node.output):,} outputs")
        made: Any
        if node.op_type == "Constant":
            made = [self._constant(attributes, where)]
        elif not any(isinstance(one, Step) for one in inputs):
            made = [self._folded(node.op_type, inputs, attributes, where)]
        else:
            made = self._of_codes(node, inputs, self._known(node, inputs, attributes, where))
        for one, value in zip(node.output, made, strict=False):
            if one:
                self._values[one] = value

    def _constant(self, attributes: Mapping[str, Any], where: str) -> Array:
        for name, dtype in (("value", None), ("value_float", np.float32), ("value_int", np.int64),
                            ("value_floats", np.float32), ("value_ints", np.int64)):  # fmt: skip
            if name in attributes:
                return np.asarray(attributes[name], dtype)
        raise ModelFormatError(f"{where}: it holds no numbers")

    def _folded(self, op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], where: str) -> Array:
        arrays = [one for one in inputs if one is not None]
        size = sum(one.size for one in arrays)
        try:
            if op == "ConstantOfShape" and arrays[0].dtype == np.int64 and arrays[0].size <= MOST_DIMENSIONS:
                size = prod(max(0, int(one)) for one in arrays[0].reshape(-1))
            elif op == "Gather":
                chosen = arrays[0].shape[attributes.get("axis", 0)]
                size = arrays[0].size // max(1, chosen) * arrays[1].size
            elif op in COMPUTED:
                size = prod(np.broadcast_shapes(*(one.shape for one in arrays)))
        except (ValueError, TypeError, IndexError) as error:
            raise ModelFormatError(f"{where}: {error}") from None
        self._spend(size * _COSTS.get(op, 1), where)
        try:
            with np.errstate(all="ignore"):
                return np.asarray(constant_of(op, inputs, attributes))
        except Unknown:
            raise ModelFormatError(f"{where}: operator {op} of constants is not known") from None
        except (ValueError, TypeError, IndexError, OverflowError, KeyError, AttributeError, MemoryError) as error:
            raise ModelFormatError(f"{where}: {error}") from None

    def _known(self, node: Any, inputs: list[Any], attributes: dict[str, Any], where: str) -> list[Any]:
        """Return what a node makes of rows; what is wrong with its inputs, as infinite sizes, is its error."""
        try:
            return self._of_rows(node, inputs, attributes, where)
        except ModelFormatError:
            raise
        except (ValueError, TypeError, IndexError, OverflowError, KeyError, AttributeError) as error:
            raise ModelFormatError(f"{where}: {error}") from None

    def _of_rows(self, node: Any, inputs: list[Any], attributes: dict[str, Any], where: str) -> list[Any]:
        """Return what a node makes of rows."""
        op, x = node.op_type, inputs[0]
        part = self._parts.step(op, inputs, attributes, where)
        if part is not None:
            self._spend(part.n, where)
            return [self._held(part)]
        if op == "ZipMap" and isinstance(x, Step):
            found = attributes.get("classlabels_strings") or attributes.get("classlabels_int64s") or []
            self._class_names = [str(one, "utf-8", "replace") if isinstance(one, bytes) else str(one) for one in found]
            return [x]
        if node.domain == ML_DOMAIN and op not in ("Normalizer", "Scaler"):
            raise ModelFormatError(f"{where}: operator {op} of {ML_DOMAIN} is not known")
        if op in ("Cast", *_SAME) and not isinstance(x, Step):
            raise ModelFormatError(f"{where}: its first input is constant")
        if op == "Cast":
            return [self._cast(x, attributes.get("to"), where)]
        if op in _SAME:
            if op == "Dropout" and len(inputs) > 2 and inputs[2] is not None and np.any(inputs[2]):
                raise ModelFormatError(f"{where}: it is in training mode: export the model in eval mode")
            return [x]
        if op == "Shape" and isinstance(x, Step):
            sizes = np.array([ROWS, *x.shape], np.int64)
            return [sizes[attributes.get("start", 0) : attributes.get("end", len(sizes))]]
        if op in _SHAPES and isinstance(x, Step) and not any(isinstance(one, Step) for one in inputs[1:]):
            return [reshaped(op, x, inputs, attributes, where)]
        if op == "Split" and isinstance(x, Step):
            return self._split(x, inputs, attributes, where, len(node.output))
        if op in _CHOOSING and isinstance(x, Step):
            self._spend(x.n // _COLUMNS, where)
        code = code_of(inputs, where) if op == "Where" else None
        if code is not None:
            self._whole.add(code)
            return [code]
        shape = shape_of(op, inputs, attributes, where)
        tables = [one.size for one in inputs if op == "Gather" and isinstance(one, np.ndarray) and x is one]
        self._spend(prod(shape) + sum(tables) * (inputs[1].n if tables else 0), where)
        return [self._held(Step(op, inputs, attributes, shape, where))]

    def _held(self, step: Step) -> Step:
        """Return a step, once what its layer will hold is counted: nodes may share what layers have each."""
        self._unheld -= numbers_behind(step)
        if self._unheld < 0:
            raise step.fail("its numbers, with those of the nodes before, are more than a file of this size may have")
        return step

    def _cast(self, x: Step, to: Any, where: str) -> Step:
        """Return the same numbers of another kind: only what does not change them, and codes."""
        kinds = self._onnx.TensorProto.DataType
        kind = kinds.Name(to) if to in kinds.values() else to
        if x in self._truths or to == 9:
            if to not in DTYPES:
                raise ModelFormatError(f"{where}: it makes {kind}, which is not understood")
            made = Step("Cast", (x,), {"to": 9 if to == 9 else 1}, x.shape, where)
            (self._truths if to == 9 else self._whole).add(made)
            return made
        if x in self._codes or to in (7, 6):
            made = shaped(x, x.shape, where)
            self._whole |= {made} if x in self._whole else set()
            if x not in self._whole and to in (7, 6):
                self._codes[made] = (
                    f"{where}: it cuts digits off (to {kind}), which only codes of a Gather may have done"
                )
            return made
        if to in (1, 11) or (to == 10 and self._is_half):
            made = shaped(x, x.shape, where)
            self._whole |= {made} if x in self._whole else set()
            return made
        raise ModelFormatError(f"{where}: it changes numbers (to {kind}), which no layer does")

    def _of_codes(self, node: Any, inputs: Sequence[Any], made: list[Any]) -> list[Any]:
        """Raise ModelFormatError where codes, which have lost their digits, are read as numbers."""
        op = node.op_type
        steps = [one for one in made if isinstance(one, Step)]
        if op in _TRUTHS or (op in _SHAPES and isinstance(inputs[0], Step) and inputs[0] in self._truths):
            self._truths.update(steps)
        if op in (*_SHAPES, "Split") and isinstance(inputs[0], Step) and inputs[0] in self._whole:
            self._whole.update(steps)
        codes = [one for one in inputs if isinstance(one, Step) and one in self._codes]
        moves = op in (*_SAME, *_SHAPES, "Split", "Concat", "Slice")
        moves = moves or (op == "Gather" and any(inputs[0] is one for one in codes))
        moves = moves or (op == "Cast" and node.attribute[0].i in (7, 6))
        if codes and moves:
            self._codes.update({one: self._codes[codes[0]] for one in steps if one not in self._codes})
        elif codes and op not in ("Gather", "Shape"):
            raise ModelFormatError(f"{self._codes[codes[0]]}: {named(node)} reads it")
        return made

    def _split(self, x: Step, inputs: list[Any], attributes: dict[str, Any], where: str, parts: int) -> list[Step]:
        sizes = attributes.get("split", inputs[1] if len(inputs) > 1 and inputs[1] is not None else None)
        if len(x.shape) != 1 or attributes.get("axis", 0) not in (1, -1):
            raise ModelFormatError(f"{where}: expected to split the columns, axis 1")
        if sizes is None:
            if not parts or x.n % parts:
                raise ModelFormatError(f"{where}: {x.n} columns are no {parts} equal parts")
            sizes = [x.n // parts] * parts
        self._spend(parts * x.n // _COLUMNS, where)
        ends = np.asarray(sizes).reshape(-1).tolist()
        if len(ends) != parts or sum(ends) != x.n or any(type(one) is not int or one < 1 for one in ends):
            raise ModelFormatError(f"{where}: parts of {ends[:20]} columns are not the {x.n} that there are")
        found, at = [], 0
        for size in ends:
            found.append(Step("Columns", (x, np.arange(at, at + size)), {}, (size,), where))
            at += size
        return found
