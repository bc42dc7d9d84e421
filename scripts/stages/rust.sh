#!/usr/bin/env bash
# Unit tests of the Rust code, and a check for snapshots that no test uses.
#: lane compile
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

politely cargo test --locked --no-run
# A new or changed snapshot must not be written here: somebody has to look at it. The tests take seconds; if
# they hang, they are ended and the stage fails.
SEEN="$(mktemp)"
trap 'rm -f "$SEEN"' EXIT
INSTA_UPDATE=no INSTA_SNAPSHOT_REFERENCES_FILE="$SEEN" timeout --verbose 300 cargo test --locked
KEPT="$(find src tests -name '*.snap' -exec realpath {} + | sort)"
UNUSED="$(comm -23 <(printf '%s' "$KEPT") <(sort -u "$SEEN" | xargs -r realpath | sort -u))"
[ -z "$UNUSED" ] || die "no test uses these snapshots: $UNUSED"
