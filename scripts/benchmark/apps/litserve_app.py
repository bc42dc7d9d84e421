"""LitServe, with the model in its own process."""

import os

import litserve
from bench_model import make


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = make(os.environ["BENCH_MODEL"])

    def decode_request(self, request):
        return request["tasks"]

    def predict(self, tasks):
        return self.model.predict(tasks)

    def encode_response(self, results):
        return {"results": results}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
