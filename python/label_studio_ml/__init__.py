"""Label Studio ML backend: wrap a model in a class, and serve it to Label Studio.

Importing this package imports nothing else: what a model does not use costs it nothing.
"""

from __future__ import annotations

package_name = "label-studio-ml"
__version__ = "3.0.0"


def progress(fraction: float | None, message: str | None = None, **metrics: object) -> None:
    """Say from inside `fit` how far it is.

    `fraction` goes from 0 to 1 (None: not known), `message` is a short text, `metrics` are numbers
    or texts such as `loss=0.25`. The server shows them in its terminal, its log and `/jobs/{id}`.
    Bars of tqdm are recognised by themselves. Outside of `fit`, and without a server, it does
    nothing.

    Raises TypeError if a metric cannot be written as JSON.
    """
    from label_studio_ml import _native

    _native.report_progress(None if fraction is None else float(fraction), message, metrics)


def cancelled() -> bool:
    """Whether nobody waits any more for what this thread's `predict` makes.

    For loops that are long in C code and rarely come back to Python, or that rather end in an
    orderly way than by `exceptions.PredictionCancelled`, which is raised at about the same time.
    Always false elsewhere.
    """
    from label_studio_ml import _native

    return _native.is_cancelled()
