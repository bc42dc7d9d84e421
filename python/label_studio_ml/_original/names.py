"""Which names modules of this package have, as those of the original had, without defining them.

A name comes from another module and is imported when it is first used, so `import
label_studio_ml.model` stays cheap. docs/compatibility.md lists the names that are missing.
"""

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_RQ = ("redis", "rq")


def _from(module: str, names: str) -> dict[str, str]:
    """Return the place of each of several names of one module, which are separated by blanks."""
    return {name: f"{module}:{name}" for name in names.split()}


def _modules(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


_PARAMS = "label_studio_tools.core.utils.params"
_LABEL_INTERFACE = "label_studio_sdk.label_interface:LabelInterface"
_TYPES = _from("typing", "Any Callable Dict List Optional Tuple Type Union")
_PUBLIC = (
    *("api", "cache", "exceptions", "helpers", "label_config", "ls_io", "managers", "model"),
    *("response", "server", "utils", "wsgi"),
)

#: By module of this package: name → the module that it is, or `module:name`.
_PLACES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "label_studio_ml": {
            **_modules("os"),
            # Guides and generated code import them from here.
            **_from("label_studio_ml.api", "init_app"),
            **_from("label_studio_ml.model", "LabelStudioMLBase ModelResponse"),
            **{name: f"label_studio_ml.{name}" for name in _PUBLIC},
        },
        "label_studio_ml.api": {
            **_modules("hmac os"),
            **_from("flask", "Flask Response jsonify request send_file"),
            **_from("rq.exceptions", "NoSuchJobError"),
            **_from("label_studio_ml.cache", "BaseCache create_cache"),
            **_from("label_studio_ml.exceptions", "exception_handler"),
            **_from(
                "label_studio_ml.model",
                "LABEL_STUDIO_ML_BACKEND_V2_DEFAULT LabelStudioMLManager ModelResponse",
            ),
            **_from(
                "label_studio_ml._original.views",
                "assertion_error file_not_found_error_handler index_error"
                " log_request_info log_response_info no_such_job_error_handler safe_str_cmp",
            ),
            **_from("label_studio_ml._inprocess.flask_app", "check_auth"),
            "cache": "label_studio_ml.model:CACHE",
        },
        "label_studio_ml.cache": {
            **_modules("sqlite3"),
            **_from("functools", "lru_cache"),
            **_from("threading", "Lock"),
        },
        "label_studio_ml.exceptions": {
            **_from("flask", "jsonify make_response request"),
            "tb": "traceback",
        },
        "label_studio_ml.ls_io": {**_modules("label_studio_sdk"), **_TYPES},
        "label_studio_ml.model": {
            **_modules("attr copy importlib inspect io json logging os redis rq sys time"),
            **_TYPES,
            **_from("abc", "ABC abstractmethod"),
            **_from("colorama", "Fore"),
            **_from("contextlib", "contextmanager"),
            **_from("datetime", "datetime"),
            **_from("itertools", "tee"),
            **_from("label_studio_ml.cache", "BaseCache create_cache"),
            **_from(
                "label_studio_ml.managers",
                "JobManager LabelStudioMLManager ModelWrapper RQJobManager SimpleJobManager",
            ),
            **_from("label_studio_ml.response", "ModelResponse"),
            **_from("label_studio_ml.utils", "is_preload_needed"),
            **_from("label_studio_sdk", "LabelStudio"),
            **_from("label_studio_sdk.label_interface", "LabelInterface"),
            **_from(_PARAMS, "get_bool_env get_env"),
            **_from("redis", "Redis"),
            **_from("rq", "Queue get_current_job"),
            **_from("rq.job", "Job"),
            **_from("rq.registry", "FailedJobRegistry FinishedJobRegistry StartedJobRegistry"),
            **_from("semver", "Version"),
            "mp": "multiprocessing",
        },
        "label_studio_ml.response": {**_from("pydantic", "Field confloat"), **_TYPES},
        "label_studio_ml.server": {
            **_modules("argparse colorama logging re shutil subprocess"),
            **_from("colorama", "Fore"),
            **_from("label_studio_ml.api", "init_app"),
            **_from("label_studio_ml.model", "get_all_classes_inherited_LabelStudioMLBase"),
            **_from(
                "label_studio_ml._original.commands",
                "create_dir deploy_to_gcp get_args logger special_match start_server",
            ),
        },
        "label_studio_ml.utils": {
            **_modules(
                "difflib hashlib importlib inspect io json logging os re requests sys urllib"
            ),
            **_TYPES,
            "Image": "PIL.Image",
            "ImageOps": "PIL.ImageOps",
            **_from("appdirs", "user_cache_dir user_data_dir"),
            **_from("collections", "OrderedDict defaultdict"),
            **_from("colorama", "Fore"),
            **_from(
                "label_studio_ml.model",
                "LabelStudioMLBase get_all_classes_inherited_LabelStudioMLBase get_local_path"
                " parse_config",
            ),
            **_from("label_studio_ml._original.files", "json_load"),
            **_from("label_studio_sdk.label_interface", "LabelInterface"),
            **_from("label_studio_tools.core.utils.io", "get_cache_dir get_data_dir"),
            **_from(_PARAMS, "bool_from_request cast_bool_from_str get_bool_env get_env"),
            **_from("lxml", "etree"),
            **_from("urllib.parse", "urlparse"),
        },
        "label_studio_ml.wsgi": {
            **_modules("argparse json logging os"),
            **_from("flask_ngrok", "run_with_ngrok"),
        },
    }
)


def getter(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module, which finds the names that it has from elsewhere.

    Raises AttributeError for any other name, and ImportError if the package of a name is missing.
    """
    places = _PLACES.get(module, {})

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found = _found(places[name])
        if not places[name].startswith("label_studio_ml."):
            # Of ours it is asked for anew: a test may replace it where it is defined.
            setattr(sys.modules[module], name, found)
        return found

    return __getattr__


def _found(place: str) -> Any:
    import importlib

    source, _, name = place.partition(":")
    if source.split(".")[0] in _RQ:
        from label_studio_ml._v1.rq import rq_module

        module = rq_module(source)
    else:
        module = importlib.import_module(source)
    found = getattr(module, name) if name else module
    if place == _LABEL_INTERFACE:
        _spell_right(found)
    return found


def _spell_right(label_interface: Any) -> None:
    """Give the SDK's class a method under its right spelling too, unless the SDK has that by now."""
    if not hasattr(label_interface, "get_first_tag_occurrence"):
        label_interface.get_first_tag_occurrence = label_interface.get_first_tag_occurence


def starred(module: str) -> list[str]:
    """Return what `from module import *` brings along besides the names that the module defines.

    Packages that may be missing are left out, as the import must not fail because of them, and the
    class `datetime`, which would hide the module of a script that imported that.
    """
    optional = {"appdirs", "attr", "datetime", "flask_ngrok", "lxml", *_RQ}
    places = _PLACES.get(module, {}).items()
    return [name for name, place in places if place.split(":")[0].split(".")[0] not in optional]
