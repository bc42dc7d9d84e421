#!/usr/bin/env bash
# Tests with a real Label Studio and in a browser, without the slowest ones.
#: lane tests
#: after install-wheel label-studio
#: minutes 20
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

CHOSEN='not slow'
if ! command -v chromedriver >/dev/null; then
    CHOSEN='not slow and not browser'
    echo "Left out: tests in a browser need chromium and chromedriver;" \
        "on Debian, as root: apt-get install chromium chromium-driver"
fi
"$TESTS/bin/python" -m pytest tests/e2e --durations=10 -m "$CHOSEN"
