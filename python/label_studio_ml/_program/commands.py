"""Recognises command lines of programs that serve a Python app."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

#: Programs and modules that serve; a word stands for a subcommand that must be among their arguments.
_SERVERS = {
    "daphne": "",
    "flask": "run",
    "granian": "",
    "gunicorn": "",
    "hypercorn": "",
    "label-studio-ml": "start",
    "label_studio_ml.server": "start",
    "pyuwsgi": "",
    "uvicorn": "",
    "uwsgi": "",
    "waitress": "",
    "waitress-serve": "",
}
#: Words in front of a command.
_PREFIXES = {"env", "exec", "nohup", "time"}


def serves(command: Any) -> bool:
    """Return whether a command, a list or a line for the shell, starts a server of Python apps."""
    if isinstance(command, (str, bytes, os.PathLike)):
        line = os.fsdecode(command)
        try:
            return any(_serves(shlex.split(part)) for part in re.split(r"&&|\|\||[;|\n]", line))
        except ValueError:
            # The shell will complain about it too.
            return False
    try:
        return _serves([os.fsdecode(word) for word in command])
    except TypeError:
        return False


def _serves(words: list[str]) -> bool:
    while words and (words[0] in _PREFIXES or re.match(r"\w+=", words[0])):
        words = words[1:]
    if not words:
        return False
    name, arguments = Path(words[0]).name, words[1:]
    if words[0] == sys.executable or re.fullmatch(r"python[\d.]*", name):
        if "-m" not in arguments[:-1]:
            return False
        place = arguments.index("-m") + 1
        name, arguments = arguments[place], arguments[place + 1 :]
    needed = _SERVERS.get(name)
    return needed is not None and (not needed or needed in arguments)
