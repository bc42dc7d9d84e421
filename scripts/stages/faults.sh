#!/usr/bin/env bash
# Fault tests: failures of models, workers, servers, clients and disks.
#: lane tests
#: after install-failpoints originals
#: minutes 35
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$FAULTS/bin/python" -m pytest -n 4 --dist loadfile -m 'not alone' --durations=15 tests/faults
