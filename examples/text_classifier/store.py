"""The annotations of one project, in a SQLite file of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

# An annotation without a label (skipped or deleted) keeps its row: the row stops an event that
# comes late from bringing an older version back. "used" says whether a model has seen the row.
SCHEMA = """
CREATE TABLE IF NOT EXISTS annotations (
    id TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    label TEXT,
    edited TEXT NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
)
"""

PUT = """
INSERT INTO annotations (id, text, label, edited) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET text = excluded.text, label = excluded.label, edited = excluded.edited, used = 0
WHERE excluded.edited >= edited
"""

DELETED = "9999"  # sorts after every date, so that a deleted annotation stays deleted


class AnnotationStore:
    """Remembers the newest version of every annotation that the events have told about."""

    def __init__(self, path: str) -> None:
        self.path = path

    def put(self, annotation_id: str, text: str, label: str | None, edited: str) -> None:
        """Keep an annotation, unless a later edit of it is known already."""
        with self._database() as database:
            database.execute(PUT, (annotation_id, text, label, edited))

    def delete(self, annotation_id: str) -> None:
        """Leave an annotation out from now on."""
        self.put(annotation_id, "", None, DELETED)

    def unused(self) -> int:
        """Return how many labelled annotations no model has been trained on yet."""
        query = "SELECT COUNT(*) FROM annotations WHERE label IS NOT NULL AND NOT used"
        with self._database() as database:
            return int(database.execute(query).fetchone()[0])

    def examples(self) -> list[tuple[str, str, str, str]]:
        """Return (id, text, label, edited) of every labelled annotation."""
        query = "SELECT id, text, label, edited FROM annotations WHERE label IS NOT NULL"
        with self._database() as database:
            return database.execute(query + " ORDER BY id").fetchall()

    def mark_used(self, examples: list[tuple[str, str, str, str]]) -> None:
        """Note that these have been trained on."""
        # The date too: an edit that came in during the training has not been seen.
        keys = [(example[0], example[3]) for example in examples]
        with self._database() as database:
            database.executemany(
                "UPDATE annotations SET used = 1 WHERE id = ? AND edited = ?", keys
            )

    def next_training(self) -> int:
        """Count the trainings of this project: 1, 2, 3, …"""
        with self._database() as database:
            number = int(database.execute("PRAGMA user_version").fetchone()[0]) + 1
            database.execute(f"PRAGMA user_version = {number}")  # takes no ? parameters
        return number

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        # A connection for each use: it may not go from one thread to another. The timeout is for
        # events that arrive together.
        with closing(sqlite3.connect(self.path, timeout=30)) as database, database:
            database.execute(SCHEMA)
            yield database
