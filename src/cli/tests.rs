//! What `-h` and `--help` print for the program and for every command. Users read it first, so every change
//! of it must be looked at.

use clap::{Command, CommandFactory as _, Parser as _};

use super::CommandLine;

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

#[test]
fn a_value_that_is_not_a_number_is_told_what_is_expected() {
    for (option, expected) in [
        ("--port", "must be a whole number from 0 to 65535"),
        ("--max-queue", "must be a whole number, 1 or more"),
        ("--queue-timeout", "must be a number of seconds, more than 0"),
        ("--workers", "must be a whole number from 1 to 256, or auto"),
        ("--train-nice", "must be a whole number from 0 to 19, or idle"),
    ] {
        let line = ["label-studio-ml", "start", option, "abc"];
        let error = CommandLine::try_parse_from(line).unwrap_err().to_string();
        assert!(error.contains(&format!("invalid value 'abc' for '{option} <")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
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
