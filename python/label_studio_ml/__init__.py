"""Label Studio ML backend: wrap a model in a class, and serve it to Label Studio.

Importing this package imports nothing else, so a model pays only for what it uses.
"""

from __future__ import annotations

# `if False` would do, but type checkers know this name, and `typing` takes a millisecond to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from label_studio_ml.api import init_app as init_app
    from label_studio_ml.model import LabelStudioMLBase as LabelStudioMLBase
    from label_studio_ml.response import ModelResponse as ModelResponse

package_name = "label-studio-ml"
__version__ = "3.0.0"


def progress(fraction: float | None, message: str | None = None, **metrics: object) -> None:
    """Report from inside `fit` how far it is.

    `fraction` goes from 0 to 1 (None: not known), `message` is a short text, `metrics` are numbers
    or texts such as `loss=0.25`. The server shows them in its terminal, its log and `/jobs/{id}`.
    Bars of tqdm are recognised without it. Outside of `fit`, and without a server, it does nothing.

    Raises TypeError if a metric cannot be written as JSON.
    """
    from label_studio_ml import _native

    _native.report_progress(None if fraction is None else float(fraction), message, metrics)


def cancelled() -> bool:
    """Tell whether the request that this thread's `predict` answers was cancelled.

    For loops that spend long in C code, or that should end in order rather than by
    `exceptions.PredictionCancelled`, which is raised at about the same time. Always false outside
    of `predict`.
    """
    from label_studio_ml import _native

    return _native.is_cancelled()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # What imports submodules asks for them here first.
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from label_studio_ml._original import names

        return names.getter(__name__)(name)
