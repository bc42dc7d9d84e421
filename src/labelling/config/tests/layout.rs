//! Where tags stand: Repeaters, their nesting, and the attributes of tags with a name.

use super::super::{Repeater, parse, read_layout};
use super::Dialect;

fn repeater(flag: &str, on: &str, parent: Option<usize>) -> Repeater {
    Repeater { flag: flag.into(), on: on.into(), parent }
}

#[test]
fn tags_know_the_repeaters_around_them() {
    let layout = read_layout(
        r#"<View><Text name="before" value="$a"/><Repeater on="$docs" indexFlag="{{d}}">
        <View><Text name="outer" value="$b"/><repeater on="$docs[{{d}}]" INDEXFLAG="{{p}}"><Text name="inner"/></repeater></View>
        <Text name="between"/></Repeater><Text name="after"/><Repeater on="$more"><Text name="last"/></Repeater></View>"#,
    )
    .unwrap();
    assert_eq!(
        layout.repeaters,
        [
            repeater("{{d}}", "$docs", None),
            repeater("{{p}}", "$docs[{{d}}]", Some(0)),
            repeater("{{idx}}", "$more", None),
        ]
    );
    let places: Vec<_> =
        layout.tags.iter().map(|(name, tag)| (name.as_str(), tag.repeater)).collect();
    assert_eq!(
        places,
        [
            ("before", None),
            ("outer", Some(0)),
            ("inner", Some(1)),
            ("between", Some(0)),
            ("after", None),
            ("last", Some(2)),
        ]
    );
    assert_eq!(layout.variables["{{idx}}"], 2);
}

#[test]
fn attributes_are_read_in_any_case_and_only_those_of_no_namespace() {
    let layout = read_layout(
        r#"<View xmlns:x="urn:x"><Image name="i" valuelist="$a" x:value="$b" value=""/>
        <Paragraphs Name="p" VALUE="$c" textKey="said" valueType="url" encoding="base64"/>
        <Text name="i" value="$later"/></View>"#,
    )
    .unwrap();
    let last = &layout.tags["i"];
    assert_eq!((last.tag.as_str(), last.value.as_deref()), ("Text", Some("$later")));
    let paragraphs = &layout.tags["p"];
    let read = [
        &paragraphs.value,
        &paragraphs.text_key,
        &paragraphs.value_type,
        &paragraphs.encoding,
        &paragraphs.value_list,
    ];
    let read: Vec<_> = read.into_iter().map(Option::as_deref).collect();
    assert_eq!(read, [Some("$c"), Some("said"), Some("url"), Some("base64"), None]);
}

#[test]
fn what_is_no_config_has_no_layout() {
    for config in ["<View", "<!DOCTYPE a><View/>", " "] {
        assert!(parse(config, Dialect::Sdk).is_err());
        assert!(read_layout(config).is_err());
    }
    assert!(read_layout("").unwrap().tags.is_empty());
}
