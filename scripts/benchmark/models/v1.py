"""The model as a class of API v1, which imports nothing heavy."""

import os

from bench_model import make

from label_studio_ml.model import LabelStudioMLBase


class BenchModel(LabelStudioMLBase):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = make(os.environ["BENCH_MODEL"])

    def predict(self, tasks, **kwargs):
        return self.inner.predict(tasks)
