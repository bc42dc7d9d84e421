#!/usr/bin/env bash
# Installs the wheel that users get for the tests that need it.
#: lane light
#: after environments wheel
#: minutes 5
#: first
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

install_wheel "$TESTS" "$(ls "$CACHE"/wheel-tests/*.whl)"
