"""What a file wrote to stderr: argparse and its like say there why they end a program."""

import sys
from types import TracebackType
from typing import Any

_KEPT = 4000
_FRAME = " \t|│╭╮╰╯─┌┐└┘"


class StderrCopy:
    """Takes the place of `sys.stderr`, passes everything on, and keeps the end of it."""

    def __init__(self) -> None:
        self._stream: Any = sys.stderr
        self._text = ""
        self._keeps = True

    def __enter__(self) -> "StderrCopy":
        sys.stderr = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A log handler may hold it for ever.
        self._keeps = False
        if sys.stderr is self:
            sys.stderr = self._stream

    def write(self, text: str) -> int:
        if self._keeps:
            self._text = (self._text + str(text))[-_KEPT:]
        written: int = self._stream.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def last_line(self) -> str:
        """Return the last line with a word in it, without the frame that some programs draw around it."""
        lines = [line.strip(_FRAME) for line in self._text.splitlines()]
        return next((line for line in reversed(lines) if any(map(str.isalnum, line))), "")
