"""`init_app`, by which a `_wsgi.py` hands its model class to the server.

`_manager` is a `LabelStudioMLManager`, made when somebody asks for it. The server does not use it:
whoever does calls its `initialize` first.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from label_studio_ml.managers import LabelStudioMLManager

    _manager: LabelStudioMLManager

_calls: list[tuple[type, dict[str, Any]]] | None = None


class RecordedApp:
    """What `init_app` returns to a `_wsgi.py` that the server imports.

    The server itself answers HTTP, so this object only holds what `_wsgi.py` assigns to it.
    """

    wsgi_app: Any = None
    config: dict[str, Any]

    def __init__(self) -> None:
        self.config = {}


def record_init_app() -> list[tuple[type, dict[str, Any]]]:
    """Make `init_app` note its calls from now on, in the list that is returned."""
    global _calls
    _calls = []
    return _calls


def init_app(model_class: type, **kwargs: Any) -> RecordedApp:
    """Hand a model class to the server that imports this `_wsgi.py`.

    `kwargs` other than `model_dir` and `redis_…` are given to the class. Raises RuntimeError in
    any other process: `label-studio-ml start` serves a project.
    """
    if _calls is None:
        raise RuntimeError(
            "init_app works inside `label-studio-ml start PROJECT`; "
            "this process was started in another way"
        )
    _calls.append((model_class, kwargs))
    return RecordedApp()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "_manager":
            from label_studio_ml.managers import LabelStudioMLManager

            globals()[name] = manager = LabelStudioMLManager()
            return manager
        if name == "_server":
            # An AttributeError would become "cannot import name" without this sentence.
            raise ImportError(
                "label_studio_ml.api has no Flask app _server: requests are answered by "
                "`label-studio-ml start PROJECT`"
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
