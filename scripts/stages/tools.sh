#!/usr/bin/env bash
# Installs the tools that build the package and check its Python code.
#: lane light
#: minutes 10
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

command -v cargo >/dev/null || die "Rust is needed: install it with rustup, https://rustup.rs"
if ! cmp -s "$LOCKS/tools.txt" "$TOOLS/installed.txt"; then
    rm -rf "$TOOLS"
    ensure_venv "$TOOLS" --constraint "$LOCKS/tools.txt" uv
    VIRTUAL_ENV="$TOOLS" "$TOOLS/bin/uv" pip install --quiet --no-deps -r "$LOCKS/tools.txt"
    cp "$LOCKS/tools.txt" "$TOOLS/installed.txt"
fi
