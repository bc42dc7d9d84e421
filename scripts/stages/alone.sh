#!/usr/bin/env bash
# The tests that measure, or fill what others share, one after the other.
#: lane alone
#: after install-failpoints
#: minutes 15
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$FAULTS/bin/python" -m pytest -m alone tests/faults
