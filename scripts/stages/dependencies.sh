#!/usr/bin/env bash
# Licences, sources and known vulnerabilities of the crates.
#: lane compile
#: minutes 20
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../common.sh"
cd "$ROOT"

DENY="$(cargo_tool cargo-deny 0.20.2)"
"$DENY" --locked check --hide-inclusion-graph licenses bans sources
# Known vulnerabilities are in a database on the network, which not every machine can reach.
if said="$(timeout 60 "$DENY" --locked fetch db 2>&1)"; then
    "$DENY" --locked check --hide-inclusion-graph --disable-fetch advisories
else
    echo "Left out: advisories, whose database cannot be reached (${said##*$'\n'})"
fi
