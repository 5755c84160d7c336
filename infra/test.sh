#!/bin/sh
# `npm test`: installs what is missing, Debian packages too, then runs every check and test.
set -eu
cd "$(dirname "$0")/.."
. infra/find-node.sh
"$NODE" infra/debian-tools.ts
exec "$NODE" infra/run-tests.ts "$@"
