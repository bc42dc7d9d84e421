//! Input made to hurt: it must be refused or read soon, and never panic.
//!
//! In: deep, large, self-multiplying and random text. Out: an answer in time,
//! on a small stack.

use std::ops::Range;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use proptest::prelude::*;

use super::super::{self as label_config, Dialect, ErrorKind, LabelConfigError};
use super::{choice, parse, with_dtd};

/// Refused or read, but soon and on a small stack.
fn endures(name: &'static str, config: String, expected: Option<ErrorKind>) {
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
    endures("257 deep", nested(257), Some(ErrorKind::XmlSyntax));
    endures("a million deep", nested(1_000_000), Some(ErrorKind::XmlSyntax));
    endures("never closed", "<a>".repeat(1_000_000), Some(ErrorKind::XmlSyntax));
}

#[test]
fn endures_entity_bombs() {
    let bomb = each(1..10, |level| {
        let inner = format!("&e{};", level - 1).repeat(10);
        format!(r#"<!ENTITY e{level} "{inner}">"#)
    });
    let bomb = format!(r#"<!ENTITY e0 "lol">{bomb}"#);
    let refused = Some(ErrorKind::XmlSyntax);
    endures("laughs", with_dtd(&bomb, "<View>&e9;</View>"), refused);
    endures("laughs in a value", with_dtd(&bomb, &choice("&e9;")), refused);
    let long = format!("<!ENTITY e '{}'>", "x".repeat(1_000_000));
    let often = "&e;".repeat(100_000);
    endures("blow-up", with_dtd(&long, &choice(&often)), refused);
    let chain = each(1..30, |level| format!(r#"<!ENTITY e{level} "&e{};">"#, level - 1));
    let chain = format!(r#"<!ENTITY e0 "x">{chain}"#);
    endures("chain of 19", with_dtd(&chain, &choice("&e18;")), None);
    endures("chain of 20", with_dtd(&chain, &choice("&e19;")), refused);
}

#[test]
fn endures_size() {
    let refused = Some(ErrorKind::XmlSyntax);
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
        "<!ENTITY e \"x\">",
        "<!ENTITY e '&f;'>",
        "<!ENTITY f '<b/>'>",
        "<!ATTLIST Choice value ",
        "CDATA '&e;'>",
        "NMTOKENS",
        "]>",
        "&e;",
        "&#65;",
        "&#",
        "&",
        ";",
        "%p;",
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
        "SYSTEM 'x'",
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
        let _ = parse(&with_dtd("<!ENTITY e 'x'>", &config), Dialect::Sdk);
        let _ = parse(&format!("<!DOCTYPE a [{config}"), Dialect::Sdk);
    }
}
