#!/usr/bin/env bash
# What may go wrong: models, workers, servers, clients and disks, a promise a test.
#: lane tests
#: after install-failpoints originals
#: minutes 35
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$FAULTS/bin/python" -m pytest -n 4 --dist loadfile -m 'not alone' --durations=15 tests/faults
