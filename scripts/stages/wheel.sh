#!/usr/bin/env bash
# Builds the wheel that users get.
#: lane compile
#: after tools
#: minutes 25
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

maturin_build "$TOOLS/bin/maturin" "$CACHE/wheel-tests" --release
