//! Shapes on an image or a frame: the editor tells them apart by the keys of the value, and takes only what has all of
//! them with the right types, so a rectangle whose `x` is a text is not drawn.

use jiter::JsonValue;

use super::extent::{Extent, out_of_range};
use crate::labelling::check::finding::Cause;
use crate::labelling::check::json::{JsonMembers, member, number};
use crate::labelling::check::report::RegionReport;
use crate::labelling::check::shape::RegionKind;

const PERCENT: &str = "a number in percent of the image";

/// A region whose kind of shape its keys tell.
pub(super) fn on_image(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let has = |key| member(value, key).is_some();
    if has("points") {
        polygon(value, report);
    } else if has("rle") || has("maskDataURL") {
        brush(value, report);
    } else if has("vertices") {
        vertices(value, "value", report);
    } else if has("imageDataURL") {
    } else if has("radiusX") || has("radiusY") {
        ellipse(value, report);
    } else if has("height") {
        rectangle(value, "value", report);
    } else if has("x") || has("y") {
        key_point(value, report);
    } else {
        report.add(Cause::MissingKey, "value", || {
            "has labels and no shape (such as x, y, width and height in percent)".into()
        });
    }
}

/// Checks that numbers are there, and returns those that are.
fn numbers<const N: usize>(
    value: &JsonMembers<'_>,
    path: &str,
    keys: [&str; N],
    expected: &str,
    report: &mut RegionReport<'_>,
) -> [Option<f64>; N] {
    let found = keys.map(|key| member(value, key));
    let read = found.map(|found| found.and_then(number));
    for ((key, found), read) in keys.iter().zip(found).zip(read) {
        if read.is_none() {
            report.wrong(&format!("{path}.{key}"), found, expected);
        }
    }
    read
}

pub(super) fn rectangle(value: &JsonMembers<'_>, path: &str, report: &mut RegionReport<'_>) {
    let keys = ["x", "y", "width", "height"];
    let [x, y, width, height] = numbers(value, path, keys, PERCENT, report);
    let turned =
        member(value, "rotation").and_then(number).is_some_and(|angle| angle % 360.0 != 0.0);
    let axes = [("x", "width", x, width), ("y", "height", y, height)];
    for (key, length_key, from, length) in axes {
        let (Some(from), length) = (from, length.unwrap_or_default()) else { continue };
        let extent = Extent::new(from, from + length);
        let start = Extent::new(from, from);
        // Turned around its corner, it may reach into the image from outside.
        let is_misplaced = start.is_far() || (extent.is_outside() && !turned);
        if is_misplaced {
            out_of_range(from, &format!("{path}.{key}"), report);
        }
        if Extent::new(0.0, length).is_far() || (extent.is_far() && !is_misplaced) {
            out_of_range(length, &format!("{path}.{length_key}"), report);
        }
    }
}

pub(super) fn ellipse(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let keys = ["x", "y", "radiusX", "radiusY"];
    let [x, y, radius_x, radius_y] = numbers(value, "value", keys, PERCENT, report);
    for (key, radius_key, center, radius) in
        [("x", "radiusX", x, radius_x), ("y", "radiusY", y, radius_y)]
    {
        let (Some(center), radius) = (center, radius.unwrap_or_default()) else { continue };
        let extent = Extent::new(center - radius, center + radius);
        let middle = Extent::new(center, center);
        if middle.is_far() || extent.is_outside() {
            out_of_range(center, &format!("value.{key}"), report);
        } else if extent.is_far() {
            out_of_range(radius, &format!("value.{radius_key}"), report);
        }
    }
}

pub(super) fn key_point(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let [x, y, _] = numbers(value, "value", ["x", "y", "width"], PERCENT, report);
    for (key, at) in [("x", x), ("y", y)] {
        if let Some(at) = at.filter(|at| Extent::new(*at, *at).is_outside()) {
            out_of_range(at, &format!("value.{key}"), report);
        }
    }
}

pub(super) fn polygon(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let points = match member(value, "points") {
        Some(JsonValue::Array(points)) if !points.is_empty() => points,
        found => {
            return report.wrong("value.points", found, "a list of points, each [x, y] in percent");
        }
    };
    let mut outline = Outline::default();
    for (index, point) in points.iter().enumerate() {
        let path = || format!("value.points[{index}]");
        let pair = match point {
            JsonValue::Array(pair) => pair.as_slice(),
            _ => &[],
        };
        match (pair.len(), pair.first().and_then(number), pair.get(1).and_then(number)) {
            (2, Some(x), Some(y)) => {
                outline.add([x, y], |axis| format!("{}[{axis}]", path()), report);
            }
            _ => report.wrong(&path(), Some(point), "a pair of numbers, [x, y]"),
        }
    }
    outline.finish("value.points", report);
}

/// The points of a vector. Control points of its curves may lie anywhere.
pub(super) fn vertices(value: &JsonMembers<'_>, path: &str, report: &mut RegionReport<'_>) {
    let list = format!("{path}.vertices");
    let points = match member(value, "vertices") {
        Some(JsonValue::Array(points)) if !points.is_empty() => points,
        found => return report.wrong(&list, found, "a list of points with x and y"),
    };
    let mut outline = Outline::default();
    for (index, point) in points.iter().enumerate() {
        let path = format!("{list}[{index}]");
        let JsonValue::Object(point) = point else {
            report.wrong(&path, Some(point), "a dict with x and y");
            continue;
        };
        if let [Some(x), Some(y)] = numbers(point, &path, ["x", "y"], PERCENT, report) {
            outline.add([x, y], |axis| format!("{path}.{}", ["x", "y"][axis]), report);
        }
    }
    outline.finish(&list, report);
}

/// Where a list of points lies.
#[derive(Default)]
struct Outline {
    axes: Option<[Extent; 2]>,
    /// A point of it was told already.
    is_told: bool,
}

impl Outline {
    /// Adds a point. `path` of one of its two coordinates.
    fn add(
        &mut self,
        point: [f64; 2],
        path: impl Fn(usize) -> String,
        report: &mut RegionReport<'_>,
    ) {
        let at = point.map(|given| Extent::new(given, given));
        for (axis, given) in point.into_iter().enumerate() {
            if at[axis].is_far() {
                self.is_told = true;
                out_of_range(given, &path(axis), report);
            }
        }
        self.axes = Some(match self.axes {
            Some([x, y]) => [x.joined(at[0]), y.joined(at[1])],
            None => at,
        });
    }

    fn finish(self, path: &str, report: &mut RegionReport<'_>) {
        let is_outside = self.axes.is_some_and(|axes| axes.iter().any(|axis| axis.is_outside()));
        if is_outside && !self.is_told {
            report.add(Cause::OutOfRange, path, || {
                "lies outside of the image, whose percent go from 0 to 100".into()
            });
        }
    }
}

pub(super) fn brush(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
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

/// Whether a region has a mask that can be decoded only with the size of the image.
pub(super) fn has_encoded_mask(region: RegionKind, value: &JsonMembers<'_>) -> bool {
    matches!(region, RegionKind::Brush | RegionKind::OnImage)
        && member(value, "rle").is_some()
        && member(value, "maskDataURL").is_none()
}

/// A box of text on a page; its numbers depend on the document.
pub(super) fn ocr_box(value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    numbers(value, "value", ["x", "y", "width", "height"], "a number", report);
}

/// Key frames of a video with a rectangle or a vector each.
pub(super) fn sequence(value: &JsonMembers<'_>, region: RegionKind, report: &mut RegionReport<'_>) {
    let frames = match member(value, "sequence") {
        Some(JsonValue::Array(frames)) if !frames.is_empty() => frames,
        found => return report.wrong("value.sequence", found, "a list of key frames"),
    };
    for (index, frame) in frames.iter().enumerate() {
        let path = format!("value.sequence[{index}]");
        let JsonValue::Object(frame) = frame else {
            let expected = match region {
                RegionKind::VideoVector => "a dict with frame and vertices",
                _ => "a dict with frame, x, y, width and height",
            };
            report.wrong(&path, Some(frame), expected);
            continue;
        };
        match region {
            RegionKind::VideoVector => vertices(frame, &path, report),
            _ => rectangle(frame, &path, report),
        }
        let number_of_frame = member(frame, "frame");
        if number_of_frame.and_then(number).is_none() {
            report.wrong(&format!("{path}.frame"), number_of_frame, "a number from 1 on");
        }
    }
}
