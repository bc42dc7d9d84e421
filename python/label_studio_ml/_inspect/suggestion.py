"""A requirements.txt for a model that has none, suggested from what its script imports."""

from pathlib import Path

from label_studio_ml._inspect import distributions
from label_studio_ml._inspect.imports import Import, outside_of


def requirements(script: str | Path) -> str:
    """Return the text of a requirements file for a script that can be imported here.

    Lower bounds are the installed versions. What is imported in a function, or may be missing, stands in
    comments, as does what cannot be told.
    """
    script = Path(script)
    required: dict[str, str] = {}
    optional: dict[str, str] = {}
    for top, imports in sorted(outside_of(script).items()):
        # `google` may stand for several distributions.
        for one in imports:
            key, line = _line(top, one)
            (optional if one.is_optional or line.startswith("#") else required).setdefault(
                key, line
            )
    lines = [
        f"# Suggested by `label-studio-ml init` from the imports of {script.name}: please check it."
    ]
    lines += sorted(required.values(), key=str.lower) or [
        "# It imports no package that must be installed."
    ]
    if rest := {key: line for key, line in optional.items() if key not in required}:
        lines += ["", "# Imported only in places, or only if it is there:"]
        lines += sorted((f"# {line.removeprefix('# ')}" for line in rest.values()), key=str.lower)
    return "\n".join(lines) + "\n"


def _line(top: str, one: Import) -> tuple[str, str]:
    """Return a key by which the same distribution is known again, and its line; a comment if it has none."""
    found = distributions.of_module(one.names)
    if found is None:
        # A name that is installed and belongs to no distribution, or one that is not installed.
        name = distributions.name_for(one.names)
        if not _is_missing(top):
            return distributions.canonical(name), f"# {top}: not from a package"
        # An index may have another package, of a stranger, under the name of a module.
        unknown = "" if distributions.is_known(one.names) else ": not installed, check its name"
        return distributions.canonical(name), f"# {name}{unknown}" if unknown else name
    name = found.metadata["Name"]
    line = distributions.requirement(found)
    return distributions.canonical(name), line or f"# {name} {found.version}: not from an index"


def _is_missing(top: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(top) is None
    except (ImportError, ValueError):
        return True
