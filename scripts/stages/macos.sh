#!/usr/bin/env bash
# Checks that the Rust code compiles for macOS.
#: lane compile
#: after tools
#: minutes 20
set -euo pipefail
exec "$(dirname "$0")/../check-macos"
