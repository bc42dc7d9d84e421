#!/usr/bin/env bash
# Fault tests that measure, or fill memory or disks: one after the other, without anything beside them.
#: lane alone
#: after install-failpoints
#: minutes 15
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$FAULTS/bin/python" -m pytest -m alone tests/faults
