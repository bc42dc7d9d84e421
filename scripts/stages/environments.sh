#!/usr/bin/env bash
# Installs the packages of the Python tests, and a browser.
#: lane light
#: after tools
#: minutes 15
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

ensure_locked "$TESTS" tests
ensure_locked "$FAULTS" tests
apt_install shellcheck shellcheck || echo "shellcheck cannot be installed"
apt_install chromedriver chromium chromium-driver || echo "Chromium cannot be installed"
apt_install h2load nghttp2-client || echo "h2load cannot be installed"
