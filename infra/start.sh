#!/bin/sh
# `npm start`: installs what is missing, then becomes the cluster on this machine (no shell or npm stays in between,
# so that signals reach it).
set -eu
cd "$(dirname "$0")/.."
. infra/find-node.sh
exec "$NODE" infra/laptop/main.ts "$@"
