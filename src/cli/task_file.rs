//! Reads files of tasks: those that Label Studio imports and exports, and those written by hand.
//!
//! In: JSON (a list of tasks, or one task) or JSON Lines. Out: tasks with an `id`, in order. An object
//! without `data` counts as the data of a task, as in Label Studio's import.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One task.
#[derive(Debug)]
pub(super) struct FileTask {
    /// Shown to the user: the id of the task, else its number in the file, from 1.
    pub(super) id: String,
    pub(super) json: Box<RawValue>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

pub(super) fn read(path: &Path) -> Result<Vec<FileTask>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(text.trim_start_matches('\u{feff}')).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<FileTask>> {
    let start = text.trim_start();
    let raw: Vec<Box<RawValue>> = if start.starts_with('[') {
        serde_json::from_str(text)?
    } else if start.starts_with('{') {
        // One object, or one a line.
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()?
    } else {
        bail!("this is neither a JSON list of tasks nor one task a line");
    };
    if raw.is_empty() {
        bail!("it contains no tasks");
    }
    raw.into_iter().enumerate().map(|(index, raw)| task(index + 1, raw)).collect()
}

fn task(number: usize, raw: Box<RawValue>) -> Result<FileTask> {
    if !raw.get().starts_with('{') {
        bail!("item {number} is not a task: a JSON object is expected");
    }
    let head: Head<'_> =
        serde_json::from_str(raw.get()).with_context(|| format!("item {number}"))?;
    let json = match (head.data, head.id) {
        (Some(data), _) if !data.get().starts_with('{') => {
            bail!("item {number}: `data` of a task must be a JSON object")
        }
        (Some(_), Some(id)) => {
            let id = serde_json::from_str::<String>(id.get()).unwrap_or_else(|_| id.get().into());
            return Ok(FileTask { id, json: raw });
        }
        // The id goes first; a task always has a member after it.
        (Some(_), None) => format!(r#"{{"id":{number},{}"#, &raw.get()[1..]),
        (None, _) => format!(r#"{{"id":{number},"data":{}}}"#, raw.get()),
    };
    Ok(FileTask { id: number.to_string(), json: RawValue::from_string(json)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(text: &str) -> Vec<(String, String)> {
        let tasks = parse(text).unwrap();
        tasks.into_iter().map(|task| (task.id, task.json.get().to_owned())).collect()
    }

    fn one(id: &str, json: &str) -> Vec<(String, String)> {
        vec![(id.to_owned(), json.to_owned())]
    }

    #[test]
    fn tasks_of_every_form() {
        let whole = r#"{"id":7,"data":{"text":"a"}}"#;
        assert_eq!(tasks(&format!("[{whole}]")), one("7", whole));
        assert_eq!(tasks(whole), one("7", whole));
        let numbered = r#"{"id":1,"data":{"text":"a"}}"#;
        assert_eq!(tasks(r#"[{"data":{"text":"a"}}]"#), one("1", numbered));
        assert_eq!(tasks(r#"[{"text":"a"}]"#), one("1", numbered));
        let named = r#"{"data":{},"id":"a-1"}"#;
        assert_eq!(tasks(named), one("a-1", named));
        let lines = tasks("{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
        assert_eq!(lines[1], ("2".to_owned(), r#"{"id":2,"data":{"text":"b"}}"#.to_owned()));
    }

    #[test]
    fn what_is_not_a_task_is_named() {
        let failure = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert_eq!(failure("[{}, 3]"), "item 2 is not a task: a JSON object is expected");
        assert_eq!(failure(r#"[{"data": "a"}]"#), "item 1: `data` of a task must be a JSON object");
        assert_eq!(failure("[]"), "it contains no tasks");
        assert!(failure("text").contains("neither a JSON list of tasks"));
        assert!(failure("[{\"a\": }]").contains("line 1"));
    }
}
