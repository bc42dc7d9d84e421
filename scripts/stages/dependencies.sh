#!/usr/bin/env bash
# Licences, sources and known faults of the crates that are used.
#: lane compile
#: minutes 20
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

DENY="$(cargo_tool cargo-deny 0.20.2)"
"$DENY" --locked check --hide-inclusion-graph licenses bans sources
# Known faults are in a database on the network, which not every machine reaches.
if said="$(timeout 60 "$DENY" --locked fetch db 2>&1)"; then
    "$DENY" --locked check --hide-inclusion-graph --disable-fetch advisories
else
    echo "Left out: advisories, whose database cannot be reached (${said##*$'\n'})"
fi
