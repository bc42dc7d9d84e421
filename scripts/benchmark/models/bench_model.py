"""What every server under test calls: `make(NAME)` gives something with `predict(tasks)`.

One region a task, as a text classifier makes it. The names are those of `scripts/bench --list`.
"""

from __future__ import annotations

import time
from typing import Any

#: How long the model that waits, say for a service behind it, waits for each request, in seconds.
WAIT = 0.020
#: How long the model that computes needs for each request, in seconds of processor time.
WORK = 0.005
#: How long the model with large weights takes to load, in seconds.
LOAD = 5.0
CHOICES = ("Negative", "Positive")


def prediction(choice: str, score: float) -> dict[str, Any]:
    region = {
        "from_name": "sentiment",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": [choice]},
    }
    return {"result": [region], "score": score}


class Trivial:
    """Costs next to nothing, so that what is measured is the server."""

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [prediction(CHOICES["good" in task["data"]["text"]], 0.75) for task in tasks]


class Waiting(Trivial):
    """Waits without the interpreter, as a model does that asks another service."""

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        time.sleep(WAIT)
        return super().predict(tasks)


class Computing(Trivial):
    """Computes in Python, for as much processor time as it was told, however busy the machine is."""

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        end = time.thread_time() + WORK
        while time.thread_time() < end:
            sum(range(100))
        return super().predict(tasks)


class Loading(Trivial):
    """Takes long to construct."""

    def __init__(self) -> None:
        time.sleep(LOAD)


class Words:
    """TF-IDF and logistic regression of scikit-learn: one call for many texts is far cheaper than many."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        words = [f"word{n}" for n in range(2000)]
        texts, labels = [], []
        for n in range(400):
            some = " ".join(words[(n * 37 + k * 11) % len(words)] for k in range(30))
            texts.append(f"{('bad', 'good')[n % 2]} {some}")
            labels.append(n % 2)
        self.pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
        self.pipeline.fit(texts, labels)

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        probabilities = self.pipeline.predict_proba([task["data"]["text"] for task in tasks])
        return [prediction(CHOICES[int(row.argmax())], float(row.max())) for row in probabilities]


MODELS = {
    "trivial": Trivial,
    "waiting": Waiting,
    "computing": Computing,
    "loading": Loading,
    "words": Words,
}


def make(name: str) -> Any:
    return MODELS[name]()
