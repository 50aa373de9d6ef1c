"""The command line: tables of all kinds in, a report, a model file, predictions out; errors in one line."""

import csv
import gzip
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import fastnn
from fastnn.cli import main, report
from fastnn.cli.errors import CommandError
from fastnn.cli.files import opened
from fastnn.cli.kinds import Whole
from fastnn.cli.targets import target_in
from fastnn.formats.curves import curve
from fastnn.sklearn import TabularClassifier
from fastnn.sklearn.frames import Columns

pytestmark = pytest.mark.once

COMMANDS = ("train", "predict", "evaluate", "export", "bench", "show", "info", "demo")
N = 60
RNG = np.random.default_rng(0)
TABLE = {
    "area": [*np.round(RNG.uniform(20, 200, N - 1), 1).tolist(), None],
    "rooms": RNG.integers(1, 7, N).tolist(),
    "town": [("Bonn", "Köln", "Bad Ems, Lahn", None)[i % 4] for i in range(N)],
    "built": [f"{1950 + i}-0{1 + i % 9}-1{i % 9}" for i in range(N)],
    "zip": [f"0{5000 + 7 * (i % 12)}" for i in range(N)],
    "one": [1] * N,
}
TABLE["price"] = [round(3 * (a or 100) + 20 * r, 2) for a, r in zip(TABLE["area"], TABLE["rooms"], strict=True)]
TABLE["sold"] = [("yes", "no")[(a or 100) + 10 * r > 140] for a, r in zip(TABLE["area"], TABLE["rooms"], strict=True)]
KINDS = {
    "area": "number", "rooms": "number", "town": "category", "built": "date", "zip": "category", "one": "number",
    "price": "number", "sold": "category",
}  # fmt: skip


def separated(table, delimiter=","):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(table)
    writer.writerows(["" if value is None else value for value in row] for row in zip(*table.values(), strict=True))
    return text.getvalue().encode()


def json_lines(table):
    rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
    return "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows).encode()


def arrow_table(table):
    import pyarrow as pa

    built = {"built": pa.array(np.array(table["built"], "datetime64[D]"))} if "built" in table else {}
    return pa.table({**table, **built})


def parquet(table):
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(arrow_table(table), out, row_group_size=17)
    return out.getvalue()


def arrow(table, stream=False):
    import pyarrow as pa

    whole, out = arrow_table(table), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, whole.schema) as writer:
        writer.write_table(whole, 17)
    return out.getvalue()


WRITERS = {
    "t.csv": separated,
    "t.tsv": lambda table: separated(table, "\t"),
    "semicolons.csv": lambda table: separated(table, ";"),
    "bom.csv": lambda table: "\ufeff".encode() + separated(table),
    "t.csv.gz": lambda table: gzip.compress(separated(table)),
    "t.jsonl": json_lines,
    "t.parquet": parquet,
    "t.arrow": arrow,
    "stream.arrow": lambda table: arrow(table, True),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, write in WRITERS.items():
        if "parquet" in name or "arrow" in name:
            pytest.importorskip("pyarrow")
        (folder / name).write_bytes(write(TABLE))
    return folder


def whole(path, **options):
    with opened(str(path), **options) as source:
        return Whole(source)


def numbers_of(column):
    if column.codes is not None:
        values = [*column.values, None]
        return [values[code] for code in column.codes.tolist()]
    return column.numbers.astype(np.float64).tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_all_formats_say_the_same(name, tables):
    found = whole(tables / name)
    assert found.rows == N
    for column, kind in KINDS.items():
        assert found.columns[column].kind == kind, column
        expected = [np.nan if v is None and kind == "number" else v for v in TABLE[column]]
        if kind == "date":
            expected = np.array(expected, "datetime64[us]").astype(np.float64).tolist()
        np.testing.assert_equal(numbers_of(found.columns[column]), expected)


@pytest.mark.parametrize("name", ["zone.csv", "zone.jsonl", "zone.parquet", "zone.arrow"])
@pytest.mark.parametrize(("zone", "end"), [("Asia/Tokyo", "+09:00"), ("-03:30", "-03:30"), ("UTC", "Z")])
def test_times_with_a_zone_are_those_of_a_clock_there(name, zone, end, tmp_path):
    pa = pytest.importorskip("pyarrow")
    feather, parquet = pytest.importorskip("pyarrow.feather"), pytest.importorskip("pyarrow.parquet")
    clocks = ["2026-01-01T01:30:00", None, "2026-01-02T23:00:00"]
    texts = [clock and clock + end for clock in clocks]
    dates = [text and datetime.fromisoformat(text.replace("Z", "+00:00")) for text in texts]
    table = pa.table({"t": pa.array(dates, pa.timestamp("ms", tz=zone)), "x": [1, 2, 3]})
    if name.endswith(".csv"):
        (tmp_path / name).write_text(
            "t,x\n" + "".join(f"{t or ''},{i}\n" for i, t in enumerate(texts)), encoding="utf-8"
        )
    elif name.endswith(".jsonl"):
        lines = [json.dumps({"t": t, "x": i}) for i, t in enumerate(texts)]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    else:
        write = parquet.write_table if name.endswith(".parquet") else feather.write_feather
        write(table, str(tmp_path / name))
    found = whole(tmp_path / name).columns["t"]
    assert found.kind == "date"
    np.testing.assert_array_equal(found.numbers, np.array(clocks, "datetime64[us]"))


def test_arrays_are_tables(tmp_path):
    x, y = RNG.normal(size=(5, 3)), np.arange(5)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "both.npz", x=x, y=y)
    assert [*whole(tmp_path / "x.npy").columns] == ["x0", "x1", "x2"]
    found = whole(tmp_path / "both.npz").columns
    assert [*found] == ["x0", "x1", "x2", "y"]
    np.testing.assert_array_equal(found["x1"].numbers, x[:, 1])


# What stands in a file, and what is said of it: all of it in one line
BROKEN = [
    ("a.csv", b"", "is empty"),
    ("a.csv", b"a,b\n", "has no rows"),
    ("a.csv", b"a,b\n1,2\n3\n", "line 3: 1 field, expected 2"),
    ("a.csv", b"a,b\n1,2\n\n3,4,5\n", "line 4: 3 fields"),
    ("a.csv", b'a,b\n1,"2\n', "line 2: unexpected end of data"),
    ("a.csv", b"a,a\n1,2\n", "more than one column named 'a'"),
    ("a.csv", b"a,b\n1,\xe9\n", "not in utf-8"),
    ("a.csv.gz", b"a,b\n1,2\n", "no whole gzip file"),
    ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: no JSON"),
    ("a.jsonl", b'{"a": 1}\n[2]\n', "line 2: [2], expected an object"),
    ("a.jsonl", b'{"a": [1]}\n', "'a' is [1], expected a number"),
    ("a.jsonl", b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}\n', "line 2: no JSON: the key 'a' comes twice"),
    ("a.jsonl", b"[" * 100000, "line 1: no JSON"),
    ("a.parquet", b"PAR1 no", "no file of Parquet"),
    ("a.arrow", b"ARROW1 no", "no file of Arrow"),
    ("a.npy", b"no", "no array of NumPy"),
    ("a.xlsx", b"", "the format is not known by the name"),
    ("a.csv", gzip.compress(b"a,b\n1,2\n", mtime=0), "is compressed by gzip: decompress it first"),
    (".", None, "is a directory, expected a file with a table"),
]


@pytest.mark.parametrize(("name", "content", "said"), BROKEN, ids=lambda value: str(value)[:20])
def test_broken_tables_are_told_in_one_line(name, content, said, tmp_path, capsys):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert main(["train", str(path), "--target", "a", "-o", str(tmp_path / "m.fastnn")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("fastnn: ")
    assert said in error
    assert not (tmp_path / "m.fastnn").exists()


def test_objects_in_arrays_are_not_loaded(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array([print], object), allow_pickle=True)
    assert main(["train", str(tmp_path / "a.npy"), "--target", "x"]) == 1
    assert "holds objects" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("texts", "task", "kind"),
    [
        (["a", "b"] * 10, "auto", "classes ['a', 'b']"),
        (["0", "1"] * 10, "auto", "classes [0, 1]"),
        (["3", "1", "2"] * 10, "auto", "classes [1, 2, 3]"),
        (["3", "1", "2"] * 10, "regression", "numbers"),
        ([str(i) for i in range(20)], "auto", "numbers"),
        ([str(i) for i in range(20)], "classification", f"classes {[*range(20)]}"),
        (["0.5", "1.5"] * 10, "auto", "numbers"),
        (["0.5", "1.5"] * 10, "classification", "CommandError"),
        (["1", "inf"] * 10, "regression", "CommandError"),
        (["", "1", "0", "NA"] * 5, "auto", "classes [0, 1]"),
        (["007", "008"] * 5, "auto", "classes ['007', '008']"),
        (["a", "1"] * 5, "regression", "CommandError"),
        (["2020-01-01"] * 5, "auto", "CommandError"),
        ([""] * 5, "auto", "CommandError"),
    ],
)
def test_what_is_learnt(texts, task, kind, tmp_path):
    (tmp_path / "t.csv").write_bytes(separated({"y": texts, "x": range(len(texts))}))
    column = whole(tmp_path / "t.csv").columns["y"]
    if kind == "CommandError":
        with pytest.raises(CommandError, match="the target 'y'"):
            target_in("the target 'y'", column, task)
        return
    target = target_in("y", column, task)
    assert len(target.known) == len(target.y) == sum(text not in ("", "NA") for text in texts)
    assert kind == (f"classes {np.unique(target.y).tolist()}" if target.of_classes else "numbers")


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2.5", "+3e-4", ".5", "1."], "number"),
        (["1", "", "nan", "NULL"], "number"),
        (["1_000", "2"], "category"),
        (["1,5", "2"], "category"),
        (["inf", "2", "-Infinity", "+INF"], "number"),
        (["info", "2"], "category"),
        (["0x10", "2"], "category"),
        (["0", "0.5", "-0.5"], "number"),
        (["01", "02"], "category"),
        (["2020-01-31", "", "2021-12-01"], "date"),
        (["2020-01-31T10:00", "2020-01-31 10:00:59.5Z", "2020-01-31T10:00:00+02:00"], "date"),
        (["2020-02-31", "2020-01-01"], "category"),
        (["31.12.2020"], "category"),
        (["true", "false"], "category"),
        (["", "NA"], "empty"),
    ],
)
def test_what_texts_are(texts, kind, tmp_path):
    (tmp_path / "t.csv").write_bytes(separated({"x": texts, "_": ["."] * len(texts)}))
    assert whole(tmp_path / "t.csv").columns["x"].kind == kind


def test_one_odd_text_among_dates_is_told(tmp_path):
    (tmp_path / "t.csv").write_bytes(separated({"x": ["2020-01-31", "", "2020-02-31"], "_": "abc"}))
    assert whole(tmp_path / "t.csv").hints == {"x": "a category of text, because '2020-02-31' in line 4 is no date"}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["", "31/12/2020", "1/2/2021"], True),
        (["31.12.20 10:00", "01.02.21 9:30"], True),
        (["2020/12/31"], True),
        (["12-31-2020"], True),
        (["31/12/2020", "soon"], False),
        (["31/12-2020"], False),
        (["1.2", "1/2"], False),
        (["2020-12-31"], False),
    ],
)
def test_dates_of_other_forms_are_told(texts, told, tmp_path):
    (tmp_path / "t.csv").write_bytes(separated({"x": texts, "_": ["."] * len(texts)}))
    hints = whole(tmp_path / "t.csv").hints
    assert [*hints] == ["x"] * told
    if told:
        assert "is no date as dates are read: 2026-01-31 or 2026-01-31T10:00" in hints["x"]
        assert repr(next(filter(None, texts))) in hints["x"]


@pytest.mark.parametrize(
    ("texts", "odd"),
    [
        (["1", "2", "n.a.", "4", "5"], "'n.a.' in line 4"),
        (["1", "2", "3", "", "-", "-", "-", "-"], "'-' in line 6"),
        ([*"01" * 10, "?"], "'?' in line 22"),
        (["", *"01" * 20, "?", "-"], "'?' in line 43"),
        ([*"01" * 9, "?", "?"], None),  # 90 % of the rows
        ([*"12ab" * 5], None),
        ([*"0x" * 10], None),
        ([*"0" * 20, "x"], None),  # two classes, of which one is rare
        ([*"12x" * 5], None),
    ],
)
def test_odd_texts_among_numbers_are_told(texts, odd, tmp_path):
    (tmp_path / "t.csv").write_bytes(separated({"x": texts, "_": ["."] * len(texts)}))
    hints = {} if odd is None else {"x": f"a category of text, because of {odd}"}
    assert whole(tmp_path / "t.csv").hints == hints


def train(tables, name, target, folder, *more):
    model = folder / f"{target}.fastnn"
    if not model.exists():
        arguments = ["--preset", "fast", "--folds", "2", "--target", target, "-o", str(model), *more]
        assert main(["train", str(tables / name), *arguments]) == 0
    return model


@pytest.fixture(scope="module")
def trained(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {target: train(tables, "t.csv", target, folder) for target in ("price", "sold")}


def test_the_report(tables, tmp_path, capsys):
    train(tables, "t.csv", "sold", tmp_path, "--ignore", "price")
    out = capsys.readouterr().out
    for part in (
        "60 rows; 'sold' is 2 classes (it holds text",
        "dropped: it is 1 in all rows",
        "2 folds, rows that were not trained with",
        "shares of classes",
        "calibration error",
        "ROC AUC",
        "how sure it was",
        "log loss rises by",
        "fastnn predict",
    ):
        assert part in out
    assert "price" not in out.replace("prices", "")


def test_a_report_without_importances_computes_none(tables, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastnn.sklearn.ensemble.permutation_importances", None)
    train(tables, "t.csv", "sold", tmp_path, "--ignore", "price", "--no-importances")
    out = capsys.readouterr().out
    assert "log loss rises by" not in out
    assert "how sure it was" in out


def test_the_report_says_how_many_columns_count_for_nothing():
    def said(*values):
        return [*report.importances([f"c{i}" for i in range(len(values))], np.array(values), "R² falls by")]

    assert said(0.5, 0, -0.1)[-1] == "2 more count for nothing by themselves"
    assert said(0.5, 0)[-1] == "1 more counts for nothing by itself"
    assert said(0.5, 0.2)[-1].startswith("---")
    assert said(*range(23))[-2:] == ["... and 2 more that count less", "1 more counts for nothing by itself"]
    assert said(0, 0) == ["no column counts by itself"]


@pytest.mark.parametrize(
    ("task", "said"),
    [("auto", "(2 whole numbers: --task says otherwise)"), ("classification", "(--task classification)")],
)
def test_the_report_says_why_there_are_classes(task, said, tables, tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(separated({"x": TABLE["rooms"], "y": [i % 2 for i in range(N)]}))
    train(tmp_path, "t.csv", "y", tmp_path, "--task", task, "--no-importances")
    assert f"'y' is 2 classes {said}\n" in capsys.readouterr().out


def test_a_warning_is_printed_once(capsys, monkeypatch):
    def warn():
        warnings.simplefilter("always")
        for text in ("few\nrows", "few rows", "no rows"):
            warnings.warn(text, UserWarning, stacklevel=2)

    monkeypatch.setattr("fastnn.cli.command.show_config", warn)
    assert main(["info"]) == 0
    assert capsys.readouterr().err == "fastnn: few rows\nfastnn: no rows\n"


def test_what_is_cut_off_is_marked(trained, capsys):
    assert main(["show", str(trained["price"])]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("built"))
    assert "Monday" in line
    assert "Sunday" not in line
    assert line.endswith("...")


@pytest.mark.parametrize("name", WRITERS)
def test_predictions_from_all_formats_are_those_of_the_estimator(name, tables, trained, tmp_path):
    for target, path in trained.items():
        out = tmp_path / f"{target}.csv"
        assert main(["predict", str(path), str(tables / name), "-o", str(out)]) == 0
        with out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        model = fastnn.load(path)
        given = whole(tables / "t.csv").columns
        plans = [plan.name for plan in model.preprocessing_.plans]
        expected = model.predict(Columns(plans, [given[name] for name in plans]))
        assert [row[target] for row in rows] == [str(value) for value in expected.tolist()]


def test_predictions_with_more(tables, trained, tmp_path, capsys):
    out = tmp_path / "p.jsonl"
    data = str(tables / "t.csv")
    assert main(["predict", str(trained["price"]), data, "-o", str(out), "--interval", "0.5", "--keep", "town"]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [*rows[0]] == ["town", "price", "price: lower", "price: upper"]
    assert all(row["price: lower"] < row["price: upper"] for row in rows)
    assert main(["predict", str(trained["sold"]), data, "--probabilities"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [*rows[0]] == ["sold", "probability of no", "probability of yes"]
    for row in rows:
        no, yes = float(row["probability of no"]), float(row["probability of yes"])
        assert abs(no + yes - 1) < 1e-6
        assert row["sold"] == ("no" if no >= yes else "yes")


def test_predictions_beside_the_truth(tables, trained, tmp_path, capsys):
    assert main(["predict", str(trained["price"]), str(tables / "t.csv"), "--keep", "price"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [*rows[0]] == ["price", "price: predicted"]
    assert [float(row["price"]) for row in rows] == TABLE["price"]
    assert main(["predict", str(trained["price"]), str(tables / "t.csv")]) == 0
    alone = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["price: predicted"] for row in rows] == [row["price"] for row in alone]
    odd = tmp_path / "odd.csv"
    odd.write_bytes(separated({**TABLE, "price: predicted": [0] * N}))
    assert main(["predict", str(trained["price"]), str(odd), "--keep", "price", "--keep", "price: predicted"]) == 2
    assert "--keep 'price: predicted': predictions are written by this name, too" in capsys.readouterr().err


def test_evaluation_says_what_scikit_learn_says(tables, trained, capsys):
    from sklearn.metrics import accuracy_score, r2_score

    given = whole(tables / "t.csv").columns
    for target, score, title in (("price", r2_score, "R²"), ("sold", accuracy_score, "accuracy")):
        assert main(["evaluate", str(trained[target]), str(tables / "t.csv")]) == 0
        out = capsys.readouterr().out
        model = fastnn.load(trained[target])
        plans = [plan.name for plan in model.preprocessing_.plans]
        expected = score(TABLE[target], model.predict(Columns(plans, [given[name] for name in plans])))
        line = next(line for line in out.splitlines() if line.startswith(title))
        assert float(line.split()[-1]) == pytest.approx(expected, rel=1e-3)


def test_predictions_take_as_much_memory_as_a_block(tables, trained, tmp_path, monkeypatch):
    """However many rows there are."""
    import peaks

    monkeypatch.setattr("fastnn.cli.files.ROWS", 500)
    found = []
    for times in (50, 200):  # 6 and 24 blocks
        data = tmp_path / f"{times}.csv"
        header, *rows = (tables / "t.csv").read_bytes().splitlines(keepends=True)
        data.write_bytes(header + b"".join(rows) * times)
        arguments = ["predict", str(trained["price"]), str(data), "-o", str(tmp_path / "out.csv"), "--force"]
        main(arguments)
        found.append(peaks.peak_of(lambda arguments=arguments: main(arguments)))
        assert (tmp_path / "out.csv").read_bytes().count(b"\n") == N * times + 1
    assert found[1] < 1.2 * found[0]


@pytest.mark.parametrize(
    ("target", "arguments", "said"),
    [
        ("price", ["--interval", "90"], "--interval is 90, expected a share"),
        ("sold", ["--interval", "0.9"], "predicts no number with bounds"),
        ("price", ["--probabilities"], "has no classes"),
        ("price", ["-o", "out.parquet"], "written as csv, tsv, jsonl"),
        ("price", ["-o", "out.csv.xz", "--output-format", "csv"], "compressed by gzip alone, not as .xz"),
        ("sold", ["--keep", "town", "--keep", "town"], "--keep 'town' is given 2 times"),
        ("price", ["-o", "{data}", "--force"], "is what is read"),
        ("price", ["-o", "{model}", "--force"], "is what is read"),
    ],
)
def test_predictions_that_cannot_be(target, arguments, said, tables, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, data = trained[target], tables / "t.csv"
    before = model.read_bytes(), data.read_bytes()
    arguments = [one.format(data=data, model=model) for one in arguments]
    assert main(["predict", str(model), str(data), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert (model.read_bytes(), data.read_bytes()) == before


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (["1", "2", "3", "4", "oops"], "because of 'oops' in line 6: mend that"),
        ([*"01" * 10, "?"], "because of '?' in line 22: mend that"),
        ([f"{i},5" for i in range(40)], "40 texts in 40 rows, such as '0,5'"),
        (["a"] * 20, "is 'a' in all rows"),
        (["1"] * 20, "is 1 in all rows"),
    ],
)
def test_targets_that_cannot_be_learnt(target, said, tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(separated({"x": [i % 7 for i in range(len(target))], "y": target}))
    assert main(["train", str(tmp_path / "t.csv"), "--target", "y", "-o", str(tmp_path / "m")]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_table_of_numbers_alone(name, tmp_path):
    pytest.importorskip("pyarrow")
    table = {"area": [a or 100.0 for a in TABLE["area"]], "rooms": TABLE["rooms"], "price": TABLE["price"]}
    (tmp_path / name).write_bytes(WRITERS[name](table))
    model = train(tmp_path, name, "price", tmp_path)
    for command in (["evaluate", str(model)], ["predict", str(model)]):
        assert main([*command, str(tmp_path / name)]) == 0


def test_nothing_is_replaced_without_force(tables, trained, tmp_path, capsys):
    out = tmp_path / "out.csv"
    out.write_text("mine", encoding="utf-8")
    model, data, net = str(trained["price"]), str(tables / "t.csv"), tmp_path / "net.fastnn"
    small_net().save(net)
    for arguments in (
        ["predict", model, data, "-o", str(out)],
        ["train", data, "--target", "price", "-o", str(out)],
        ["export", str(net), "--to", "c", "-o", str(out)],
    ):
        assert main(arguments) == 1
        assert "exists: --force replaces it" in capsys.readouterr().err
        assert out.read_text(encoding="utf-8") == "mine"
    assert main(["predict", model, data, "-o", str(out), "--force"]) == 0
    assert out.read_text(encoding="utf-8").startswith("price\n")


def test_what_is_wrong_with_options_is_told_before_what_is_there(tables, tmp_path, capsys):
    (tmp_path / "m").write_text("mine", encoding="utf-8")
    assert main(["train", str(tables / "t.csv"), "--target", "nope", "-o", str(tmp_path / "m")]) == 1
    assert "lacks the column 'nope'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["predict", "{0}", "{0}"], ["show", "{0}"], ["export", "{0}", "--to", "c"]])
def test_a_table_is_no_model(command, tables, capsys):
    assert main([one.format(tables / "t.csv") for one in command]) == 1
    assert "no model file: no header begins" in capsys.readouterr().err


def test_predictions_are_compressed_where_their_name_says_so(tables, trained, tmp_path):
    for name in ("out.csv", "out.csv.gz", "out.tsv.GZ", "out.jsonl.gz"):
        assert main(["predict", str(trained["price"]), str(tables / "t.csv"), "-o", str(tmp_path / name)]) == 0
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == (tmp_path / "out.csv").read_bytes()
    assert whole(tmp_path / "out.tsv.GZ").rows == whole(tmp_path / "out.jsonl.gz").rows == N


@pytest.mark.parametrize(
    ("target", "more"),
    [("price", []), ("price", ["--interval", "0.5", "--keep", "town"]), ("sold", ["--probabilities"]), (None, [])],
)
def test_a_table_without_rows_has_the_columns_of_any_other(target, more, tables, trained, tmp_path):
    if target is None:
        small_net().save(tmp_path / "net.fastnn")
        model, lines = tmp_path / "net.fastnn", [b"a,b,c\n", b"1,2,3\n"]
    else:
        model, lines = trained[target], (tables / "t.csv").read_bytes().splitlines(keepends=True)
    found = []
    for name, given in (("full.csv", lines), ("empty.csv", lines[:1])):
        (tmp_path / name).write_bytes(b"".join(given))
        assert (
            main(["predict", str(model), str(tmp_path / name), "-o", str(tmp_path / "out.csv"), "--force", *more]) == 0
        )
        found.append((tmp_path / "out.csv").read_bytes().splitlines())
    assert found[1] == found[0][:1]


def test_a_prediction_that_fails_leaves_no_file(tables, trained, tmp_path, capsys):
    data = tmp_path / "bad.csv"
    lines = (tables / "t.csv").read_bytes().splitlines(keepends=True)
    odd = lines[1].split(b",")
    data.write_bytes(lines[0] + b"".join(lines[1:] * 200) + b"x" + b",".join(odd))
    assert main(["predict", str(trained["price"]), str(data), "-o", str(tmp_path / "out.csv")]) == 1
    error = capsys.readouterr().err
    assert "column 'area', line 12002: 'x" in error
    assert "expected a number" in error
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize(
    ("column", "odd", "said"),
    [("area", "x", "'x', expected a number"), ("built", "2020-02-31", "'2020-02-31', expected a date")],
)
def test_a_text_among_typed_values_is_told_with_its_line(column, odd, said, trained, tmp_path, capsys):
    table = {**TABLE, column: [*TABLE[column][:7], odd, *TABLE[column][8:]]}
    (tmp_path / "t.jsonl").write_bytes(json_lines(table))
    assert main(["predict", str(trained["price"]), str(tmp_path / "t.jsonl")]) == 1
    assert f"t.jsonl: column {column!r}, line 8: {said}" in capsys.readouterr().err
    small_net().save(tmp_path / "net.fastnn")
    (tmp_path / "n.jsonl").write_text('{"a": 1, "b": 2, "c": 3}\n{"a": 1, "b": "x", "c": 3}\n', encoding="utf-8")
    assert main(["predict", str(tmp_path / "net.fastnn"), str(tmp_path / "n.jsonl")]) == 1
    assert "n.jsonl: column 'b', line 2: 'x', expected a number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("area"), "lacks the column 'area'"),
        (lambda t: t.update(built=["soon"] * N), "expected a date"),
        (lambda t: t.update(rooms=["many"] * N), "expected a number"),
        (lambda t: t.update(rooms=["inf"] * N), "contains infinity"),
        (lambda t: t.update(town=[True] * N), "holds numbers or booleans (True), expected text"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_other_columns_than_those_of_the_training(command, change, said, trained, tmp_path, capsys):
    table = dict(TABLE)
    change(table)
    name, write = ("t.jsonl", json_lines) if True in table["town"] else ("t.csv", separated)
    (tmp_path / name).write_bytes(write(table))
    assert main([command, str(trained["price"]), str(tmp_path / name)]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("learnt", ["t.csv", "t.jsonl"])
def test_truth_values_are_those_of_all_formats(learnt, tmp_path, capsys):
    """Texts of CSV, values of JSON lines: as a column, and as the target."""
    table = {"flag": [i % 2 == 0 for i in range(N)], "x": [*range(N)], "right": [i % 4 < 2 for i in range(N)]}
    for name in ("t.csv", "t.jsonl"):
        (tmp_path / name).write_bytes(WRITERS[name](table))
    model, found = train(tmp_path, learnt, "right", tmp_path), []
    for name in ("t.csv", "t.jsonl"):
        assert main(["evaluate", str(model), str(tmp_path / name)]) == 0
        assert main(["predict", str(model), str(tmp_path / name), "-o", str(tmp_path / f"out.{name}.csv")]) == 0
        found.append((tmp_path / f"out.{name}.csv").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (1, ["--target", "cost"], "lacks the column 'cost'"),
        (2, ["--target", "price", "--folds", "1"], "--folds is 1"),
        (2, ["--target", "price", "--target", "rooms"], "--target is given twice, 'price' and 'rooms': leave one of"),
        (2, ["--target", "price", "--folds", "3", "--folds", "3"], "--folds is given twice, 3 and 3"),
        (1, ["--target", "price", "--folds", "50"], "too few for 50 folds"),
        (2, ["--target", "price", "--weight", "town"], "'town' holds no numbers"),
        (2, ["--target", "price", "--delimiter", "::"], "expected one letter"),
        (2, ["--target", "price", "--encoding", "klingon"], "does not know"),
        (1, ["--target", "town", "--task", "regression"], "needs numbers"),
        (1, ["--target", "price", "--ignore", "nothing"], "lacks the column 'nothing'"),
        (2, ["--target", "price", "--time-limit", "-1"], "--time-limit is -1, expected seconds above 0"),
        (2, ["--target", "price", "--time-limit", "0"], "--time-limit is 0"),
        (2, ["--target", "price", "--time-limit", "nan"], "--time-limit is nan"),
        (2, ["--target", "price", "--folds", "-1"], "--folds is -1"),
        (2, ["--target", "price", "--seed", "-1"], "--seed is -1"),
        (2, ["--target", "price", "--seed", str(2**32)], "--seed is 4294967296"),
        (2, ["--target", "price", "--threads", "0"], "--threads is 0"),
        (2, ["--target", "price", "--threads", "-3"], "--threads is -3"),
        (2, ["--target", "price", "--weight", "price"], "--weight 'price': --target names this column, too"),
        (2, ["--target", "price", "--ignore", "price"], "--ignore 'price': --target names"),
        (2, ["--target", "price", "--categorical", "price"], "--categorical 'price': --target names"),
        (2, ["--target", "price", "--weight", "area", "--ignore", "area"], "--ignore 'area': --weight names"),
        (2, ["--target", "price", "--weight", "area", "--categorical", "area"], "--categorical 'area': --weight names"),
        (2, ["--target", "price", "--ignore", "area", "--categorical", "area"], "--categorical 'area': --ignore names"),
        (1, ["--target", "price", "--task", "classification"], "no classes: --task regression"),
        (1, ["--target", "price", "-o", "/no/such/folder/m.fastnn"], "there is no folder"),
    ],
)
def test_options_that_cannot_be(code, arguments, said, tables, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(tables / "t.csv"), *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    with pytest.raises((CommandError, ValueError)):
        main(["train", str(tables / "t.csv"), *arguments, "--debug"])
    assert not list(tmp_path.iterdir())


def test_the_commands_of_the_page(tmp_path, monkeypatch, capsys):
    """As they stand there, one after the other."""
    monkeypatch.chdir(tmp_path)
    for name in ("houses", "new", "sold"):
        Path(f"{name}.csv").write_bytes(separated({k: TABLE[k] for k in ("area", "rooms", "town", "price")}))
    small_net().save("net.fastnn")
    page = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text(encoding="utf-8")
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines()
    assert len(commands) > 5
    for command in commands:
        words = shlex.split(command, comments=True)
        assert words[0] == "fastnn"
        if words[1] == "bench":
            words += ["--seconds", "0.01"]
        if words[1] == "train":
            words += ["--preset", "fast"]
        if words[-1] == "onnx" and find_spec("onnx") is None:
            continue
        assert main(words[1:]) == 0, capsys.readouterr().err
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"houses.csv", "new.csv", "sold.csv", "houses.fastnn", "out.csv", "net.fastnn", "net.c"} | (
        {"houses.onnx"} if find_spec("onnx") else set()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"example:\n  fastnn {command}" in out
    assert "exit codes" in out
    assert "--debug" in out


def test_standard_input_and_output(tables, trained, capsysbinary, monkeypatch):
    class Piped:
        buffer = io.BytesIO((tables / "t.csv").read_bytes())

    monkeypatch.setattr(sys, "stdin", Piped)
    assert main(["predict", str(trained["price"]), "-", "-o", "-"]) == 0
    assert capsysbinary.readouterr().out.count(b"\n") == N + 1


def run_alone(start, arguments, *folders):
    """Run the command in a process of its own, which finds modules in these folders first."""
    path = [*map(str, folders), str(Path(fastnn.__file__).parents[1])]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
    try:
        return subprocess.run(
            [sys.executable, *map(str, start), *map(str, arguments)], check=False, capture_output=True, text=True,
            timeout=100, env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("closed", "message"), [(">&-", "standard output is closed: redirect it"), ("<&-", "standard input is closed")]
)
def test_a_stream_that_is_closed_is_told_in_one_line(closed, message, trained):
    command = f'"{sys.executable}" -m fastnn predict "{trained["price"]}" - {closed}'
    path = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    found = subprocess.run(command, shell=True, check=False, stderr=subprocess.PIPE, text=True, timeout=100, env=path)
    assert found.returncode == 1
    assert found.stderr.startswith(f"fastnn: {message}")
    assert found.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("module", ["numpy", "sklearn"])
@pytest.mark.parametrize("how", ["-m", "script", "program"])
def test_an_interruption_while_modules_are_imported(how, module, tables, tmp_path):
    """The command says so in one line, in whichever import it is; a program gets the exception."""
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time\nexec('os.kill(os.getpid(), signal.SIGINT); time.sleep(9)')\n", encoding="utf-8"
    )
    script = tmp_path / ("fastnn" if how == "script" else "program.py")
    script.write_text(
        "import sys\nfrom fastnn.__main__ import main\nsys.exit(main())\n"
        if how == "script"
        else f"import fastnn, {module}\n",
        encoding="utf-8",
    )
    start = ["-m", "fastnn"] if how == "-m" else [script]
    found = run_alone(start, ["train", tables / "t.csv", "--target", "price", "-o", tmp_path / "m"], tmp_path)
    if how == "program":
        assert found.returncode in (-2, 130)
        assert "KeyboardInterrupt" in found.stderr
    else:
        assert (found.returncode, found.stderr, found.stdout) == (130, "interrupted\n", "")
    assert not (tmp_path / "m").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_what_is_full_is_named(tables, trained, tmp_path):
    limited = (
        "import resource, sys; from fastnn.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "sys.exit(main(sys.argv[1:]))"
    )
    out = tmp_path / "out.csv"
    found = run_alone(["-c", limited], ["predict", trained["price"], tables / "t.csv", "-o", out])
    assert (found.returncode, found.stderr) == (1, f"fastnn: {out}: File too large\n")
    assert not [*tmp_path.iterdir()]
    for arguments in (["predict", trained["price"], tables / "t.csv"], ["show", trained["price"]]):
        line = f"{shlex.join([sys.executable, '-m', 'fastnn', *map(str, arguments)])} >/dev/full"
        for begin in ("unset PYTHONUNBUFFERED; ", "PYTHONUNBUFFERED=1 "):  # where it is found, at the end or at once
            found = run_alone(["-c", "import os, sys; sys.exit(os.system(sys.argv[1]) >> 8)"], [begin + line])
            assert (found.returncode, found.stderr) == (1, "fastnn: standard output: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_files_are_written_whoever_reads_the_output(unbuffered, tables, trained, tmp_path):
    """A pipe that nobody reads ends what is printed, and no work."""
    data, model, out = tables / "t.csv", tmp_path / "m.fastnn", tmp_path / "out.csv"
    train_it = ["train", data, "--target", "price", "--preset", "fast", "--folds", "2", "-o", model]
    for arguments, made in (
        (train_it, [model]),
        (["predict", trained["price"], data, "-o", out], [model, out]),
        (["predict", trained["price"], data], [model, out]),
        (["show", trained["price"]], [model, out]),
    ):
        read, write = os.pipe()
        os.close(read)
        found = subprocess.run(
            [sys.executable, "-m", "fastnn", *map(str, arguments)], check=False, stdout=write, stderr=subprocess.PIPE,
            text=True, timeout=100,
            env=os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).parents[1]), "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
        os.close(write)
        assert (found.returncode, found.stderr) == (0, ""), arguments[0]
        assert sorted(tmp_path.iterdir()) == made
    assert fastnn.load(model).target_name_ == "price"
    assert out.read_bytes().count(b"\n") == N + 1


def small_net():
    from fastnn import Dense, Model

    return Model([Dense(4, "relu"), Dense(2)], seed=0).build(3)


@pytest.mark.parametrize(
    ("to", "suffix", "package"),
    [("onnx", "onnx", "onnx"), ("c", "c", None), ("numpy", "py", None), ("torch", "safetensors", "torch")],
)
def test_exports(to, suffix, package, trained, tmp_path, capsys):
    small_net().save(tmp_path / "net.fastnn")
    if package is None or find_spec(package):
        assert main(["export", str(tmp_path / "net.fastnn"), "--to", to]) == 0
        assert (tmp_path / f"net.{suffix}").stat().st_size > 100
    else:
        assert main(["export", str(tmp_path / "net.fastnn"), "--to", to]) == 1
        assert package in capsys.readouterr().err


def test_an_export_replaces_no_table_beside_it(tmp_path, capsys):
    from fastnn import Dense, Model

    Model([Dense(50), Dense(50)], seed=0).build(3).save(tmp_path / "t.fastnn")
    np.savez(tmp_path / "t.npz", x=np.arange(3))
    command = ["export", str(tmp_path / "t.fastnn"), "--to", "numpy"]
    assert main(command) == 1
    assert "t.npz exists, where the parameters are to stand" in capsys.readouterr().err
    assert ([*np.load(tmp_path / "t.npz")], (tmp_path / "t.py").exists()) == (["x"], False)
    assert main([*command, "--force"]) == 0
    assert re.search(r"written: .*t\.py \(.*\), .*t\.npz \(.* KB\)", capsys.readouterr().out)
    assert [*np.load(tmp_path / "t.npz")] == ["w1", "b1", "w2", "b2"]


@pytest.mark.parametrize(
    ("to", "said"),
    [("c", "to_c writes an estimator that reads numbers"), ("numpy", "column 'town' holds text: --to onnx writes all"),
     ("torch", "--to torch writes nets alone, and")],
)  # fmt: skip
def test_estimators_are_exported_or_say_as_what_they_can_be(to, said, trained, tmp_path, capsys):
    assert main(["export", str(trained["price"]), "--to", to, "-o", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert f"fastnn.load({str(trained['price'])!r}).nets_[0]" in error
    assert "estimator.nets_" not in error
    assert not [*tmp_path.iterdir()]
    if find_spec("onnx"):
        assert main(["export", str(trained["sold"]), "--to", "onnx", "-o", str(tmp_path / "sold.onnx")]) == 0
        assert "written" in capsys.readouterr().out
        assert (tmp_path / "sold.onnx").stat().st_size > 1000


def test_a_net_predicts_a_table_of_numbers(tmp_path, capsys):
    x = RNG.normal(size=(9, 3)).astype(np.float32)
    net = small_net()
    net.save(tmp_path / "net.fastnn")
    np.save(tmp_path / "x.npy", x)
    assert main(["predict", str(tmp_path / "net.fastnn"), str(tmp_path / "x.npy")]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["output 0", "output 1"]
    np.testing.assert_allclose(np.array(rows[1:], float), net.predict(x), rtol=1e-6)
    assert main(["evaluate", str(tmp_path / "net.fastnn"), str(tmp_path / "x.npy")]) == 1
    assert "whose targets only you know" in capsys.readouterr().err


@pytest.mark.parametrize(
    "series",
    [{}, {"loss": []}, {"loss": [np.nan]}, {"loss": [1.0]}, {"loss": [0.0, 0.0]}, {"a": [1e9, 1, -1e9], "b": [np.inf]}],
)
def test_curves_of_all_numbers(series):
    lines = curve(series)
    assert all(len(line) < 100 for line in lines)
    assert bool(lines) == any(np.isfinite(values).any() for values in series.values())


def test_a_curve_spans_its_numbers():
    lines = curve({"loss": np.geomspace(1, 1e-3, 300)}, width=30, height=7)
    assert lines[0].strip().startswith("0.") or lines[0].strip().startswith("1")
    assert "(logarithmic)" in lines[-1]
    places = [line.index("*") for line in lines[:-2]]
    assert places == sorted(places)


def test_the_benchmark_names_each_library(capsys):
    assert main(["bench", "--seconds", "0.01"]) == 0
    out = capsys.readouterr().out
    assert "fastnn" in out
    assert "NumPy" in out
    assert "scikit-learn" in out
    assert main(["bench", "--seconds", "0"]) == 2
    assert "--seconds" in capsys.readouterr().err


def test_columns_without_a_frame():
    """What readers make is a table as a frame is."""
    given = Columns(["a", "b"], [whole_number(), whole_number()])
    model = TabularClassifier("fast", random_state=0).fit(given, np.arange(20) % 2)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="expected the columns in the same order"):
        model.predict(Columns(["b", "a"], given.get_columns()))


def whole_number():
    from fastnn.sklearn.frames import numbers_in

    return numbers_in(np.arange(20.0))


def test_the_name_of_the_target_is_that_of_its_column():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    for given, name in (
        (pd.Series(y, name="sold"), "sold"),
        (pl.Series("sold", y), "sold"),
        (pd.Series(y), None),
        (y, None),
    ):
        assert TabularClassifier("fast", random_state=0).fit(x, given).target_name_ == name
