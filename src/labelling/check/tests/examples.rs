//! Answers of the shapes that models give a person who labels, and the tags that are control and object at once.

use serde_json::{Value, json};

use super::super::{Cause, Rules};
use super::regions::{on_image, region};
use super::{causes, check_regions, found_in};

const SEGMENTS: &str = r#"<View><Image name="image" value="$image"/>
<BrushLabels name="tag" toName="image"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="point" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>
<RectangleLabels name="box" toName="image"><Label value="Cat"/></RectangleLabels>
<TextArea name="prompt" toName="image"/></View>"#;

const VIDEO: &str = r#"<View><Video name="video" value="$video"/><VideoRectangle name="box" toName="video"/>
<Labels name="who" toName="video"><Label value="Cat"/></Labels></View>"#;

/// The number of findings and the notes of an answer with a context.
fn interactive(config: &str, region: &Value) -> (usize, Vec<Cause>) {
    let checked = check_regions(config, &json!({}), std::slice::from_ref(region), true);
    (checked.total, checked.notes.iter().map(|note| note.cause).collect())
}

#[test]
fn a_suggestion_needs_no_label() {
    let rectangle = json!({"rotation": 0, "x": 1, "y": 2, "width": 3, "height": 4});
    for (name, kind, value) in [
        ("box", "rectanglelabels", &rectangle),
        ("tag", "brushlabels", &json!({"format": "rle", "rle": [1, 2]})),
        ("point", "keypointlabels", &json!({"x": 1, "y": 2, "width": 3})),
    ] {
        let region = on_image(name, kind, value);
        assert_eq!(interactive(SEGMENTS, &region), (0, vec![]), "{name}");
        assert!(!found_in(SEGMENTS, &json!({}), &region).is_empty(), "{name} in a batch");
    }
    // What it says must be right all the same.
    let mut labelled = rectangle.clone();
    labelled["rectanglelabels"] = json!(["Dog"]);
    assert_eq!(interactive(SEGMENTS, &on_image("box", "rectanglelabels", &labelled)).0, 1);
    labelled["rectanglelabels"] = json!("Cat");
    assert_eq!(interactive(SEGMENTS, &on_image("box", "rectanglelabels", &labelled)).0, 1);
    let no_answer = on_image("prompt", "textarea", &json!({}));
    assert_eq!(interactive(SEGMENTS, &no_answer).0, 1);
}

#[test]
fn the_answer_to_a_client_with_a_protocol_of_its_own_is_a_note() {
    let note = (0, vec![Cause::ProtocolAnswer]);
    let mask = json!({"imageDataURL": "data:image/png;base64,AA", "width": 1920, "height": 1080});
    let capabilities = json!({"id": "1", "type": "capabilities", "value": {"prompts": ["point"]}});
    for region in [
        region("box", "video", "prewarm_ack", &json!({"status": "ok", "cached": [0]})),
        region("box", "video", "track_started", &json!({"session_id": "a", "total": 20})),
        region("box", "video", "track_progress", &json!({"frames": [], "done": false})),
        region("box", "video", "bitmask", &mask),
        capabilities.clone(),
    ] {
        assert_eq!(interactive(VIDEO, &region), note, "{region}");
        assert!(!found_in(VIDEO, &json!({}), &region).is_empty(), "{region} in a batch");
    }
    let many = vec![capabilities; 3];
    assert_eq!(check_regions(VIDEO, &json!({}), &many, true).notes.len(), 1);
}

#[test]
fn a_mistake_is_one_with_a_context_too() {
    let rectangle = json!({"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["Cat"]});
    for region in [
        on_image("box", "RectangleLabels", &rectangle),
        on_image("box", "rectangle_labels", &rectangle),
        on_image("boxes", "rectanglelabels", &rectangle),
        on_image("box", "choices", &rectangle),
        region("box", "img", "rectanglelabels", &rectangle),
        on_image("box", "rectanglelabels", &json!({"x": 640, "y": 2, "width": 3, "height": 4})),
    ] {
        let (total, notes) = interactive(SEGMENTS, &region);
        assert!(total > 0 && notes.is_empty(), "{region}");
    }
}

#[test]
fn tags_that_are_control_and_object_at_once_need_no_object() {
    let config = r#"<View><Chat name="chat" value="$messages"/><ReactCode name="form" outputs="a"/>
        <ReactCode name="linked" toName="form"/></View>"#;
    let message = json!({"chatmessage": {"role": "assistant", "content": "Hi", "createdAt": 1}});
    let form = json!({"reactcode": {"a": "x"}});
    for region in [
        region("chat", "chat", "chatmessage", &message),
        region("form", "form", "reactcode", &form),
        region("linked", "form", "reactcode", &form),
        region("linked", "linked", "reactcode", &form),
    ] {
        assert_eq!(found_in(config, &json!({}), &region), [], "{region}");
    }
    for (region, cause, path) in [
        (region("chat", "other", "chatmessage", &message), Cause::ToName, "to_name"),
        (region("chat", "chat", "chat", &message), Cause::UnknownType, "type"),
        (region("chat", "chat", "choices", &message), Cause::WrongType, "type"),
        (region("chat", "chat", "chatmessage", &form), Cause::MissingKey, "value.chatmessage"),
        (
            region("chat", "chat", "chatmessage", &json!({"chatmessage": {"role": "user"}})),
            Cause::MissingKey,
            "value.chatmessage.content",
        ),
        (
            region(
                "chat",
                "chat",
                "chatmessage",
                &json!({"chatmessage": {"role": 1, "content": ""}}),
            ),
            Cause::WrongValue,
            "value.chatmessage.role",
        ),
        (region("form", "form", "reactcode", &json!({"reactcode": "x"})), Cause::WrongValue, {
            "value.reactcode"
        }),
        (region("form", "form", "reactcode", &json!({})), Cause::MissingKey, "value.reactcode"),
        (region("linked", "chat", "reactcode", &form), Cause::ToName, "to_name"),
    ] {
        assert_eq!(found_in(config, &json!({}), &region), [(cause, path.to_owned())], "{region}");
    }
}

/// Shape tags, a value of theirs, and the object tag on which they draw.
fn shapes() -> Vec<(&'static str, Value)> {
    let point = json!({"x": 1, "y": 2});
    vec![
        ("Bitmask", json!({"imageDataURL": "data:,"})),
        ("Brush", json!({"format": "rle", "rle": [1]})),
        ("Ellipse", json!({"x": 1, "y": 2, "radiusX": 3, "radiusY": 4})),
        ("KeyPoint", json!({"x": 1, "y": 2, "width": 3})),
        ("Polygon", json!({"points": [[1, 2], [3, 4], [5, 6]]})),
        ("Rectangle", json!({"x": 1, "y": 2, "width": 3, "height": 4})),
        ("Vector", json!({"vertices": [point]})),
        ("VideoVector", json!({"sequence": [{"frame": 1, "vertices": [point]}]})),
    ]
}

#[test]
fn a_shape_may_have_the_labels_of_a_labels_tag_beside_it() {
    for (tag, value) in shapes() {
        let object = if tag == "VideoVector" { "Video" } else { "Image" };
        let config = format!(
            r#"<View><{object} name="o" value="$o"/><{tag} name="shape" toName="o"/>
            <Labels name="who" toName="o"><Label value="Cat"/></Labels>
            <{object} name="p" value="$p"/><Labels name="alone" toName="p"><Label value="Cat"/></Labels></View>"#
        );
        let kind = format!("{}labels", tag.to_ascii_lowercase());
        let of = |name: &str, to_name: &str, key: &str, labels: &Value| {
            let mut value = value.clone();
            value[key] = labels.clone();
            let mut region = region(name, to_name, &kind, &value);
            (region["original_width"], region["original_height"]) = (json!(9), json!(9));
            found_in(&config, &json!({}), &region)
        };
        let cat = json!(["Cat"]);
        assert_eq!(of("who", "o", &kind, &cat), [], "{tag}");
        assert_eq!(of("who", "o", "labels", &cat), [], "{tag}");
        let unknown = format!("value.{kind}[0]");
        assert_eq!(of("who", "o", &kind, &json!(["Dog"])), [(Cause::UnknownLabel, unknown)]);
        assert_eq!(of("who", "o", "nothing", &cat).len(), 1, "{tag} without labels");
        let beside = of("alone", "p", &kind, &cat);
        assert_eq!(beside.first().map(|(cause, _)| *cause), Some(Cause::WrongType), "{tag}");
    }
}

#[test]
fn a_merged_region_has_the_shape_of_its_type() {
    let config = r#"<View><Video name="v" value="$v"/><VideoVector name="line" toName="v"/>
        <Labels name="who" toName="v"><Label value="Cat"/></Labels>
        <VideoVectorLabels name="own" toName="v"><Label value="Cat"/></VideoVectorLabels></View>"#;
    let cat = json!(["Cat"]);
    for (name, key) in
        [("who", "videovectorlabels"), ("own", "videovectorlabels"), ("own", "labels")]
    {
        let mut value =
            json!({"sequence": [{"frame": 1, "vertices": [{"x": 1, "y": 2}]}, {"vertices": []}]});
        value[key] = cat.clone();
        let found = found_in(config, &json!({}), &region(name, "v", "videovectorlabels", &value));
        let expected = [
            (Cause::WrongValue, "value.sequence[1].vertices".to_owned()),
            (Cause::MissingKey, "value.sequence[1].frame".to_owned()),
        ];
        assert_eq!(found, expected, "{name} {key}");
    }
    let bare = json!({"sequence": [{"frame": 1, "vertices": [{"x": 1, "y": 2}]}]});
    assert_eq!(found_in(config, &json!({}), &region("line", "v", "videovector", &bare)), []);
}

#[test]
fn names_of_tags_are_read_in_any_case() {
    let config = r#"<View><image name="i" value="$i"/><rectanglelabels name="box" toName="i"/>
        <RECTANGLE name="bare" toName="i"/><labels name="who" toName="i"/></View>"#;
    let pixels = json!({"x": 640, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["Cat"]});
    for (name, kind) in
        [("box", "rectanglelabels"), ("who", "rectanglelabels"), ("bare", "rectangle")]
    {
        let found = found_in(config, &json!({}), &region(name, "i", kind, &pixels));
        assert_eq!(found, [(Cause::OutOfRange, "value.x".into())], "{name}");
    }
}

#[test]
fn a_pair_or_a_ranking_may_name_itself() {
    let config = r#"<View><Text name="l" value="$l"/><Text name="r" value="$r"/><Pairwise name="pair" toName="l,r"/>
        <List name="items" value="$items"/><Ranker name="rank" toName="items"/></View>"#;
    let left = json!({"selected": "left"});
    for to_name in ["l", "r", "pair"] {
        assert_eq!(found_in(config, &json!({}), &region("pair", to_name, "pairwise", &left)), []);
    }
    let ranked = json!({"ranker": {"rank": ["a"]}});
    for to_name in ["items", "rank"] {
        assert_eq!(found_in(config, &json!({}), &region("rank", to_name, "ranker", &ranked)), []);
    }
    let wrong = found_in(config, &json!({}), &region("pair", "rank", "pairwise", &left));
    assert_eq!(wrong, [(Cause::ToName, "to_name".into())]);
    let columns = region("rank", "items", "ranker", &json!({"ranker": {"rank": "a"}}));
    assert_eq!(
        found_in(config, &json!({}), &columns),
        [(Cause::WrongValue, "value.ranker".into())]
    );
}

#[test]
fn a_config_without_tags_has_rules_too() {
    let rules = Rules::parse("").unwrap();
    assert!(!rules.need_tasks());
    let checked =
        check_regions("<View/>", &json!({}), &[on_image("a", "choices", &json!({}))], false);
    let expected = [(Cause::FromName, "results[0].result[0].from_name")];
    assert_eq!(causes(&checked), expected);
}
