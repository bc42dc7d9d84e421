#!/usr/bin/env bash
# Installs the debug wheel for the tests that need it.
#: lane light
#: after environments wheel-failpoints
#: minutes 5
#: first
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

install_wheel "$FAULTS" "$(ls "$CACHE"/wheel-failpoints/*.whl)"
