//! What `-h` and `--help` print for the program and for every command. Users read it first, so every change
//! of it must be looked at.

use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _};

use super::{CommandLine, bad_value};

/// Width of the lines, in columns, instead of that of the terminal in which the tests run.
const WIDTH: usize = 100;

/// The command as every user sees it, whatever the environment of the tests sets.
fn settled(command: Command) -> Command {
    command.term_width(WIDTH).mut_args(|arg| arg.hide_env_values(true))
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut program = CommandLine::command();
    program.build();
    let names: Vec<_> = program.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    assert!(names.len() > 4, "{names:?}");
    insta::assert_snapshot!("help", settled(program.clone()).render_long_help());
    insta::assert_snapshot!("help_short", settled(program.clone()).render_help());
    for name in names.iter().filter(|name| *name != "help") {
        let command = settled(program.find_subcommand(name).unwrap().clone());
        insta::assert_snapshot!(format!("help_{name}"), command.clone().render_long_help());
        insta::assert_snapshot!(format!("help_{name}_short"), command.clone().render_help());
    }
}

#[test]
fn the_short_help_shows_about_a_dozen_options_and_says_where_the_others_are() {
    let mut program = CommandLine::command();
    program.build();
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let (shown, hidden): (Vec<_>, Vec<_>) = command
            .get_arguments()
            .filter(|arg| !arg.is_positional())
            .partition(|arg| !arg.is_hide_short_help_set());
        assert!(shown.len() <= 14, "{} shows {} options", command.get_name(), shown.len());
        let text = command.clone().render_help().to_string();
        let last = text.lines().last().unwrap();
        let pointer = format!("`label-studio-ml {} --help` shows all options.", command.get_name());
        assert_eq!(last == pointer, !hidden.is_empty(), "{text}");
    }
}

/// What the user is told about a command line with a wrong value.
fn complaint(argv: &[&str]) -> Option<String> {
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let mut program = CommandLine::command();
    program.build();
    let error = super::parse(program.clone(), &argv).err()?;
    bad_value::complaint(&error, &argv, &program)
}

#[test]
fn a_wrong_value_is_told_what_is_expected() {
    for (option, expected) in [
        ("--port", "is not a port number (1 to 65535)"),
        ("--max-queue", "is not a whole number (1 or more)"),
        ("--queue-timeout", "is not a number of seconds (more than 0)"),
        ("--workers", "is not a whole number from 1 to 256 or auto"),
        ("--train-nice", "is not a whole number from 0 to 19 or idle"),
        ("--fit-in", "is not one of process, worker"),
    ] {
        let told = complaint(&["label-studio-ml", "start", option, "abc"]);
        assert_eq!(told.unwrap(), format!("{option}: \"abc\" {expected}"));
    }
    let told = complaint(&["label-studio-ml", "start", "-pabc"]);
    assert_eq!(told.unwrap(), "--port: \"abc\" is not a port number (1 to 65535)");
}

#[test]
fn every_option_that_refuses_a_value_says_so_in_plain_words() {
    let mut program = CommandLine::command();
    program.build();
    let mut refused = 0;
    for command in program.get_subcommands() {
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            let argv = ["label-studio-ml", command.get_name(), &format!("--{long}=\u{a7}")];
            let line = argv.map(str::to_owned);
            let Err(error) = super::parse(program.clone(), &line) else { continue };
            if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
                let told = complaint(&argv).unwrap();
                assert!(told.starts_with(&format!("--{long}: \"\u{a7}\" is not ")), "{told}");
                refused += 1;
            }
        }
    }
    assert!(refused > 25, "{refused}");
}

#[test]
fn secrets_from_the_environment_are_never_in_the_help() {
    let mut program = CommandLine::command();
    program.build();
    for command in program.get_subcommands() {
        for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()) {
            let name = arg.get_env().unwrap().to_string_lossy();
            let is_secret = ["PASS", "TOKEN", "KEY", "SECRET"].iter().any(|it| name.contains(it));
            assert!(!is_secret || arg.is_hide_env_values_set(), "{name} of {}", command.get_name());
        }
    }
}
