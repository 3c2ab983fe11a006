"""The two models as plain data and plain arithmetic, so that the same numbers come out on every machine.

Sums are explicit loops or math.fsum: the built-in sum() of floats rounds differently from Python 3.12 on.
A point is a list of standardised features; a model is a dict that JSON can hold.
"""

import math
from typing import Any, Dict, List, Tuple

Point = List[float]
Model = Dict[str, Any]


def load_part(features: List[Point], split: List[Dict[str, Any]], part: str) -> Tuple[List[Point], List[str]]:
    """Points and species of one part of the split ("train", "holdout")."""
    chosen = [(point, place["species"]) for point, place in zip(features, split) if place["part"] == part]
    return [point for point, _ in chosen], [species for _, species in chosen]


def dot(weights: Point, point: Point) -> float:
    """Weighted sum; the last weight is the constant."""
    total = weights[-1]
    for weight, value in zip(weights, point):
        total += weight * value
    return total


def softmax(scores: Point) -> Point:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = math.fsum(powers)
    return [power / total for power in powers]


def probabilities(model: Model, point: Point) -> Point:
    """Of a logistic model: one probability per class, in the order of `classes`."""
    return softmax([dot(weights, point) for weights in model["weights"]])


def neighbours(points: List[Point], point: Point) -> List[int]:
    """Indices from the nearest to the farthest; of two at the same distance the earlier one first."""
    distances = [math.fsum((a - b) ** 2 for a, b in zip(other, point)) for other in points]
    return sorted(range(len(points)), key=lambda index: (distances[index], index))


def vote(species: List[str]) -> str:
    """The most frequent one; of equals the first in the alphabet."""
    return min(set(species), key=lambda name: (-species.count(name), name))


def predict(model: Model, point: Point) -> str:
    """The species a model of either kind says."""
    if model["kind"] == "knn":
        nearest = neighbours(model["points"], point)[: model["k"]]
        return vote([model["species"][index] for index in nearest])
    scores = [dot(weights, point) for weights in model["weights"]]
    return model["classes"][scores.index(max(scores))]


def accuracy(predicted: List[str], actual: List[str]) -> float:
    return sum(1 for said, true in zip(predicted, actual) if said == true) / len(actual)
