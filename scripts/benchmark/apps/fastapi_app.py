"""FastAPI, as its documentation has it for functions that block: a plain `def` runs on a thread."""

import os
from typing import Any

from bench_model import make
from fastapi import FastAPI

model = make(os.environ["BENCH_MODEL"])
app = FastAPI()


@app.get("/health")
def health() -> dict[str, Any]:
    return {"status": "UP"}


@app.post("/predict")
def predict(body: dict[str, Any]) -> dict[str, Any]:
    return {"results": model.predict(body["tasks"])}
