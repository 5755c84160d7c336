#!/bin/sh
# `npm start`: installs what is missing, then becomes the cluster on this machine (no shell or npm stays in between,
# so that signals reach it).
set -eu
cd "$(dirname "$0")/.."
. infra/find-node.sh
# Keeps compiled code between starts: quicker, and a quarter less memory.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$PWD/node_modules/.cache/node-compile}"
# The same flags for every process (infra/laptop/node-process.ts), or none could use what another compiled.
small() { "$NODE" --max-semi-space-size=1 --max-old-space-size=256 "$@"; }
if [ ! -d "$NODE_COMPILE_CACHE" ]; then
  small media-node/main.ts help >/dev/null 2>&1 || true
  small infra/laptop/main.ts --compile >/dev/null 2>&1 || true
fi
# Whoever started us: when they are gone, so are we (infra/laptop/main.ts).
export HEARTH_LAUNCHED_BY="$PPID"
exec "$NODE" --max-semi-space-size=1 --max-old-space-size=256 infra/laptop/main.ts "$@"
