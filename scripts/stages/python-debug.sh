#!/usr/bin/env bash
# Only the black-box tests of the package, against the debug wheel.
#: lane tests
#: after install-failpoints
#: by hand
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$FAULTS/bin/python" -m pytest -n 4 --dist loadfile tests/python
