"""Hands __CLASS__ to its server: `label-studio-ml start` imports this file."""

import os
import sys

from label_studio_ml.api import init_app
from label_studio_ml.server import main

HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    # `python _wsgi.py -p 9091` is the same as `label-studio-ml start HERE -p 9091`.
    sys.exit(main(["start", HERE, *sys.argv[1:]]))

__IMPORT__

app = init_app(model_class=__CLASS__, model_dir=os.environ.get("MODEL_DIR", HERE))
