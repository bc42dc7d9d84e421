#!/usr/bin/env bash
# The tests that measure, or fill what others share, one after the other.
#: lane alone
#: after wheel wheel-failpoints
#: minutes 25
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$TESTS/bin/python" -m pytest -m alone --durations=10 tests/python tests/conformance
"$FAULTS/bin/python" -m pytest -m alone --durations=10 tests/faults
