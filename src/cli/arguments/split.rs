//! Separates the options of `start` from those of the project's own program, as argparse's `parse_known_args`
//! did in the original, which passed on everything but `--root-dir`.
//!
//! An option that neither side knows stays in the command line, where clap says so.

mod pieces;

use std::path::Path;

use self::pieces::{Piece, pieces};
use super::known::KnownOptions;
use super::original;
use super::token::{is_value, name_and_value};
use crate::project::declared_arguments::DeclaredArguments;
use crate::project::find;

/// Arguments for the project's own program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct PassedOn {
    /// All that its `sys.argv` holds: options of the original that it reads too, and its own ones.
    pub(in crate::cli) all: Vec<String>,
    /// Names of options that only the program knows.
    pub(in crate::cli) own: Vec<String>,
}

/// Splits what follows `start` into a command line for clap and arguments for the program.
pub(super) fn start(
    rest: &[String],
    known: &KnownOptions,
) -> Result<(Vec<String>, PassedOn), String> {
    // Which files may declare options depends on the project, which is named among the options.
    let first = pieces(rest, known, &DeclaredArguments::default())?;
    let root = root_dir(&first);
    let root = Path::new(root.as_deref().unwrap_or("."));
    let name = name_of(&first, root).and_then(|place| first[place].word());
    // If there is no such project, that is what the user must know first.
    let declared = match find::project(root, name) {
        Ok(project) => DeclaredArguments::of(project.file()),
        Err(_) => DeclaredArguments::default(),
    };
    let pieces = pieces(rest, known, &declared)?;
    let name = name_of(&pieces, root);
    Ok(shared_out(pieces, name, &declared))
}

fn root_dir(pieces: &[Piece]) -> Option<String> {
    pieces.iter().rev().find_map(|piece| match piece {
        Piece::Known { name, values, .. } if name == "--root-dir" => values.first().cloned(),
        _ => None,
    })
}

/// The place of the project's name: the first word that cannot be the value of an option, else the first that
/// names a project.
fn name_of(pieces: &[Piece], root: &Path) -> Option<usize> {
    let is_word = |piece: &Piece| matches!(piece, Piece::Word(_));
    pieces.iter().position(is_word).or_else(|| {
        let is_project = |piece: &Piece| {
            let name = piece.word();
            name.is_some() && find::project(root, name).is_ok()
        };
        pieces.iter().position(is_project)
    })
}

fn shared_out(
    pieces: Vec<Piece>,
    name: Option<usize>,
    declared: &DeclaredArguments,
) -> (Vec<String>, PassedOn) {
    let (mut ours, mut refused) = (Vec::new(), Vec::new());
    let mut passed_on = PassedOn::default();
    // Whether the program reads the option before a word.
    let mut reads_last = false;
    for (place, piece) in pieces.into_iter().enumerate() {
        match piece {
            piece if Some(place) == name => ours.extend(piece.word().map(str::to_owned)),
            Piece::Known { name, values, written } => {
                ours.extend(canonical(&name, &values, &written));
                if is_for_both(&name, &written, declared) {
                    passed_on.all.extend(written);
                }
                reads_last = false;
            }
            Piece::NoPair { name, word } => ours.push(format!("{name}={word}")),
            Piece::Unknown(token) => {
                reads_last = is_for_program(&token, declared);
                if reads_last {
                    passed_on.own.push(name_and_value(&token).0.to_owned());
                    passed_on.all.push(token);
                } else {
                    ours.push(token);
                }
            }
            Piece::MaybeValue(token) if reads_last => passed_on.all.push(token),
            Piece::Word(token) if is_for_program(&token, declared) => passed_on.all.push(token),
            Piece::MaybeValue(token) | Piece::Word(token) | Piece::Malformed(token) => {
                ours.push(token);
            }
            Piece::Separated(token) => {
                let is_option = !is_value(&token);
                let reads = is_for_program(&token, declared) || !is_option && reads_last;
                reads_last = reads && (is_option || reads_last);
                if reads { &mut passed_on.all } else { &mut refused }.push(token);
            }
        }
    }
    if !refused.is_empty() {
        ours.push("--".into());
        ours.append(&mut refused);
    }
    (ours, passed_on)
}

/// An option as clap cannot misunderstand it.
fn canonical(name: &str, values: &[String], written: &[String]) -> Vec<String> {
    match (name, values) {
        // Its help is shorter.
        ("--help", []) if written.first().is_some_and(|token| token == "-h") => vec!["-h".into()],
        (name, []) => vec![name.to_owned()],
        (name, values) => values.iter().map(|value| format!("{name}={value}")).collect(),
    }
}

/// Whether the program gets one of our options too: where its files declare it.
fn is_for_both(name: &str, written: &[String], declared: &DeclaredArguments) -> bool {
    let option = name_and_value(written.first().map_or(name, String::as_str)).0;
    match name {
        "--root-dir" | "--help" => false,
        name if original::WSGI.contains(&name) => declared.expects_option(option),
        name => declared.names(name),
    }
}

fn is_for_program(token: &str, declared: &DeclaredArguments) -> bool {
    if is_value(token) {
        declared.reads_positional()
    } else {
        declared.reads_option(name_and_value(token).0)
    }
}

#[cfg(test)]
mod tests;
