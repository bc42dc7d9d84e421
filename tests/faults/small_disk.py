"""A file system of a few MiB that a test may fill, and make read-only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

BLOCK = 4096


def mount(*arguments: str | Path) -> str:
    """Run `mount`; return why it failed, or nothing."""
    try:
        done = subprocess.run(
            ["mount", *map(str, arguments)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "there is no mount"
    return done.stderr.strip() if done.returncode else ""


def cannot_mount(folder: Path) -> str:
    """Return why nothing can be mounted, or nothing."""
    folder.mkdir()
    if reason := mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder):
        return reason
    unmount(folder)
    return ""


def unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True, capture_output=True)


class SmallDisk:
    """A mounted file system with a file in it that takes the room away."""

    def __init__(self, folder: Path, mebibytes: int = 24) -> None:
        folder.mkdir()
        assert not mount("-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder)
        self.folder = folder
        #: The model folder, so that the ballast does not lie in it.
        self.models = folder / "models"
        self.ballast = folder / "ballast"

    def room(self) -> int:
        now = os.statvfs(self.folder)
        return now.f_bavail * now.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        with self.ballast.open("ab") as ballast:
            while (room := self.room() - leave) >= BLOCK:
                ballast.write(b"\0" * min(room, 1 << 20))
                ballast.flush()

    def free(self) -> None:
        self.ballast.unlink()

    def read_only(self, yes: bool) -> None:
        how = "ro" if yes else "rw"
        assert not mount("-o", f"remount,{how}", self.folder)

    def unmount(self) -> None:
        unmount(self.folder)
