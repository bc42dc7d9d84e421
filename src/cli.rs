//! The command line `label-studio-ml`. One file a command.

mod activate;
mod addresses;
mod arguments;
mod bad_value;
mod cancel;
mod doctor;
mod init;
mod inspect;
mod install;
mod jobs;
mod kwargs;
mod listen;
mod log;
mod model_stack;
mod offline;
mod password;
mod predict;
mod probe;
mod project_args;
mod remote;
mod signals;
mod start;
mod task_file;
mod terminal;
mod validate;
mod values;
mod versions;

use std::io::Write;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::arguments::Arguments;
use crate::workers::process::Launch;

/// Exit status for what the user can correct: a wrong path, a port in use, a script that fails.
const USAGE: i32 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "label-studio-ml",
    version,
    about = "Serve a machine learning model to Label Studio"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a project folder from a model script
    #[command(visible_alias = "create")]
    Init(init::InitArgs),
    /// Install what a project requires, from its requirements.txt
    Install(install::InstallArgs),
    /// Start the server for a project folder
    Start(Box<start::StartArgs>),
    /// Predict for a file of tasks or a whole project of Label Studio
    Predict(predict::PredictArgs),
    /// Check that Label Studio can show what a model predicts
    Validate(validate::ValidateArgs),
    /// Find out why a server and Label Studio do not work together
    Doctor(doctor::DoctorArgs),
    /// List the model versions of a running server
    Versions(versions::VersionsArgs),
    /// Make a running server serve an earlier model version
    Activate(activate::ActivateArgs),
    /// List the training jobs of a running server, or show one
    Jobs(jobs::JobsArgs),
    /// Cancel a training job of a running server
    Cancel(cancel::CancelArgs),
}

/// Runs a command line, `argv[0]` being the program; returns the exit status.
pub fn run(argv: &[String], launch: &Launch) -> i32 {
    let mut program = CommandLine::command();
    program.build();
    let Arguments { argv, passed_on } = match arguments::rewrite(argv, &program) {
        Ok(arguments) => arguments,
        Err(sentence) => {
            note(&format!("error: {sentence}"));
            return USAGE;
        }
    };
    let command = match parse(program.clone(), &argv) {
        Ok(command) => command,
        Err(error) => {
            if let Some(sentence) = bad_value::complaint(&error, &argv, &program) {
                note(&format!("error: {sentence}"));
                return USAGE;
            }
            // The terminal may be gone, which does not change the status.
            let _ = error.print();
            return error.exit_code();
        }
    };
    let done = match command {
        Command::Init(options) => init::run(&options, launch),
        Command::Install(options) => install::run(&options, launch),
        Command::Start(options) => start::run(&options, &passed_on, launch),
        Command::Predict(options) => predict::run(&options, launch),
        Command::Validate(options) => validate::run(&options, launch),
        Command::Doctor(options) => doctor::run(&options, launch),
        Command::Versions(options) => versions::run(&options),
        Command::Activate(options) => activate::run(&options),
        Command::Jobs(options) => jobs::run(&options),
        Command::Cancel(options) => cancel::run(&options),
    };
    log::flush();
    match done {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            USAGE
        }
    }
}

fn parse(mut program: clap::Command, argv: &[String]) -> Result<Command, clap::Error> {
    let mut matches = program.try_get_matches_from_mut(argv)?;
    let line = CommandLine::from_arg_matches_mut(&mut matches);
    Ok(line.map_err(|error| error.format(&mut program))?.command)
}

/// Tells the user something that is not the result of the command.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a line for the user.
fn say(line: &str) {
    // A closed pipe (`label-studio-ml init … | head`) is not an error.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests;
