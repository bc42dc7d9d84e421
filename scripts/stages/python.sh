#!/usr/bin/env bash
# Black-box tests of the installed wheel, its comparison with the original, and every Python.
#: lane tests
#: after install-wheel originals
#: minutes 25
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

# The file that takes longest comes first, since the others would be done long before it.
LABEL_STUDIO_ML_WHEEL="$(ls "$CACHE"/wheel-tests/*.whl)" "$TESTS/bin/python" -m pytest \
    -n 4 --dist loadfile --no-loadscope-reorder -m 'not alone' --durations=15 \
    tests/wheel tests/conformance tests/python
