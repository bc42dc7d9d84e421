#!/usr/bin/env bash
# scripts/quickstart, which a new user runs first.
#: lane alone
#: after install-wheel
#: minutes 15
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

PORT="$("$TESTS/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
"$ROOT/scripts/quickstart" --exit --port "$PORT"
