//! The tasks that an answer is for, as far as rules ask for their data.
//!
//! In: the body of the request, unparsed. Out: for a task, the members of its `data` that the rules name. Nothing
//! is read before something is asked for, and of a task nothing but those members is kept.

use std::borrow::Cow;

use jiter::{Jiter, JiterResult, JsonValue, Peek};

use super::display::quote;
use super::json::JsonMembers;
use super::rules::Rules;

/// Reads tasks in the order in which they are asked for.
pub(super) struct TaskReader<'a> {
    body: &'a [u8],
    position: Position<'a>,
    current: Option<(usize, Members<'a>)>,
}

type Members<'a> = Vec<(Cow<'a, str>, JsonValue<'a>)>;

enum Position<'a> {
    Unread,
    /// Before the task with this index; the reader has seen that there is one.
    Before(usize, Box<Jiter<'a>>),
    /// After the last task, or at something that is not one.
    End,
}

impl<'a> TaskReader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, position: Position::Unread, current: None }
    }

    /// The data of a task; none where the request has none. Indexes must not decrease.
    pub(super) fn data(&mut self, index: usize, rules: &Rules) -> Option<&JsonMembers<'a>> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != index) {
            self.current = self.read(index, rules).map(|members| (index, members));
        }
        self.current.as_ref().map(|(_, members)| members.as_slice())
    }

    fn read(&mut self, index: usize, rules: &Rules) -> Option<Members<'a>> {
        let position = match std::mem::replace(&mut self.position, Position::End) {
            Position::Unread => first_task(self.body).ok().flatten().map(|jiter| (0, jiter)),
            Position::Before(next, jiter) => Some((next, *jiter)),
            Position::End => None,
        };
        let (mut next, mut jiter) = position?;
        let mut more = true;
        while more && next < index {
            jiter.next_skip().ok()?;
            more = jiter.array_step().ok()?.is_some();
            next += 1;
        }
        if !more || next != index {
            return None;
        }
        let members = data_of(&mut jiter, rules).ok()?;
        if jiter.array_step().ok()?.is_some() {
            self.position = Position::Before(next + 1, Box::new(jiter));
        }
        Some(members)
    }
}

/// A reader that stands before the first task; none if there is none.
fn first_task(body: &[u8]) -> JiterResult<Option<Jiter<'_>>> {
    let mut jiter = Jiter::new(body);
    let mut tasks = None;
    let mut key = jiter.next_object()?;
    while let Some(name) = key {
        // Of a key that occurs twice the last value counts.
        if name == "tasks" {
            tasks = Some(jiter.clone());
        }
        jiter.next_skip()?;
        key = jiter.next_key()?;
    }
    let Some(mut tasks) = tasks else { return Ok(None) };
    Ok(if tasks.next_array()?.is_some() { Some(tasks) } else { None })
}

/// The ids of the tasks of a request up to the index `last`, as text; none for a task without one.
pub(super) fn ids(body: &[u8], last: usize) -> Vec<Option<String>> {
    let mut ids = Vec::new();
    // A request that cannot be read has been told of already; what was read so far counts.
    let _ = read_ids(body, last, &mut ids);
    ids
}

fn read_ids(body: &[u8], last: usize, ids: &mut Vec<Option<String>>) -> JiterResult<()> {
    let Some(mut jiter) = first_task(body)? else { return Ok(()) };
    let mut more = true;
    while more && ids.len() <= last {
        let id = id_of(&mut jiter)?;
        ids.push(id);
        more = jiter.array_step()?.is_some();
    }
    Ok(())
}

/// Reads a task to its end.
fn id_of(jiter: &mut Jiter<'_>) -> JiterResult<Option<String>> {
    let mut id = None;
    if jiter.peek()? != Peek::Object {
        jiter.next_skip()?;
        return Ok(id);
    }
    let mut key = jiter.known_object()?;
    while let Some(name) = key {
        if name == "id" {
            id = match jiter.next_value()? {
                JsonValue::Int(id) => Some(id.to_string()),
                JsonValue::BigInt(id) => Some(id.to_string()),
                // A line of the log stays one line.
                JsonValue::Str(id) if id.contains(char::is_control) => Some(quote(&id)),
                JsonValue::Str(id) => Some(id.into_owned()),
                _ => None,
            };
        } else {
            jiter.next_skip()?;
        }
        key = jiter.next_key()?;
    }
    Ok(id)
}

/// Reads a task to its end.
fn data_of<'a>(jiter: &mut Jiter<'a>, rules: &Rules) -> JiterResult<Members<'a>> {
    let mut members = Vec::new();
    if jiter.peek()? != Peek::Object {
        jiter.next_skip()?;
        return Ok(members);
    }
    let mut key = jiter.known_object()?;
    while let Some(name) = key {
        if name == "data" && jiter.peek()? == Peek::Object {
            members.clear();
            read_wanted(jiter, rules, &mut members)?;
        } else {
            jiter.next_skip()?;
        }
        key = jiter.next_key()?;
    }
    Ok(members)
}

/// Reads the data of a task, and keeps the members that the rules ask for.
fn read_wanted<'a>(
    jiter: &mut Jiter<'a>,
    rules: &Rules,
    members: &mut Members<'a>,
) -> JiterResult<()> {
    let mut key = jiter.known_object()?;
    while let Some(name) = key {
        match rules.wants_data(name).then(|| name.to_owned()) {
            Some(name) => members.push((Cow::Owned(name), jiter.next_value()?)),
            None => jiter.next_skip()?,
        }
        key = jiter.next_key()?;
    }
    Ok(())
}
