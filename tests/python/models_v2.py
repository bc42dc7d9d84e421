"""Sources of API v2 models, for servers that tests start."""

from __future__ import annotations

#: Says what it was given and where it runs.
TELLER = """
    import os, threading, time
    from label_studio_ml.model import LabelStudioMLBase

    made = []

    class Teller(LabelStudioMLBase):
        def setup(self):
            made.append(threading.get_ident())
            self.number = len(made)
            self.thread = threading.get_ident()
            self.seen_params = self.extra_params

        def predict(self, tasks, context=None, **kwargs):
            data = tasks[0]["data"] if tasks else {}
            began = time.monotonic()
            time.sleep(data.get("sleep", 0))
            said = {
                "began": began,
                "ended": time.monotonic(),
                "result": [],
                "context": context,
                "kwargs": kwargs,
                "project_id": self.project_id,
                "extra_params": self.seen_params,
                "instance": self.number,
                "own_thread": self.thread == threading.get_ident(),
                "pid": os.getpid(),
                "get": {key: self.get(key) for key in data.get("get", [])},
                "has": self.has(data.get("has", "nothing")),
            }
            for key, value in data.get("set", {}).items():
                self.set(key, value)
            return [said for _ in tasks]

        def fit(self, event, data, **kwargs):
            for key, value in data.get("set", {}).items():
                self.set(key, value)
            for name, text in data.get("write", {}).items():
                with open(os.path.join(os.environ["MODEL_DIR"], name), "w") as file:
                    file.write(text)
            for key in data.get("until_set", []):
                end = time.monotonic() + 90
                while not self.has(key) and time.monotonic() < end:
                    time.sleep(0.02)
            if data.get("raise"):
                raise ValueError(data["raise"])
            print("fit in", os.getpid())
            return data.get("return")
"""

#: Keeps what it learned in a file, which a module global holds.
COUNTER = """
    import os, time
    from label_studio_ml.model import LabelStudioMLBase

    def path():
        return os.path.join(os.environ.get("MODEL_DIR", "."), "count.txt")

    LEARNED = int(open(path()).read()) if os.path.exists(path()) else 0

    class Counter(LabelStudioMLBase):
        def setup(self):
            self.set("model_version", "Counter-v1")
            if os.path.exists(path() + ".broken"):
                raise RuntimeError("the weights are broken")

        def predict(self, tasks, context=None, **kwargs):
            # As most models do it.
            version = self.get("model_version")
            return [{"result": [], "score": LEARNED, "model_version": version} for _ in tasks]

        def fit(self, event, data, **kwargs):
            learned = data["annotation"]["learned"]
            if learned is None:
                return
            with open(path(), "w") as file:
                file.write(str(learned))
            if data["annotation"].get("break"):
                open(path() + ".broken", "w").close()
"""


def event(**more: object) -> dict[str, object]:
    """A webhook event of project 2."""
    from hosting import CHOICES

    project = {"id": 2, "label_config": CHOICES}
    return {"action": "ANNOTATION_CREATED", "project": project, **more}
