#!/usr/bin/env bash
# All tests with a real Label Studio of today and of 2022, and in a browser.
#: lane tests
#: after install-wheel label-studio
#: minutes 60
#: by hand
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

command -v chromedriver >/dev/null || die "tests in a browser need chromium and chromedriver;" \
    "on Debian, as root: apt-get install chromium chromium-driver"
"$TESTS/bin/python" -m pytest tests/e2e --durations=10
