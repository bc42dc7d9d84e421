#!/usr/bin/env bash
# Documentation of the Rust code, private items too, without a broken link.
#: lane compile
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

RUSTDOCFLAGS="-D warnings" politely cargo doc --locked --no-deps --document-private-items
