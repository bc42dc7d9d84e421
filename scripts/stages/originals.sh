#!/usr/bin/env bash
# Installs the original package, for the tests that compare the two.
#: lane light
#: after environments
#: minutes 20
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$TESTS/bin/python" tests/conformance/upstream.py --install
