//! Tags within a Repeater: a name has the number of an item in it, the same in both names, of an item that is there.

use serde_json::{Value, json};

use super::super::Cause;
use super::regions::region;
use super::{causes, check_regions, found_in};
use crate::testing::in_time;

const PAGES: &str = r#"<View><Repeater on="$pages" indexFlag="{{i}}">
<Image name="page_{{i}}" value="$pages[{{i}}].url"/>
<RectangleLabels name="box_{{i}}" toName="page_{{i}}"><Label value="Cat"/></RectangleLabels>
<Choices name="kind_{{i}}" toName="page_{{i}}"><Choice value="A"/></Choices></Repeater></View>"#;

fn choice(from_name: &str, to_name: &str) -> Value {
    region(from_name, to_name, "choices", &json!({"choices": ["A"]}))
}

#[test]
fn the_number_is_one_of_the_list_and_the_same_in_both_names() {
    let three = json!({"pages": [{"url": "a"}, {"url": "b"}, {"url": "c"}]});
    for (data, from_name, to_name, expected) in [
        (&three, "kind_0", "page_0", None),
        (&three, "kind_2", "page_2", None),
        (&three, "kind_3", "page_3", Some((Cause::FromName, "from_name"))),
        (&three, "kind_99999999999999999999999", "page_99999999999999999999999", {
            Some((Cause::FromName, "from_name"))
        }),
        (&three, "kind_0", "page_1", Some((Cause::ToName, "to_name"))),
        (&three, "kind_a", "page_0", Some((Cause::FromName, "from_name"))),
        (&three, "kind_", "page_0", Some((Cause::FromName, "from_name"))),
        (&three, "kind_-1", "page_0", Some((Cause::FromName, "from_name"))),
        (&three, "kind_00", "page_00", Some((Cause::FromName, "from_name"))),
        (&three, "kind_{{i}}", "page_0", Some((Cause::FromName, "from_name"))),
        (&three, "kind_0", "page_x", Some((Cause::ToName, "to_name"))),
        // A list that the task does not have, or has in another form, tells nothing.
        (&json!({}), "kind_7", "page_7", None),
        (&json!({"pages": "abc"}), "kind_7", "page_7", None),
        (&json!({"pages": []}), "kind_0", "page_0", Some((Cause::FromName, "from_name"))),
    ] {
        let found = found_in(PAGES, data, &choice(from_name, to_name));
        let first = found.first().map(|(cause, path)| (*cause, path.as_str()));
        assert_eq!(first, expected, "{from_name} {to_name}");
    }
}

#[test]
fn the_message_names_the_list_and_its_length() {
    let data = json!({"pages": [{"url": "a"}]});
    let of = |from_name: &str, to_name: &str| {
        let regions = [choice(from_name, to_name)];
        check_regions(PAGES, &data, &regions, false).findings[0].problem.clone()
    };
    assert_eq!(of("kind_1", "page_1"), r#"is "kind_1", and "pages" of the task has 1 item"#);
    assert_eq!(of("kind_0", "page_1"), r#"is "page_1", and `from_name` is "kind_0""#);
    assert_eq!(
        of("kind_one", "page_0"),
        r#"is "kind_one", and {{i}} stands for the number of an item, from 0 on"#
    );
}

#[test]
fn a_repeater_without_a_variable_of_its_own_has_the_editors() {
    let config = r#"<View><Repeater on="$pages"><Text name="text_{{idx}}" value="$pages[{{idx}}]"/>
        <Choices name="kind_{{idx}}" toName="text_{{idx}}"><Choice value="A"/></Choices></Repeater></View>"#;
    let data = json!({"pages": ["a", "b"]});
    assert_eq!(found_in(config, &data, &choice("kind_1", "text_1")), []);
    let beyond = found_in(config, &data, &choice("kind_2", "text_2"));
    assert_eq!(beyond, [(Cause::FromName, "from_name".into())]);
    let literal = found_in(config, &data, &choice("kind_{{idx}}", "text_{{idx}}"));
    assert!(!literal.is_empty());
}

#[test]
fn of_two_repeaters_each_has_its_own_list() {
    let config = r#"<View><Repeater on="$a"><Text name="a_{{idx}}" value="$a[{{idx}}]"/>
        <Choices name="ka_{{idx}}" toName="a_{{idx}}"><Choice value="A"/></Choices></Repeater>
        <Repeater on="$b.list"><Text name="b_{{idx}}" value="$b.list[{{idx}}]"/>
        <Choices name="kb_{{idx}}" toName="b_{{idx}}"><Choice value="A"/></Choices></Repeater></View>"#;
    let data = json!({"a": ["x"], "b": {"list": ["x", "y"]}});
    assert_eq!(found_in(config, &data, &choice("kb_1", "b_1")), []);
    assert_eq!(found_in(config, &data, &choice("ka_0", "a_0")), []);
    for (from_name, to_name) in [("ka_1", "a_1"), ("kb_2", "b_2")] {
        let found = found_in(config, &data, &choice(from_name, to_name));
        assert_eq!(found, [(Cause::FromName, "from_name".into())], "{from_name}");
    }
}

#[test]
fn repeaters_within_repeaters_count_in_the_inner_list() {
    let config = r#"<View><Repeater on="$docs" indexFlag="{{d}}"><Repeater on="$docs[{{d}}].pages" indexFlag="{{p}}">
        <Text name="t_{{d}}_{{p}}" value="$docs[{{d}}].pages[{{p}}]"/>
        <Choices name="k_{{d}}_{{p}}" toName="t_{{d}}_{{p}}"><Choice value="A"/></Choices>
        <Labels name="n_{{d}}_{{p}}" toName="t_{{d}}_{{p}}"><Label value="A"/></Labels></Repeater></Repeater></View>"#;
    let data = json!({"docs": [{"pages": ["first"]}, {"pages": ["second", "third one"]}]});
    assert_eq!(found_in(config, &data, &choice("k_1_1", "t_1_1")), []);
    let span = |name: &str, to: &str, end: usize| {
        region(name, to, "labels", &json!({"start": 0, "end": end, "labels": ["A"]}))
    };
    assert_eq!(found_in(config, &data, &span("n_1_1", "t_1_1", 9)), []);
    let beyond = found_in(config, &data, &span("n_0_0", "t_0_0", 9));
    assert_eq!(beyond, [(Cause::BeyondText, "value.end".into())]);
    for (from_name, to_name, cause) in [
        ("k_0_1", "t_0_1", Cause::FromName),
        ("k_2_0", "t_2_0", Cause::FromName),
        ("k_1_0", "t_0_0", Cause::ToName),
        ("k_1_1", "t_1_0", Cause::ToName),
    ] {
        let found = found_in(config, &data, &choice(from_name, to_name));
        assert_eq!(found.first().map(|(cause, _)| *cause), Some(cause), "{from_name} {to_name}");
    }
}

#[test]
fn a_tag_outside_of_the_repeater_may_point_into_it() {
    let config = r#"<View><Repeater on="$pages" indexFlag="{{i}}"><Text name="page_{{i}}" value="$pages[{{i}}]"/></Repeater>
        <Choices name="plain" toName="page_{{i}}"><Choice value="A"/></Choices></View>"#;
    let data = json!({"pages": ["a", "b"]});
    assert_eq!(found_in(config, &data, &choice("plain", "page_1")), []);
    let beyond = found_in(config, &data, &choice("plain", "page_2"));
    assert_eq!(beyond, [(Cause::ToName, "to_name".into())]);
    let no_number = found_in(config, &data, &choice("plain", "page_b"));
    assert_eq!(no_number, [(Cause::ToName, "to_name".into())]);
}

#[test]
fn each_task_has_its_own_lists() {
    let rules = super::Rules::parse(PAGES).unwrap();
    let request = json!({"tasks": [
        {"id": 1, "data": {"pages": [{}]}}, {"data": 3}, {"id": 2}, 7, {"data": {"pages": [{}, {}]}},
    ]});
    let result = json!({"result": [choice("kind_1", "page_1")]});
    let body = json!({"results": vec![result; 5]}).to_string();
    let mended = super::Mended::default();
    let request = request.to_string();
    let asked = super::AnswerContext { request: request.as_bytes(), ..super::asked(5, &mended) };
    let checked = super::check(body.as_bytes(), asked, Some(&rules));
    assert_eq!(causes(&checked), [(Cause::FromName, "results[0].result[0].from_name")]);
}

#[test]
fn many_repeaters_and_many_names_take_little_time() {
    let count = 2000;
    let beside = (0..count)
        .map(|n| {
            format!(
                r#"<Repeater on="$r{n}" indexFlag="{{{{v{n}}}}}"><Text name="t{n}_{{{{v{n}}}}}" value="$r{n}[{{{{v{n}}}}}]"/>
                <Labels name="l{n}_{{{{v{n}}}}}" toName="t{n}_{{{{v{n}}}}}"/></Repeater>"#
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let depth = 200;
    let nested: String = (0..depth)
        .map(|n| format!(r#"<Repeater on="$n{n}" indexFlag="{{{{n{n}}}}}">"#))
        .chain((0..2000).map(|n| format!(r#"<Rating name="r{n}_{{{{n{n}}}}}" toName="t{n}"/>"#)))
        .chain((0..depth).map(|_| "</Repeater>".to_owned()))
        .collect();
    let config = format!("<View>{beside}{nested}</View>");
    let rules = in_time(move || super::Rules::parse(&config)).unwrap();
    assert!(rules.need_tasks());
}
