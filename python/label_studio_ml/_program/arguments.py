"""`sys.argv` of a file that runs as a program."""

import sys

#: The options that `_wsgi.py` of the original declares, and that the server itself follows.
_OF_SERVER = (
    "--port",
    "--host",
    "--kwargs",
    "--with",
    "--debug",
    "--log-level",
    "--model-dir",
    "--check",
    "--basic-auth-user",
    "--basic-auth-pass",
)
_SHORT_OF_SERVER = "pd"

#: The option whose value must not stay, as argparse lets people shorten it.
_SHORTEST, _LONGEST = "--basic-auth-p", "--basic-auth-pass"


def has_own(arguments: list[str]) -> bool:
    """Tell whether there is an option, or a word before any, that only the file itself can follow."""
    options = [one for one in arguments if one.startswith("-") and not one[1:2].isdigit()]
    if arguments and not options:
        return True
    return any(not _is_of_server(option) for option in options)


def _is_of_server(option: str) -> bool:
    name = option.partition("=")[0]
    if name.startswith("--"):
        # As argparse lets people shorten it.
        return any(known.startswith(name) for known in _OF_SERVER)
    return name[1:2] in _SHORT_OF_SERVER


def forget_password() -> None:
    """Take the password of the command line out of `sys.argv`."""
    kept: list[str] = []
    waiting = list(sys.argv)
    while waiting:
        argument = waiting.pop(0)
        name, equals, _ = argument.partition("=")
        if name.startswith(_SHORTEST) and _LONGEST.startswith(name):
            if not equals:
                del waiting[:1]
        else:
            kept.append(argument)
    sys.argv[:] = kept
