//! Spans against the text of their task.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Cause;
use super::regions::region;
use super::{check_regions, found_in};

const NER: &str = r#"<View><Text name="text" value="$text"/>
<Labels name="ner" toName="text"><Label value="PER"/></Labels>
<Choices name="kind" toName="text" perRegion="true"><Choice value="A"/></Choices>
<TextArea name="note" toName="text" perRegion="true"/>
<Text name="url" value="$url" valueType="url"/><Labels name="far" toName="url"><Label value="PER"/></Labels>
<Text name="code" value="$code" encoding="base64"/><Labels name="coded" toName="code"><Label value="PER"/></Labels>
<Text name="title" value="Title: $text"/><Labels name="mixed" toName="title"><Label value="PER"/></Labels>
<HyperText name="html" value="$html"/><HyperTextLabels name="hyper" toName="html"><Label value="A"/></HyperTextLabels>
<Paragraphs name="talk" value="$talk" textKey="said"/>
<ParagraphLabels name="part" toName="talk"><Label value="A"/></ParagraphLabels></View>"#;

fn span(start: usize, end: usize, text: Option<&str>) -> Value {
    let mut value = json!({"start": start, "end": end, "labels": ["PER"]});
    if let Some(text) = text {
        value["text"] = json!(text);
    }
    region("ner", "text", "labels", &value)
}

#[test]
fn a_span_lies_within_its_text_and_quotes_it() {
    let data = json!({"text": "John met\nMary in Zürich 🦊 today"});
    let beyond = Some((Cause::BeyondText, "value.end"));
    let other = Some((Cause::OtherText, "value.text"));
    for (start, end, text, expected) in [
        (0, 4, None, None),
        (0, 4, Some("John"), None),
        (0, 31, None, None),
        (0, 32, None, beyond),
        (40, 44, Some("John"), beyond),
        // A line break counts as one, and so does a character of any size.
        (9, 13, Some("Mary"), None),
        (17, 23, Some("Zürich"), None),
        (24, 25, Some("🦊"), None),
        (26, 31, Some("today"), None),
        (27, 32, Some("today"), beyond),
        (0, 5, Some("John"), other),
        (1, 5, Some("John"), other),
        (0, 4, Some("Jon"), other),
        (0, 4, Some(""), other),
        // Tokenisers write words in lower case and spaces between them.
        (0, 4, Some("john"), None),
        (0, 8, Some("John  met"), None),
    ] {
        let found = found_in(NER, &data, &span(start, end, text));
        let found: Vec<_> = found.iter().map(|(cause, path)| (*cause, path.as_str())).collect();
        assert_eq!(found, Vec::from_iter(expected), "{start} {end} {text:?}");
    }
}

#[test]
fn the_message_says_what_may_have_been_counted_instead() {
    let problem = |text: &str, start: usize, end: usize, quoted: &str| {
        let data = json!({"text": text});
        let checked = check_regions(NER, &data, &[span(start, end, Some(quoted))], false);
        checked.findings[0].problem.clone()
    };
    assert_eq!(
        problem("a John b", 0, 4, "John"),
        r#"is "John", and 0 to 4 is "a Jo" (it stands at 2 to 6)"#
    );
    assert_eq!(
        problem("é John b", 3, 7, "John"),
        r#"is "John", and 3 to 7 is "ohn " (counted in bytes; Label Studio counts characters)"#
    );
    assert_eq!(
        problem("🦊 John b", 3, 7, "John"),
        r#"is "John", and 3 to 7 is "ohn " (counted in UTF-16 units; Label Studio counts characters)"#
    );
    assert_eq!(problem("a John b", 0, 4, "Paul"), r#"is "Paul", and 0 to 4 is "a Jo""#);
    let data = json!({"text": "short"});
    let checked = check_regions(NER, &data, &[span(0, 9, None)], false);
    insta::assert_snapshot!(checked.findings[0].sentence());
}

#[test]
fn every_region_on_a_text_is_measured_whatever_it_says() {
    let data = json!({"text": "John"});
    for (name, kind, key, answer) in
        [("kind", "choices", "choices", json!(["A"])), ("note", "textarea", "text", json!(["x"]))]
    {
        let mut value = json!({"start": 0, "end": 4});
        value[key] = answer;
        assert_eq!(found_in(NER, &data, &region(name, "text", kind, &value)), [], "{name}");
        value["end"] = json!(5);
        let found = found_in(NER, &data, &region(name, "text", kind, &value));
        assert_eq!(found, [(Cause::BeyondText, "value.end".into())], "{name}");
    }
    let whole = region("kind", "text", "choices", &json!({"choices": ["A"]}));
    assert_eq!(found_in(NER, &data, &whole), []);
}

#[test]
fn a_text_that_is_elsewhere_or_written_otherwise_is_not_measured() {
    let span = |name: &str, to_name: &str| {
        region(name, to_name, "labels", &json!({"start": 0, "end": 99, "labels": ["PER"]}))
    };
    let data = json!({"text": "a", "url": "b", "code": "YQ=="});
    for (name, to_name) in [("far", "url"), ("coded", "code"), ("mixed", "title")] {
        assert_eq!(found_in(NER, &data, &span(name, to_name)), [], "{name}");
    }
    for text in [json!("s3://bucket/a.txt"), json!("/data/upload/1/a.txt"), json!(7), json!(null)] {
        assert_eq!(found_in(NER, &json!({"text": text}), &span("ner", "text")), [], "{text}");
    }
    assert_eq!(found_in(NER, &json!({}), &span("ner", "text")), []);
}

#[test]
fn of_markup_only_the_greatest_length_is_known() {
    let data = json!({"html": "<p>Hello</p>"});
    let whole = |end: usize| {
        let value = json!({"start": 0, "end": end, "hypertextlabels": ["A"]});
        found_in(NER, &data, &region("hyper", "html", "hypertextlabels", &value))
    };
    assert_eq!(whole(5), []);
    assert_eq!(whole(12), []);
    assert_eq!(whole(13), [(Cause::BeyondText, "value.end".into())]);
    let nulls = json!({"start": 0, "end": 99, "startOffset": null, "endOffset": null, "hypertextlabels": ["A"]});
    let found = found_in(NER, &data, &region("hyper", "html", "hypertextlabels", &nulls));
    assert_eq!(found, [(Cause::BeyondText, "value.end".into())]);
    let path = "/p[1]/text()[1]";
    let value = json!({"start": path, "end": path, "startOffset": 0, "endOffset": 99, "hypertextlabels": ["A"]});
    assert_eq!(found_in(NER, &data, &region("hyper", "html", "hypertextlabels", &value)), []);
}

#[test]
fn paragraphs_are_counted_and_so_are_their_units() {
    let data = json!({"talk": [{"said": "Hello 🦊!"}, {"said": "Bye"}, {"author": "x"}]});
    let part = |start: &str, end: &str, from: usize, to: usize, text: Option<&str>| {
        let mut value = json!({
            "start": start, "end": end, "startOffset": from, "endOffset": to, "paragraphlabels": ["A"],
        });
        if let Some(text) = text {
            value["text"] = json!(text);
        }
        let found = found_in(NER, &data, &region("part", "talk", "paragraphlabels", &value));
        found.first().map(|(cause, path)| (*cause, path.clone()))
    };
    let beyond = |path: &str| Some((Cause::BeyondText, path.to_owned()));
    assert_eq!(part("0", "0", 0, 5, Some("Hello")), None);
    assert_eq!(part("0", "1", 6, 3, Some("🦊!\nBye")), None);
    assert_eq!(part("0", "0", 0, 9, None), None, "two units for the fox");
    assert_eq!(part("0", "0", 6, 7, Some("🦊")), None, "as Python counts");
    assert_eq!(part("0", "0", 6, 8, Some("🦊")), None, "as JavaScript counts");
    assert_eq!(part("0", "0", 0, 10, None), beyond("value.endOffset"));
    assert_eq!(part("1", "2", 4, 9, None), beyond("value.startOffset"));
    assert_eq!(part("1", "3", 0, 1, None), beyond("value.end"));
    assert_eq!(part("3", "3", 0, 1, None), beyond("value.start"));
    assert_eq!(part("2", "2", 0, 99, None), None, "a paragraph without text");
    let other = Some((Cause::OtherText, "value.text".to_owned()));
    assert_eq!(part("1", "1", 0, 2, Some("Bye")), other);
}

proptest! {
    /// What Python's `text[start:end]` gives is what the check takes, and nothing of another length.
    #[test]
    fn spans_are_counted_as_python_counts(text in "[a-zé漢🦊 \n]{1,200}", a in 0_usize..200, b in 0_usize..200) {
        let length = text.chars().count();
        let (start, end) = (a.min(b) % length, (a.max(b) % length) + 1);
        prop_assume!(start < end);
        let quoted: String = text.chars().skip(start).take(end - start).collect();
        let data = json!({"text": text});
        prop_assert_eq!(found_in(NER, &data, &span(start, end, Some(&quoted))), []);
        let longer = format!("{quoted}x");
        let found = found_in(NER, &data, &span(start, end, Some(&longer)));
        prop_assert_eq!(found, [(Cause::OtherText, "value.text".to_owned())]);
        let found = found_in(NER, &data, &span(start, length + 1, None));
        prop_assert_eq!(found, [(Cause::BeyondText, "value.end".to_owned())]);
    }
}
