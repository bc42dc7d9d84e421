"""The model as a class of API v2, for the original package and for this one."""

import os
import time

from bench_model import make

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

NAME = os.environ["BENCH_MODEL"]
AS_RESPONSE = "BENCH_RESPONSE" in os.environ
# The original makes an instance for each request, so users keep expensive objects outside of it. Only the
# slowly loading model is made in `setup`, as the documentation of the original says, to show the difference.
KEPT = None if NAME == "loading" else make(NAME)


class BenchModel(LabelStudioMLBase):
    def setup(self):
        self.inner = KEPT or make(NAME)

    def predict(self, tasks, context=None, **kwargs):
        results = self.inner.predict(tasks)
        return ModelResponse(predictions=results) if AS_RESPONSE else results

    def fit(self, event, data, **kwargs):
        # A training that holds the interpreter, as most trainings do.
        end = time.monotonic() + float(os.environ.get("BENCH_TRAINING", "0"))
        while time.monotonic() < end:
            sum(range(1000))
