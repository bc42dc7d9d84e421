"""Which task a model was working at when it raised an exception."""

import ast
import functools
import linecache
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

logger = logging.getLogger("label_studio_ml")


def failing_task(tasks: Any, raised: TracebackType | None) -> str | None:
    """Return the id of the task that failed, or None if that cannot be told.

    The only task of a request is the one; of several, the one that a variable of the model holds in the
    innermost function that has any: a parameter, or the variable of a loop that runs.
    """
    if not isinstance(tasks, list):
        return None
    if len(tasks) == 1:
        return _id(tasks[0])
    known = {id(task): task for task in tasks if isinstance(task, dict)}
    # What a model loops over is often only the data of a task.
    known |= {
        id(task["data"]): task for task in known.values() if isinstance(task.get("data"), dict)
    }
    found = None
    while raised is not None:
        variables = _current(raised)
        held = {id(known[id(one)]): known[id(one)] for one in variables if id(one) in known}
        if len(held) == 1:
            (found,) = held.values()
        raised = raised.tb_next
    return None if found is None else _id(found)


def _current(raised: TracebackType) -> list[Any]:
    """Return the values of variables that a function works at: parameters, and those of loops that run."""
    frame = raised.tb_frame
    code, variables = frame.f_code, frame.f_locals
    names = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
    if code.co_name.startswith("<"):
        # A comprehension.
        names |= {*variables}
    names |= _loop_variables(code.co_filename, raised.tb_lineno)
    return [variables[name] for name in names if name in variables]


def _loop_variables(file: str, line: int) -> set[str]:
    """Return the variables of the loops and comprehensions of a file that contain a line."""
    names: set[str] = set()
    for node in ast.walk(_tree(file)):
        if not (getattr(node, "lineno", line + 1) <= line <= (getattr(node, "end_lineno", 0) or 0)):
            continue
        if isinstance(node, ast.For | ast.AsyncFor):
            # The `else` part runs once the loop has ended.
            if not node.orelse or line < node.orelse[0].lineno:
                names |= _names(node.target)
        else:
            for generator in getattr(node, "generators", ()):
                names |= _names(generator.target)
    return names


@functools.lru_cache(maxsize=8)
def _tree(file: str) -> ast.AST:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _names(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _id(task: Any) -> str | None:
    found = task.get("id") if isinstance(task, dict) else None
    return None if found is None else str(found)


@contextmanager
def task_named(tasks: Any) -> Iterator[None]:
    """Log which task the model was working at if it raises; the exception passes."""
    try:
        yield
    except Exception as error:
        if (task := failing_task(tasks, error.__traceback__)) is not None:
            logger.error("task %s: %s: %s", task, type(error).__name__, error)
        raise
