//! Input made to hurt: it must be refused or read soon, and never panic.
//!
//! In: deep, large and random text. Out: an answer in time,
//! on a small stack.

use std::ops::Range;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use proptest::prelude::*;

use super::super::{self as label_config, Dialect, LabelConfigError, LabelConfigErrorKind};
use super::parse;

/// Refused or read, but soon and on a small stack.
fn endures(name: &'static str, config: String, expected: Option<LabelConfigErrorKind>) {
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let (done, ended) = channel();
    let check = move || {
        let error = label_config::parse(&config, Dialect::Sdk).err();
        let kind = error.as_ref().map(LabelConfigError::kind);
        assert_eq!(kind, expected, "{name}: {error:?}");
        done.send(()).unwrap();
    };
    let checking = thread.spawn(check).unwrap();
    let hangs = ended.recv_timeout(Duration::from_secs(20)) == Err(RecvTimeoutError::Timeout);
    assert!(!hangs, "{name}");
    checking.join().unwrap();
}

fn each(numbers: Range<usize>, part: impl Fn(usize) -> String) -> String {
    numbers.map(part).collect::<Vec<_>>().concat()
}

#[test]
fn endures_depth() {
    let nested = |depth: usize| "<View>".repeat(depth) + &"</View>".repeat(depth);
    endures("256 deep", nested(256), None);
    endures("257 deep", nested(257), Some(LabelConfigErrorKind::XmlSyntax));
    endures("a million deep", nested(1_000_000), Some(LabelConfigErrorKind::XmlSyntax));
    endures("never closed", "<a>".repeat(1_000_000), Some(LabelConfigErrorKind::XmlSyntax));
}

#[test]
fn endures_size() {
    let refused = Some(LabelConfigErrorKind::XmlSyntax);
    let attributes = |count| {
        let all = each(0..count, |index| format!(" a{index}=''"));
        format!("<View{all}/>")
    };
    endures("1000 attributes", attributes(1_000), None);
    endures("100000 attributes", attributes(100_000), refused);
    endures("11 MB", format!("<a>{}</a>", " ".repeat(11_000_000)), refused);
    endures("brackets", "<".repeat(2_000_000), refused);
    endures("equals signs", "=".repeat(3_000_000), refused);
    let namespaces = each(0..200, |n| format!("<a xmlns:p{n}='u'/>"));
    endures("namespaces", format!("<a>{namespaces}</a>"), refused);
    let shared = format!(
        "<View><Text name='t' value='{}'/><C name='c' toName='{}'/></View>",
        "v".repeat(100_000),
        "t,".repeat(100_000)
    );
    endures("shared input", shared, refused);
    let many = each(0..20_000, |n| format!("<R indexFlag='v{n}'/><C name='c{n}' toName='t'/>"));
    endures("variables", format!("<View>{many}</View>"), refused);
}

fn fragment() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "<View>",
        "</View>",
        "<View/>",
        "<Choices name='c' toName='t'>",
        "</Choices>",
        "<Choice value=\"x\"/>",
        "<Label alias='a'",
        "name=",
        "toName='a,b'",
        "value='$x'",
        "indexFlag='{{i}}'",
        "perRegion=\"true\"",
        "<!DOCTYPE a [",
        "]>",
        "&e;",
        "&#65;",
        "&#",
        "&",
        ";",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?xml version=\"1.0\"?>",
        "<?p",
        "?>",
        "xmlns:a='u'",
        "a:",
        "<",
        ">",
        "/",
        "\"",
        "'",
        "=",
        " ",
        "\n",
        "\r",
        "\u{FEFF}",
        "é",
        "😀",
        "\u{1}",
        "encoding='x'",
    ]);
    prop_oneof![9 => fixed.prop_map(str::to_owned), 1 => ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn never_panics_on_any_text(config in any::<String>()) {
        let _ = parse(&config, Dialect::Tools);
        let _ = parse(&config, Dialect::Sdk);
    }

    #[test]
    fn never_panics_on_fragments(parts in prop::collection::vec(fragment(), 0..24)) {
        let config = parts.concat();
        let _ = parse(&config, Dialect::Tools);
        let _ = parse(&config, Dialect::Sdk);
    }
}
