"""Texts of every kind go to the model and come back unchanged."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from conftest import HERE
from connected import Connected, choice, texts
from hosting import Server

Connect = Callable[..., Connected]

CONFIG = (
    '<View><Text name="text" value="$text"/><TextArea name="copy" toName="text" maxSubmissions="1"/>'
    "</View>"
)
SCRIPTS = [
    "Zoë naïvely façaded straße",
    "我们需要更多的公园 「東京」 한국어",
    "مرحبا بالعالم עולם",
    "🦊👩‍👩‍👧‍👦🏳️‍🌈 \U0001f9ff",
    'quotes " and \\ backslash \\u0041 </script> & \t tab\nnew line\r\n\x7f',
    "\u2028 separators \u2029, zero\u200bwidth, e\u0301 (combined), \ufeff mark, \ufffd",
]


def test_every_script(connect: Connect, serve: Callable[..., Server]) -> None:
    project = connect(serve(HERE / "models" / "repeats.py"), texts(*SCRIPTS), config=CONFIG)
    answered = [repeated(row) for row in project.retrieve().values()]
    assert answered == SCRIPTS


def test_a_text_of_a_million_characters(connect: Connect, serve: Callable[..., Server]) -> None:
    numbers = itertools.cycle("0123456789 äöü 🦊 ")
    long = "".join(itertools.islice(numbers, 1_000_000))
    project = connect(serve(HERE / "models" / "repeats.py"), texts(long, "short"), config=CONFIG)
    assert [repeated(row) for row in project.retrieve().values()] == [long, "short"]
    # An event contains the task, and Label Studio waits one second for the answer.
    project.api.annotate(project.tasks[0], result=[])


def test_labels_beyond_ascii(connect: Connect, majority: Server) -> None:
    config = (
        '<View><Text name="文本" value="$text"/><Choices name="wähle" toName="文本">'
        '<Choice value="ja, &quot;gerne&quot; 👍"/><Choice value="否 &amp; нет"/></Choices></View>'
    )
    project = connect(majority, texts("one", "two"), config=config, title="Ünïcödé 项目 🦊")
    assert project.predicted() == 'ja, "gerne" 👍'
    before = project.version
    result = choice("否 & нет", from_name="wähle", to_name="文本")
    project.api.annotate(project.tasks[0], result=result)
    project.trained(before)
    assert project.predicted() == "否 & нет"


def repeated(prediction: dict[str, object]) -> str:
    """The text in the prediction of the model that repeats it."""
    (region,) = prediction["result"]
    (text,) = region["value"]["text"]
    return str(text)
