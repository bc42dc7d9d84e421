//! Where a region lies: coordinates and spans in its value.
//!
//! The editor tells shapes apart by the keys of the value, and takes only what has all of them with
//! the right types: a rectangle whose `x` is a text is not drawn. Lengths are percent of the image.

use jiter::JsonValue;

use super::RegionReport;
use crate::labelling::check::finding::Cause;
use crate::labelling::check::json::{JsonMembers, member, number, whole};
use crate::labelling::check::shape::RegionKind;

/// Rounding may take a coordinate a little beyond the edge.
const ROUNDING: f64 = 0.001;

pub(super) fn check(region: RegionKind, value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    match region {
        RegionKind::Whole => {}
        RegionKind::Text => span(value, true, report),
        RegionKind::Seconds | RegionKind::TimeSeries => span(value, false, report),
        RegionKind::HyperText => hypertext(value, report),
        RegionKind::Paragraphs => paragraphs(value, report),
        RegionKind::Rectangle => percents(value, "value", &["x", "y", "width", "height"], report),
        RegionKind::Ellipse => percents(value, "value", &["x", "y", "radiusX", "radiusY"], report),
        RegionKind::KeyPoint => percents(value, "value", &["x", "y", "width"], report),
        RegionKind::Polygon => polygon(value, report),
        RegionKind::Brush => brush(value, report),
        RegionKind::Bitmask => match member(value, "imageDataURL") {
            Some(JsonValue::Str(_)) => {}
            found => report.wrong("value.imageDataURL", found, "a data URL of an image"),
        },
        RegionKind::Vector => points(value, "vertices", report),
        RegionKind::OnImage => on_image(value, report),
        RegionKind::VideoRectangle => sequence(value, report),
        RegionKind::Timeline => ranges(value, report),
    }
}

fn on_image(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let has = |key| member(value, key).is_some();
    if has("points") {
        polygon(value, report);
    } else if has("rle") || has("maskDataURL") {
        brush(value, report);
    } else if has("vertices") {
        points(value, "vertices", report);
    } else if has("imageDataURL") {
    } else if has("radiusX") || has("radiusY") {
        check(RegionKind::Ellipse, value, report);
    } else if has("height") {
        check(RegionKind::Rectangle, value, report);
    } else if has("x") || has("y") {
        check(RegionKind::KeyPoint, value, report);
    } else {
        report.add(Cause::MissingKey, "value", || {
            "has labels and no shape (such as x, y, width and height in percent)".into()
        });
    }
}

/// Numbers between 0 and 100.
fn percents(value: &JsonMembers<'_>, path: &str, keys: &[&str], report: &mut RegionReport<'_>) {
    for key in keys {
        let found = member(value, key);
        match found.and_then(number) {
            Some(given) => percent(given, || format!("{path}.{key}"), report),
            None => {
                report.wrong(&format!("{path}.{key}"), found, "a number in percent of the image");
            }
        }
    }
}

fn percent(given: f64, path: impl FnOnce() -> String, report: &mut RegionReport<'_>) {
    if !(-ROUNDING..=100.0 + ROUNDING).contains(&given) {
        report.add(Cause::OutOfRange, &path(), || {
            format!("is {given}, percent of the image go from 0 to 100 (are these pixels?)")
        });
    }
}

fn polygon(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    match member(value, "points") {
        Some(JsonValue::Array(points)) if !points.is_empty() => {
            for (index, point) in points.iter().enumerate() {
                let path = || format!("value.points[{index}]");
                let pair = match point {
                    JsonValue::Array(pair) => pair.as_slice(),
                    _ => &[],
                };
                match (pair.len(), pair.first().and_then(number), pair.get(1).and_then(number)) {
                    (2, Some(x), Some(y)) => {
                        percent(x, || path() + "[0]", report);
                        percent(y, || path() + "[1]", report);
                    }
                    _ => report.wrong(&path(), Some(point), "a pair of numbers, [x, y]"),
                }
            }
        }
        found => report.wrong("value.points", found, "a list of points, each [x, y] in percent"),
    }
}

fn points(value: &JsonMembers<'_>, key: &str, report: &mut RegionReport<'_>) {
    match member(value, key) {
        Some(JsonValue::Array(points)) if !points.is_empty() => {
            for (index, point) in points.iter().enumerate() {
                let path = format!("value.{key}[{index}]");
                match point {
                    JsonValue::Object(point) => percents(point, &path, &["x", "y"], report),
                    _ => report.wrong(&path, Some(point), "a dict with x and y"),
                }
            }
        }
        found => report.wrong(&format!("value.{key}"), found, "a list of points with x and y"),
    }
}

fn brush(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    if let Some(JsonValue::Str(_)) = member(value, "maskDataURL") {
        return;
    }
    match member(value, "rle") {
        Some(JsonValue::Array(bytes)) if !bytes.is_empty() => {
            let is_byte = |byte: &JsonValue<'_>| matches!(byte, JsonValue::Int(0..=255));
            if let Some(index) = bytes.iter().position(|byte| !is_byte(byte)) {
                let path = format!("value.rle[{index}]");
                report.wrong(&path, bytes.get(index), "a byte, 0 to 255");
            }
        }
        found => {
            let expected =
                "a list of bytes, the run-length encoding of label-studio-converter's brush";
            report.wrong("value.rle", found, expected);
        }
    }
    match member(value, "format") {
        None => {}
        Some(JsonValue::Str(format)) if format == "rle" => {}
        found => report.wrong("value.format", found, "\"rle\""),
    }
}

/// A span of characters, which are whole numbers, or of seconds or samples.
fn span(value: &JsonMembers<'_>, of_text: bool, report: &mut RegionReport<'_>) {
    let read = |key| member(value, key).and_then(|found| read_end(found, of_text));
    let (start, end) = (read("start"), read("end"));
    for (key, path, given) in [("start", "value.start", start), ("end", "value.end", end)] {
        match given {
            Some(SpanEnd::Number(given)) if given < 0.0 => {
                report.add(Cause::OutOfRange, path, || format!("is {given}, the least is 0"));
            }
            Some(_) => {}
            None => {
                let expected =
                    if of_text { "a whole number of characters" } else { "a number or a time" };
                report.wrong(path, member(value, key), expected);
            }
        }
    }
    if let (Some(SpanEnd::Number(start)), Some(SpanEnd::Number(end))) = (start, end) {
        ordered(start, end, of_text, "value.end", report);
    }
}

/// Where a span begins or ends.
#[derive(Clone, Copy)]
enum SpanEnd {
    Number(f64),
    /// A time in a series whose times are texts.
    Text,
}

#[expect(clippy::cast_precision_loss, reason = "no text is that long")]
fn read_end(found: &JsonValue<'_>, of_text: bool) -> Option<SpanEnd> {
    if of_text {
        return whole(found).map(|number| SpanEnd::Number(number as f64));
    }
    match found {
        JsonValue::Str(_) => Some(SpanEnd::Text),
        found => number(found).map(SpanEnd::Number),
    }
}

fn ordered(start: f64, end: f64, needs_length: bool, path: &str, report: &mut RegionReport<'_>) {
    if end < start {
        report.add(Cause::EmptySpan, path, || format!("is {end}, before the start at {start}"));
    } else if needs_length && (end - start).abs() < f64::EPSILON {
        report.add(Cause::EmptySpan, path, || format!("is {end}, where it starts"));
    }
}

/// Characters of the whole text, or an `XPath` each, with an offset in each.
fn hypertext(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let plain = |key| matches!(member(value, key), Some(JsonValue::Int(_)));
    if plain("start") && plain("end") {
        return span(value, true, report);
    }
    for key in ["start", "end"] {
        match member(value, key) {
            Some(JsonValue::Str(_)) => {}
            found => {
                let expected = "an XPath such as \"/p[1]/text()[1]\"";
                report.wrong(&format!("value.{key}"), found, expected);
            }
        }
    }
    let same = member(value, "start") == member(value, "end");
    offsets(value, same, report);
}

/// Numbers of paragraphs, as texts, with an offset in each.
fn paragraphs(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let read = |key| match member(value, key) {
        Some(JsonValue::Str(text)) => text.parse::<u32>().ok(),
        _ => None,
    };
    let (start, end) = (read("start"), read("end"));
    for (key, given) in [("start", start), ("end", end)] {
        if given.is_none() {
            let expected = "the number of a paragraph as a text, such as \"0\"";
            report.wrong(&format!("value.{key}"), member(value, key), expected);
        }
    }
    if let (Some(start), Some(end)) = (start, end) {
        ordered(start.into(), end.into(), false, "value.end", report);
    }
    offsets(value, start == end, report);
}

#[expect(clippy::cast_precision_loss, reason = "no text is that long")]
fn offsets(value: &JsonMembers<'_>, in_same: bool, report: &mut RegionReport<'_>) {
    let read = |key| member(value, key).and_then(whole).filter(|offset| *offset >= 0);
    let (start, end) = (read("startOffset"), read("endOffset"));
    for (key, given) in [("startOffset", start), ("endOffset", end)] {
        if given.is_none() {
            let path = format!("value.{key}");
            report.wrong(&path, member(value, key), "a whole number of characters");
        }
    }
    if let (true, Some(start), Some(end)) = (in_same, start, end) {
        ordered(start as f64, end as f64, true, "value.endOffset", report);
    }
}

fn sequence(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    match member(value, "sequence") {
        Some(JsonValue::Array(frames)) if !frames.is_empty() => {
            for (index, frame) in frames.iter().enumerate() {
                let path = format!("value.sequence[{index}]");
                let JsonValue::Object(frame) = frame else {
                    report.wrong(&path, Some(frame), "a dict with frame, x, y, width and height");
                    continue;
                };
                percents(frame, &path, &["x", "y", "width", "height"], report);
                let number_of_frame = member(frame, "frame");
                if number_of_frame.and_then(number).is_none() {
                    report.wrong(&format!("{path}.frame"), number_of_frame, "a number from 1 on");
                }
            }
        }
        found => report.wrong("value.sequence", found, "a list of key frames"),
    }
}

fn ranges(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    match member(value, "ranges") {
        Some(JsonValue::Array(ranges)) if !ranges.is_empty() => {
            for (index, range) in ranges.iter().enumerate() {
                let path = format!("value.ranges[{index}]");
                let ends = match range {
                    JsonValue::Object(range) => member(range, "start")
                        .and_then(number)
                        .zip(member(range, "end").and_then(number)),
                    _ => None,
                };
                match ends {
                    Some((start, end)) => {
                        ordered(start, end, false, &format!("{path}.end"), report);
                    }
                    None => report.wrong(&path, Some(range), "a dict with start and end in frames"),
                }
            }
        }
        found => report.wrong("value.ranges", found, "a list of ranges of frames"),
    }
}
