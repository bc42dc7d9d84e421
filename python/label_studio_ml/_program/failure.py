"""Why a file cannot be used."""

from typing import Literal

#: Names of the server's `ImportFailureKind`.
Kind = Literal["missing", "raised", "no_class", "several_classes"]


class ProgramError(Exception):
    """The file cannot be served; the message is one sentence that names it.

    The exception that the file raised, if it raised one, is the cause.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
