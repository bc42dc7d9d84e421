# One-liners for what scripts/ does; `just` comes with `scripts/test tools` (.cache/tools/bin/just).

# lists what there is
default:
    @just --list

# formatting, lints and tests against a debug build
quick:
    scripts/test --quick

# what CI runs; or only the stages that are named: just test rust faults
test *stages:
    scripts/test {{ stages }}

# the stages of the tests
stages:
    scripts/test --list

# mends what formatters can mend
format:
    cargo fmt
    cargo fmt --manifest-path tests/fuzz/Cargo.toml
    .cache/tools/bin/ruff check --fix .
    .cache/tools/bin/ruff format .

# writes the snapshots anew, to be looked at with git diff
snapshots:
    INSTA_UPDATE=always cargo test --locked

# small bugs put into the code, which a test must find: just mutants src/labelling/check
mutants *arguments:
    scripts/mutants {{ arguments }}

# what is behind its newest version
outdated:
    scripts/outdated

# renews the lists of exact versions of Python tools
lock *names:
    scripts/lock {{ names }}

# made-up input for the parsers
fuzz *arguments:
    scripts/fuzz {{ arguments }}

# this package beside its peers
bench *arguments:
    scripts/bench {{ arguments }}
