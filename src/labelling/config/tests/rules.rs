//! The rules of `parse_config`, one by one: which tags are controls, inputs and labels, and which of
//! several attributes counts.

use super::super::model::{ConditionalKind, ObjectSource};
use super::super::{Dialect, LabelConfig};
use super::parse;

fn both(config: &str) -> [(Dialect, LabelConfig); 2] {
    [Dialect::Tools, Dialect::Sdk].map(|dialect| (dialect, parse(config, dialect).unwrap()))
}

/// A control `c` with further attributes.
fn control(attributes: &str) -> String {
    format!(r#"<View><Choices name="c" toName="t" {attributes}/></View>"#)
}

#[test]
fn of_several_conditions_the_first_that_is_filled_in_counts() {
    use ConditionalKind::{Choice, Label, Tag};
    for (attributes, expected) in [
        (r#"whenTagName="a" whenLabelValue="b" whenChoiceValue="c""#, Some((Tag, "a"))),
        (r#"whenChoiceValue="c" whenLabelValue="b" whenTagName="a""#, Some((Tag, "a"))),
        (r#"whenLabelValue="b" whenTagName="a""#, Some((Tag, "a"))),
        (r#"whenChoiceValue="c" whenTagName="a""#, Some((Tag, "a"))),
        (r#"whenChoiceValue="c" whenLabelValue="b""#, Some((Label, "b"))),
        (r#"whenTagName="" whenLabelValue="b""#, Some((Label, "b"))),
        (r#"whenTagName="" whenLabelValue="" whenChoiceValue="c""#, Some((Choice, "c"))),
        (r#"whenChoiceValue="c""#, Some((Choice, "c"))),
        (r#"whenTagName="""#, None),
        ("", None),
    ] {
        for (dialect, config) in both(&control(&format!(r#"perRegion="true" {attributes}"#))) {
            let found = config.get("c").unwrap().conditional();
            let found = found.map(|condition| (condition.kind, condition.name.as_str()));
            assert_eq!(found, expected, "{attributes} {dialect:?}");
        }
        for per_region in ["", r#"perRegion="false""#, r#"perRegion="True""#, r#"perRegion="""#] {
            for (_, config) in both(&control(&format!("{per_region} {attributes}"))) {
                assert_eq!(config.get("c").unwrap().conditional(), None, "{per_region}");
            }
        }
    }
}

#[test]
fn an_input_has_its_value_without_any_dollars_before_it() {
    for (attributes, tools, sdk) in [
        (r#"value="$text""#, Some("text"), Some(ObjectSource::Value("text".into()))),
        (r#"value="$$text""#, Some("text"), Some(ObjectSource::Value("text".into()))),
        (r#"value="$$$te$xt$""#, Some("te$xt$"), Some(ObjectSource::Value("te$xt$".into()))),
        (r#"value="text""#, Some("text"), Some(ObjectSource::Value("text".into()))),
        (r#"value="$""#, Some(""), Some(ObjectSource::Value(String::new()))),
        (r#"valueList="$$all""#, None, Some(ObjectSource::ValueList("all".into()))),
        (r#"value="$a" valueList="$b""#, Some("a"), Some(ObjectSource::Value("a".into()))),
        (r#"value="" valueList="$b""#, None, Some(ObjectSource::Value(String::new()))),
        (r#"value="" valueList="""#, None, None),
        (r#"value="""#, None, None),
        (r#"valueList="""#, None, None),
        ("", None, None),
    ] {
        let text = format!(
            r#"<View><Text name="t" {attributes} valueType="url"/><Choices name="c" toName="t"/></View>"#
        );
        let tools = tools.map(|value| ObjectSource::Value(value.to_owned()));
        for (dialect, config) in both(&text) {
            let input = config.get("c").unwrap().objects().next();
            let (expected, value_type) = match dialect {
                Dialect::Tools => (&tools, None),
                Dialect::Sdk => (&sdk, Some("url")),
            };
            assert_eq!(input.map(|input| input.source().clone()), *expected, "{attributes}");
            if let Some(input) = input {
                assert_eq!((input.tag(), input.value_type()), ("Text", value_type));
            }
        }
    }
}

#[test]
fn labels_from_elsewhere_are_known_by_a_variable_or_an_address() {
    for (attributes, is_dynamic) in [
        ("", false),
        (r#"value="$labels""#, true),
        (r#"value="$$labels""#, false),
        (r#"value="labels""#, false),
        (r#"value="$labels1""#, false),
        (r#"value="""#, false),
        (r#"apiUrl="http://a""#, true),
        (r#"apiUrl="""#, false),
        (r#"value="x" apiUrl="http://a""#, true),
    ] {
        for (_, config) in both(&control(attributes)) {
            let control = config.get("c").unwrap();
            assert_eq!(control.has_dynamic_labels(), is_dynamic, "{attributes}");
        }
    }
}

#[test]
fn a_label_is_called_by_its_alias_else_its_value() {
    for (attributes, tools, sdk) in [
        (r#"value="v" alias="a""#, Some("a"), Some("a")),
        (r#"value="v""#, Some("v"), Some("v")),
        (r#"value="v" alias="""#, Some("v"), Some("v")),
        (r#"alias="a""#, Some("a"), Some("a")),
        (r#"value="" valueList="l""#, None, Some("l")),
        (r#"value="v" valueList="l""#, Some("v"), Some("v")),
        (r#"valueList="l""#, None, Some("l")),
        (r#"value="""#, None, None),
        ("", None, None),
    ] {
        for tag in ["Label", "Choice", "Relation"] {
            let text = format!(r#"<View><C name="c" toName="t"><{tag} {attributes}/></C></View>"#);
            for (dialect, config) in both(&text) {
                let expected = if dialect == Dialect::Tools { tools } else { sdk };
                let labels: Vec<_> = config.get("c").unwrap().labels().collect();
                assert_eq!(labels, Vec::from_iter(expected), "{tag} {attributes} {dialect:?}");
            }
        }
    }
    for tag in ["label", "Labels", "Option"] {
        let text = format!(r#"<View><C name="c" toName="t"><{tag} value="v"/></C></View>"#);
        for (_, config) in both(&text) {
            assert_eq!(config.get("c").unwrap().labels().len(), 0, "{tag}");
        }
    }
}

#[test]
fn a_control_is_any_tag_with_a_name_that_points_somewhere_but_no_filter() {
    for (tag, is_control) in [
        (r#"<Choices name="c" toName="t"/>"#, true),
        (r#"<Anything name="c" toName="t"/>"#, true),
        (r#"<filter name="c" toName="t"/>"#, true),
        (r#"<Filter name="c" toName="t"/>"#, false),
        (r#"<Choices name="c" toName=""/>"#, false),
        (r#"<Choices name="" toName="t"/>"#, false),
        (r#"<Choices toName="t"/>"#, false),
        (r#"<Choices name="c" toname="t"/>"#, false),
    ] {
        for (_, config) in both(&format!(r#"<View><Text name="t" value="$x"/>{tag}</View>"#)) {
            assert_eq!((config.len(), config.is_empty()), (usize::from(is_control), !is_control));
            assert_eq!(config.get("c").is_some(), is_control, "{tag}");
            assert_eq!(config.iter().len(), config.len());
        }
    }
}

#[test]
fn inputs_come_in_the_order_in_which_they_are_pointed_to() {
    let config = r#"<View><C name="c" toName="b,a,missing,,a"/><Text name="a" value="$x"/>
        <Image name="b" value="$y"/><Audio name="b" value="$z"/></View>"#;
    for (_, config) in both(config) {
        let control = config.get("c").unwrap();
        assert_eq!(control.to_name(), ["b", "a", "missing", "", "a"]);
        let tags: Vec<_> = control.objects().map(super::super::ObjectTag::tag).collect();
        assert_eq!(tags, ["Audio", "Text", "Text"], "the last one of a name counts");
    }
}

#[test]
fn a_later_control_of_the_same_name_keeps_place_and_labels_of_the_first() {
    let config = r#"<View><A name="c" toName="t" x="1"><Label value="l"/></A><B name="d" toName="t"/>
        <C name="c" toName="u" y="2"><Label value="m"/></C></View>"#;
    for (_, config) in both(config) {
        assert_eq!(config.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["c", "d"]);
        let control = config.get("c").unwrap();
        assert_eq!((control.tag(), control.to_name()), ("C", &["u".to_owned()][..]));
        assert_eq!(control.labels().collect::<Vec<_>>(), ["l", "m"]);
        assert_eq!((control.attribute("x"), control.attribute("y")), (None, Some("2")));
        assert!(control.has_label("l") && !control.has_label("n"));
    }
}

#[test]
fn a_label_belongs_to_the_nearest_control_around_it() {
    let config = r#"<View><Label value="lost"/><A name="outer" toName="t"><Label value="1" hint="h"/>
        <View><B name="inner" toName="t"><View><Label value="2"/></View></B><Label value="3"/></View></A>
        <Label value="lost"/></View>"#;
    for (_, config) in both(config) {
        let labels = |name: &str| config.get(name).unwrap().labels().collect::<Vec<_>>();
        assert_eq!(labels("outer"), ["1", "3"]);
        assert_eq!(labels("inner"), ["2"]);
        assert_eq!(config.get("outer").unwrap().label_attribute("1", "hint"), Some("h"));
        assert_eq!(config.get("outer").unwrap().label_attribute("3", "hint"), None);
        assert_eq!(config.get("outer").unwrap().label_attribute("2", "value"), None);
    }
}

#[test]
fn a_variable_is_in_force_from_its_repeater_on() {
    let config = r#"<View><A name="before" toName="t_{{i}}"/>
        <Repeater indexFlag="{{i}}"><A name="in" toName="t_{{i}}"/><Repeater indexFlag="{{j}}">
        <A name="both" toName="u,{{j}}_{{i}}"/></Repeater></Repeater>
        <A name="after" toName="t_{{i}}"/><A name="none" toName="t"/><A name="named_{{i}}" toName="t"/></View>"#;
    for (_, config) in both(config) {
        let variables = |name: &str| config.get(name).unwrap().variables().to_vec();
        assert_eq!(variables("before"), [""; 0]);
        assert_eq!(variables("in"), ["{{i}}"]);
        assert_eq!(variables("both"), ["{{i}}", "{{j}}"]);
        assert_eq!(variables("after"), ["{{i}}"]);
        assert_eq!(variables("none"), [""; 0]);
        assert_eq!(variables("named_{{i}}"), [""; 0], "what counts is where it points");
    }
}

#[test]
fn an_empty_text_is_an_empty_config_and_white_space_is_none() {
    for dialect in [Dialect::Tools, Dialect::Sdk] {
        assert!(parse("", dialect).unwrap().is_empty());
        for text in [" ", "\n"] {
            assert!(parse(text, dialect).is_err());
        }
    }
}

#[test]
fn limits_hold_up_to_their_edge() {
    let namespaces = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("<a xmlns:p{n}='u'/>")).collect();
        format!("<a>{}</a>", all.concat())
    };
    let uri = |length: usize| format!("<a xmlns='{}'/>", "u".repeat(length));
    let attributes = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!(" a{n}=''")).collect();
        format!("<a{}/>", all.concat())
    };
    let long = |length: usize| format!("<a>{}</a>", "x".repeat(length - 7));
    for (name, config, is_read) in [
        ("100 namespaces", namespaces(100), true),
        ("101 namespaces", namespaces(101), false),
        ("a namespace of 300 bytes", uri(300), true),
        ("a namespace of 301 bytes", uri(301), false),
        ("10001 attributes in one tag", attributes(10_001), false),
        ("10 MB", long(super::super::MAX_CONFIG_BYTES), true),
        ("10 MB and a byte", long(super::super::MAX_CONFIG_BYTES + 1), false),
    ] {
        assert_eq!(parse(&config, Dialect::Sdk).is_ok(), is_read, "{name}");
    }
}
