//! What becomes of Python values in an answer.

use pyo3::types::PyDict;

use super::*;

/// Evaluates an expression and writes its value.
fn written(expression: &str) -> Result<String, ModelError> {
    written_by(expression, value)
}

fn written_by(
    expression: &str,
    write: impl FnOnce(&Bound<'_, PyAny>) -> Result<Vec<u8>, ModelError>,
) -> Result<String, ModelError> {
    Python::initialize();
    Python::attach(|py| {
        let globals = PyDict::new(py);
        py.run(
            c"import uuid, decimal, datetime, pathlib, dataclasses, collections, enum, math
class Text(str): pass
class Whole(int): pass
class Real(float): pass
class Color(enum.IntEnum):
    RED = 3
class Shape(enum.Enum):
    ROUND = 'round'
class stamp(datetime.datetime): pass
@dataclasses.dataclass
class Region:
    x: int
class Model:
    def model_dump(self): return {'result': []}
class Scalar:
    def item(self): return 7
Scalar.__module__ = 'numpy'
class Tensor:
    def __array__(self): return self
    def tolist(self): return [0.5, 2]
class Version:
    def __init__(self, text): self.text = text
    def __str__(self): return self.text
Version.__module__ = 'semver.version'
cycle = []
cycle.append(cycle)
",
            Some(&globals),
            None,
        )
        .unwrap();
        let code = std::ffi::CString::new(expression).unwrap();
        let value = py.eval(&code, Some(&globals), None).unwrap();
        write(&value).map(|bytes| String::from_utf8(bytes).unwrap())
    })
}

fn names(served: &str, own: &[&str]) -> VersionNames {
    VersionNames { served: served.into(), own: own.iter().map(|&own| own.into()).collect() }
}

fn predicted(value: &Bound<'_, PyAny>) -> Result<Vec<u8>, ModelError> {
    predictions(value, &names("7", &[])).map(|written| written.body)
}

#[test]
fn plain_values() {
    let cases = [
        ("{'a': [1, -2.5, 'é\"\\n', True, None]}", "{\"a\":[1,-2.5,\"é\\\"\\n\",true,null]}"),
        ("()", "[]"),
        ("{1: 2, None: 3, True: 4, 1.5: 5}", r#"{"1":4,"null":3,"1.5":5}"#),
        ("2**70", "1180591620717411303424"),
        ("-2**63", "-9223372036854775808"),
        ("[math.nan, math.inf]", "[null,null]"),
        ("'\\ud800'", "\"\\ud800\""),
        ("{'\\ud800': 1, '\\ud801': 2}", r#"{"\ud800":1,"\ud801":2}"#),
    ];
    for (expression, expected) in cases {
        assert_eq!(written(expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn subclasses_are_what_they_extend() {
    let cases = [
        ("Text('a')", "\"a\""),
        ("[Whole(1), Real(0.5), Color.RED]", "[1,0.5,3]"),
        ("collections.OrderedDict(b=1, a=2)", "{\"b\":1,\"a\":2}"),
        ("collections.namedtuple('P', 'x y')(1, 2)", "[1,2]"),
    ];
    for (expression, expected) in cases {
        assert_eq!(written(expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn what_json_does_not_know() {
    let cases = [
        ("uuid.UUID(int=1)", "\"00000000-0000-0000-0000-000000000001\""),
        ("decimal.Decimal('1.50')", "\"1.50\""),
        ("datetime.date(2026, 11, 23)", "\"Mon, 23 Nov 2026 00:00:00 GMT\""),
        ("pathlib.PurePosixPath('/a')", "\"/a\""),
        ("Region(1)", "{\"x\":1}"),
        ("Model()", "{\"result\":[]}"),
        ("Scalar()", "7"),
        ("Tensor()", "[0.5,2]"),
        ("Shape.ROUND", "\"round\""),
        ("Version('1.2.3')", "\"1.2.3\""),
        ("stamp(2026, 11, 23, 1, 2, 3)", "\"Mon, 23 Nov 2026 01:02:03 GMT\""),
    ];
    for (expression, expected) in cases {
        assert_eq!(written(expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn an_error_names_the_place() {
    let error = written_by("[{'result': [{'score': {1, 2}}]}]", predicted).unwrap_err();
    assert_eq!(error.class, "TypeError");
    assert_eq!(
        error.message,
        "results[0].result[0].score: Object of type set is not JSON serializable"
    );
    let error = written("{'a': {(1, 2): 3}}").unwrap_err();
    assert!(error.message.starts_with("a: keys must be"), "{}", error.message);
}

#[test]
fn a_cycle_is_an_error_and_no_overflow() {
    let error = written("cycle").unwrap_err();
    assert!(error.message.ends_with("or contains itself"), "{}", error.message);
}

#[test]
fn predictions_carry_the_version_that_made_them() {
    let cases = [
        ("[]", r#"{"model_version":"7","results":[]}"#),
        (
            "[{'result': []}, {}]",
            r#"{"model_version":"7","results":[{"result":[],"model_version":"7"},{"model_version":"7"}]}"#,
        ),
        (
            "[{'model_version': 'mine'}, [{'score': 1}]]",
            r#"{"model_version":"7","results":[{"model_version":"mine"},[{"score":1,"model_version":"7"}]]}"#,
        ),
        (
            "[{'model_version': None, 'score': 1}]",
            r#"{"model_version":"7","results":[{"score":1,"model_version":"7"}]}"#,
        ),
        ("None", r#"{"model_version":"7","results":null}"#),
        ("{'a': []}", r#"{"model_version":"7","results":{"a":[]}}"#),
    ];
    for (expression, expected) in cases {
        let body = written_by(expression, predicted).unwrap();
        assert_eq!(body, format!("{expected}\n"), "{expression}");
    }
}

#[test]
fn what_the_model_calls_its_version_becomes_the_one_that_is_served() {
    let names = names("0.0.1+17", &["0.0.1", "0.0.2"]);
    let body = written_by(
        "[{'model_version': '0.0.1'}, [{'model_version': Version('0.0.2')}], {'model_version': 'x'}]",
        |value| {
            Ok(predictions(value, &names)?.body)
        },
    )
    .unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"model_version":"0.0.1+17","results":[{"model_version":"0.0.1+17"},"#,
            r#"[{"model_version":"0.0.1+17"}],{"model_version":"x"}]}"#,
            "\n"
        )
    );
}

#[test]
fn nothing_is_written_on_which_label_studio_fails() {
    let mut mended = Mended::default();
    let body = written_by(
        "[None, {'model_version': None}, [None, {'model_version': None}], (), None, {'result': None}]",
        |value| {
            let written = predictions(value, &names("7", &[]))?;
            mended = written.mended;
            Ok(written.body)
        },
    )
    .unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"model_version":"7","results":[[],{"model_version":"7"},[null,{"model_version":"7"}],"#,
            r#"[],[],{"result":null,"model_version":"7"}]}"#,
            "\n"
        )
    );
    let places = |first: &str| Some(Places { first: first.into(), count: 2 });
    assert_eq!(mended.null_items, places("results[0]"));
    assert_eq!(mended.null_versions, places("results[1].model_version"));
}

#[test]
fn as_flask_writes_it() {
    let as_flask = |expression: &str| {
        written_by(expression, |value| Ok(to_json(value).unwrap().into_bytes())).unwrap()
    };
    assert_eq!(
        as_flask("{'b': 1, 'a': {10: 'c', 2: 'é😀'}}"),
        r#"{"a":{"2":"\u00e9\ud83d\ude00","10":"c"},"b":1}"#
    );
    assert_eq!(as_flask("{'b': 1, 2: 3}"), r#"{"b":1,"2":3}"#);
}
