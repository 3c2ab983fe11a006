"""Softmax regression by plain gradient descent. Output: model (json: classes and a row of weights for each)."""

import math

import goldfish

from modules.classifiers import accuracy, load_part, predict, probabilities


def main() -> None:
    config = goldfish.config()
    epochs, learning_rate = config["epochs"], config["learning_rate"]
    features = goldfish.load_input("features", plain=True)
    points, species = load_part(features, goldfish.load_input("split", plain=True), "train")
    classes = sorted(set(species))
    model = {
        "kind": "logistic",
        "classes": classes,
        "weights": [[0.0] * (len(points[0]) + 1) for _ in classes],
    }

    for epoch in range(1, epochs + 1):
        loss, gradient = slope(model, points, species)
        for weights, slopes in zip(model["weights"], gradient):
            for at, value in enumerate(slopes):
                weights[at] -= learning_rate * value
        goldfish.log_metric("loss", round(loss, 6), step=epoch)
        if epoch % 20 == 0:
            goldfish.progress(epoch / epochs, f"epoch {epoch} of {epochs}, loss {loss:.4f}")

    model["weights"] = [[round(weight, 6) for weight in weights] for weights in model["weights"]]
    goldfish.save_output("model", model)
    trained = accuracy([predict(model, point) for point in points], species)
    goldfish.log_metric("train_accuracy", round(trained, 6))
    print(
        f"softmax regression: loss {loss:.4f} after {epochs} epochs, accuracy {trained:.4f} on what it was trained on"
    )


def slope(model, points, species):
    """Mean cross-entropy over the points, and its derivative by each weight."""
    gradient = [[0.0] * len(weights) for weights in model["weights"]]
    losses = []
    for point, true in zip(points, species):
        likely = probabilities(model, point)
        losses.append(-math.log(likely[model["classes"].index(true)]))
        for number, name in enumerate(model["classes"]):
            error = (likely[number] - (1.0 if name == true else 0.0)) / len(points)
            for at, value in enumerate(point):
                gradient[number][at] += error * value
            gradient[number][-1] += error
    return math.fsum(losses) / len(points), gradient


if __name__ == "__main__":
    main()
