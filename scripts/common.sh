# shellcheck shell=bash
# Sourced by the other scripts: finds a Python, makes environments, builds wheels.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Files of this clone.
CACHE="$ROOT/.cache"
# Files that all clones of a user can share, by version: compiled tools, programs of other projects.
SHARED="${LABEL_STUDIO_ML_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/label-studio-ml-tests}"
LOCKS="$ROOT/scripts/requirements"
# shellcheck disable=SC2034 # used by the scripts that source this
TOOLS="$CACHE/tools" TESTS="$CACHE/tests" FAULTS="$CACHE/faults"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_NO_PROGRESS=1

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
# Ends a stage that cannot run on this machine; the message says why.
leave_out() { printf '%s\n' "$*"; exit 77; }

# Runs a command that computes for minutes. In a stage of scripts/test it gets idle processors only, so that
# it hardly slows down the tests beside it; trainings of these tests have the same priority.
politely() {
    if [ -z "${POLITE:-}" ]; then
        "$@"
    elif chrt --idle 0 true 2>/dev/null; then
        chrt --idle 0 "$@"
    else
        # Not every system has chrt, or allows it.
        nice -n 19 "$@"
    fi
}

# Prints the path of a Python 3.10 or later: $PYTHON if set, else the first on the PATH that runs.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    die "no Python of version 3.10 or later was found; set PYTHON to one"
}

# ensure_venv DIR [PIP ARGUMENTS...]: makes an environment unless it exists, and installs into it.
ensure_venv() {
    local dir="$1"
    shift
    [ -x "$dir/bin/python" ] || "$(find_python)" -m venv "$dir"
    [ $# -eq 0 ] || "$dir/bin/python" -m pip install --quiet "$@"
}

# ensure_locked DIR NAME [PYTHON]: makes an environment in DIR with exactly the packages that
# scripts/requirements/NAME.txt lists, unless it was made from the same list already. Needs the tools.
ensure_locked() {
    local dir="$1" lock="$LOCKS/$2.txt"
    mkdir -p "$(dirname "$dir")"
    {
        # Another clone or another test process may be making the same one.
        ! command -v flock >/dev/null || flock 9
        if ! cmp -s "$lock" "$dir/installed.txt"; then
            rm -rf "$dir"
            "$TOOLS/bin/uv" venv --quiet --python "${3:-$(find_python)}" "$dir"
            VIRTUAL_ENV="$dir" "$TOOLS/bin/uv" pip install --quiet --no-deps -r "$lock"
            cp "$lock" "$dir/installed.txt"
        fi
    } 9>"$dir.lock"
}

# install_wheel DIR WHEEL: installs a wheel of this package into an environment that has its dependencies.
# Replaces another build of the same version.
install_wheel() {
    VIRTUAL_ENV="$1" "$TOOLS/bin/uv" pip install --quiet --no-deps --reinstall --no-cache "$2"
}

# maturin_build MATURIN OUT ARGUMENTS…: builds a wheel into the folder OUT; prints its path.
# maturin has its own target folder, since it builds with other settings than cargo alone.
maturin_build() {
    local maturin="$1" out="$2"
    shift 2
    command -v cargo >/dev/null || die "Rust is needed: install it with rustup, https://rustup.rs"
    rm -rf "$out"
    (cd "$ROOT" && politely "$maturin" build --locked --interpreter "$(find_python)" \
        --target-dir target/maturin --out "$out" "$@") >&2
    ls "$out"/*.whl
}

# Builds the wheel that users get, in its own environment; prints its path.
build_wheel() {
    ensure_venv "$CACHE/build" --constraint "$LOCKS/tools.txt" maturin
    maturin_build "$CACHE/build/bin/maturin" "$CACHE/wheel" --release
}

# cargo_tool NAME VERSION: prints the path of a program from crates.io, which is compiled once. It is a debug
# build, which takes a third of the time to compile and is fast enough for a tool that runs for seconds.
cargo_tool() {
    local dir="$SHARED/$1-$2"
    if [ ! -x "$dir/bin/$1" ]; then
        mkdir -p "$SHARED"
        local made
        made="$(mktemp -d "$SHARED/.$1-XXXXXX")"
        politely cargo install --quiet --locked --debug --version "=$2" --root "$made" \
            --target-dir "$made/target" "$1" >&2 || { rm -rf "$made"; return 1; }
        rm -rf "$made/target" "$dir"
        mv "$made" "$dir"
    fi
    printf '%s\n' "$dir/bin/$1"
}

# apt_install COMMAND PACKAGE…: installs Debian packages unless COMMAND exists; fails if not run as root.
apt_install() {
    local command="$1"
    shift
    command -v "$command" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "Installing $*"
    # Several stages may install something at the same time.
    {
        flock 9
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
    } 9>"${TMPDIR:-/tmp}/label-studio-ml-apt.lock"
}
