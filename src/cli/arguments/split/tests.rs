//! What of a command line is ours, and what the program of a project gets.

use std::fs;

use clap::CommandFactory as _;

use super::*;
use crate::cli::CommandLine;

/// A program with options of its own.
const OWN: &str = "
import argparse
from label_studio_ml.api import init_app
parser = argparse.ArgumentParser()
for name in ('-w', '--weights', '--threads', '--port', '--model', '-lr'):
    parser.add_argument(name)
";
const ANY: &str = "import sys\nprint(sys.argv)";
const NONE: &str = "from label_studio_ml.api import init_app";

/// What becomes of the command line `start …` in a folder with the projects `own`, `any` and `none`.
fn split(line: &str) -> (String, String) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in [("own", OWN), ("any", ANY), ("none", NONE)] {
        fs::create_dir(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("_wsgi.py"), text).unwrap();
    }
    let mut program = CommandLine::command();
    program.build();
    let known = KnownOptions::of(program.find_subcommand("start").unwrap());
    let at = format!("--root-dir={}", root.path().display());
    let tokens = line.split_whitespace().map(str::to_owned);
    let (ours, passed_on) =
        start(&std::iter::once(at.clone()).chain(tokens).collect::<Vec<_>>(), &known).unwrap();
    assert_eq!(ours[0], at);
    (ours[1..].join(" "), passed_on.all.join(" "))
}

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    for (line, ours, passed_on) in cases {
        assert_eq!(split(line), ((*ours).to_owned(), (*passed_on).to_owned()), "start {line}");
    }
}

#[test]
fn an_option_of_the_program_is_passed_on_with_its_values() {
    check(&[
        ("own --weights best.pt", "own", "--weights best.pt"),
        ("own --weights=best.pt -p 1", "own --port=1", "--weights=best.pt"),
        ("own --weights a b --check", "own --check", "--weights a b"),
        ("own --weights -1 -0.5 -.5 -1e3", "own", "--weights -1 -0.5 -.5 -1e3"),
        ("own --weig best.pt -w5 -w=6", "own", "--weig best.pt -w5 -w=6"),
        ("own -lr 0.1", "own", "-lr 0.1"),
        ("any -x --yes 1 more", "any", "-x --yes 1 more"),
        ("any word", "any", "word"),
    ]);
}

#[test]
fn the_project_may_stand_anywhere() {
    check(&[
        ("--weights best.pt own", "own", "--weights best.pt"),
        ("-p 1 --weights best.pt own", "--port=1 own", "--weights best.pt"),
        ("--weights best.pt -p 1 own", "--port=1 own", "--weights best.pt"),
        // A word that no option takes is the project, whatever else names one.
        ("--weights any --check own", "--check own", "--weights any"),
        ("--with a=1 b=2 own", "--with=a=1 --with=b=2 own", ""),
        ("-- own", "own", ""),
    ]);
}

#[test]
fn an_option_that_no_file_reads_stays_for_clap() {
    check(&[
        ("none --weights best.pt", "none --weights best.pt", ""),
        ("own --weigths best.pt", "own --weigths best.pt", ""),
        ("none --predict-t 1", "none --predict-t 1", ""),
        ("none -x", "none -x", ""),
        ("none more", "none more", ""),
        ("none -dx", "none -dx", ""),
        ("none -- --weights best.pt", "none -- --weights best.pt", ""),
        ("none --with a=1 b", "none --with=a=1 --with=b", ""),
    ]);
}

#[test]
fn everything_behind_two_hyphens_is_for_the_program() {
    check(&[
        ("own -- --weights best.pt --threads 2", "own", "--weights best.pt --threads 2"),
        ("any -p 1 -- --check -- x", "any --port=1", "-p 1 --check -- x"),
        ("own -- word", "own -- word", ""),
    ]);
}

#[test]
fn options_that_both_know_reach_both() {
    check(&[
        ("own --port 9091", "own --port=9091", "--port 9091"),
        ("own --threads 2 --weights x", "own --threads=2", "--threads 2 --weights x"),
        ("own --workers 2", "own --workers=2", ""),
        // The program declares --port, but neither -p nor --check.
        ("own -p 9091 --check", "own --port=9091 --check", ""),
        (
            "any -p9091 -d --kwargs a=b c=d",
            "any --port=9091 --debug --kwargs=a=b --kwargs=c=d",
            "-p9091 -d --kwargs a=b c=d",
        ),
        ("any --workers 2", "any --workers=2", ""),
        // `parse_args` of the program prefers a name to an abbreviation.
        ("own --model x", "own", "--model x"),
        ("none --model x", "none --model-dir=x", ""),
        ("any --model x", "any --model-dir=x", "--model x"),
    ]);
}

#[test]
fn short_options_may_share_a_token_with_their_value() {
    check(&[
        ("none -p9091", "none --port=9091", ""),
        ("none -p=9091", "none --port=9091", ""),
        ("none -dp 9091", "none --debug --port=9091", ""),
        ("none -p -1", "none --port=-1", ""),
        ("none -h", "none -h", ""),
        ("none --he", "none --help", ""),
        ("none -p", "none --port", ""),
        ("none --port --check", "none --port --check", ""),
        ("none --debug=yes", "none --debug=yes", ""),
    ]);
}
