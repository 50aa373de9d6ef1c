"""Files that are damaged, or written to do harm: an error that says so, in little time and memory, and nothing else."""

import copy
import io
import json
import tempfile
import time
import tracemalloc
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from nets import OUTPUTS, data

import fastnn
from fastnn import (
    EMA,
    SGD,
    Adam,
    BatchNorm,
    Columns,
    Cosine,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Group,
    LinearWarmup,
    MaxNorm,
    Model,
    ModelFormatError,
    Normalization,
    OneHot,
    Parallel,
    ReduceOnPlateau,
    Residual,
    initializers,
)
from fastnn.formats import showing

X, T = data()
SECONDS, SPARE = 1.0, 16 * 2**20
SAMPLE, ALL = 2000, 1_000_000  # mutations
OFFSETS = b'"data_offsets": [0, '
NO_ARRAY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
OF_ALL = {"slice": [None, None, None]}
TOO_NEW = (
    "it has version 2 of the format, and this fastnn, .*, reads up to 1: it needs fastnn 9.1 or newer: pip install"
)
NASTY = (
    -1, 0, 1, 3, 2**16, 2**31, 2**53 + 1, 2**62, 2**63, 2**64, 10**30, 10**390, -(2**63), 0.5, -0.0, 1e-320,
    1e308, -1e308, None, True, "", "\x00", "float64", "Dense", "x" * 5000, "\ud800",
    [], [0], [[]], {}, {"same": 1}, {"number": "nan"},
    {"number": "inf"}, {"type": "Dense"}, {"own": "A"}, {"function": "f"}, {"tuple": []}, {"dict": [[1, 2]]},
    {"slice": [0, 10**12, None]}, {"array": [0] * 9, "dtype": "1000000000f8"}, {"initializer": "identity"},
    {"type": "OneHot", "columns": 2**23}, {"type": "Columns", "columns": [OF_ALL] * 40},
    {"type": "Sequential", "layers": [{"type": "ReLU"}] * 200},
)  # fmt: skip


class Copy:
    """What has been written of a model in the midst of a fit."""

    def __init__(self, content):
        self._content = content

    def save(self, path):
        path.write_bytes(self._content)


def copy_of(model):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        model.save(path)
        return Copy(path.read_bytes())


def models():
    """Small nets of many kinds of parts, trained, and one that is not built."""
    x = np.abs(X).round()
    row = [Embedding({0: 4}, 2), Normalization(), Dense(5, "tanh"), BatchNorm(), Dropout(0.2), Residual([Dense(5)])]
    rate = 0.05 * (LinearWarmup(steps=4) >> Cosine(steps=30)) * ReduceOnPlateau()
    net = Model([*row, Dense(OUTPUTS)], seed=0, constraints=[MaxNorm(3.0)], penalties="l2")
    net.fit(x, T, "mse", Adam(rate, groups=[Group(net[2], 0.5)], clip_norm=1.0, average=EMA(0.9)), epochs=2)
    yield net
    callbacks = [EarlyStopping(1), lambda model, epoch, logs: epoch == 2 and kept.append(copy_of(model))]
    kept = []
    net = Model([Dense(4, "tanh"), BatchNorm(), Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", SGD(0.05 * Cosine(), average=EMA(0.9)), epochs=5, callbacks=callbacks)
    yield from kept
    inside = Parallel([Columns(0, slice(1, 3)), OneHot({1: 3}), Dense(3, weight_initializer=initializers.normal(0.1))])
    net = Model([inside, Dense(OUTPUTS, "gelu")], seed=1, dtype="float64")
    net.fit(x, T, "huber", "sgd", epochs=2)
    yield net
    yield Model([Dense(3)], seed=2)
    net = Model([Dense(32, "relu"), Dense(32), Dense(OUTPUTS)], seed=0)
    net.fit(X, T, "mse", epochs=1)
    yield net.quantize(X)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of the files of these nets."""
    found = []
    for i, net in enumerate(models()):
        path = tmp_path_factory.mktemp("nets") / f"{i}.safetensors"
        net.save(path)
        found.append(path.read_bytes())
    return found


class Loader:
    """Loads bytes, and demands what is demanded of every file."""

    def __init__(self, folder):
        self.path, self.slowest, self.most = folder / "net.safetensors", 0.0, 0
        self.loaded = self.refused = 0
        self.longest = 0  # message

    def load(self, content, mapped=False, measured=True):
        """Return the model, or None where it is refused."""
        self.path.write_bytes(content)
        if measured:
            tracemalloc.start()
        begin = time.process_time()  # not that of others who use the machine
        try:
            net = fastnn.load(self.path, mmap=mapped)
            self.loaded += 1
        except ModelFormatError as error:
            self.longest = max(self.longest, len(str(error)))
            self.refused, net = self.refused + 1, None
        finally:
            seconds = time.process_time() - begin
            if measured:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
        self._show()
        assert self.longest < 1000
        if not measured:  # which takes its time
            self.slowest = max(self.slowest, seconds)
            assert seconds <= SECONDS, seconds
        else:
            self.most = max(self.most, peak - len(content))
            assert peak <= len(content) + SPARE, peak
        return net

    def _show(self):
        shown = io.StringIO()
        try:
            with redirect_stdout(shown):
                showing.show(self.path)
        except ModelFormatError as error:
            self.longest = max(self.longest, len(str(error)))
        lines = shown.getvalue().encode().splitlines()
        assert all(len(line) < 2000 for line in lines)


@pytest.fixture
def loader(tmp_path):
    return Loader(tmp_path)


def taken_apart(content):
    n = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def put_together(header, arrays):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + arrays


def changed(content, name, change):
    """A file whose architecture, training or history, or whose header, has been changed."""
    header, arrays = taken_apart(content)
    if name:
        inner = json.loads(header["__metadata__"][name])
        change(inner)
        header["__metadata__"][name] = json.dumps(inner)
    else:
        change(header)
    return put_together(header, arrays)


def places_in(value, found):
    """All places of values in JSON, as (what holds it, key)."""
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            places_in(value[key], found)
    return found


def mutate_value(value, rng):
    """Change something somewhere in JSON."""
    places = places_in(value, [])
    holder, key = places[rng.integers(len(places))]
    kind = rng.integers(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:  # another value from elsewhere
        other, at = places[rng.integers(len(places))]
        holder[key] = copy.deepcopy(other[at])
    elif kind == 2 and isinstance(holder, dict):
        holder[str(NASTY[rng.integers(len(NASTY))])[:50]] = holder.pop(key)
    elif kind == 3 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 4 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] += int(rng.integers(-2, 3))
    else:
        holder[key] = copy.deepcopy(NASTY[rng.integers(len(NASTY))])


def mutated(files, rng):
    """One mutation of one of the files."""
    content = files[rng.integers(len(files))]
    kind = rng.integers(8)
    if kind < 2:  # bytes, of the header mostly
        found = bytearray(content)
        n = int.from_bytes(content[:8], "little")
        for _ in range(rng.integers(1, 5)):
            found[rng.integers(8 + n if kind else len(found))] = rng.integers(256)
        return bytes(found)
    if kind == 2:  # pieces taken out, doubled, or of another file
        other = files[rng.integers(len(files))]
        a, b = sorted(rng.integers(len(content) + 1, size=2))
        c, d = sorted(rng.integers(len(other) + 1, size=2))
        return [content[:a] + content[b:], content[:b] + content[a:], content[:a] + other[c:d] + content[b:]][
            rng.integers(3)
        ]
    header, arrays = taken_apart(content)
    if kind == 3:
        mutate_value(header, rng)
    else:
        names = [name for name, text in header["__metadata__"].items() if text[:1] == "{"]
        name = names[rng.integers(len(names) if kind < 7 else 2)]
        inner = json.loads(header["__metadata__"][name])
        for _ in range(rng.integers(1, 3)):
            if inner:
                mutate_value(inner, rng)
        header["__metadata__"][name] = json.dumps(inner)
    if kind == 7 and arrays:  # the numbers
        found = np.frombuffer(arrays[: len(arrays) // 8 * 8]).copy()
        found[rng.integers(len(found))] = [np.nan, np.inf, -1.0, 1e300, 0.0, 2.0**63][rng.integers(6)]
        arrays = found.tobytes() + arrays[len(arrays) // 8 * 8 :]
    return put_together(header, arrays)


def used(net):
    """Use a model that a mutation has left whole: it may refuse, but not more."""
    if net.built and net.n_in < 10_000 and net.n_out < 10_000 and sum(layer.n_out for layer in net._tree.all) < 10**5:
        x = np.zeros((2, net.n_in))
        try:
            net.predict(x)
            net.fit(x, np.zeros((2, net.n_out)), epochs=1)
        except (ValueError, TypeError, FloatingPointError, RuntimeError, MemoryError, OverflowError, AttributeError):
            pass


def test_mutations_are_refused_or_harmless(files, loader, exhaustive):
    rng = np.random.default_rng(0)
    for i in range(ALL if exhaustive else SAMPLE):
        net = loader.load(mutated(files, rng), mapped=bool(i % 2), measured=i % 50 == 0)
        if net is not None and i % 9 == 0:
            used(net)
    counts = f"{loader.loaded:,} loaded, {loader.refused:,} refused"
    print(f"{counts}, at most {loader.slowest:.3f} s and {loader.most:,} bytes beside the file")
    assert loader.refused > loader.loaded


def test_files_that_are_cut_off_anywhere_are_refused(files, loader, exhaustive):
    for content in files:
        for n in range(0, len(content), 1 if exhaustive else 41):
            assert loader.load(content[:n], measured=n % 10 == 0) is None
        assert loader.load(content + b"\0") is None
        assert loader.load(content) is not None


def lying(length):
    return lambda content: length.to_bytes(8, "little") + content[8:]


def with_array(**entry):
    """Change the entry of one array."""

    def change(content):
        header, arrays = taken_apart(content)
        name = next(name for name in header if name != "__metadata__")
        header[name].update(entry)
        return put_together(header, arrays)

    return change


def with_name(name):
    """Add an array."""
    return lambda content: changed(content, "", lambda header: header.update({name: NO_ARRAY}))


def with_header(change):
    return lambda content: changed(content, "", change)


def with_text(name, change):
    return lambda content: changed(content, name, change)


def with_raw(before, after):
    """Change the text of the header."""

    def change(content):
        n = int.from_bytes(content[:8], "little")
        assert before in content[8 : 8 + n]
        return put_together(content[8 : 8 + n].replace(before, after, 1), content[8 + n :])

    return change


def of_header(text):
    return lambda content: put_together(text, b"")


def lie_over_each_other(header):
    a, b = [name for name in header if name != "__metadata__"][:2]
    header[a]["data_offsets"], header[b] = header[b]["data_offsets"], dict(header[b])
    header[a]["shape"] = header[b]["shape"]


def first_layer(**settings):
    return with_text("architecture", lambda of: of["layers"][0].update(settings))


def set_all(**values):
    return with_text("architecture", lambda of: of.update(values))


MANY = 300_000
HARMS = {
    "nothing": (lambda content: b"", "no model file: it has 0 bytes"),
    "a text": (lambda content: b"hello, this is a text", "no model file: no header begins"),
    "a pickle": (lambda content: b"\x80\x04\x95\x00\x00\x00\x00\x00" * 9, "no model file: no header begins"),
    "a length that lies": (lying(2**63), "its header would have 9,223,372,036,854,775,808 bytes"),
    "a length of all": (lying(10**5), "its header would have 100,000 bytes"),
    "no header": (lying(0), "its header is no JSON object"),
    "a short header": (lying(7), "the header is not JSON"),
    "a list": (of_header(b"[1, 2]"), "its header is no JSON object"),
    "deep lists": (
        of_header(b'{"a": ' + b"[" * MANY + b"]" * MANY + b"}"),
        "more memory than a file of this size may|more than 64 deep",
    ),
    "deep dicts": (of_header(b'{"a": ' * 100 + b"1" + b"}" * 100), "the header is nested more than 64 deep"),
    "deep in strings": (
        with_text("architecture", lambda of: of["layers"].append(nest(100))),
        "the architecture is nested more",
    ),
    "many lists": (of_header(b'{"a": [' + b"[]," * 10**6 + b"[]]}"), "a header of .* values would take more memory"),
    "many quotes": (of_header(b'{"a": "' + b'\\"' * MANY), "the header is not JSON"),
    "open quotes": (of_header(b'{"a": ' + b'""' * MANY), "the header is not JSON"),
    "a name twice": (of_header(b'{"a": 1, "a": 2}'), "the header: it has the name 'a' twice"),
    "a name twice behind many": (
        of_header(b"{" + b", ".join(b'"%d": 1' % i for i in (*range(30_000), 29_999)) + b"}"),
        "the header: it has the name '29999' twice",
    ),
    "a metadata twice": (
        with_raw(b'{"__metadata__"', b'{"__metadata__": {}, "__metadata__"'),
        "it has the name '__metadata__' twice",
    ),
    "NaN": (with_raw(OFFSETS, OFFSETS[:-3] + b"NaN, "), "the header: it has NaN, which is no number of JSON"),
    "infinity": (with_raw(OFFSETS, OFFSETS[:-3] + b"-Infinity, "), "it has -Infinity, which is no number"),
    "a large number": (with_raw(OFFSETS, OFFSETS[:-3] + b"1e999, "), "it has the number '1e999', which is too large"),
    "many digits": (with_raw(OFFSETS, OFFSETS[:-3] + b"9" * 5000 + b", "), "it has a number of 5000 digits"),
    "no UTF-8": (with_raw(b'"fastnn"', b'"fast\xffnn"'), "the header is not UTF-8"),
    "NaN inside": (set_all(seed=float("nan")), "the architecture: it has NaN"),
    "no metadata": (
        with_header(lambda header: header.pop("__metadata__")),
        "it holds arrays .*, but no model of fastnn",
    ),
    "metadata of numbers": (with_header(lambda header: header["__metadata__"].update(a=1)), "its __metadata__ is dict"),
    "another format": (
        with_header(lambda header: header["__metadata__"].update(format="pt")),
        "but no model of fastnn",
    ),
    "no version": (
        with_header(lambda header: header["__metadata__"].pop("version")),
        "its version is '', expected a number",
    ),
    "a newer version": (with_header(lambda header: header["__metadata__"].update(version="2", fastnn="9.1")), TOO_NEW),
    "no training": (with_header(lambda header: header["__metadata__"].pop("training")), "it has no training"),
    "a dtype": (with_array(dtype="F1024"), "has the dtype 'F1024', expected one of"),
    "another dtype": (with_array(dtype="I64"), "dtype|array"),
    "a negative size": (with_array(shape=[-1]), "its shape is list .*, expected whole numbers >= 0"),
    "a huge shape": (with_array(shape=[2**62, 2**62]), "bytes, and lies from"),
    "a shape that overflows": (with_array(shape=[2**32, 2**32]), "bytes, and lies from"),
    "a shape of large numbers": (with_array(shape=[2**64]), "expected whole numbers >= 0"),
    "many dimensions": (with_array(shape=[1] * 2000), "has 2000 dimensions"),
    "offsets behind the end": (with_array(data_offsets=[2**40, 2**40 + 8], shape=[1]), "lies from|begins at byte"),
    "offsets from the end": (with_array(data_offsets=[8, 0]), "lies from"),
    "three offsets": (with_array(data_offsets=[0, 1, 2]), "3 offsets"),
    "more of an array": (with_array(more=1), "expected its dtype, shape and data_offsets"),
    "an array too many": (with_header(lambda header: header.update({"9.w": NO_ARRAY})), "no place for the array 9.w"),
    "an array with a place that is none": (
        with_header(lambda header: header.update({"x": NO_ARRAY})),
        "nothing takes the array 'x'",
    ),
    "arrays over each other": (with_header(lie_over_each_other), "lies from|begins at byte"),
    "another number of units": (
        first_layer(columns={"dict": [[0, 5]]}),
        r"the array 0.table_0 has shape \(5, 2\) .* expected \(6, 2\)",
    ),
    "a huge layer": (first_layer(size=2**40), "inputs, more than the arrays of a file allow"),
    "a layer that is none": (first_layer(type="Adam"), "layer 1: Adam has no setting 'columns'"),
    "a part that is unknown": (
        first_layer(type="os.system"),
        "layer 1 is 'os.system', a part that fastnn does not know",
    ),
    "a builtin": (first_layer(type="eval"), "layer 1 is 'eval', a part that fastnn does not know"),
    "a private class": (first_layer(type="_WithAlpha"), "a part that fastnn does not know"),
    "a base": (first_layer(type="Layer"), "layer 1: Layer has no setting 'columns'"),
    "a class of a user's": (first_layer(own="Scale"), "layer 1 is 'Scale', a class that is not fastnn's"),
    "an argument that is unknown": (first_layer(nothing=1), "nothing"),
    "an attribute": (first_layer(_cells={}), "_cells"),
    "a bound": (with_text("architecture", lambda of: of["layers"][4].update(rate=1.5)), "Dropout: rate is 1.5"),
    "a NaN for a number": (
        with_text("architecture", lambda of: of["layers"][4].update(rate={"number": "nan"})),
        "Dropout: rate is nan",
    ),
    "an id twice": (with_text("training", lambda of: of["loss"].update(id=of["optimizer"]["id"])), "its id is"),
    "a part that is nowhere": (
        with_text("training", lambda of: of.update(memories=[{"same": 99}])),
        "stands for part 99",
    ),
    "no such memory": (
        with_text("training", lambda of: of["memories"].append(of["memories"][0])),
        "remembers|no such array",
    ),
    "many columns": (set_all(n_in=10**12), "inputs, more than the arrays of a file allow|MemoryError|expected"),
    "columns of many": (
        set_all(n_in=10**12, layers=[{"type": "OneHot", "columns": 3}]),
        "it has 1,000,000,000,000 inputs",
    ),
    "one of many": (
        set_all(n_in=10**12, layers=[{"type": "Columns", "columns": [OF_ALL]}]),
        "it has 1,000,000,000,000 inputs",
    ),
    "many codes": (set_all(n_in=500, layers=[{"type": "OneHot", "columns": 2**23}]), "more inputs and outputs than"),
    "many layers": (set_all(layers=[{"type": "ReLU"}] * 20_000), "would take more memory"),
    "a dtype of the model": (set_all(dtype="float16"), "Model: dtype is 'float16', expected"),
    "an array of many": (
        set_all(layers=[{"type": "Lambda", "function": {"array": [1], "dtype": "1000000000f8"}}]),
        "dtype",
    ),
    "no layers": (set_all(layers=[]), "Model: layers is empty"),
    "layers of numbers": (set_all(layers=[3]), "layer 1 is 3, expected a Layer"),
    "no text": (set_all(class_names=["\ud800"] * 3), "no text of Unicode"),
    "names that are a number": (set_all(class_names=3), "its class_names are 3, expected texts"),
    "names that are numbers": (set_all(feature_names=[1, 2]), r"its feature_names are \[1, 2\], expected texts"),
    "an optimizer's array of no optimizer": (with_name("optimizer.x"), "optimizer.x"),
    "an array whose name is no text": (with_name("0.\x1b[2J" + "x" * 5000), "0"),
    "names that are too few": (set_all(class_names=["a"]), "class_names has 1 name, expected 3"),
    "a history of texts": (with_text("history", lambda of: of.update(loss="low")), "the history has loss = 'low'"),
    "a history of nothing": (with_text("history", lambda of: of.update(nothing=1)), "the history has nothing = 1"),
    "a fit of nothing": (with_text("fit", lambda of: of.pop("asked")), "expected what it was begun with"),
    "a fit of texts": (with_text("fit", lambda of: of.update(epochs="3")), "its fit has epochs = 3, which it may not"),
    "a fit that has told many": (with_text("fit", lambda of: of.update(told=-3)), "its fit has told -3 callbacks"),
    "states that are none": (with_text("fit", lambda of: of.update(states=[3])), "have come to is no dict"),
    "a snapshot of nothing": (
        with_text("fit", lambda of: of.update(states=[{"snapshot": {"dict": []}}])),
        "'memories'",
    ),
    "an array of a state": (
        with_text("fit", lambda of: of.update(states=[{"tensor": "fit.9"}])),
        "there is no array 'fit.9'",
    ),
    "fits": (with_text("training", lambda of: of.update(fits=-1)), "it has begun -1 fits"),
}


def nest(n):
    return [] if n == 0 else [nest(n - 1)]


@pytest.mark.parametrize("name", HARMS)
def test_what_could_do_harm_is_refused_and_says_what_it_is(name, files, loader):
    change, message = HARMS[name]
    content = change(files[0])
    for mapped in (False, True):
        assert loader.load(content, mapped, measured=not mapped) is None
    with pytest.raises(ModelFormatError, match=rf"net.safetensors: .*({message})"):
        fastnn.load(loader.path)


def test_large_files_that_are_damaged_take_no_more_memory_than_they_are_long(loader):
    net = Model([Dense(1500), Dense(1000, "relu"), Dense(3)], seed=0)
    net.fit(np.ones((4, 500)), np.ones((4, 3)), "mse", SGD(0.01, momentum=0.9), epochs=1)
    net.save(loader.path)
    content = loader.path.read_bytes()
    assert len(content) > 16_000_000
    for change in (
        lambda of: of["layers"][1].update(units=10**6),
        lambda of: of["layers"][0].update(units=1501),
        lambda of: of["layers"].pop(),
        lambda of: of.update(n_in=10**9),
    ):
        assert loader.load(changed(content, "architecture", change)) is None
    assert loader.load(changed(content, "training", lambda of: of["memories"].clear())) is None
    assert loader.load(changed(content, "training", lambda of: of["optimizer"].update(type="Adam"))) is None
