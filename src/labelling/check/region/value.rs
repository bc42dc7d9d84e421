//! Where a region lies: the shape or the span in its value.

use jiter::JsonValue;

use super::shapes;
use crate::labelling::check::finding::Cause;
use crate::labelling::check::json::{JsonMembers, member, number, whole};
use crate::labelling::check::report::RegionReport;
use crate::labelling::check::shape::RegionKind;

pub(super) fn check(region: RegionKind, value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    match region {
        RegionKind::Whole => {}
        RegionKind::Text => span(value, SpanUnit::Characters, report),
        RegionKind::Seconds => span(value, SpanUnit::Seconds, report),
        RegionKind::TimeSeries => span(value, SpanUnit::Times, report),
        RegionKind::HyperText => hypertext(value, report),
        RegionKind::Paragraphs => paragraphs(value, report),
        RegionKind::Rectangle => shapes::rectangle(value, "value", report),
        RegionKind::Ellipse => shapes::ellipse(value, report),
        RegionKind::KeyPoint => shapes::key_point(value, report),
        RegionKind::Polygon => shapes::polygon(value, report),
        RegionKind::Brush => shapes::brush(value, report),
        RegionKind::Bitmask => match member(value, "imageDataURL") {
            Some(JsonValue::Str(_)) => {}
            found => report.wrong("value.imageDataURL", found, "a data URL of an image"),
        },
        RegionKind::Vector => shapes::vertices(value, "value", report),
        RegionKind::OnImage => shapes::on_image(value, report),
        RegionKind::OcrBox => shapes::ocr_box(value, report),
        RegionKind::VideoRectangle | RegionKind::VideoVector => {
            shapes::sequence(value, region, report);
        }
        RegionKind::Timeline => ranges(value, report),
    }
}

/// What a span counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpanUnit {
    /// Whole numbers.
    Characters,
    Seconds,
    /// The times of a series, which may be negative, or texts.
    Times,
}

fn span(value: &JsonMembers<'_>, unit: SpanUnit, report: &mut RegionReport<'_>) {
    let read = |key| member(value, key).and_then(|found| read_end(found, unit));
    let (start, end) = (read("start"), read("end"));
    for (key, path, given) in [("start", "value.start", start), ("end", "value.end", end)] {
        match given {
            Some(SpanEnd::Number(given)) if given < 0.0 && unit != SpanUnit::Times => {
                report.add(Cause::OutOfRange, path, || format!("is {given}, the least is 0"));
            }
            Some(_) => {}
            None => {
                let expected = match unit {
                    SpanUnit::Characters => "a whole number of characters",
                    SpanUnit::Seconds => "a number of seconds",
                    SpanUnit::Times => "a number or a time",
                };
                report.wrong(path, member(value, key), expected);
            }
        }
    }
    if let (Some(SpanEnd::Number(start)), Some(SpanEnd::Number(end))) = (start, end) {
        ordered(start, end, unit == SpanUnit::Characters, "value.end", report);
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
fn read_end(found: &JsonValue<'_>, unit: SpanUnit) -> Option<SpanEnd> {
    if unit == SpanUnit::Characters {
        return whole(found).map(|number| SpanEnd::Number(number as f64));
    }
    match found {
        JsonValue::Str(_) if unit == SpanUnit::Times => Some(SpanEnd::Text),
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
        return span(value, SpanUnit::Characters, report);
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

fn ranges(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    match member(value, "ranges") {
        Some(JsonValue::Array(ranges)) if !ranges.is_empty() => {
            for (index, range) in ranges.iter().enumerate() {
                let path = format!("value.ranges[{index}]");
                let ends = match range {
                    JsonValue::Object(range) => frame(range, "start").zip(frame(range, "end")),
                    _ => None,
                };
                match ends {
                    Some((start, end)) => {
                        ordered(start, end, false, &format!("{path}.end"), report);
                    }
                    None => report.wrong(
                        &path,
                        Some(range),
                        "a dict with start and end, numbers of frames",
                    ),
                }
            }
        }
        found => report.wrong("value.ranges", found, "a list of ranges of frames"),
    }
}

/// The number of a frame, which is whole.
fn frame(range: &JsonMembers<'_>, key: &str) -> Option<f64> {
    member(range, key).and_then(number).filter(|frame| frame.fract() == 0.0)
}
