#!/usr/bin/env bash
# Installs the original, which ours is compared with.
#: lane light
#: after environments
#: minutes 20
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$TESTS/bin/python" tests/conformance/upstream.py --install
