#!/usr/bin/env bash
# Unit tests of the Rust code, and snapshots that no test looks at any more.
#: lane compile
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

politely cargo test --locked --no-run
# A new or changed snapshot must be looked at, not written. Tests take seconds; one that waits for ever
# is ended, and has failed.
SEEN="$(mktemp)"
trap 'rm -f "$SEEN"' EXIT
INSTA_UPDATE=no INSTA_SNAPSHOT_REFERENCES_FILE="$SEEN" timeout --verbose 300 cargo test --locked
KEPT="$(find src tests -name '*.snap' -exec realpath {} + | sort)"
UNUSED="$(comm -23 <(printf '%s' "$KEPT") <(sort -u "$SEEN" | xargs -r realpath | sort -u))"
[ -z "$UNUSED" ] || die "no test looks at these snapshots: $UNUSED"
