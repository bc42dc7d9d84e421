//! Any bytes as the body of a request: the handlers read the same values as a parser of the whole body, and
//! every refusal can be sent to a client.
#![no_main]

use label_studio_ml::http::fuzzing::{Refusal, Scanned, prefer, query};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Fields that some handler reads.
const NAMES: [&str; 12] = [
    "tasks",
    "annotations",
    "project",
    "label_config",
    "params",
    "force_reload",
    "try_fetch",
    "schema",
    "hostname",
    "access_token",
    "action",
    "job",
];

fuzz_target!(|data: &[u8]| {
    if let Some(arguments) = query(data) {
        assert!(arguments.len() <= data.len());
    }
    assert!(prefer(data).is_none_or(|seconds| seconds <= 3_600));
    let whole = serde_json::from_slice::<Value>(data);
    let fields = match (Scanned::read(data), &whole) {
        (Ok(fields), _) => fields,
        (Err(refusal), whole) => {
            assert!(!matches!(whole, Ok(Value::Object(_))), "an object is refused: {refusal:?}");
            let expected = if whole.is_ok() { 422 } else { 400 };
            // What is no object need not be read to its end to be refused.
            assert!(refusal.status == expected || refusal.status == 422, "{refusal:?}");
            return assert_can_be_sent(&refusal);
        }
    };
    let whole = whole.ok();
    if let Some(whole) = &whole {
        assert!(whole.is_object());
    }
    for name in NAMES {
        let raw = fields.raw(name);
        if let Some(whole) = &whole {
            let expected = whole.get(name).filter(|value| !value.is_null());
            let read = raw.map(|raw| serde_json::from_str::<Value>(raw).expect("a value"));
            assert_eq!(read.as_ref(), expected, "{name}");
        }
        let is = |test: fn(&Value) -> bool| {
            let value = whole.as_ref().and_then(|whole| whole.get(name));
            value.is_none_or(|value| value.is_null() || test(value))
        };
        check(fields.text(name), |_| is(Value::is_string));
        check(fields.flag(name, true), |_| is(Value::is_boolean));
        check(fields.list(name), |list| is(Value::is_array) && list.starts_with('['));
        check(fields.object(name), |_| is(Value::is_object));
    }
    check(fields.project(), |_| true);
    check(fields.is_interactive(), |_| true);
    check(fields.job(), |_| true);
    let (key, _) = fields.event_project(Some("7.1".into()));
    assert!(key.len() <= data.len() + "7.".len() + 20);
});

/// What was read is right, or else the refusal can be sent.
fn check<T>(read: Result<T, Refusal>, is_right: impl FnOnce(&T) -> bool) {
    match read {
        Ok(value) => assert!(is_right(&value)),
        Err(refusal) => {
            assert!((400..500).contains(&refusal.status));
            assert_can_be_sent(&refusal);
        }
    }
}

fn assert_can_be_sent(refusal: &Refusal) {
    assert!(!refusal.detail.is_empty());
    let reason = refusal.reason.as_ref().expect("a reason phrase");
    assert!(reason.len() <= 120, "{refusal:?}");
    assert!(reason.iter().all(|byte| (b' '..=b'~').contains(byte)), "{refusal:?}");
}
