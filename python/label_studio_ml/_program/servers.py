"""Functions by which Python programs start to serve, and where each of them has its app.

None of these packages is imported here: `stop` looks for their modules once the program imports them.
A function that a release of a package does not have is passed over.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from label_studio_ml._program import commands

#: Finds the app in the arguments of a call; it may raise anything.
FindApp = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class Effect(Enum):
    """What happens instead of the call."""

    #: The program ends there.
    STOP = "stop"
    #: The app is noted, and the program goes on: something else runs the server.
    NOTE = "note"
    #: The call may bind another address, if the server in front of this process has the address.
    LISTEN = "listen"


@dataclass(frozen=True)
class ServingCall:
    """A function, or a method of a class, that serves."""

    name: str
    app: FindApp
    effect: Effect = Effect.STOP
    #: The method that closes what the object has opened already.
    close: str | None = None
    #: Whether a call serves, where a function does many things.
    serves: Callable[[tuple[Any, ...], dict[str, Any]], bool] = lambda args, kwargs: True


def _argument(position: int, *names: str) -> FindApp:
    def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for name in names:
            if name in kwargs:
                return _imported(kwargs[name])
        return _imported(args[position])

    return find


def _attribute(*names: str) -> FindApp:
    """The app is in an attribute of the object, `config.app`; the first that is there counts."""

    def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for name in names:
            with contextlib.suppress(AttributeError):
                value = args[0]
                for part in name.split("."):
                    value = getattr(value, part)
                if value is not None:
                    return _imported(value)
        return None

    return find


def _imported(app: Any) -> Any:
    """Resolve `module:name`, by which some servers are told their app."""
    if not isinstance(app, str):
        return app
    module, _, name = app.partition(":")
    if module == "__main__":
        module = "_wsgi"
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _nothing(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    return None


def _loaded(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0].load()


def _waitress_app(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    servers = [args[0], *getattr(args[0], "map", {}).values()]
    app = next(one.application for one in servers if hasattr(one, "application"))
    # It removes headers of proxies that nobody trusts.
    if getattr(app, "__module__", "") == "waitress.proxy_headers":
        names = app.__code__.co_freevars
        return app.__closure__[names.index("app")].cell_contents
    return app


def _cherrypy_tree(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tree = sys.modules["cherrypy"].tree
    return tree if tree.apps else None


def _tornado_app(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    app = args[0].request_callback
    return getattr(app, "wsgi_application", app)


def _starts_server(place: int) -> Callable[[tuple[Any, ...], dict[str, Any]], bool]:
    return lambda args, kwargs: commands.serves(args[place])


def _waits_for_server(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return commands.serves(args[0].args)


_SELF = _argument(0)
_FIRST = _argument(0, "app", "application", "wsgi_app")


def _all(names: str, app: FindApp, **more: Any) -> list[ServingCall]:
    return [ServingCall(name, app, **more) for name in names.split()]


#: By the module that defines them.
CALLS: dict[str, list[ServingCall]] = {
    "flask.app": _all("Flask.run", _SELF),
    "werkzeug.serving": [
        ServingCall("run_simple", _argument(2, "application")),
        ServingCall("BaseWSGIServer.serve_forever", _attribute("app"), close="server_close"),
    ],
    "socketserver": _all(
        "BaseServer.serve_forever BaseServer.handle_request",
        _attribute("application", "app"),
        close="server_close",
    ),
    "waitress": _all("serve", _FIRST),
    "waitress.server": _all(
        "BaseWSGIServer.run MultiSocketServer.run", _waitress_app, close="close"
    ),
    "gunicorn.app.base": _all("BaseApplication.run Application.run", _loaded),
    "gunicorn.app.wsgiapp": _all("run", _nothing),
    "gevent.pywsgi": _all("WSGIServer.serve_forever WSGIServer.start", _attribute("application")),
    "eventlet.wsgi": _all("server", _argument(1, "site")),
    "eventlet.convenience": _all("listen", _nothing, effect=Effect.LISTEN),
    "cheroot.server": _all(
        "HTTPServer.prepare HTTPServer.start HTTPServer.safe_start HTTPServer.serve",
        _attribute("wsgi_app"),
    ),
    "cherrypy.process.wspbus": _all("Bus.start Bus.block", _cherrypy_tree),
    "paste.httpserver": _all("serve", _FIRST),
    "bjoern": _all("run", _FIRST),
    "meinheld.server": [
        ServingCall("listen", _nothing, Effect.NOTE),
        ServingCall("run", _FIRST),
    ],
    "tornado.tcpserver": _all("TCPServer.listen TCPServer.bind", _tornado_app, effect=Effect.NOTE),
    "tornado.platform.asyncio": _all("BaseAsyncIOLoop.start", _nothing),
    "twisted.internet.base": _all("ReactorBase.run _SignalReactorMixin.run", _nothing),
    "aiohttp.web": _all("run_app", _FIRST),
    "aiohttp_wsgi.wsgi": _all("serve", _FIRST),
    "uvicorn.main": _all("run", _FIRST),
    "uvicorn.server": _all("Server.run Server.serve", _attribute("config.app")),
    "hypercorn.asyncio": _all("serve", _FIRST),
    "hypercorn.trio": _all("serve", _FIRST),
    "hypercorn.run": _all("run", _attribute("application_path")),
    "daphne.server": _all("Server.run", _attribute("application")),
    "granian.server.common": _all("AbstractServer.serve", _attribute("target")),
    "flask_ngrok": _all("run_with_ngrok", _FIRST, effect=Effect.NOTE),
    "flask_cloudflared": _all("run_with_cloudflared", _FIRST, effect=Effect.NOTE),
    # Another process that serves: it is not waited for, and this process does not become one.
    "os": [
        ServingCall("system", _nothing, serves=_starts_server(0)),
        *_all("execv execve", _nothing, serves=_starts_server(1)),
    ],
    # Not `run` and `call`: eventlet copies their code.
    "subprocess": _all(
        "Popen.wait Popen.communicate", _nothing, close="kill", serves=_waits_for_server
    ),
    # The guard of a `_wsgi.py` of ours starts the server itself.
    "label_studio_ml.server": _all("main", _nothing),
}
