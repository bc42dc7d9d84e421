"""The rooms of the crate: which may use which is the table in docs/architecture.md, and the code keeps to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from source import Crate

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
#: Any room may use them: failpoints that fault tests set.
EVERYWHERE = {"failpoint"}


def table(text: str) -> dict[str, set[str]]:
    """Return which rooms each room may use, as the table of a document has it."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]*\| ([^|]*)\|$", text, re.MULTILINE)
    return {room: set(re.findall(r"`(\w+)`", allowed)) for room, allowed in rows}


def allowed() -> dict[str, set[str]]:
    return table((ROOT / "docs/architecture.md").read_text())


def wrong_arrows(crate: Crate, allowed: dict[str, set[str]]) -> list[str]:
    return [
        f"{room} uses {target} in {', '.join(sorted(files))}"
        for (room, target), files in sorted(crate.arrows().items())
        if target not in allowed.get(room, set()) | EVERYWHERE
    ]


def test_no_room_uses_another_one_against_the_table() -> None:
    assert wrong_arrows(Crate(SRC), allowed()) == []


def test_the_table_names_every_room_and_no_arrow_that_is_not_there() -> None:
    crate = Crate(SRC)
    assert set(allowed()) == crate.rooms() - EVERYWHERE - {"testing"}
    arrows = {(room, target) for room, targets in allowed().items() for target in targets}
    assert arrows - set(crate.arrows()) == set()


def test_arrows_of_the_table_point_down() -> None:
    """A room uses only rooms of rows below its own, so there is no circle of rooms."""
    order = list(allowed())
    for room, targets in allowed().items():
        above = {target for target in targets if order.index(target) <= order.index(room)}
        assert not above, room


def test_no_files_of_a_room_use_each_other_in_a_circle() -> None:
    assert Crate(SRC).circles() == []


def test_a_type_that_other_files_use_has_a_name_of_its_own() -> None:
    assert Crate(SRC).shared_names() == {}


def test_the_room_that_is_pure_reaches_for_nothing_outside() -> None:
    outside = re.compile(r"\bstd::(?:fs|net|process|env|thread)\b|\btokio\b|\btracing\b")
    files = [
        file
        for file in Crate(SRC).files.values()
        if file.module[:1] == ("labelling",) and "tests" not in file.module
    ]
    assert files
    found = {str(file.path) for file in files if outside.search(file.product())}
    assert found == set()


def test_only_one_room_names_the_interpreter() -> None:
    naming = {
        str(file.path) for file in Crate(SRC).files.values() if re.search(r"\bpyo3\b", file.code)
    }
    assert {Path(path).parts[0] for path in naming} == {"python"}


def test_modules_and_unit_tests_are_where_a_reader_looks() -> None:
    """A module is `x.rs` with what belongs to it in `x/`; its unit tests are `x::tests`."""
    for file in Crate(SRC).files.values():
        assert file.path.name != "mod.rs", file.path
        assert "_test" not in file.path.stem, file.path
        assert not re.search(r"#\[path\b", file.code), file.path


# The tests above see what they should.


def crate_of(tmp_path: Path, **files: str) -> Crate:
    for name, text in {"lib": "mod high;\nmod low;\n", **files}.items():
        path = tmp_path / f"{name.replace('__', '/')}.rs"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Crate(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "use crate::high::Thing;",
        "use crate::{high::Thing, low};",
        "use crate::{\n    low::{self, Other},\n    high::{Thing, part as piece},\n};",
        "pub(crate) use super::high::*;",
        "fn f() { crate::high::f(); }",
        "mod inner { use super::super::high::Thing; }",
        'const A: &str = "\\""; fn f(_: crate::high::Thing) {}',
        "fn f<'a>(x: &'a str) -> char { crate::high::f(x); '\"' }",
    ],
)
def test_an_arrow_is_seen_however_it_is_written(tmp_path: Path, line: str) -> None:
    crate = crate_of(tmp_path, high="use crate::low;", low=line)
    assert set(crate.arrows()) == {("high", "low"), ("low", "high")}
    (wrong,) = wrong_arrows(crate, {"high": {"low"}, "low": set()})
    assert wrong == "low uses high in low.rs"


@pytest.mark.parametrize(
    "line",
    [
        "// use crate::high::Thing;",
        "/* use crate::high::Thing; */",
        "//! See [`crate::high::Thing`].",
        'const A: &str = "crate::high::Thing";',
        'const A: &str = r#"use crate::high::Thing; " "#;',
        "#[cfg(test)]\nmod tests { use crate::high::Thing; }",
        "#[cfg(all(test, unix))]\nmod tests { use crate::high::Thing; }",
    ],
)
def test_what_is_no_code_of_the_product_is_no_arrow(tmp_path: Path, line: str) -> None:
    assert set(crate_of(tmp_path, high="use crate::low;", low=line).arrows()) == {("high", "low")}


def test_an_arrow_against_the_table_that_is_added_to_this_crate_is_found(tmp_path: Path) -> None:
    for path in SRC.rglob("*.rs"):
        copy = tmp_path / path.relative_to(SRC)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    added = tmp_path / "os/memory.rs"
    added.write_text(f"use crate::store::lock::Lock;\n{added.read_text()}")
    assert wrong_arrows(Crate(tmp_path), allowed()) == ["os uses store in os/memory.rs"]


def test_a_circle_of_files_is_found_but_not_that_of_a_parent_and_its_child(tmp_path: Path) -> None:
    one, two = "use super::two::B;\npub struct A;", "use super::three::C;\npub struct B;"
    parent = "mod one;\nmod two;\nmod three;\npub use one::A;\nfn f(_: self::one::A) {}"
    files = {"high": parent, "high__one": one, "high__two": two, "low": ""}
    apart = crate_of(tmp_path, **files, high__three="use super::f;\npub struct C;")
    assert apart.circles() == []
    together = crate_of(tmp_path, **files, high__three="use super::one::A;\npub struct C;")
    assert together.circles() == [["high::one", "high::three", "high::two"]]


def test_a_name_that_two_rooms_have_is_found_once_somebody_else_uses_one(tmp_path: Path) -> None:
    files = {"low": "pub struct Thing;", "high": "struct Thing;"}
    assert crate_of(tmp_path, **files).shared_names() == {}
    used = crate_of(tmp_path, **files, user="use crate::low::Thing;")
    assert used.shared_names() == {"Thing": ["high.rs", "low.rs"]}
