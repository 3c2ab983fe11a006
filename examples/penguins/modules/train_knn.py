"""Nearest neighbours: the model is the training penguins themselves. Output: model (json)."""

import goldfish

from modules.classifiers import accuracy, load_part, neighbours, vote


def main() -> None:
    k = goldfish.config()["k"]
    features = goldfish.load_input("features", plain=True)
    points, species = load_part(features, goldfish.load_input("split", plain=True), "train")
    if not 1 <= k <= len(points):
        raise SystemExit(f"k is {k}; it must be from 1 to {len(points)}, the number of training penguins")

    goldfish.save_output("model", {"kind": "knn", "k": k, "points": points, "species": species})

    # Each penguin is judged by its neighbours without itself. One ranking serves the whole curve over k.
    said = {neighbour_count: [] for neighbour_count in sorted({1, 3, 5, 9, 15, k})}
    for index, point in enumerate(points):
        others = [other for other in neighbours(points, point) if other != index]
        for count, answers in said.items():
            answers.append(vote([species[other] for other in others[:count]]))
    for count, answers in said.items():
        goldfish.log_metric("leave_one_out_accuracy_by_k", round(accuracy(answers, species), 6), step=count)
    own = accuracy(said[k], species)
    goldfish.log_metric("leave_one_out_accuracy", round(own, 6))
    print(f"{k} nearest neighbours: leave-one-out accuracy {own:.4f}")


if __name__ == "__main__":
    main()
