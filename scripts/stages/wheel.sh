#!/usr/bin/env bash
# Builds the wheel that users get, and installs it for the tests.
#: lane compile
#: after environments
#: minutes 25
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

install_wheel "$TESTS" "$(maturin_build "$TOOLS/bin/maturin" "$CACHE/wheel-tests" --release)"
