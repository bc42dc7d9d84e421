"""The model that most tests train. The `params` of /train or the payload of an event tell it what to do."""

from __future__ import annotations

#: `fit` appends a line to the file in `FAULTS_RUNS` when it begins, and returns the token that it
#: was given. The constructor refuses a version of which a part is missing. What it does in between:
#: `hold` waits while a file exists, `seconds` sleeps, `raise` raises, `size` makes the result large,
#: `nothing` returns nothing.
LEARNER = """
    import json, os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase

    class Learner(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            trained = self.train_output
            if "token" in trained:
                weights = pathlib.Path(trained["workdir"], "weights").read_text()
                assert weights == trained["token"] * 1000, "half a version"

        def predict(self, tasks, **kwargs):
            return [{"result": [], "trained": self.train_output} for _ in tasks]

        def fit(self, tasks, workdir=None, data=None, **params):
            told = params if data is None else data
            token, job = told["token"], pathlib.Path(workdir).name
            run = f"{os.getpid()}-{time.monotonic_ns()}"
            noted = {"job": job, "token": token, "run": run, "pid": os.getpid()}
            line = json.dumps({**noted, "tasks": list(tasks)}) + "\\n"
            runs = os.open(os.environ["FAULTS_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(runs, line.encode())
            os.close(runs)
            while told.get("hold") and os.path.exists(told["hold"]):
                time.sleep(0.005)
            time.sleep(told.get("seconds", 0))
            pathlib.Path(workdir, "weights").write_text(token * 1000)
            self.act(told, workdir)
            if told.get("nothing"):
                return None
            return {
                "token": token,
                "job": job,
                "run": run,
                "workdir": workdir,
                "previous": self.train_output.get("token"),
                "filler": "x" * told.get("size", 0),
            }

        def act(self, told, workdir):
            if told.get("raise"):
                raise ValueError(told["raise"])
"""


def acting(body: str) -> str:
    """Return the learner with another `act(told, workdir)`; `body` has no indentation."""
    head, _, _ = LEARNER.partition('            if told.get("raise"):')
    return head + "".join(f"            {line}\n" for line in body.strip("\n").splitlines())
