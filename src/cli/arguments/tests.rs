//! Abbreviations: every prefix of every option of the original, and what `init` makes of its command line.

use clap::CommandFactory as _;

use super::original::{INIT, Meaning, START, WSGI, meaning};
use super::*;
use crate::cli::CommandLine;

fn strings(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn rewritten(line: &str) -> Result<String, String> {
    let mut program = CommandLine::command();
    program.build();
    let argv = [vec!["label-studio-ml".to_owned()], strings(line)].concat();
    let argv = rewrite(&argv, &program)?.argv;
    Ok(argv[1..].join(" "))
}

/// The meaning of every abbreviation of an option of the original, by the rules of argparse, written down so
/// that a change of the tables shows.
const START_MEANINGS: [(&str, &str, &str); 10] = [
    // An option, its shortest abbreviation, and how it reads with a value.
    ("--help", "--h", ""),
    ("--root-dir", "--r", "=v"),
    ("--port", "--p", "=v"),
    ("--host", "--ho", "=v"),
    ("--kwargs", "--k", "=v"),
    ("--with", "--w", "=v"),
    ("--debug", "--d", ""),
    ("--log-level", "--l", "=v"),
    ("--model-dir", "--m", "=v"),
    ("--check", "--c", ""),
];

#[test]
fn every_abbreviation_of_an_option_of_the_original_is_that_option() {
    for (option, shortest, value) in START_MEANINGS {
        for end in shortest.len()..=option.len() {
            let line = format!("start {}{value} p", &option[..end]);
            assert_eq!(rewritten(&line), Ok(format!("start {option}{value} p")), "{line}");
        }
    }
    for option in ["--basic-auth-user", "--basic-auth-pass"] {
        for end in "--b".len()..=option.len() {
            let written = &option[..end];
            let expected = if end > "--basic-auth-".len() {
                Ok(format!("start {option}=v"))
            } else {
                Err(format!(
                    "ambiguous option: {written}=v could match --basic-auth-user, --basic-auth-pass"
                ))
            };
            assert_eq!(rewritten(&format!("start {written}=v")), expected);
        }
    }
    for (option, shortest) in [
        ("--help", "--h"),
        ("--root-dir", "--r"),
        ("--script", "--s"),
        ("--from", "--fr"),
        ("--force", "--fo"),
    ] {
        for end in shortest.len()..=option.len() {
            for command in ["init", "create"] {
                let line = format!("{command} {} x", &option[..end]);
                assert_eq!(rewritten(&line), Ok(format!("{command} {option} x")));
            }
        }
    }
    let ambiguous = "ambiguous option: --f could match --from, --force";
    assert_eq!(rewritten("init p --f"), Err(ambiguous.into()));
}

#[test]
fn the_tables_hold_every_option_of_the_original() {
    let told: Vec<_> = START_MEANINGS.iter().map(|(option, ..)| *option).collect();
    for option in START.iter().chain(&WSGI).filter(|option| !option.starts_with("--basic-auth")) {
        assert!(told.contains(option), "{option}");
    }
    let mut program = CommandLine::command();
    program.build();
    for (command, options) in [("init", &INIT[..]), ("start", &START), ("start", &WSGI)] {
        let known = KnownOptions::of(program.find_subcommand(command).unwrap());
        for option in options {
            assert!(known.long(option).is_some(), "{command} {option}");
        }
    }
}

#[test]
fn no_option_of_ours_is_named_as_an_abbreviation_of_the_original() {
    let mut program = CommandLine::command();
    program.build();
    for (command, options) in [("init", INIT.to_vec()), ("start", [&START[..], &WSGI].concat())] {
        let known = KnownOptions::of(program.find_subcommand(command).unwrap());
        for ours in known.names().filter(|name| !options.contains(name)) {
            assert_eq!(meaning(&options, ours), Meaning::None, "{command} {ours}");
        }
    }
}

#[test]
fn an_abbreviation_of_our_own_options_stays_an_error() {
    for written in ["--predict-t", "--thr", "--max-q", "--strict-", "--we"] {
        assert_eq!(rewritten(&format!("start {written} 1")), Ok(format!("start {written} 1")));
    }
    assert_eq!(rewritten("predict --in x"), Ok("predict --in x".into()));
}

#[test]
fn a_word_that_stresses_force_is_left_out() {
    for (line, expected) in [
        ("init p --script m.py --force true", "init p --script m.py --force"),
        ("init p --force True --script m.py", "init p --force --script m.py"),
        ("init --force true p", "init --force p"),
        // The only word is the folder.
        ("init --script m.py --force true", "init --script m.py --force true"),
        ("init p --force false", "init p --force false"),
        ("init p --force", "init p --force"),
    ] {
        assert_eq!(rewritten(line), Ok(expected.into()), "{line}");
    }
}
