"""Tables: predict the rent of flats from numbers, categories and yes or no, some of them missing.

The table is made up, so that it needs no download and the best possible error is known. What matters is the way: keep
rows apart for validation and test, learn from the training rows alone how to fill, code and scale columns, do the same
to every other row, stop when the validation loss no longer falls, and compare with something simple.
"""

import sys

import numpy as np
from picture import save_picture

from fastnn import MSE, AdamW, Dense, EarlyStopping, Model

try:
    import pandas as pd
except ImportError:
    sys.exit("this example reads a data frame: pip install pandas")

NUMBERS, CATEGORIES, YES_OR_NO = ["area", "built", "floor"], ["district", "heating"], ["balcony"]
NOISE = 40.0  # euros: no model can be better than that


def make_flats(n, rng):
    """Return a table of flats, with missing values, as people hand them in, and how often each was seen."""
    area, built = rng.gamma(8, 9, n).round(), rng.integers(1900, 2025, n)
    floor, balcony = rng.integers(0, 8, n), rng.random(n) < 0.4
    district = rng.choice(["centre", "harbour", "hills", "north"], n, p=[0.2, 0.2, 0.2, 0.4])
    heating = rng.choice(["gas", "district", "oil"], n)
    per_metre = 9 + pd.Series(district).map({"centre": 6, "harbour": 3, "hills": 4, "north": 0}).to_numpy()
    per_metre = per_metre + 3 * np.exp(-area / 40) + 2 * ((built - 1960) / 60) ** 2 - (heating == "oil")
    rent = per_metre * area + balcony * 60 + 12 * floor * (district == "harbour") + rng.normal(0, NOISE, n)
    flats = pd.DataFrame(
        {"area": area, "built": built, "floor": floor, "district": district, "heating": heating, "balcony": balcony}
    )
    flats["built"] = flats["built"].astype(float).mask(rng.random(n) < 0.1)
    flats["heating"] = flats["heating"].where(rng.random(n) >= 0.1)
    return flats, rent, rng.integers(1, 4, n)


class Columns:
    """How a table becomes numbers: learnt from the training rows, and kept with the net."""

    def __init__(self, table):
        self.fill = table[NUMBERS].median()
        self.missing = [name for name in NUMBERS if table[name].isna().any()]
        self.categories = {name: sorted(table[name].dropna().unique()) for name in CATEGORIES}
        numbers = table[NUMBERS].fillna(self.fill)
        self.mean, self.spread = numbers.mean(), numbers.std()

    def __call__(self, table):
        """Return a frame of numbers around 0: what was missing has the median and a column that says so."""
        parts = [(table[NUMBERS].fillna(self.fill) - self.mean) / self.spread]
        parts.append(table[self.missing].isna().add_suffix(" is missing"))
        for name, known in self.categories.items():  # a column for each, all 0 for one that is missing or new
            parts.append(pd.get_dummies(pd.Categorical(table[name], known), prefix=name).set_index(table.index))
        parts.append(table[YES_OR_NO])
        return pd.concat(parts, axis=1)


def rmse(predicted, rent):
    return float(np.sqrt(np.mean((predicted - rent) ** 2)))


def main():
    rng = np.random.default_rng(0)
    flats, rent, times_seen = make_flats(3000, rng)
    order = rng.permutation(len(flats))
    train, validation, test = order[:2000], order[2000:2500], order[2500:]

    columns = Columns(flats.iloc[train])
    x = columns(flats)
    mean, spread = rent[train].mean(), rent[train].std()
    y = (rent - mean) / spread  # a net learns fastest what is around 0 and of size 1

    net = Model([Dense(64, "silu"), Dense(64, "silu"), Dense(1)], seed=0)
    history = net.fit(
        x.iloc[train], y[train], loss=MSE(), optimizer=AdamW(lr=0.003, weight_decay=0.1, decay="weights"),
        epochs=300, batch_size=64, sample_weight=times_seen[train],
        validation_data=(x.iloc[validation], y[validation]), callbacks=[EarlyStopping(patience=20)],
    )  # fmt: skip
    best = int(np.argmin(history.val_loss))
    print(f"{flats.shape[1]} columns became {x.shape[1]}: {', '.join(x.columns)}")
    print(f"{len(history)} epochs in {history.seconds:.2f} s; the net is that of epoch {best + 1}, the best\n")

    with_one = np.column_stack([x.astype(float), np.ones(len(x))])
    line = with_one @ np.linalg.lstsq(with_one[train], rent[train], rcond=None)[0]
    predicted = net.predict(x)[:, 0] * spread + mean
    result = {
        "the mean": rmse(mean, rent[test]),
        "a straight line": rmse(line[test], rent[test]),
        "the net": rmse(predicted[test], rent[test]),
    }
    print(f"error of {len(test)} flats that nobody has seen, in euros a month (noise: {NOISE:g})")
    for name, error in result.items():
        print(f"  {name:<16} {error:6.1f}")

    new = pd.DataFrame([{"area": 55, "floor": 3, "district": "harbour", "balcony": True}], columns=flats.columns)
    new = new.astype({"built": float})  # its year and its heating are unknown
    print(f"\na new flat of 55 square metres: {net.predict(columns(new))[0, 0] * spread + mean:.0f} euros")

    def draw(left, right):
        epochs = range(1, len(history) + 1)
        left.semilogy(epochs, history.loss, label="training")
        left.semilogy(epochs, history.val_loss, label="validation")
        left.axvline(best + 1, color="grey", linewidth=0.8, label="best")
        left.set(title="Loss", xlabel="epoch", ylabel="mean squared error, in spreads")
        left.legend()
        right.plot([rent.min(), rent.max()], [rent.min(), rent.max()], color="grey", label="equal")
        right.scatter(rent[test], predicted[test], s=8, label="a flat")
        right.set(title=f"Test: wrong by {result['the net']:.0f} euros", xlabel="rent", ylabel="predicted")
        right.legend()

    save_picture("tables.png", draw)
    return result


if __name__ == "__main__":
    main()
