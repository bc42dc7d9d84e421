"""Any return value of `predict` gives a readable answer, or an error that names the place."""

from __future__ import annotations

import pytest
from backend import Backend

#: What is returned, and the `results` of the answer; text for text that must occur in the error.
NO_JSON = {
    "a generator": ("(right(t) for t in 'ab')", "results: Object of type generator is not"),
    "an iterator": ("iter([right('a')])", "results: Object of type list_iterator is not"),
    "a set": ("{1, 2}", "results: Object of type set is not"),
    "bytes": ("b'bytes'", "results: Object of type bytes is not"),
    "a class": ("dict", "results: Object of type type is not"),
    "a function": ("right", "results: Object of type function is not"),
    "an object": ("[object()]", "results[0]: Object of type object is not"),
    "an object far inside": (
        "[{'result': [{'value': {'choices': [object()]}}]}]",
        "results[0].result[0].value.choices[0]: Object of type object is not",
    ),
    "a complex number": ("[{'score': 1j}]", "results[0].score: Object of type complex is not"),
    "a key that is a tuple": ("[{(1, 2): 3}]", "results[0]: keys must be str"),
    "an integer of 5,000 digits": ("[{'score': 10**5000}]", "results[0].score: Exceeds the limit"),
    "an array of objects": (
        "[{'a': __import__('numpy').array([object()])}]",
        "results[0].a[0]: Object of type object is not",
    ),
    "a mock": (
        "__import__('unittest.mock').mock.MagicMock()",
        "Object of type MagicMock is not JSON serializable",
    ),
}

#: Code that leaves `results`, and text of the error.
HOSTILE = {
    "a dict in itself": ("r = {}; r['self'] = r; results = [r]", "contains itself"),
    "a list in itself": ("results = []; results.append(results)", "contains itself"),
    "a list too deep": (
        "r = []\nfor _ in range(200_000): r = [r]\nresults = [{'result': r}]",
        "nested too deeply",
    ),
    "an object that dumps itself": (
        "class Odd:\n    def model_dump(self): return [self]\nresults = [Odd()]",
        "Object of type Odd is not",
    ),
    "an object that raises when looked at": (
        "class Odd:\n    def __getattr__(self, name): raise ValueError(name)\nresults = [Odd()]",
        "ValueError: results[0]: ",
    ),
    "an object that exits when looked at": (
        "class Odd:\n    def __getattr__(self, name): sys.exit(3)\nresults = [Odd()]",
        "SystemExit: results[0]: 3",
    ),
    "an object that raises when dumped": (
        "class Odd:\n    def model_dump(self): raise KeyError('weights')\nresults = [Odd()]",
        "KeyError: results[0]: 'weights'",
    ),
    "a dict that grows while it is written": (
        "d = {n: n for n in range(9)}\n"
        "class Odd:\n    def model_dump(self): d['new'] = 1\n"
        "d[0] = Odd(); results = [d]",
        "results[0]: dictionary changed size during iteration",
    ),
    "a dict that is emptied while it is written": (
        "d = {n: n for n in range(9)}\n"
        "class Odd:\n    def model_dump(self): d.clear()\n"
        "d[0] = Odd(); results = [d]",
        "results[0]: dictionary changed size during iteration",
    ),
}


@pytest.mark.parametrize("what", NO_JSON)
def test_what_is_no_json_is_named_with_its_place(backend: Backend, what: str) -> None:
    returned, told = NO_JSON[what]
    if "numpy" in returned:
        pytest.importorskip("numpy")
    answer = backend.do(f"results = {returned}")
    assert answer.status_code == 500
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_result_that_turns_on_its_reader_costs_one_answer(backend: Backend, what: str) -> None:
    code, told = HOSTILE[what]
    worker = backend.worker()
    answer = backend.do(code)
    assert answer.status_code == 500, answer.text
    assert told in answer.json()["detail"]
    assert len(answer.content) < 10_000
    assert backend.worker() == worker


#: Code that leaves `results`, and how they are answered.
MENDED = {
    "NaN": ("results = [{'score': float('nan')}]", [{"score": None}]),
    "infinity": ("results = [{'score': float('-inf')}]", [{"score": None}]),
    "an integer of 100 bits": ("results = [{'score': 2**100}]", [{"score": 2**100}]),
    "an integer of 64 bits": ("results = [{'score': 2**64 - 1}]", [{"score": 2**64 - 1}]),
    "a lone surrogate": (r"results = [{'text': '\ud800'}]", [{"text": "\ud800"}]),
    "NUL": (r"results = [{'text': 'a\0b'}]", [{"text": "a\0b"}]),
    "a line separator": (r"results = [{'text': '\u2028</script>'}]", [{"text": "\u2028</script>"}]),
    "keys that are no text": ("results = [{None: 1, True: 2}]", [{"null": 1, "true": 2}]),
    "numbers of numpy": (
        "import numpy as n\n"
        "results = [{'a': n.float32(0.5), 'b': n.int64(2**62), 'c': n.bool_(True), 'd': n.nan}]",
        [{"a": 0.5, "b": 2**62, "c": True, "d": None}],
    ),
    "an array of numpy": (
        "import numpy as n\nresults = [{'a': n.arange(6).reshape(2, 3)}]",
        [{"a": [[0, 1, 2], [3, 4, 5]]}],
    ),
    "a list whose iteration raises": (
        "class Odd(list):\n    def __iter__(self): raise ValueError\nresults = Odd([{'a': 1}])",
        [{"a": 1}],
    ),
    "a list whose length lies": (
        "class Odd(list):\n    def __len__(self): return 10**9\nresults = Odd([{'a': 1}])",
        [{"a": 1}],
    ),
    "a list of negative length": (
        "class Odd(list):\n    def __len__(self): return -1\nresults = Odd([{'a': 1}])",
        [{"a": 1}],
    ),
    "a dict whose items raise": (
        "class Odd(dict):\n"
        "    def items(self): raise ValueError\n"
        "    __iter__ = keys = values = __getitem__ = __len__ = items\n"
        "results = [Odd(a=1)]",
        [{"a": 1}],
    ),
    "a text whose text raises": (
        "class Odd(str):\n    def __str__(self): raise ValueError\nresults = [{'a': Odd('t')}]",
        [{"a": "t"}],
    ),
    "a number whose repr raises": (
        "class Odd(int):\n    def __repr__(self): raise ValueError\nresults = [{'a': Odd(7)}]",
        [{"a": 7}],
    ),
    "a list that shrinks while it is written": (
        "r = [0, 1, 2]\n"
        "class Odd:\n    def model_dump(self): r.clear(); return 7\n"
        "r[0] = Odd(); results = [{'a': r}]",
        [{"a": [7]}],
    ),
}


@pytest.mark.parametrize("what", MENDED)
def test_what_json_cannot_carry_is_carried_as_well_as_can_be(backend: Backend, what: str) -> None:
    code, results = MENDED[what]
    if "numpy" in code:
        pytest.importorskip("numpy")
    answer = backend.do(code)
    assert answer.status_code == 200, answer.text
    marked = [{**result, "model_version": "INITIAL"} for result in results]
    assert answer.json()["results"] == marked


#: Code that leaves `results`, and what the log says that Label Studio makes of it.
MISSHAPEN = {
    "None": ("results = None", None, "results is null instead of a list"),
    "a number": ("results = 7", 7, "results is 7"),
    "text": ("results = 'text'", "text", "results is "),
    "a dict": ("results = {'result': []}", {"result": []}, "results is "),
    "too many": ("results = [[], []]", [[], []], "results has 2 items for 1 task"),
    "none at all": ("results = []", [], "results is an empty list for 1 task"),
    "None for a task": ("results = [None]", [[]], "results[0] is None instead of a list"),
    "a number for a task": ("results = [7]", [7], "results[0] is 7 instead of a dict"),
}


@pytest.mark.parametrize("what", MISSHAPEN)
def test_a_result_of_another_shape_is_passed_on_and_named_in_the_log(
    backend: Backend, what: str
) -> None:
    code, results, told = MISSHAPEN[what]
    # Only the first finding of a kind in each project is logged.
    answer = backend.do(code, project=f"{100 + list(MISSHAPEN).index(what)}.1")
    assert answer.status_code == 200
    assert answer.json() == {"model_version": "INITIAL", "results": results}
    backend.server.wait_logged(told)


def test_too_few_results_are_passed_on_and_named_in_the_log(backend: Backend) -> None:
    tasks = [{"data": {"text": "fine", "do": "results = [[], []]"}}, {"data": {}}, {"data": {}}]
    answer = backend.server.predict(tasks, project="99.1")
    assert answer.json()["results"] == [[], []]
    backend.server.wait_logged("results has 2 items for 3 tasks")


def test_a_result_of_a_hundred_megabytes_arrives_whole(backend: Backend) -> None:
    answer = backend.do("results = [{'text': ['x' * 1000] * 100_000}]")
    assert answer.status_code == 200
    assert answer.json()["results"][0]["text"] == ["x" * 1000] * 100_000
