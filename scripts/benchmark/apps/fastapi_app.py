"""FastAPI, with a plain `def`, which runs on a thread: its documentation recommends that for blocking code."""

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
