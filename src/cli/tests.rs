//! What `-h` and `--help` print, of the program and of every command: users read it first, so a change of
//! it must be looked at.

use clap::{Command, CommandFactory as _};

use super::CommandLine;

/// Width of the lines, in columns; otherwise that of the terminal in which the tests run.
const WIDTH: usize = 100;

/// The command as it is for everybody, whatever the environment of the tests sets.
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
    for name in names.iter().filter(|name| *name != "help") {
        let command = settled(program.find_subcommand(name).unwrap().clone());
        insta::assert_snapshot!(format!("help_{name}"), command.clone().render_long_help());
        insta::assert_snapshot!(format!("help_{name}_short"), command.clone().render_help());
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
