"""The models that every server under test calls: `make(NAME)` returns one with `predict(tasks)`.

They return one region for each task, as a text classifier does. The names are the keys of `MODELS`.
"""

from __future__ import annotations

import time
from typing import Any

#: How long the waiting model waits in each request, as if for another service, in seconds.
WAIT = 0.020
#: How long the computing model computes in each request, in seconds of processor time.
WORK = 0.005
#: How long the slowly loading model takes to load, in seconds.
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
    """Takes almost no time, so that the server is measured."""

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [prediction(CHOICES["good" in task["data"]["text"]], 0.75) for task in tasks]


class Waiting(Trivial):
    """Waits and releases the interpreter, as a model does that asks another service."""

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        time.sleep(WAIT)
        return super().predict(tasks)


class Computing(Trivial):
    """Computes in Python, for the same processor time however busy the machine is."""

    def predict(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        end = time.thread_time() + WORK
        while time.thread_time() < end:
            sum(range(100))
        return super().predict(tasks)


class Loading(Trivial):
    """Takes long to load."""

    def __init__(self) -> None:
        time.sleep(LOAD)


class Words:
    """TF-IDF and logistic regression of scikit-learn: one call for many texts costs less than many calls."""

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
