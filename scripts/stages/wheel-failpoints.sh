#!/usr/bin/env bash
# Builds the debug wheel, in which tests can kill the server between two steps.
#: lane compile
#: after tools
#: minutes 20
#: first
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

maturin_build "$TOOLS/bin/maturin" "$CACHE/wheel-failpoints" --features failpoints
