//! Names within a `<Repeater>`, whose variables stand for the index of an item: `box_{{i}}` is `box_0`, `box_1`, …
//!
//! In: names as the labelling config writes them, names as an answer writes them. Out: the index that each
//! variable stands for.

use crate::labelling::config::{ConfigLayout, Repeater};

/// The variables that have a meaning somewhere: index of the Repeater, variable.
pub(super) type VariableScope<'a> = Vec<(usize, &'a str)>;

/// What a name puts in the place of the variables: index of the Repeater, text.
pub(super) type Bindings<'n> = Vec<(usize, &'n str)>;

/// The variables of a Repeater and of those around it, the inner ones first.
pub(super) fn scope_of(layout: &ConfigLayout, repeater: Option<usize>) -> VariableScope<'_> {
    let at = |index: usize| layout.repeaters.get(index).map(|repeater| (index, repeater));
    let outwards = std::iter::successors(repeater.and_then(at), |(_, inner): &(_, &Repeater)| {
        inner.parent.and_then(at)
    });
    outwards.map(|(index, repeater)| (index, repeater.flag.as_str())).collect()
}

/// A name in which variables stand for numbers.
#[derive(Debug)]
pub(super) struct NamePattern {
    /// What is between the variables; one more than those.
    literals: Vec<String>,
    /// The variables between: index of the Repeater, variable.
    variables: Vec<(usize, String)>,
}

impl NamePattern {
    pub(super) fn new(name: &str, scope: &VariableScope<'_>) -> Self {
        let mut pattern = Self { literals: Vec::new(), variables: Vec::new() };
        let mut rest = name;
        // The variable that comes first; of two at one place the longer one.
        let next = |rest: &str| {
            let places =
                scope.iter().filter_map(|(index, flag)| Some((rest.find(flag)?, *index, *flag)));
            places.min_by_key(|(at, _, flag)| (*at, usize::MAX - flag.len()))
        };
        while let Some((at, index, flag)) = next(rest) {
            pattern.literals.push(rest[..at].to_owned());
            pattern.variables.push((index, flag.to_owned()));
            rest = &rest[at + flag.len()..];
        }
        pattern.literals.push(rest.to_owned());
        pattern
    }

    pub(super) fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }

    /// Matches a name; what stands for a variable may be any text.
    pub(super) fn matches<'n>(&self, name: &'n str) -> Option<Bindings<'n>> {
        let (first, literals) = self.literals.split_first()?;
        let Some((last, between)) = literals.split_last() else {
            return (first == name).then(Vec::new);
        };
        let mut rest = name.strip_prefix(first.as_str())?;
        let mut bindings = Vec::with_capacity(self.variables.len());
        for (literal, (variable, _)) in between.iter().zip(&self.variables) {
            let (bound, after) = rest.split_once(literal.as_str())?;
            bindings.push((*variable, bound));
            rest = after;
        }
        let (variable, _) = self.variables.last()?;
        bindings.push((*variable, rest.strip_suffix(last.as_str())?));
        Some(bindings)
    }

    /// The name as the labelling config writes it.
    pub(super) fn as_written(&self) -> String {
        let mut written = String::new();
        for (literal, (_, flag)) in self.literals.iter().zip(&self.variables) {
            written.push_str(literal);
            written.push_str(flag);
        }
        written.push_str(self.literals.last().map_or("", String::as_str));
        written
    }
}

/// The index that a text stands for: decimal digits without leading zeros.
pub(super) fn index(text: &str) -> Option<usize> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && is_decimal).then(|| text.parse().unwrap_or(usize::MAX))
}
