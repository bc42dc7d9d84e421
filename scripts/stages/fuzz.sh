#!/usr/bin/env bash
# A short fuzzing run, with the same inputs every time, of everything that parses foreign bytes.
#: lane compile
#: minutes 25
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"

apt_install "${CXX:-c++}" g++ ||
    leave_out "fuzzing needs a compiler for C++; on Debian, as root: apt-get install g++"
"$ROOT/scripts/fuzz" --short
