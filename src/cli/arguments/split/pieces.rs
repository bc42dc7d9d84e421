//! The command line of `start` in pieces: an option with its values, or a word.

use crate::cli::arguments::known::{KnownOptions, OptionKind};
use crate::cli::arguments::original::{self, Meaning};
use crate::cli::arguments::token::{ambiguous, is_value, name_and_value};
use crate::project::declared_arguments::DeclaredArguments;

/// A piece of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// One of our options, by its long name, with its values, and as it was written.
    Known { name: String, values: Vec<String>, written: Vec<String> },
    /// Something that begins as one of our options and that clap refuses.
    Malformed(String),
    /// An option that is not ours.
    Unknown(String),
    /// A word after an option that is not ours, which may be its value.
    MaybeValue(String),
    /// A word among the values of our option `name`, which takes pairs only.
    NoPair { name: String, word: String },
    /// A word that no option takes.
    Word(String),
    /// What follows `--`.
    Separated(String),
}

impl Piece {
    /// A word that names a project, perhaps.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::MaybeValue(word)
            | Self::NoPair { word, .. }
            | Self::Word(word)
            | Self::Separated(word) => Some(word),
            Self::Known { .. } | Self::Malformed(_) | Self::Unknown(_) => None,
        }
    }
}

/// Cuts a command line into pieces. `declared`: options of the program, which may have names that would
/// otherwise abbreviate one of ours.
pub(super) fn pieces(
    tokens: &[String],
    known: &KnownOptions,
    declared: &DeclaredArguments,
) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut tokens = tokens.iter().cloned().peekable();
    let mut follows_unknown = false;
    while let Some(token) = tokens.next() {
        if token == "--" {
            pieces.extend(tokens.map(Piece::Separated));
            break;
        }
        if is_value(&token) {
            pieces.push(if follows_unknown {
                Piece::MaybeValue(token)
            } else {
                Piece::Word(token)
            });
            continue;
        }
        let found = if token.starts_with("--") {
            long(&token, known, declared)?
        } else {
            short(&token, known, declared)
        };
        follows_unknown = found == Found::Unknown;
        match found {
            Found::Unknown => pieces.push(Piece::Unknown(token)),
            Found::Malformed => pieces.push(Piece::Malformed(token)),
            Found::Options(options) => {
                let last = options.len() - 1;
                for (place, option) in options.into_iter().enumerate() {
                    // Options in one token are passed on as that token, with the first of them.
                    let mut written = if place == 0 { vec![token.clone()] } else { Vec::new() };
                    let takes = match option.kind {
                        OptionKind::Flag => 0,
                        _ if place < last || option.value.is_some() => 0,
                        OptionKind::One => 1,
                        OptionKind::Many => usize::MAX,
                    };
                    let mut values: Vec<String> = option.value.into_iter().collect();
                    let mut others = Vec::new();
                    while values.len() < takes
                        && let Some(word) = tokens.next_if(|next| is_value(next))
                    {
                        if !values.is_empty() && !word.contains('=') {
                            others.push(Piece::NoPair { name: option.name.clone(), word });
                            continue;
                        }
                        written.push(word.clone());
                        values.push(word);
                    }
                    pieces.push(Piece::Known { name: option.name, values, written });
                    pieces.append(&mut others);
                }
            }
        }
    }
    Ok(pieces)
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Options(Vec<FoundOption>),
    Malformed,
    Unknown,
}

/// One of our options, and its value if that stands in the same token.
#[derive(Debug, PartialEq, Eq)]
struct FoundOption {
    name: String,
    kind: OptionKind,
    value: Option<String>,
}

fn long(token: &str, known: &KnownOptions, declared: &DeclaredArguments) -> Result<Found, String> {
    let (written, value) = name_and_value(token);
    let one = |name: &str| {
        let value = value.map(str::to_owned);
        let of_kind = |kind| vec![FoundOption { name: name.to_owned(), kind, value }];
        known.long(name).map_or(Found::Unknown, |kind| Found::Options(of_kind(kind)))
    };
    if known.long(written).is_some() {
        return Ok(one(written));
    }
    // The original asked itself first, then the program.
    for options in [original::START.as_slice(), &original::WSGI] {
        match original::meaning(options, written) {
            Meaning::Option(name) => return Ok(one(name)),
            Meaning::Several(options) => return Err(ambiguous(token, &options)),
            Meaning::None if declared.names(written) => break,
            Meaning::None => {}
        }
    }
    Ok(Found::Unknown)
}

/// One or more short options, the last one perhaps with its value: `-p9091`, `-dp`.
fn short(token: &str, known: &KnownOptions, declared: &DeclaredArguments) -> Found {
    let name = name_and_value(token).0;
    if name.chars().count() > 2 && declared.names(name) {
        return Found::Unknown;
    }
    let mut options = Vec::new();
    for (place, letter) in token.char_indices().skip(1) {
        let Some((name, kind)) = known.short(letter) else {
            return if options.is_empty() { Found::Unknown } else { Found::Malformed };
        };
        let name = name.to_owned();
        if kind == OptionKind::Flag {
            options.push(FoundOption { name, kind, value: None });
            continue;
        }
        let rest = &token[place + letter.len_utf8()..];
        let value = rest.strip_prefix('=').unwrap_or(rest);
        let value = (!rest.is_empty()).then(|| value.to_owned());
        options.push(FoundOption { name, kind, value });
        break;
    }
    Found::Options(options)
}
