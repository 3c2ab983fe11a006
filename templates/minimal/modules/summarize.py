"""Describes the numbers. Output: summary (json: count, mean, deviation)."""

import statistics

import goldfish


def main() -> None:
    digits = goldfish.config()["digits"]
    values = [row["value"] for row in goldfish.load_input("numbers", plain=True)]
    summary = {
        "count": len(values),
        "mean": round(statistics.fmean(values), digits),
        "deviation": round(statistics.pstdev(values), digits),
    }
    goldfish.save_output("summary", summary)
    goldfish.log_metrics({"mean": summary["mean"], "deviation": summary["deviation"]})
    print(f"mean {summary['mean']}, deviation {summary['deviation']}")


if __name__ == "__main__":
    main()
