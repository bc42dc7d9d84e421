//! Answers of the real packages in small, by topic.
//!
//! In: short configurations. Out: the labels or the error that `parse_config`
//! gave for them with lxml 6.1.3.

mod hostile;
mod recorded;
mod rules;

use super::{Dialect, ErrorKind, LabelConfig, LabelConfigError, has_variable};
use crate::testing::in_time;

/// Parses a configuration, and fails if that never ends.
fn parse(config: &str, dialect: Dialect) -> Result<LabelConfig, LabelConfigError> {
    let config = config.to_owned();
    in_time(move || super::parse(&config, dialect))
}

/// A control `c` with one choice.
fn choice(value: &str) -> String {
    format!(r#"<Choices name="c" toName="t"><Choice value="{value}"/></Choices>"#)
}

/// A document with an internal DTD subset.
fn with_dtd(subset: &str, body: &str) -> String {
    format!("<!DOCTYPE View [{subset}]>{body}")
}

fn labels(config: &str) -> Result<Vec<String>, ErrorKind> {
    let parsed = parse(config, Dialect::Tools).map_err(|error| error.kind())?;
    let controls = parsed.iter().flat_map(|(_, control)| control.labels());
    Ok(controls.map(str::to_owned).collect())
}

#[test]
fn expands_what_a_document_declares_itself() {
    let nested = r#"<Choices name="c" toName="t">&e;</Choices>"#;
    let cases = [
        (r#"<!ENTITY e "hello">"#, &*choice("&e;"), "hello"),
        (r#"<!ENTITY e "<Choice value='q'/>">"#, nested, "q"),
        (r#"<!ENTITY e "&#60;Choice value='q'/>">"#, nested, "q"),
        (r#"<!ENTITY e "a&f;"><!ENTITY f "b">"#, &choice("&e;&f;"), "abb"),
        (r#"<!ENTITY e "1"><!ENTITY e "2">"#, &choice("&e;"), "1"),
        ("<!ENTITY e \"a&#10;b\n&#38;#10;c\">", &choice("&e;"), "a b \nc"),
        (r#"<!ENTITY e "say &#34;x&#34;">"#, &choice("&e;"), "say \"x\""),
        (r#"<!ENTITY e "&e;">"#, &choice("unused"), "unused"),
        (r#"<!ENTITY e SYSTEM "file:///x">"#, &choice("x"), "x"),
        (r"<!-- ]> --><?p ]> ?><!ELEMENT View ANY>", &choice("x"), "x"),
        (r#"<!NOTATION n SYSTEM ">">"#, &choice("x"), "x"),
    ];
    for (subset, body, label) in cases {
        let answer = labels(&with_dtd(subset, body));
        assert_eq!(answer, Ok(vec![label.to_owned()]), "{subset}");
    }
}

#[test]
fn refuses_entities_that_are_not_there_or_not_well_formed() {
    let cases = [
        (r#"<!ENTITY e SYSTEM "file:///etc/passwd">"#, &*choice("&e;")),
        (r#"<!ENTITY e SYSTEM "file:///etc/passwd">"#, "<View>&e;</View>"),
        (r#"<!ENTITY % p SYSTEM "http://localhost/x"> %p;"#, "<View/>"),
        (r#"<!ENTITY e "&e;">"#, &choice("&e;")),
        (r#"<!ENTITY e "&f;"><!ENTITY f "&e;">"#, "<View>&e;</View>"),
        (r#"<!ENTITY e "x<y">"#, &choice("&e;")),
        (r#"<!ENTITY e "<a>">"#, "<View>&e;</a></View>"),
        (r#"<!ENTITY e "</View><View>">"#, "<View>&e;</View>"),
        (r#"<!ENTITY e "">"#, "&e;<View/>"),
        (r#"<!ENTITY e "100%">"#, "<View/>"),
    ];
    for (subset, body) in cases {
        let answer = labels(&with_dtd(subset, body));
        assert_eq!(answer, Err(ErrorKind::XmlSyntax), "{subset}");
    }
    let outside = r#"<!DOCTYPE View SYSTEM "http://localhost/x.dtd">"#;
    let answer = labels(&(outside.to_owned() + &choice("x")));
    assert_eq!(answer, Ok(vec!["x".to_owned()]));
    let answer = labels(&(outside.to_owned() + &choice("&e;")));
    assert_eq!(answer, Err(ErrorKind::XmlSyntax));
}

/// lxml finds a default when it looks an attribute up, not when it lists all.
#[test]
fn takes_defaults_from_an_attribute_list() {
    let subset = r#"<!ATTLIST Choice value CDATA "d" n NMTOKENS #IMPLIED>"#;
    let body = r#"<Choices name="c" toName="t"><Choice n=" a  b "/></Choices>"#;
    let parsed = parse(&with_dtd(subset, body), Dialect::Tools).unwrap();
    let control = parsed.get("c").unwrap();
    assert_eq!(control.labels().collect::<Vec<_>>(), ["d"]);
    assert_eq!(control.label_attribute("d", "n"), Some("a b"));
    assert_eq!(control.label_attribute("d", "value"), None);

    let subset = r#"<!ATTLIST Choices name CDATA "c" toName CDATA "t" indexFlag CDATA "t">"#;
    for (body, variables) in [("<Choices/>", 0), (r#"<Choices x="1"/>"#, 1)] {
        let parsed = parse(&with_dtd(subset, body), Dialect::Tools).unwrap();
        assert_eq!(parsed.get("c").unwrap().variables().len(), variables);
    }
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
        ("<?xml version='1.0' standalone='maybe'?>", Some(ErrorKind::XmlSyntax)),
        ("<?xml version='1.0'standalone='no'?>", Some(ErrorKind::XmlSyntax)),
        (r#"<?xml version="2.0"?>"#, Some(ErrorKind::XmlSyntax)),
        (r#"<?xml encoding="utf-8"?>"#, Some(ErrorKind::XmlSyntax)),
        ("\n<?xml version=\"1.0\"?>", Some(ErrorKind::XmlSyntax)),
        (r#"<?xml version="1.0" encoding = 'latin-1'"#, Some(ErrorKind::Value)),
        (r#"<?xml-model a encoding="b"?>"#, Some(ErrorKind::Value)),
    ];
    for (start, error) in cases {
        let answer = labels(&(start.to_owned() + &x));
        assert_eq!(answer, error.map_or(Ok(vec!["x".into()]), Err), "{start:?}");
    }
}

#[test]
fn refuses_what_libxml2_refuses() {
    let values = ["&nbsp;", "a & b", "&#xD800;", "&#x110000;", "\u{1}", "<"];
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
        "<View><!DOCTYPE View></View>",
    ];
    let values = values.map(choice);
    let values = values.iter().map(String::as_str);
    for config in values.chain(documents) {
        assert_eq!(labels(config), Err(ErrorKind::XmlSyntax), "{config:?}");
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
