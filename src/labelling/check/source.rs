//! Where the data that an object tag shows lies in a task: `$pages[{{i}}].text`.

use jiter::JsonValue;

use super::json::{JsonMembers, member};
use super::repeater::{Bindings, VariableScope};

/// A value of the task that an attribute names as a whole.
#[derive(Debug, Clone)]
pub(super) struct TaskPath {
    /// Without the `$`; may hold variables of Repeaters.
    path: String,
    /// Those variables: index of the Repeater, variable.
    variables: Vec<(usize, String)>,
}

impl TaskPath {
    /// The path of an attribute; none for one with text around the variable, or without a variable.
    pub(super) fn of(attribute: Option<&str>, scope: &VariableScope<'_>) -> Option<Self> {
        let path = attribute?.strip_prefix('$')?;
        let in_path = scope.iter().filter(|(_, flag)| path.contains(flag));
        let variables: Vec<_> = in_path.map(|(index, flag)| (*index, (*flag).to_owned())).collect();
        let mut rest = path.to_owned();
        for (_, flag) in &variables {
            rest = rest.replace(flag.as_str(), "");
        }
        let is_path =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '[' | ']' | '.' | '{' | '}');
        let is_whole = !path.is_empty() && rest.chars().all(is_path);
        is_whole.then(|| Self { path: path.to_owned(), variables })
    }

    /// The names of the members of the task's data in which it may lie.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.path.split(['.', '[']).take(1).chain(std::iter::once(self.path.as_str()))
    }

    /// The path with numbers in the place of variables; none where one is not bound.
    pub(super) fn bound(&self, bindings: &Bindings<'_>) -> Option<String> {
        let mut path = self.path.clone();
        for (variable, flag) in &self.variables {
            let (_, text) = bindings.iter().find(|(bound, _)| bound == variable)?;
            path = path.replace(flag.as_str(), text);
        }
        Some(path)
    }
}

/// The value at a path in the data of a task: a member of that name, else step by step.
pub(super) fn value_at<'a, 'j>(data: &'a JsonMembers<'j>, path: &str) -> Option<&'a JsonValue<'j>> {
    if let Some(value) = member(data, path) {
        return Some(value);
    }
    let mut steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    let mut value = member(data, steps.next()?)?;
    for step in steps {
        value = match value {
            JsonValue::Object(members) => member(members, step)?,
            JsonValue::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}
