#!/usr/bin/env bash
# A short run of the benchmark, to check that it works.
#: lane alone
#: after install-wheel
#: minutes 15
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

command -v h2load >/dev/null ||
    leave_out "the benchmark needs h2load; on Debian, as root: apt-get install nghttp2-client"
LABEL_STUDIO_ML_WHEEL="$(ls "$CACHE"/wheel-tests/*.whl)" "$ROOT/scripts/bench" --quick
