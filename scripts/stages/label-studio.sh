#!/usr/bin/env bash
# Installs Label Studio for the tests that need it.
#: lane light
#: after environments
#: minutes 20
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$TESTS/bin/python" tests/e2e/label_studio.py
