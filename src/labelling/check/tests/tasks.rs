//! What is asked of the tasks, and what is not.

use serde_json::json;

use super::super::{Cause, Rules};
use super::regions::{IMAGE, region};
use super::{AnswerContext, Mended, check, check_regions, found_in};

const IMAGES: &str = r#"<View><Image name="many" valueList="$images"/><Image name="one" value="$image"/>
<RectangleLabels name="box" toName="many"><Label value="Cat"/></RectangleLabels>
<Choices name="kind" toName="many" perItem="true"><Choice value="A"/></Choices>
<RectangleLabels name="single" toName="one"><Label value="Cat"/></RectangleLabels>
<Audio name="sound" value="$audio"/><Choices name="noise" toName="sound"><Choice value="A"/></Choices></View>"#;

#[test]
fn an_index_of_an_item_is_in_its_list() {
    let data = json!({"images": ["a", "b"], "image": "c"});
    let rectangle = json!({"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["Cat"]});
    let choice = json!({"choices": ["A"]});
    let beyond = Some((Cause::ItemIndex, "item_index"));
    let wrong = Some((Cause::WrongValue, "item_index"));
    let sound = &json!({"choices": ["A"]});
    for (name, to_name, kind, value, item_index, expected) in [
        ("box", "many", "rectanglelabels", &rectangle, json!(0), None),
        ("box", "many", "rectanglelabels", &rectangle, json!(1), None),
        ("box", "many", "rectanglelabels", &rectangle, json!(1.0), None),
        ("box", "many", "rectanglelabels", &rectangle, json!(null), None),
        ("box", "many", "rectanglelabels", &rectangle, json!(2), beyond),
        ("box", "many", "rectanglelabels", &rectangle, json!(-1), beyond),
        ("box", "many", "rectanglelabels", &rectangle, json!(0.5), beyond),
        ("box", "many", "rectanglelabels", &rectangle, json!("1"), wrong),
        ("kind", "many", "choices", &choice, json!(1), None),
        ("kind", "many", "choices", &choice, json!(7), beyond),
        ("single", "one", "rectanglelabels", &rectangle, json!(0), None),
        ("single", "one", "rectanglelabels", &rectangle, json!(1), beyond),
        ("single", "one", "rectanglelabels", &rectangle, json!(-1), beyond),
        ("noise", "sound", "choices", sound, json!(3), None),
        ("noise", "sound", "choices", sound, json!(-1), None),
        ("noise", "sound", "choices", sound, json!("1"), wrong),
    ] {
        let mut region = region(name, to_name, kind, value);
        region["item_index"] = item_index.clone();
        let found = found_in(IMAGES, &data, &region);
        let found: Vec<_> = found.iter().map(|(cause, path)| (*cause, path.as_str())).collect();
        assert_eq!(found, Vec::from_iter(expected), "{name} {item_index}");
    }
    let mut region = region("box", "many", "rectanglelabels", &rectangle);
    region["item_index"] = json!(9);
    assert_eq!(found_in(IMAGES, &json!({}), &region), [], "a list that is not there");
    let checked = check_regions(IMAGES, &data, &[region], false);
    insta::assert_snapshot!(checked.findings[0].sentence());
}

#[test]
fn a_mask_has_the_size_of_its_image_unless_a_person_sees_the_image() {
    let masks = [
        region("brush", "image", "brushlabels", &json!({"rle": [1], "brushlabels": ["Cat"]})),
        region("wand", "image", "brush", &json!({"rle": [1]})),
        region("any", "image", "labels", &json!({"rle": [1], "labels": ["Cat"]})),
    ];
    for mask in &masks {
        let found = found_in(IMAGE, &json!({}), mask);
        let missing: Vec<_> = found.iter().map(|(cause, path)| (*cause, path.as_str())).collect();
        let expected =
            [(Cause::ImageSize, "original_width"), (Cause::ImageSize, "original_height")];
        assert_eq!(missing, expected, "{mask}");
        assert_eq!(check_regions(IMAGE, &json!({}), std::slice::from_ref(mask), true).total, 0);
        let mut sized = mask.clone();
        (sized["original_width"], sized["original_height"]) = (json!(640), json!(480.0));
        assert_eq!(found_in(IMAGE, &json!({}), &sized), [], "{sized}");
        for wrong in [json!("640"), json!(0), json!(null)] {
            sized["original_width"] = wrong;
            let found = found_in(IMAGE, &json!({}), &sized);
            assert_eq!(found, [(Cause::ImageSize, "original_width".into())], "{sized}");
        }
    }
    let url = json!({"maskDataURL": "data:image/png;base64,AA", "brushlabels": ["Cat"]});
    assert_eq!(found_in(IMAGE, &json!({}), &region("brush", "image", "brushlabels", &url)), []);
}

#[test]
fn tasks_are_read_only_for_rules_that_ask_for_them() {
    for (config, needs) in [
        (r#"<View><Text name="t" value="$t"/><Choices name="c" toName="t"/></View>"#, false),
        (
            r#"<View><Text name="t" value="$t"/><Choices name="c" toName="t" perRegion="true"/></View>"#,
            true,
        ),
        (r#"<View><Text name="t" value="$t"/><Labels name="l" toName="t"/></View>"#, true),
        (
            r#"<View><Text name="t" value="$t" valueType="url"/><Labels name="l" toName="t"/></View>"#,
            false,
        ),
        (
            r#"<View><Image name="i" value="$i"/><RectangleLabels name="l" toName="i"/></View>"#,
            false,
        ),
        (r#"<View><Image name="i" value="$i"/><BrushLabels name="l" toName="i"/></View>"#, false),
        (r#"<View><Image name="i" valueList="$i"/><Brush name="l" toName="i"/></View>"#, true),
        (r#"<View><Audio name="a" value="$a"/><Labels name="l" toName="a"/></View>"#, false),
        (
            r#"<View><Repeater on="$r"><Audio name="a{{idx}}" value="$r[{{idx}}]"/></Repeater></View>"#,
            true,
        ),
    ] {
        assert_eq!(Rules::parse(config).unwrap().need_tasks(), needs, "{config}");
    }
}

#[test]
fn a_request_that_cannot_be_read_tells_nothing() {
    let rules = Rules::parse(IMAGES).unwrap();
    let value = json!({"choices": ["A"]});
    let mut region = region("kind", "many", "choices", &value);
    region["item_index"] = json!(5);
    let body = json!({"results": [{"result": [region]}]}).to_string();
    let mended = super::Mended::default();
    for (request, total) in [
        (r#"{"tasks": [{"data": {"images": [1]}}]}"#, 1),
        (
            r#"{"tasks": [], "tasks": [{"id": 1, "data": {"images": [1]}, "more": {"data": {}}}]}"#,
            1,
        ),
        (r#"{"tasks": [{"data": {"images": [1]}}], "tasks": []}"#, 0),
        (r#"{"tasks": {"data": {"images": [1]}}}"#, 0),
        (r#"{"tasks": [{"data": {"images": [1}}]}"#, 0),
        (r#"{"tasks": [{"data": [1]}]}"#, 0),
        (r#"{"tasks": [[]]}"#, 0),
        ("[]", 0),
        ("", 0),
    ] {
        let asked =
            super::AnswerContext { request: request.as_bytes(), ..super::asked(1, &mended) };
        let checked = super::check(body.as_bytes(), asked, Some(&rules));
        assert_eq!(checked.total, total, "{request}");
    }
}

#[test]
fn a_finding_begins_with_the_id_of_its_task() {
    let rules = Rules::parse(CONFIG_OF_ONE).unwrap();
    let wrong = json!({"result": null});
    for (ids, expected) in [
        (json!([16, 17]), Some("17")),
        (json!(["a", "b-1"]), Some("b-1")),
        (json!(["a", "b\n1"]), Some(r#""b\n1""#)),
        (json!([16, null]), None),
        (json!([16, [1]]), None),
    ] {
        let tasks: Vec<_> =
            ids.as_array().unwrap().iter().map(|id| json!({"data": {}, "id": id})).collect();
        let request = json!({"project": "1.2", "tasks": tasks}).to_string();
        let body = json!({"results": [[], wrong]}).to_string();
        let mended = Mended::default();
        let asked = AnswerContext { request: request.as_bytes(), ..super::asked(2, &mended) };
        let checked = check(body.as_bytes(), asked, Some(&rules));
        let finding = &checked.findings[0];
        assert_eq!(finding.task.as_deref(), expected);
        let begin = expected.map(|id| format!("task {id}: results[1]"));
        assert!(finding.sentence().starts_with(begin.as_deref().unwrap_or("results[1]")));
        assert!(finding.without_task().starts_with("results[1]"));
    }
}

const CONFIG_OF_ONE: &str = r#"<View><Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="A"/></Choices></View>"#;
