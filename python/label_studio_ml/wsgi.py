"""Serves the functions that `predict_fn` and `update_fn` registered, from a notebook."""

from typing import TYPE_CHECKING, Any

from label_studio_ml._original import names as _names
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase

if not TYPE_CHECKING:
    __getattr__ = _names.getter(__name__)

#: The app that `run_ml_backend` serves.
app: Any = None


def run_ml_backend(port: int = 9090, host: str = "0.0.0.0", debug: bool = False) -> None:
    """Serve the registered functions at a public address of ngrok until interrupted.

    Raises ImportError without the package flask-ngrok.
    """
    from flask_ngrok import run_with_ngrok

    global app
    app = init_app(model_class=LabelStudioMLBase)
    run_with_ngrok(app)
    app.run(host=host, port=port, debug=debug)
