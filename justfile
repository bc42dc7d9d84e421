# Short names for the scripts; `scripts/test tools` installs `just` as .cache/tools/bin/just.

# list the recipes
default:
    @just --list

# run formatting, lints and tests against a debug build
quick:
    scripts/test --quick

# run the stages that CI runs, or only some of them: just test rust faults
test *stages:
    scripts/test {{ stages }}

# list the stages of the tests
stages:
    scripts/test --list

# format the code, and fix what linters can fix
format:
    cargo fmt
    cargo fmt --manifest-path tests/fuzz/Cargo.toml
    .cache/tools/bin/ruff check --fix .
    .cache/tools/bin/ruff format .

# write the snapshots anew; look at them with git diff
snapshots:
    INSTA_UPDATE=always cargo test --locked

# list small bugs that no unit test notices: just mutants src/labelling/check
mutants *arguments:
    scripts/mutants {{ arguments }}

# list outdated dependencies
outdated:
    scripts/outdated

# renew the lists of exact versions of Python packages
lock *names:
    scripts/lock {{ names }}

# feed generated input to the parsers
fuzz *arguments:
    scripts/fuzz {{ arguments }}

# compare this package with other servers
bench *arguments:
    scripts/bench {{ arguments }}
