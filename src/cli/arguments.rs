//! Rewrites a command line before clap reads it, so that it is understood as argparse understood it in the
//! original: options may be abbreviated, and `start` passes options of the project's own program on to it.

mod known;
mod original;
mod split;
mod token;

use self::known::KnownOptions;
use self::original::Meaning;
pub(super) use self::split::PassedOn;
use self::token::{ambiguous, name_and_value};

/// Words after `--force` that only stress it.
const YES: [&str; 3] = ["true", "yes", "1"];

/// A command line for clap, `argv[0]` being the program, and what is not for clap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) argv: Vec<String>,
    pub(super) passed_on: PassedOn,
}

/// Rewrites `argv`. Fails with a sentence if an abbreviation has several meanings. `program`: all commands,
/// built.
pub(super) fn rewrite(argv: &[String], program: &clap::Command) -> Result<Arguments, String> {
    let unchanged = || Arguments { argv: argv.to_vec(), passed_on: PassedOn::default() };
    let Some((head, rest)) = argv.split_at_checked(2) else { return Ok(unchanged()) };
    let Some(command) = program.find_subcommand(&head[1]) else { return Ok(unchanged()) };
    let known = KnownOptions::of(command);
    let (rest, passed_on) = match command.get_name() {
        "init" => (init(rest, &known)?, PassedOn::default()),
        "start" => split::start(rest, &known)?,
        _ => return Ok(unchanged()),
    };
    Ok(Arguments { argv: head.iter().cloned().chain(rest).collect(), passed_on })
}

fn init(rest: &[String], known: &KnownOptions) -> Result<Vec<String>, String> {
    let end = rest.iter().position(|token| token == "--").unwrap_or(rest.len());
    let mut words = Vec::new();
    for token in &rest[..end] {
        words.push(expanded(token, known, &original::INIT)?);
    }
    // The original took the first word for the folder and ignored the second one.
    if let Some(force) = words.iter().position(|word| word == "--force")
        && words.get(force + 1).is_some_and(|word| YES.contains(&word.to_lowercase().as_str()))
        && number_of_positionals(&words, known) + rest[end..].len() > 1
    {
        words.remove(force + 1);
    }
    words.extend_from_slice(&rest[end..]);
    Ok(words)
}

fn number_of_positionals(words: &[String], known: &KnownOptions) -> usize {
    let takes_next = |word: &String| known.long(word).is_some_and(known::OptionKind::takes_value);
    let pairs = std::iter::once(None).chain(words.iter().map(Some)).zip(words);
    pairs.filter(|(before, word)| !word.starts_with('-') && !before.is_some_and(takes_next)).count()
}

/// A token with the whole name of the option that it abbreviates.
fn expanded(token: &str, known: &KnownOptions, options: &[&'static str]) -> Result<String, String> {
    let (name, value) = name_and_value(token);
    if !name.starts_with("--") || known.long(name).is_some() {
        return Ok(token.to_owned());
    }
    Ok(match original::meaning(options, name) {
        Meaning::Option(option) => match value {
            Some(value) => format!("{option}={value}"),
            None => option.to_owned(),
        },
        Meaning::Several(options) => return Err(ambiguous(token, &options)),
        Meaning::None => token.to_owned(),
    })
}

#[cfg(test)]
mod tests;
