"""The application that gunicorn and the original's `start` run."""

import os

from v2 import BenchModel

from label_studio_ml.api import init_app

app = init_app(model_class=BenchModel)

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), threaded=True)
