//! What is said about a value that came from the environment: clap speaks of the option, which the user never
//! wrote.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue};

/// The sentence about a wrong value in a variable of the environment, if that is what `error` is about.
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
    let long = format!("--{}", arg.get_long()?);
    let is_written = |token: &String| token.split('=').next() == Some(&long);
    if argv.iter().any(is_written) {
        return None;
    }
    let variable = arg.get_env()?.to_string_lossy();
    let reason = error.source()?;
    Some(format!("{variable} in the environment is {value:?}: {reason}"))
}
