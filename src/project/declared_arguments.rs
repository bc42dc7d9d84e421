//! Which arguments of the command line a project's own files read, found out by reading those files.
//!
//! In: `_wsgi.py` or a script. It and the files of the project that it imports are read. Out: the string
//! constants in them, among which are the names of their options, and whether they can read any argument.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::model_script::text_of;
use super::python_tokens::{PythonToken, tokens};

/// Maximum number of files that are read.
const MAX_FILES: usize = 200;
/// Functions that let unknown options pass.
const LETS_PASS: [&str; 2] = ["parse_known_args", "parse_known_intermixed_args"];
/// Names that stand in files that derive their options from other names, or from a text about them.
const DERIVES: [&str; 10] = [
    "HfArgumentParser",
    "absl",
    "click",
    "docopt",
    "fire",
    "hydra",
    "jsonargparse",
    "simple_parsing",
    "typer",
    "tyro",
];

/// Options of the `_wsgi.py` that the original writes; one of API v1 lacks the last two.
const OF_TEMPLATE: [&str; 12] = [
    "--port",
    "--host",
    "--kwargs",
    "--model-dir",
    "-p",
    "--with",
    "-d",
    "--debug",
    "--log-level",
    "--check",
    "--basic-auth-user",
    "--basic-auth-pass",
];

/// What the files of a project read of the command line.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct DeclaredArguments {
    /// String constants that look like an option.
    options: HashSet<String>,
    /// An argument that is not an option is declared.
    has_positional: bool,
    /// Arguments that the files do not know do no harm to them.
    lets_pass: bool,
    /// The files derive their options.
    derives: bool,
    /// Names and words of texts, from which options may be derived.
    words: HashSet<String>,
    /// A file starts the server with its own arguments.
    starts_server: bool,
}

impl DeclaredArguments {
    /// Reads a script, and the files below its folder that it imports. A `_wsgi.py` as the original or `init`
    /// writes it stands alone: its parser, or the server, refuses what it does not know.
    pub fn of(script: &Path) -> Self {
        let folder = script.parent().unwrap_or(Path::new("."));
        let mut declared = Self::default();
        let mut waiting = vec![script.to_owned()];
        let mut seen = HashSet::from([script.to_owned()]);
        while let Some(path) = waiting.pop() {
            let Some(text) = text_of(&path) else { continue };
            let tokens = tokens(&text);
            declared.note(&tokens);
            if path == script && declared.is_from_template() {
                break;
            }
            for next in imported(&tokens, folder, &path) {
                if seen.len() < MAX_FILES && seen.insert(next.clone()) {
                    waiting.push(next);
                }
            }
        }
        declared
    }

    fn note(&mut self, tokens: &[PythonToken]) {
        for (place, token) in tokens.iter().enumerate() {
            match token {
                PythonToken::Text(text) => {
                    if text.len() > 1 && text.starts_with('-') {
                        self.options.insert(text.clone());
                    }
                    self.words.extend(words(text));
                }
                PythonToken::Name(name) if name == "argv" => {
                    let starts_server = is_handed_to_start(tokens, place);
                    self.starts_server |= starts_server;
                    self.lets_pass |= !starts_server && !is_handed_on(tokens, place);
                }
                PythonToken::Name(name) if name == "add_argument" => {
                    self.has_positional |= matches!(
                        tokens.get(place + 1..place + 3),
                        Some([PythonToken::Mark('('), PythonToken::Text(text)])
                            if !text.starts_with('-')
                    );
                }
                PythonToken::Name(name) => {
                    self.lets_pass |= LETS_PASS.contains(&name.as_str());
                    self.derives |= DERIVES.contains(&name.as_str());
                    self.words.insert(name.clone());
                }
                _ => {}
            }
        }
    }

    fn is_from_template(&self) -> bool {
        let has_all = OF_TEMPLATE[..4].iter().all(|option| self.options.contains(*option));
        let has_more = self.options.iter().any(|own| !OF_TEMPLATE.contains(&own.as_str()));
        !self.reads_positional() && !has_more && (self.starts_server || has_all)
    }

    /// Whether a file names exactly this option.
    pub fn names(&self, option: &str) -> bool {
        self.options.contains(option)
    }

    /// Whether a file would understand an option, be it abbreviated: `--weigh` for `--weights`, `-w5` for `-w`.
    pub fn reads_option(&self, option: &str) -> bool {
        self.lets_pass || self.derives || self.declares(option)
    }

    /// Whether a file would take an option that it need not know: one that is meant for the server.
    pub fn expects_option(&self, option: &str) -> bool {
        let name = option.trim_start_matches('-').replace('-', "_");
        let is_derived = self.derives && option.starts_with("--");
        self.lets_pass || self.declares(option) || is_derived && self.words.contains(&name)
    }

    fn declares(&self, option: &str) -> bool {
        self.options.iter().any(|own| own.starts_with(option))
            || (!option.starts_with("--")
                && option.chars().nth(1).is_some_and(|c| self.options.contains(&format!("-{c}"))))
    }

    /// Whether a file would understand an argument that is not an option.
    pub fn reads_positional(&self) -> bool {
        self.lets_pass || self.derives || self.has_positional
    }
}

/// The words of a text that may name options: `weights` and `model_dir` of `"--weights=W --model-dir"`.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    words.map(|word| word.trim_matches('-').replace('-', "_")).filter(|word| !word.is_empty())
}

/// Whether `argv` at a place reads no argument itself: `sys.argv[0]` is the program, and `parse_args` knows its
/// options.
fn is_handed_on(tokens: &[PythonToken], place: usize) -> bool {
    let zero = [PythonToken::Mark('['), PythonToken::Mark('0'), PythonToken::Mark(']')];
    let before: Vec<_> = tokens[..place].iter().rev().take(4).collect();
    let is_parsed = matches!(
        before.as_slice(),
        [dot, sys, bracket, parse, ..] if dot.is_mark('.')
            && sys.is_name("sys")
            && bracket.is_mark('(')
            && parse.is_name("parse_args")
    );
    is_parsed || tokens[place + 1..].starts_with(&zero)
}

/// Whether `argv` at a place stands in `main(["start", …, *sys.argv[1:]])`, with which a `_wsgi.py` that `init`
/// writes starts the server itself.
fn is_handed_to_start(tokens: &[PythonToken], place: usize) -> bool {
    let mark = |mark| Some(PythonToken::Mark(mark));
    let statement = tokens[..place].rsplit(|token| *token == PythonToken::End).next();
    let before = statement.unwrap_or_default();
    let hands_over = before.windows(4).any(|four| {
        four[0].is_name("main")
            && four[1].is_mark('(')
            && four[2].is_mark('[')
            && four[3] == PythonToken::Text("start".into())
    });
    let is_unpacked = matches!(
        before,
        [.., star, sys, dot] if star.is_mark('*') && sys.is_name("sys") && dot.is_mark('.')
    );
    let after: Vec<_> = tokens.iter().skip(place + 1).take(4).cloned().map(Some).collect();
    hands_over && is_unpacked && after == [mark('['), mark('1'), mark(':'), mark(']')]
}

/// Files below `folder` that the file at `path` imports. A string constant counts as the name of a module:
/// `__import__("my-model")`.
fn imported(tokens: &[PythonToken], folder: &Path, path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for statement in tokens.split(|token| *token == PythonToken::End) {
        for token in statement {
            if let PythonToken::Text(text) = token
                && !text.is_empty()
                && !text.contains(['/', '\n'])
            {
                found.extend(files_of(folder, text.split('.')));
            }
        }
        // An import may follow a colon: `try: import x`.
        let Some(begin) = statement.iter().position(|t| t.is_name("import") || t.is_name("from"))
        else {
            continue;
        };
        let (root, rest) = if statement[begin].is_name("from") {
            let dots = statement[begin + 1..].iter().take_while(|t| t.is_mark('.')).count();
            let root = match dots {
                0 => Some(folder),
                dots => path.ancestors().nth(dots),
            };
            (root.unwrap_or(folder), &statement[begin + 1 + dots..])
        } else {
            (folder, &statement[begin + 1..])
        };
        found.extend(modules(rest).iter().flat_map(|parts| files_of(root, parts.iter().copied())));
    }
    found
}

/// The dotted names of an import statement behind its first keyword; of `from a.b import c, d` the names
/// `a.b.c` and `a.b.d`.
fn modules(tokens: &[PythonToken]) -> Vec<Vec<&str>> {
    let mut prefix = Vec::new();
    let mut modules = vec![Vec::new()];
    let mut is_new_name = false;
    for token in tokens {
        match token {
            PythonToken::Name(name) if name == "import" => {
                prefix = modules.concat();
                modules.push(prefix.clone());
            }
            PythonToken::Name(name) if name == "as" => is_new_name = true,
            PythonToken::Name(_) if is_new_name => is_new_name = false,
            PythonToken::Name(name) => {
                if let Some(module) = modules.last_mut() {
                    module.push(name.as_str());
                }
            }
            PythonToken::Mark(',') => modules.push(prefix.clone()),
            _ => {}
        }
    }
    modules
}

/// The files that importing a dotted name runs: every package on the way, and the module.
fn files_of<'a>(root: &Path, parts: impl Iterator<Item = &'a str>) -> Vec<PathBuf> {
    let (mut found, mut folder) = (Vec::new(), root.to_owned());
    for part in parts {
        let module = folder.join(format!("{part}.py"));
        folder.push(part);
        let package = folder.join("__init__.py");
        found.extend([package, module].into_iter().find(|path| path.is_file()));
        if !folder.is_dir() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn declared(files: &[(&str, &str)]) -> DeclaredArguments {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        DeclaredArguments::of(&dir.path().join(files[0].0))
    }

    #[test]
    fn an_option_is_known_by_its_name_or_the_begin_of_it() {
        let source = "parser.add_argument('-w', '--weights', help='--no')\nparser.parse_args()";
        let own = declared(&[("_wsgi.py", source)]);
        for known in ["--weights", "--weigh", "-w", "-w5"] {
            assert!(own.reads_option(known), "{known}");
        }
        for other in ["--weightsx", "--data", "-x", "-x5"] {
            assert!(!own.reads_option(other), "{other}");
        }
        assert!(own.names("--weights") && !own.names("--weigh"));
        assert!(!own.reads_positional());
    }

    #[test]
    fn files_that_are_imported_count_and_others_do_not() {
        let option = "parser.add_argument('--weights')";
        for (import, file) in [
            ("from model import M", "model.py"),
            ("import os, model as m", "model.py"),
            ("try: from pkg.args import x\nexcept: pass", "pkg/args.py"),
            ("from pkg import (\n    args,\n)", "pkg/args.py"),
            ("import pkg.args", "pkg/__init__.py"),
            ("from . import args", "args.py"),
            ("M = __import__('my-model').M", "my-model.py"),
        ] {
            assert!(
                declared(&[("_wsgi.py", import), (file, option)]).names("--weights"),
                "{import}"
            );
        }
        assert!(!declared(&[("_wsgi.py", "import os"), ("train.py", option)]).names("--weights"));
        let relative =
            [("_wsgi.py", "import pkg.a"), ("pkg/a.py", "from .b import c"), ("pkg/b.py", option)];
        assert!(declared(&relative).names("--weights"));
    }

    #[test]
    fn some_files_may_read_anything() {
        for source in [
            "import sys\nprint(sys.argv[1])",
            "from sys import argv",
            "args, rest = parser.parse_known_args()",
            "import click",
            "from absl import flags",
        ] {
            let own = declared(&[("_wsgi.py", source)]);
            assert!(own.reads_option("--anything") && own.reads_positional(), "{source}");
        }
        assert!(declared(&[("_wsgi.py", "p.add_argument('images')")]).reads_positional());
    }

    #[test]
    fn options_for_the_server_reach_a_program_that_would_refuse_them_only_if_it_has_them() {
        let source = "import typer\ndef main(weights: str, model_dir: str): ...\ntyper.run(main)";
        let own = declared(&[("_wsgi.py", source)]);
        assert!(own.expects_option("--model-dir") && own.reads_option("--weights"));
        assert!(!own.expects_option("--port") && !own.expects_option("-p"));
        let source = "'Usage: x --port=<n>'\nimport docopt";
        assert!(declared(&[("_wsgi.py", source)]).expects_option("--port"));
        assert!(declared(&[("_wsgi.py", "print(sys.argv)")]).expects_option("--port"));
    }

    #[test]
    fn a_file_that_hands_its_arguments_to_a_parser_reads_what_that_declares() {
        for source in ["parser.parse_args(sys.argv[1:])", "print(sys.argv[0])"] {
            assert!(!declared(&[("_wsgi.py", source)]).reads_option("--weights"), "{source}");
        }
    }

    #[test]
    fn a_file_that_the_original_wrote_reads_the_options_of_the_original() {
        let parser = OF_TEMPLATE.map(|option| format!("p.add_argument('{option}')\n")).concat();
        let source = format!("import model\n{parser}");
        let model = ("model.py", "import click");
        let own = declared(&[("_wsgi.py", &source), model]);
        assert!(own.reads_option("--port") && !own.reads_option("--weights"));
        let more = format!("{source}p.add_argument('--weights')");
        let own = declared(&[("_wsgi.py", &more), model]);
        assert!(own.names("--weights") && own.reads_option("--anything"));
    }

    #[test]
    fn a_file_that_init_wrote_reads_nothing() {
        for source in [include_str!("templates/wsgi_v1.py"), include_str!("templates/wsgi_v2.py")] {
            let own = declared(&[("_wsgi.py", source)]);
            assert!(!own.reads_option("--weights") && !own.reads_positional());
            let files = [("_wsgi.py", source.replace("__IMPORT__", "from model import M"))];
            let model = [("model.py", "import click")].map(|(name, text)| (name, text.to_owned()));
            let files = [files, model].concat();
            let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            assert!(!declared(&files).reads_option("--weights"));
            let more = format!("{source}\nimport sys\nprint(sys.argv[1])");
            assert!(declared(&[("_wsgi.py", &more)]).reads_option("--weights"));
        }
    }
}
