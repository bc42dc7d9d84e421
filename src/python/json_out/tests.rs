//! How Python values are written.

mod predictions;

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
class Nest:
    def __init__(self, depth): self.depth = depth
    def model_dump(self): return [Nest(self.depth - 1)] if self.depth > 1 else []
def nested(depth, kind=list):
    value = kind()
    for _ in range(depth - 1): value = [value] if kind is list else {'a': value}
    return value
class Grows:
    def model_dump(self):
        grown['c'] = 1
        return 0
grown = {'a': Grows(), 'b': 1}
def of(module, name, **members):
    return type(name, (), {'__module__': module, **members})()
class Long:
    def item(self): return self
    def __float__(self): return 0.25
Long.__module__ = 'numpy'
class Both:
    __dataclass_fields__ = {}
    def model_dump(self): return 'dumped'
    def __fspath__(self): return 'a path'
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

#[test]
fn numbers_keep_all_of_their_digits() {
    let cases = [
        ("[0.1, 1/3, 1e16, 1e-7]", "[0.1,0.3333333333333333,1e+16,1e-7]"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
        ("16777217.0", "16777217.0"),
        ("-0.0", "-0.0"),
        ("Real(0.1)", "0.1"),
        ("2**31", "2147483648"),
        ("2**53 + 1", "9007199254740993"),
        ("2**63 - 1", "9223372036854775807"),
        ("2**63", "9223372036854775808"),
        ("-2**63 - 1", "-9223372036854775809"),
        ("Whole(2**70)", "1180591620717411303424"),
        ("[True, False, Whole(1)]", "[true,false,1]"),
    ];
    for (expression, expected) in cases {
        assert_eq!(written(expression).unwrap(), expected, "{expression}");
    }
}

proptest::proptest! {
    #[test]
    fn every_number_is_read_back_as_it_was(float: f64, int: i128) {
        Python::initialize();
        let (float_text, int_text) = Python::attach(|py| {
            let written = |number: &Bound<'_, PyAny>| String::from_utf8(value(number).unwrap()).unwrap();
            let int = int.into_pyobject(py).unwrap();
            (written(&PyFloat::new(py, float)), written(&int))
        });
        if float.is_finite() {
            let read: f64 = float_text.parse().unwrap();
            proptest::prop_assert_eq!(read.to_bits(), float.to_bits());
        } else {
            proptest::prop_assert_eq!(float_text, "null");
        }
        proptest::prop_assert_eq!(int_text, int.to_string());
    }
}

#[test]
fn what_stands_for_something_else_is_bounded_in_depth_and_not_in_number() {
    let many = written("[Region(n) for n in range(100)]").unwrap();
    assert!(many.starts_with(r#"[{"x":0},"#) && many.ends_with(r#",{"x":99}]"#), "{many}");
    assert_eq!(written("[[Model()] for _ in range(33)]").unwrap().matches("result").count(), 33);
    let deep = "[".repeat(32) + &"]".repeat(32);
    assert_eq!(written("Nest(32)").unwrap(), deep);
    assert_eq!(written("[Nest(32), Nest(32)]").unwrap(), format!("[{deep},{deep}]"));
    let error = written("Nest(33)").unwrap_err();
    let end = "Object of type Nest is not JSON serializable";
    assert!(error.message.ends_with(end), "{}", error.message);
}

#[test]
fn lists_within_each_other_have_their_limit() {
    // Without optimisation a step takes more room than the stack of a test has.
    let roomy = std::thread::Builder::new().stack_size(64 << 20);
    let test = || {
        for (depth, is_written) in [(DEEPEST, true), (DEEPEST + 1, false)] {
            let found = written(&format!("nested({depth})"));
            assert_eq!(found.is_ok(), is_written, "{depth}: {found:?}");
        }
        for (depth, is_written) in [(DEEPEST, true), (DEEPEST + 1, false)] {
            let found = written(&format!("nested({depth}, dict)"));
            assert_eq!(found.is_ok(), is_written, "{depth}: {found:?}");
        }
        let found = written_by(&format!("nested({DEEPEST})"), predicted);
        assert!(found.is_err(), "that of an answer is one step deeper");
        assert!(written_by(&format!("nested({})", DEEPEST - 1), predicted).is_ok());
    };
    roomy.spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_dict_that_grows_while_it_is_written_is_an_error() {
    let error = written("grown").unwrap_err();
    assert_eq!(error.message, "dictionary changed size during iteration");
}

#[test]
fn a_long_place_is_cut() {
    for (length, shown) in
        [(200, "x".repeat(200)), (201, "x".repeat(50) + "…"), (1_000, "x".repeat(50) + "…")]
    {
        let error = written(&format!("{{'x' * {length}: {{1}}}}")).unwrap_err();
        let expected = format!("{shown}: Object of type set is not JSON serializable");
        assert_eq!(error.message, expected, "{length}");
    }
}

#[test]
fn numbers_that_json_does_not_know_are_counted_from_the_first() {
    Python::initialize();
    Python::attach(|py| {
        let list = py.eval(c"[1.0, {'a': float('nan')}, float('inf'), float('-inf')]", None, None);
        let mut walk = Walk::default();
        walk.value(&list.unwrap()).unwrap();
        assert_eq!(walk.nans, Some(("[1].a".into(), 3)));
        assert_eq!(walk.out, br#"[1.0,{"a":null},null,null]"#);
        let mut walk = Walk::default();
        walk.value(&py.eval(c"[1.0, 2]", None, None).unwrap()).unwrap();
        assert_eq!(walk.nans, None);
    });
}

#[test]
fn keys_are_texts_as_pythons_own_encoder_makes_them() {
    let cases = [
        ("{None: 0}", r#"{"null":0}"#),
        ("{True: 0, False: 1}", r#"{"true":0,"false":1}"#),
        ("{1.5: 0, -3: 1, 2**70: 2}", r#"{"1.5":0,"-3":1,"1180591620717411303424":2}"#),
        ("{Scalar(): 0}", r#"{"7":0}"#),
        ("{Text('a'): 0}", r#"{"a":0}"#),
    ];
    for (expression, expected) in cases {
        assert_eq!(written(expression).unwrap(), expected, "{expression}");
    }
    for bad in ["{(1,): 0}", "{b'a': 0}", "{of('numpy', 'str_', item=lambda self: 'a'): 0}"] {
        let error = written(bad).unwrap_err();
        let start = "keys must be str, int, float, bool or None, not ";
        assert!(error.message.starts_with(start), "{}", error.message);
    }
}

#[test]
fn objects_are_known_by_their_package_or_by_what_they_can_do() {
    let cases = [
        ("of('pandas._libs', 'NaTType')", "null"),
        ("of('pandas._libs.missing', 'NAType')", "null"),
        ("of('packaging.version', 'Version', __str__=lambda self: '1.0')", "\"1.0\""),
        ("of('numpy', 'ndarray', tolist=lambda self: [1], item=lambda self: 2)", "[1]"),
        ("of('numpy', 'float32', tolist=lambda self: [1], item=lambda self: 0.5)", "0.5"),
        ("Long()", "0.25"),
        ("Both()", "\"dumped\""),
        ("of('x', 'Y', __fspath__=lambda self: 'p', __html__=lambda self: 'h')", "\"p\""),
        ("of('x', 'Y', __html__=lambda self: 'h')", "\"h\""),
        ("of('x', 'Y', __fields__={}, dict=lambda self: {'a': 1})", r#"{"a":1}"#),
        ("of('x', 'Y', tolist=lambda self: [1])", "[1]"),
        (
            "datetime.datetime(2026, 11, 23, 1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))",
            { "\"Mon, 23 Nov 2026 00:02:03 GMT\"" },
        ),
    ];
    for (expression, expected) in cases {
        assert_eq!(written(expression).unwrap(), expected, "{expression}");
    }
    for bad in [
        "of('x', 'Y', __array__=0)",
        "of('x', 'Y', __fields__={})",
        "of('x', 'Y', dict=lambda self: {})",
        "of('mypandas', 'NaTType')",
        "of('x', 'UUID')",
        "datetime.time(1)",
        "b'a'",
    ] {
        let error = written(bad).unwrap_err();
        assert!(error.message.ends_with("is not JSON serializable"), "{bad}: {}", error.message);
        assert_eq!(error.class, "TypeError", "{bad}");
    }
}

#[test]
fn every_writer_says_which_numbers_became_null() {
    let writers: [fn(&Bound<'_, PyAny>); 3] = [
        |number| drop(value(number).unwrap()),
        |number| drop(to_json(number).unwrap()),
        |number| drop(predictions(number, &names("7", &[])).unwrap().body),
    ];
    Python::initialize();
    Python::attach(|py| {
        let globals = PyDict::new(py);
        let run = |code: &std::ffi::CStr| py.run(code, Some(&globals), None).unwrap();
        run(c"
import logging
class Kept(logging.Handler):
    said = []
    def emit(self, record): self.said.append(record.getMessage())
kept = Kept()
logging.getLogger('label_studio_ml').addHandler(kept)
number = {'number_of_this_test': float('nan')}
");
        let number = globals.get_item("number").unwrap().unwrap();
        for write in writers {
            write(&number);
        }
        run(c"logging.getLogger('label_studio_ml').removeHandler(kept)");
        let said: Vec<String> =
            py.eval(c"kept.said", Some(&globals), None).unwrap().extract().unwrap();
        let ours = said.iter().filter(|said| said.contains("number_of_this_test"));
        let ours: Vec<_> = ours.map(|said| said.split(' ').next().unwrap()).collect();
        let place = "number_of_this_test";
        assert_eq!(ours, [place, place, "results.number_of_this_test"]);
    });
}
