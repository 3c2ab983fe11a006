"""Draws numbers. Output: numbers (csv: index, value)."""

import random

import goldfish


def main() -> None:
    config = goldfish.config()
    source = random.Random(config["seed"])
    values = [round(source.gauss(config["mean"], config["deviation"]), 6) for _ in range(config["count"])]
    goldfish.save_output("numbers", [{"index": index, "value": value} for index, value in enumerate(values)])
    goldfish.log_metric("count", len(values))


if __name__ == "__main__":
    main()
