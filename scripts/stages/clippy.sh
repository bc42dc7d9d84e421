#!/usr/bin/env bash
# Formatting and lints of the Rust code.
#: lane compile
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

cargo fmt --check
cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
politely cargo clippy --locked --all-targets --features failpoints,fuzzing -- -D warnings
