#!/usr/bin/env bash
# The installed wheel, started and used as users do; beside the original; under every Python.
#: lane tests
#: after install-wheel originals
#: minutes 25
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

# The file that takes longest comes first, or the others would be through when it begins.
LABEL_STUDIO_ML_WHEEL="$(ls "$CACHE"/wheel-tests/*.whl)" "$TESTS/bin/python" -m pytest \
    -n 4 --dist loadfile --no-loadscope-reorder -m 'not alone' --durations=15 \
    tests/wheel tests/conformance tests/python
