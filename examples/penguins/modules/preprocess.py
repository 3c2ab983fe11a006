"""Reads the penguins, drops those with gaps, standardises, and sets some aside for the evaluation.

Outputs: features (npy, one row per penguin, standardised), split (csv: row, species, part) and
scaling (json: mean and deviation of each feature over the training part).
"""

import csv
import hashlib
import math

import goldfish

DATA = "data/penguins.csv"


def part_of(row: int, seed: int, holdout_fraction: float) -> str:
    """By a hash of seed and row: the same on every machine, and a row stays where it is when others are dropped."""
    digest = hashlib.sha256(f"{seed}:{row}".encode()).hexdigest()
    return "holdout" if int(digest[:8], 16) / 2**32 < holdout_fraction else "train"


def main() -> None:
    config = goldfish.config()
    columns = config["features"]
    with open(DATA, newline="", encoding="utf-8") as handle:
        penguins = list(csv.DictReader(handle))
    whole = [(row, penguin) for row, penguin in enumerate(penguins) if all(penguin.values())]

    split = [
        {
            "row": row,
            "species": penguin["species"],
            "part": part_of(row, config["seed"], config["holdout_fraction"]),
        }
        for row, penguin in whole
    ]
    table = [[float(penguin[column]) for column in columns] for _, penguin in whole]
    training = [values for values, place in zip(table, split) if place["part"] == "train"]

    means = [math.fsum(values) / len(training) for values in zip(*training)]
    deviations = [
        math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(training))
        for values, mean in zip(zip(*training), means)
    ]
    features = [
        [round((value - mean) / deviation, 6) for value, mean, deviation in zip(values, means, deviations)]
        for values in table
    ]

    goldfish.save_output("features", features)
    goldfish.save_output("split", split)
    goldfish.save_output(
        "scaling",
        {
            column: {"mean": round(mean, 6), "deviation": round(deviation, 6)}
            for column, mean, deviation in zip(columns, means, deviations)
        },
    )
    goldfish.log_metrics(
        {
            "rows_dropped": len(penguins) - len(whole),
            "rows_train": len(training),
            "rows_holdout": len(whole) - len(training),
        }
    )
    print(f"{len(whole)} of {len(penguins)} penguins kept, {len(training)} of them for training")


if __name__ == "__main__":
    main()
