"""Robyn, with a handler that is a plain function."""

import json
import os

from bench_model import make
from robyn import Headers, Request, Response, Robyn

model = make(os.environ["BENCH_MODEL"])
app = Robyn(__file__)
JSON = Headers({"content-type": "application/json"})


@app.get("/health")
def health():
    return Response(status_code=200, headers=JSON, description='{"status": "UP"}')


@app.post("/predict")
def predict(request: Request):
    results = model.predict(json.loads(request.body)["tasks"])
    return Response(status_code=200, headers=JSON, description=json.dumps({"results": results}))


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]))
