//! Plain tables and times, for a terminal of any width.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde_json::Value;

/// Rows below a heading, in columns as wide as they must be. A row may be followed by a line of its own.
#[derive(Debug, Default)]
pub(in crate::cli) struct PlainTable {
    rows: Vec<Vec<String>>,
    remarks: Vec<Option<String>>,
}

impl PlainTable {
    pub(in crate::cli) fn new(heading: &[&str]) -> Self {
        let mut table = Self::default();
        table.add(heading.iter().map(|&title| title.to_owned()).collect(), None);
        table
    }

    /// Adds a row, and what is to be said below it.
    pub(in crate::cli) fn add(&mut self, row: Vec<String>, remark: Option<String>) {
        self.rows.push(row);
        self.remarks.push(remark);
    }

    /// The lines; a column without any entry is left out.
    pub(in crate::cli) fn lines(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().skip(1).filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or_default();
            let heading = self.rows.first().and_then(|row| row.get(column));
            let heading = heading.map_or(0, |title| title.chars().count());
            if widest == 0 { 0 } else { widest.max(heading) }
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::new();
        for (row, remark) in self.rows.iter().zip(&self.remarks) {
            let shown = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
            let cells = shown.map(|(cell, &width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            lines.push(line.trim_end().to_owned());
            lines.extend(remark.iter().map(|remark| format!("      {remark}")));
        }
        lines.join("\n")
    }
}

/// A field of an answer as text; empty if it is not there.
pub(in crate::cli) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        other => other.to_string(),
    }
}

/// The first line of a text, without what a terminal would obey.
pub(in crate::cli) fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).collect()
}

/// A time of an answer on the clock of this machine; of today without the day.
pub(in crate::cli) fn local_time(value: &Value) -> String {
    match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => at(time, Timestamp::now(), &TimeZone::system()),
        None => text(value),
    }
}

fn at(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (time, now) =
        (ZonedDateTime::new(time, zone.clone()), ZonedDateTime::new(now, zone.clone()));
    if time.date() == now.date() {
        return time.strftime("%H:%M:%S").to_string();
    }
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The time between two times of an answer, in words.
pub(in crate::cli) fn between(from: &Value, to: &Value) -> String {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let Some((from, to)) = time(from).zip(time(to)) else { return String::new() };
    let milliseconds = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
    match milliseconds / 1000 {
        0..60 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = PlainTable::new(&["", "VERSION", "NOTHING", "JOB"]);
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        table.add(row(["*", "0.0.1+10", "", "7"]), None);
        table.add(row(["", "é", "", "12"]), Some("cannot be activated: gone".into()));
        assert_eq!(
            table.lines(),
            "   VERSION   JOB\n*  0.0.1+10  7\n   é         12\n      cannot be activated: gone"
        );
    }

    #[test]
    fn times_are_those_of_the_clock_on_the_wall() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now: Timestamp = "2026-11-30T22:30:00Z".parse().unwrap();
        let shown = |text: &str| at(text.parse().unwrap(), now, &zone);
        assert_eq!(shown("2026-11-30T22:11:04.5Z"), "00:11:04");
        assert_eq!(shown("2026-11-30T21:59:00Z"), "2026-11-30 23:59");
        assert_eq!(local_time(&json!(null)), "");
        assert_eq!(local_time(&json!("soon\u{1b}[31m")), "soon[31m");
    }

    #[test]
    fn durations_are_told_in_words() {
        let took = |to: &str| between(&json!("2026-11-30T10:00:00Z"), &json!(to));
        assert_eq!(took("2026-11-30T10:00:02.150Z"), "2.1 s");
        assert_eq!(took("2026-11-30T10:01:05Z"), "1 min 5 s");
        assert_eq!(took("2026-11-30T12:30:00Z"), "2 h 30 min");
        assert_eq!(took("2026-11-30T09:00:00Z"), "0.0 s");
        assert_eq!(between(&json!(null), &json!("2026-11-30T09:00:00Z")), "");
    }
}
