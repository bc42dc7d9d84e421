"""The part of a file that runs only if the file is the program: `if __name__ == "__main__":`.

It is run in the namespace of the imported module, so `__name__` stays the name of the module: pickles of
classes that it defines load again, and child processes do not look for it in a `__main__` of their own.
"""

import __future__

import ast
import copy
from typing import Any

_MAIN = "__main__"


def program_part(tree: ast.Module) -> ast.Module | None:
    """Return what is left to run of an imported file if it is the program; None if that is nothing.

    These are the branches of `if` statements whose tests name `__name__`, and expressions such as
    `__name__ == "__main__" and main()` or `match __name__`, at the top level or inside `try`, `with` and
    `if` there. In the tests, `__name__` is "__main__". A branch that the import ran is not run again.
    """
    body = _left_of(tree.body)
    if not body:
        return None
    return ast.fix_missing_locations(ast.Module(body=body, type_ignores=[]))


def run(part: ast.Module, tree: ast.Module, file: str, namespace: dict[str, Any]) -> None:
    """Run what `program_part` returned for `tree`."""
    flags = 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    exec(compile(part, file, "exec", flags, dont_inherit=True), namespace)


def calls_with_password(tree: ast.Module) -> bool:
    """Return whether a call of `init_app` in the file gives a user and a password, or may do so."""
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    aliases = {
        alias.asname for node in imported for alias in node.names if alias.name == "init_app"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) in {"init_app"} | aliases:
            names = {keyword.arg for keyword in node.keywords}
            is_spread = None in names or any(isinstance(one, ast.Starred) for one in node.args)
            if is_spread or len(node.args) > 1 or names & {"basic_auth_user", "basic_auth_pass"}:
                return True
    return False


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _left_of(statements: list[ast.stmt]) -> list[ast.stmt]:
    left: list[ast.stmt] = []
    for statement in statements:
        if isinstance(statement, ast.If):
            left += _left_of_if(statement)
        elif isinstance(statement, ast.Expr) and _asks_for_main(statement.value):
            if isinstance(statement.value, (ast.BoolOp, ast.IfExp)):
                left.append(ast.copy_location(ast.Expr(_as_main(statement.value)), statement))
        elif isinstance(statement, ast.Match) and _has_case_for_main(statement):
            changed = copy.copy(statement)
            changed.subject = _as_main(statement.subject)
            left.append(changed)
        elif isinstance(statement, (ast.Try, ast.With)) and (body := _left_of(statement.body)):
            changed_block = copy.copy(statement)
            changed_block.body = body
            if isinstance(changed_block, ast.Try):
                changed_block.orelse = _left_of(changed_block.orelse)
            left.append(changed_block)
    return left


def _left_of_if(statement: ast.If) -> list[ast.stmt]:
    branches, otherwise = _branches(statement)
    if not any(_asks_for_main(test) for test, _ in branches):
        # A condition of another kind around the guard.
        if not (any(_left_of(body) for _, body in branches) or _left_of(otherwise)):
            return []
        chain = _left_of(otherwise)
        for test, body in reversed(branches):
            inner = _left_of(body) or [ast.copy_location(ast.Pass(), test)]
            chain = [ast.copy_location(ast.If(test, inner, chain), test)]
        return chain
    # Each branch runs if it is the one of the program, and was not the one of the import.
    tests = [test for test, _ in branches]
    chain = _unless_imported(tests, None, otherwise) if otherwise else []
    for number, (test, body) in reversed([*enumerate(branches)]):
        inner = _unless_imported(tests[:number], test, body)
        chain = [ast.copy_location(ast.If(_as_main(test), inner, chain), test)]
    return chain


def _branches(statement: ast.If) -> tuple[list[tuple[ast.expr, list[ast.stmt]]], list[ast.stmt]]:
    branches = [(statement.test, statement.body)]
    otherwise = statement.orelse
    while len(otherwise) == 1 and isinstance(otherwise[0], ast.If):
        branches.append((otherwise[0].test, otherwise[0].body))
        otherwise = otherwise[0].orelse
    return branches, otherwise


def _unless_imported(
    before: list[ast.expr], test: ast.expr | None, body: list[ast.stmt]
) -> list[ast.stmt]:
    """Return `body` under the condition that the import did not run it.

    It ran it if `test` held, and none of the tests `before` it.
    """
    conditions: list[ast.expr] = [ast.UnaryOp(ast.Not(), copy.deepcopy(one)) for one in before]
    if test is not None:
        conditions.append(copy.deepcopy(test))
    imported = conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions)
    return [ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), imported), body, []), body[0])]


def _has_case_for_main(statement: ast.Match) -> bool:
    cases = (part for case in statement.cases for part in ast.walk(case.pattern))
    return _asks_for_main(statement.subject) and any(
        isinstance(part, ast.Constant) and part.value == _MAIN for part in cases
    )


def _asks_for_main(node: ast.AST) -> bool:
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return "__name__" in names


class _AsMain(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "__name__" and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant(_MAIN), node)
        return node


def _as_main(test: ast.expr) -> ast.expr:
    changed: ast.expr = _AsMain().visit(copy.deepcopy(test))
    return changed
