"""Both models on the penguins that were set aside.

Outputs: report (json: accuracy of each and which is better) and confusion (csv: model, actual, predicted, count).
"""

import goldfish

from modules.classifiers import accuracy, load_part, predict

MODELS = ("logistic", "knn")


def main() -> None:
    digits = goldfish.config()["digits"]
    features = goldfish.load_input("features", plain=True)
    points, actual = load_part(features, goldfish.load_input("split", plain=True), "holdout")
    classes = sorted(set(actual))

    accuracies, confusion = {}, []
    for name in MODELS:
        model = goldfish.load_input(name)
        predicted = [predict(model, point) for point in points]
        accuracies[name] = round(accuracy(predicted, actual), digits)
        pairs = list(zip(actual, predicted))
        confusion += [
            {"model": name, "actual": true, "predicted": said, "count": pairs.count((true, said))}
            for true in classes
            for said in classes
        ]

    best = max(MODELS, key=lambda name: accuracies[name])
    goldfish.save_output("report", {"holdout_rows": len(actual), "accuracy": accuracies, "best": best})
    goldfish.save_output("confusion", confusion)
    goldfish.log_metrics({f"{name}_accuracy": value for name, value in accuracies.items()})
    goldfish.log_metric("best_accuracy", accuracies[best])
    for name, value in accuracies.items():
        print(f"{name}: accuracy {value:.4f} on {len(actual)} penguins")


if __name__ == "__main__":
    main()
