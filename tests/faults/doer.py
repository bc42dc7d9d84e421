"""The model of most fault tests: it does what a task says, or else gives a known answer."""

from __future__ import annotations

from typing import Any

#: `do` of a task's data is run as Python, with `tasks`, `self` and the usual modules at hand; if it
#: leaves `results`, these are the answer. `made` and `read`, if set in the environment, are run by
#: the constructor and at the import.
DOER = """
    import asyncio, atexit, ctypes, faulthandler, gc, json, logging, multiprocessing, os, pathlib
    import resource, signal, socket, subprocess, sys, tempfile, threading, time, warnings
    from label_studio_ml.model import LabelStudioMLBase

    def right(text):
        choice = "Positive" if "good" in text else "Negative"
        region = {"from_name": "sentiment", "to_name": "text", "type": "choices"}
        region["id"], region["value"] = text, {"choices": [choice]}
        return {"result": [region], "score": len(text) / 128}

    def run(code, **names):
        names = {**globals(), **names}
        exec(code, names)
        return names

    def from_file(variable):
        path = os.environ.get(variable)
        return open(path).read() if path and os.path.exists(path) else ""

    class Doer(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            run(from_file("DOER_MADE"), self=self)

        def predict(self, tasks, **kwargs):
            code = tasks[0]["data"].get("do") if tasks else None
            names = run(code, self=self, tasks=tasks, right=right) if code else {}
            if "results" in names:
                return names["results"]
            return [right(task["data"]["text"]) for task in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            # A webhook brings its one task in its event.
            task = (list(tasks) or [kwargs["data"]["task"]])[0]
            told = task["data"]
            names = run(told["do"], self=self, workdir=workdir) if "do" in told else {}
            return names.get("learned", {"learned": told.get("text")})

    run(from_file("DOER_READ"))
"""


def right_answer(texts: list[str], version: str = "INITIAL") -> dict[str, Any]:
    """Return what the server must answer for tasks with these texts."""
    results = []
    for text in texts:
        # A division by a power of two has the same result in every rounding mode.
        region = {
            "from_name": "sentiment",
            "to_name": "text",
            "type": "choices",
            "id": text,
            "value": {"choices": ["Positive" if "good" in text else "Negative"]},
        }
        results.append({"result": [region], "score": len(text) / 128, "model_version": version})
    return {"results": results, "model_version": version}
