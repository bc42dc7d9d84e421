"""The model as a class of API v2, for the original package and for this one."""

import os
import time

from bench_model import make

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

NAME = os.environ["BENCH_MODEL"]
AS_RESPONSE = "BENCH_RESPONSE" in os.environ
# The original makes an instance for each request, so people keep what is expensive outside of it. The
# model that shows what else happens is made in `setup`, as its documentation has it.
KEPT = None if NAME == "loading" else make(NAME)


class BenchModel(LabelStudioMLBase):
    def setup(self):
        self.inner = KEPT or make(NAME)

    def predict(self, tasks, context=None, **kwargs):
        results = self.inner.predict(tasks)
        return ModelResponse(predictions=results) if AS_RESPONSE else results

    def fit(self, event, data, **kwargs):
        # A training that keeps the interpreter to itself, as most of those do.
        end = time.monotonic() + float(os.environ.get("BENCH_TRAINING", "0"))
        while time.monotonic() < end:
            sum(range(1000))
