//! The long options of the original, whose abbreviations keep their meaning for ever, whatever options are
//! added here. Both versions of its API are meant; an option that only one of them has is in the list.

/// Options of `init`, which API v2 also names `create`, in the order in which argparse lists them.
pub(super) const INIT: [&str; 5] = ["--help", "--root-dir", "--script", "--from", "--force"];

/// Options of `start` itself.
pub(super) const START: [&str; 4] =
    ["--help", "--root-dir", "--basic-auth-user", "--basic-auth-pass"];

/// Options of the `_wsgi.py` to which `start` passed everything else.
pub(super) const WSGI: [&str; 11] = [
    "--help",
    "--port",
    "--host",
    "--kwargs",
    "--with",
    "--debug",
    "--log-level",
    "--model-dir",
    "--check",
    "--basic-auth-user",
    "--basic-auth-pass",
];

/// What an option stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Option(&'static str),
    /// It abbreviates more than one.
    Several(Vec<&'static str>),
    None,
}

/// The option among `options` that `written` names or abbreviates.
pub(super) fn meaning(options: &[&'static str], written: &str) -> Meaning {
    if let Some(exact) = options.iter().find(|option| **option == written) {
        return Meaning::Option(exact);
    }
    let begun: Vec<_> = options.iter().copied().filter(|it| it.starts_with(written)).collect();
    match begun.as_slice() {
        [] => Meaning::None,
        [only] => Meaning::Option(only),
        _ => Meaning::Several(begun),
    }
}
