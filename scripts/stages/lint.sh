#!/usr/bin/env bash
# Formatting, lints and types of the Python code, the shell scripts, spelling, and the stages themselves.
#: lane light
#: after install-failpoints
#: minutes 10
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

"$TOOLS/bin/ruff" check .
"$TOOLS/bin/ruff" format --check .
"$TOOLS/bin/mypy"
# Compares the stub of the native module with the module.
"$FAULTS/bin/python" -m mypy.stubtest label_studio_ml._native --mypy-config-file pyproject.toml
"$TOOLS/bin/typos"
if command -v shellcheck >/dev/null; then
    grep -rlZ '^#!/usr/bin/env bash' .ci scripts | xargs -0 shellcheck -x scripts/common.sh
else
    echo "Left out: shellcheck is not installed; on Debian, as root: apt-get install shellcheck"
fi
"$TOOLS/bin/python" -m pytest -q tests/scripts tests/architecture
