//! Spans against the text of their task.
//!
//! Label Studio's editor counts the characters of a `<Text>` as Python does, in code points, a line break as one. In
//! `<Paragraphs>` it counts in the units of JavaScript, and of a `<HyperText>` only the longest that a span can be is
//! known here: what it shows is less than its markup.

use jiter::JsonValue;

use super::control::ControlRules;
use super::display::quote;
use super::finding::Cause;
use super::json::{JsonMembers, member, whole};
use super::object::TextKind;
use super::report::RegionReport;
use super::shape::ControlKind;

/// The text that an object tag shows.
pub(super) struct ShownText<'a, 'j> {
    /// Index of the task and path in its data, which tell one text from another.
    pub(super) place: (usize, &'a str),
    pub(super) kind: &'a TextKind,
    pub(super) shown: &'a JsonValue<'j>,
}

/// Where the characters of the text begin that was last asked for; a task has many spans.
#[derive(Debug, Default)]
pub(super) struct CharacterIndex {
    place: Option<(usize, String)>,
    /// Number of characters.
    length: usize,
    /// Offset in bytes of every 64th character; empty for ASCII.
    offsets: Vec<usize>,
}

const STEP: usize = 64;

impl CharacterIndex {
    fn load(&mut self, place: (usize, &str), text: &str) {
        let is_loaded =
            self.place.as_ref().is_some_and(|(item, path)| (*item, path.as_str()) == place);
        if is_loaded {
            return;
        }
        self.place = Some((place.0, place.1.to_owned()));
        self.offsets.clear();
        if text.is_ascii() {
            self.length = text.len();
            return;
        }
        self.length = 0;
        for (offset, _) in text.char_indices() {
            if self.length.is_multiple_of(STEP) {
                self.offsets.push(offset);
            }
            self.length += 1;
        }
    }

    /// The characters from `start` to `end`, both within the text.
    fn slice<'t>(&self, text: &'t str, start: usize, end: usize) -> Option<&'t str> {
        text.get(self.offset(text, start)?..self.offset(text, end)?)
    }

    fn offset(&self, text: &str, character: usize) -> Option<usize> {
        if self.offsets.is_empty() {
            return Some(character);
        }
        if character == self.length {
            return Some(text.len());
        }
        let base = *self.offsets.get(character / STEP)?;
        let (further, _) = text.get(base..)?.char_indices().nth(character % STEP)?;
        Some(base + further)
    }
}

pub(super) fn check(
    control: &ControlRules,
    value: &JsonMembers<'_>,
    text: &ShownText<'_, '_>,
    index: &mut CharacterIndex,
    report: &mut RegionReport<'_>,
) {
    // An answer in the place of a text, of which the region says nothing.
    let quoted = match member(value, "text") {
        Some(JsonValue::Str(quoted)) if control.tool != ControlKind::TextArea => {
            Some(quoted.as_ref())
        }
        _ => None,
    };
    match (text.kind, text.shown) {
        (TextKind::Plain, JsonValue::Str(shown)) if !is_reference(shown) => {
            index.load(text.place, shown);
            plain(value, quoted, shown, index, report);
        }
        (TextKind::Markup, JsonValue::Str(shown)) if !is_reference(shown) => {
            index.load(text.place, shown);
            let is_whole = !has_offsets(value);
            if let Some((_, end)) = ends(value, "start", "end").filter(|_| is_whole)
                && end > index.length
            {
                beyond("value.end", end, index.length, report);
            }
        }
        (TextKind::Paragraphs(key), JsonValue::Array(shown)) => {
            paragraphs(value, quoted, shown, key, report);
        }
        _ => {}
    }
}

/// Both ends of a span, where they are whole numbers in order.
fn ends(value: &JsonMembers<'_>, start: &str, end: &str) -> Option<(usize, usize)> {
    let read = |key| usize::try_from(member(value, key).and_then(whole)?).ok();
    let (start, end) = (read(start)?, read(end)?);
    (start < end).then_some((start, end))
}

/// Whether the ends are places in markup; Label Studio's package writes null where they are not.
fn has_offsets(value: &JsonMembers<'_>) -> bool {
    member(value, "startOffset").is_some_and(|offset| !matches!(offset, JsonValue::Null))
}

fn plain(
    value: &JsonMembers<'_>,
    quoted: Option<&str>,
    shown: &str,
    index: &CharacterIndex,
    report: &mut RegionReport<'_>,
) {
    // With offsets of their own the ends are places in the markup around the text.
    if has_offsets(value) {
        return;
    }
    let Some((start, end)) = ends(value, "start", "end") else { return };
    if end > index.length {
        return beyond("value.end", end, index.length, report);
    }
    if let (Some(quoted), Some(marked)) = (quoted, index.slice(shown, start, end))
        && !is_same(quoted, marked)
    {
        report.add(Cause::OtherText, "value.text", || {
            let hint = hint(shown, quoted, start, end);
            format!("is {}, and {start} to {end} is {}{hint}", quote(quoted), quote(marked))
        });
    }
}

fn paragraphs(
    value: &JsonMembers<'_>,
    quoted: Option<&str>,
    shown: &[JsonValue<'_>],
    key: &str,
    report: &mut RegionReport<'_>,
) {
    let read = |key| usize::try_from(member(value, key).and_then(whole)?).ok();
    let (Some(start), Some(end)) = (read("start"), read("end")) else { return };
    for (place, given) in [("value.start", start), ("value.end", end)] {
        if given >= shown.len() {
            return report.add(Cause::BeyondText, place, || {
                format!("is {given}, and the task has {} paragraphs", shown.len())
            });
        }
    }
    let text_of = |paragraph: usize| match shown.get(paragraph) {
        Some(JsonValue::Object(paragraph)) => match member(paragraph, key) {
            Some(JsonValue::Str(text)) => Some(text.as_ref()),
            _ => None,
        },
        _ => None,
    };
    let (from, to) = (read("startOffset"), read("endOffset"));
    for (place, paragraph, given) in
        [("value.startOffset", start, from), ("value.endOffset", end, to)]
    {
        let (Some(text), Some(given)) = (text_of(paragraph), given) else { return };
        let length = text.encode_utf16().count();
        if given > length {
            return beyond(place, given, length, report);
        }
    }
    if let (true, Some(quoted), Some(text)) = (start == end, quoted, text_of(start))
        && let (Some(from), Some(to)) = (from, to)
        && from < to
    {
        let marked = slice_utf16(text, from, to);
        // Python counts code points, which differ only beyond the first plane.
        let counted: String = text.chars().skip(from).take(to - from).collect();
        if !is_same(quoted, &marked) && !is_same(quoted, &counted) {
            report.add(Cause::OtherText, "value.text", || {
                format!("is {}, and {from} to {to} is {}", quote(quoted), quote(&marked))
            });
        }
    }
}

fn beyond(path: &str, end: usize, length: usize, report: &mut RegionReport<'_>) {
    report
        .add(Cause::BeyondText, path, || format!("is {end}, and the text has {length} characters"));
}

/// Whether a model means the same text: tokenisers put spaces between words and change their case.
fn is_same(quoted: &str, marked: &str) -> bool {
    if quoted == marked {
        return true;
    }
    let edges =
        |text: &str| (text.starts_with(char::is_whitespace), text.ends_with(char::is_whitespace));
    let bare = |text: &str| -> String {
        text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
    };
    edges(quoted) == edges(marked) && bare(quoted) == bare(marked)
}

/// What the model may have counted instead.
fn hint(shown: &str, quoted: &str, start: usize, end: usize) -> String {
    if shown.get(start..end) == Some(quoted) {
        return " (counted in bytes; Label Studio counts characters)".into();
    }
    if slice_utf16(shown, start, end) == quoted {
        return " (counted in UTF-16 units; Label Studio counts characters)".into();
    }
    match shown.find(quoted).and_then(|offset| shown.get(..offset)).filter(|_| !quoted.is_empty()) {
        Some(before) => {
            let start = before.chars().count();
            format!(" (it stands at {start} to {})", start + quoted.chars().count())
        }
        None => String::new(),
    }
}

fn slice_utf16(text: &str, start: usize, end: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().skip(start).take(end.saturating_sub(start)).collect();
    String::from_utf16_lossy(&units)
}

/// Whether the task holds an address in the place of the text, which Label Studio fetches.
fn is_reference(text: &str) -> bool {
    let is_one_word = !text.contains(char::is_whitespace);
    is_one_word && (text.starts_with("/data/") || text.contains("://"))
}
