#!/usr/bin/env bash
# Builds a debug wheel in which tests can kill the server between two steps, and installs it for them.
#: lane compile
#: after environments
#: minutes 20
#: first
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

install_wheel "$FAULTS" \
    "$(maturin_build "$TOOLS/bin/maturin" "$CACHE/wheel-failpoints" --features failpoints)"
