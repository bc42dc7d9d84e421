# Sourced by the scripts beside it: finding a Python, making environments, building the wheel.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="$ROOT/.cache"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints a Python of at least 3.10: $PYTHON if set, else the first on the PATH that runs.
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

# ensure_venv DIR [PIP ARGUMENTS...]: makes an environment once, and installs into it.
ensure_venv() {
    local dir="$1"
    shift
    [ -x "$dir/bin/python" ] || "$(find_python)" -m venv "$dir"
    [ $# -eq 0 ] || "$dir/bin/python" -m pip install --quiet "$@"
}

# Builds the wheel with the environment in $CACHE/build; prints its path.
# maturin has a target folder of its own, since it builds with other settings than cargo alone.
build_wheel() {
    command -v cargo >/dev/null || die "Rust is needed: install it with rustup, https://rustup.rs"
    ensure_venv "$CACHE/build" 'maturin>=1.9.4,<2'
    rm -rf "$CACHE/wheel"
    (cd "$ROOT" && "$CACHE/build/bin/maturin" build --release --locked \
        --interpreter "$CACHE/build/bin/python" \
        --target-dir target/maturin --out "$CACHE/wheel") >&2
    ls "$CACHE"/wheel/*.whl
}
