//! The options of one of our commands, as clap knows them.

use std::collections::HashMap;

/// The values that an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionKind {
    Flag,
    One,
    /// One or more.
    Many,
}

impl OptionKind {
    pub(super) fn takes_value(self) -> bool {
        self != Self::Flag
    }
}

#[derive(Debug)]
pub(super) struct KnownOptions {
    /// By the name with its hyphens.
    long: HashMap<String, OptionKind>,
    /// By its letter: the name with hyphens of the same option.
    short: HashMap<char, String>,
}

impl KnownOptions {
    /// The options of a command that is built, so that it has `--help`.
    pub(super) fn of(command: &clap::Command) -> Self {
        let (mut long, mut short) = (HashMap::new(), HashMap::new());
        for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
            let kind = match arg.get_num_args() {
                Some(range) if range.max_values() > 1 => OptionKind::Many,
                _ if arg.get_action().takes_values() => OptionKind::One,
                _ => OptionKind::Flag,
            };
            for name in arg.get_long_and_visible_aliases().into_iter().flatten() {
                long.insert(format!("--{name}"), kind);
            }
            if let (Some(letter), Some(name)) = (arg.get_short(), arg.get_long()) {
                short.insert(letter, format!("--{name}"));
            }
        }
        Self { long, short }
    }

    pub(super) fn long(&self, name: &str) -> Option<OptionKind> {
        self.long.get(name).copied()
    }

    /// The long name and the kind of a short option.
    pub(super) fn short(&self, letter: char) -> Option<(&str, OptionKind)> {
        let name = self.short.get(&letter)?;
        Some((name, self.long(name)?))
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.long.keys().map(String::as_str)
    }
}
