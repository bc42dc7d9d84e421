#!/usr/bin/env bash
# Builds the documentation of the Rust code, with private items; a broken link is an error.
#: lane compile
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

RUSTDOCFLAGS="-D warnings" politely cargo doc --locked --no-deps --document-private-items
