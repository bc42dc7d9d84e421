#!/usr/bin/env bash
# Compiles for macOS, without building.
#: lane compile
#: after tools
#: minutes 20
set -euo pipefail
exec "$(dirname "$0")/../check-macos"
