//! Answers of the real packages in small, by topic.
//!
//! In: short configs. Out: the labels or the error that `parse_config`
//! gave for them with lxml 6.1.3.

mod hostile;
mod layout;
mod recorded;
mod rules;

use super::{Dialect, LabelConfig, LabelConfigError, LabelConfigErrorKind, has_variable};
use crate::testing::in_time;

/// Parses a config, and fails if that never ends.
fn parse(config: &str, dialect: Dialect) -> Result<LabelConfig, LabelConfigError> {
    let config = config.to_owned();
    in_time(move || super::parse(&config, dialect))
}

/// A control `c` with one choice.
fn choice(value: &str) -> String {
    format!(r#"<Choices name="c" toName="t"><Choice value="{value}"/></Choices>"#)
}

fn labels(config: &str) -> Result<Vec<String>, LabelConfigErrorKind> {
    let parsed = parse(config, Dialect::Tools).map_err(|error| error.kind())?;
    let controls = parsed.iter().flat_map(|(_, control)| control.labels());
    Ok(controls.map(str::to_owned).collect())
}

#[test]
fn a_document_type_is_refused_with_its_place_and_what_to_do() {
    let said =
        "<!DOCTYPE> is not allowed, as in Label Studio: remove it and write out its entities";
    let entities = "<!DOCTYPE View [\n<!ENTITY e \"x\"> ]>";
    for (before, doctype, body, line, column) in [
        ("", "<!DOCTYPE View>", choice("x"), 1, 1),
        ("", entities, choice("&e;"), 1, 1),
        ("", r#"<!DOCTYPE View SYSTEM "file:///etc/passwd">"#, choice("x"), 1, 1),
        ("", "<!DOCTYPE View [", String::new(), 1, 1),
        ("<?xml version='1.0'?>", entities, choice("&e;"), 1, 22),
        ("\u{FEFF}<?xml version='1.0'?>\n<!-- é --><?p?> ", entities, choice("&e;"), 2, 17),
        ("<View>", "<!DOCTYPE View>", "</View>".into(), 1, 7),
    ] {
        let config = format!("{before}{doctype}{body}");
        for dialect in [Dialect::Tools, Dialect::Sdk] {
            let error = parse(&config, dialect).unwrap_err();
            assert_eq!(error.to_string(), format!("{said}, line {line}, column {column}"));
            assert_eq!(error.kind(), LabelConfigErrorKind::XmlSyntax);
        }
    }
}

#[test]
fn predefined_entities_and_characters_by_number_are_read() {
    for (value, label) in [
        ("&lt;&gt;&amp;&quot;&apos;", "<>&\"'"),
        ("&#233;&#xE9;&#x1F600;", "éé😀"),
        ("a&#10;b\nc", "a\nb c"),
        ("&#38;amp;", "&amp;"),
    ] {
        assert_eq!(labels(&choice(value)), Ok(vec![label.to_owned()]), "{value}");
    }
    let words = "<View><!-- <!DOCTYPE View> --><![CDATA[<!DOCTYPE View>]]></View>";
    assert_eq!(labels(words), Ok(vec![]), "not a declaration");
}

#[test]
fn reads_the_xml_declaration_as_lxml() {
    let x = choice("x");
    let cases = [
        (r#"<?xml version="1.0"?>"#, None),
        ("<?xml\tversion='1.1' standalone=\"yes\" ?>\n<!-- a --><?p q?>", None),
        ("\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?>", None),
        ("\u{FEFF}", None),
        ("\u{FEFF}<?xml version='1.0' encoding='utf-8' standalone='yes'?>", None),
        ("<?xml version='1.0' standalone='no'?>", None),
        ("<?xml version = '1.0' standalone\n=\t'no'?>", None),
        ("<?xml version='1.0' standalone='maybe'?>", Some(LabelConfigErrorKind::XmlSyntax)),
        ("<?xml version='1.0'standalone='no'?>", Some(LabelConfigErrorKind::XmlSyntax)),
        (r#"<?xml version="2.0"?>"#, Some(LabelConfigErrorKind::XmlSyntax)),
        (r#"<?xml encoding="utf-8"?>"#, Some(LabelConfigErrorKind::XmlSyntax)),
        ("\n<?xml version=\"1.0\"?>", Some(LabelConfigErrorKind::XmlSyntax)),
        (r#"<?xml version="1.0" encoding = 'latin-1'"#, Some(LabelConfigErrorKind::Value)),
        (r#"<?xml-model a encoding="b"?>"#, Some(LabelConfigErrorKind::Value)),
    ];
    for (start, error) in cases {
        let answer = labels(&(start.to_owned() + &x));
        assert_eq!(answer, error.map_or(Ok(vec!["x".into()]), Err), "{start:?}");
    }
}

#[test]
fn refuses_what_libxml2_refuses() {
    let values = [
        "&nbsp;",
        "a & b",
        "&#xD800;",
        "&#x110000;",
        "&#1;",
        "&#x;",
        "&#;",
        "&#-1;",
        "&#+1;",
        "&#1",
        "\u{1}",
        "<",
    ];
    let documents = [
        "<View xmlns:a=\"\"/>",
        "<View xmlns=\"a b\"/>",
        "<a:View/>",
        "<:View/>",
        "<View a=\"1\" a=\"2\"/>",
        "<View/><View/>",
        "<View/>x",
        "<View>]]></View>",
        "<View><?xml version=\"1.0\"?></View>",
        "<View><?a:b?></View>",
    ];
    let values = values.map(choice);
    let values = values.iter().map(String::as_str);
    for config in values.chain(documents) {
        assert_eq!(labels(config), Err(LabelConfigErrorKind::XmlSyntax), "{config:?}");
    }
}

#[test]
fn finds_a_label_under_any_tag_named_as_a_control() {
    let config = r#"<View name="c"><Choices name="c" toName="t"/><Choice value="x"/></View>"#;
    assert_eq!(labels(config), Ok(vec!["x".to_owned()]));
    let config = r#"<View name="c"><Choice value="x"/><Choices name="c" toName="t"/></View>"#;
    assert_eq!(labels(config), Ok(vec![]));
}

#[test]
fn says_where_and_what() {
    for (config, message) in [
        (
            "<View>\n  <Choices></View>",
            "the closing tag </View> does not match <Choices>, line 2, column 12",
        ),
        ("<View>\n <Text>", "the tag <Text> is never closed, line 2, column 2"),
        (
            "<?xml version=\"1.0\"?><é a=b/>",
            "an attribute value must be in quotes, line 1, column 27",
        ),
        (
            "<View a=\"1 < 2\"/>",
            "'<' in an attribute value must be written &lt;, line 1, column 12",
        ),
    ] {
        let error = parse(config, Dialect::Sdk).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn knows_a_variable() {
    for value in ["$a", "$A_b", "$_"] {
        assert!(has_variable(value), "{value}");
    }
    for value in ["", "$", "a", "$a1", "$a.b", "$a\n", "$é", "$$a"] {
        assert!(!has_variable(value), "{value}");
    }
}

#[test]
fn dialects_have_names() {
    assert_eq!("tools".parse(), Ok(Dialect::Tools));
    assert_eq!("sdk".parse(), Ok(Dialect::Sdk));
    assert!("Tools".parse::<Dialect>().is_err());
}
