//! The sentence about a value that an option cannot take: which option, or which variable of the environment,
//! the value, and what it should be.
//!
//! In: clap's error. The parsers in [`values`](super::values) complete the sentence: "is not a whole number from
//! 1 to 256".

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The sentence about a value that cannot be taken, if that is what `error` is about.
pub(super) fn complaint(
    error: &clap::Error,
    argv: &[String],
    program: &clap::Command,
) -> Option<String> {
    let command = program.find_subcommand(argv.get(1)?)?;
    let (Some(ContextValue::String(shown)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return None;
    };
    let arg = command.get_arguments().find(|arg| arg.to_string() == *shown)?;
    let reason = match error.kind() {
        ErrorKind::ValueValidation => error.source()?.to_string(),
        ErrorKind::InvalidValue if value.is_empty() => "is empty".into(),
        ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(all)) => format!("is not one of {}", all.join(", ")),
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("{}: {value:?} {reason}", origin(arg, argv)?))
}

/// The option, or the variable of the environment if no option was written.
fn origin(arg: &clap::Arg, argv: &[String]) -> Option<String> {
    let long = format!("--{}", arg.get_long()?);
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    let is_written = |token: &String| {
        token.split('=').next() == Some(&long)
            || short.as_ref().is_some_and(|short| token.starts_with(short.as_str()))
    };
    match arg.get_env() {
        Some(variable) if !argv.iter().any(is_written) => {
            Some(format!("{} in the environment", variable.to_string_lossy()))
        }
        _ => Some(long),
    }
}
