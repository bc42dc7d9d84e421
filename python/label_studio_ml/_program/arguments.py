"""`sys.argv` of a file that runs as a program."""

import sys

#: The option whose value must not stay, as argparse lets people shorten it.
_SHORTEST, _LONGEST = "--basic-auth-p", "--basic-auth-pass"


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
