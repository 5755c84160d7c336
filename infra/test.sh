#!/bin/sh
# `npm test`: installs what is missing, Debian packages too, then runs every check and test.
set -eu
cd "$(dirname "$0")/.."
. infra/find-node.sh
"$NODE" infra/debian-tools.ts
validators=infra/validators/node_modules/.package-lock.json
if [ ! -e $validators ] || [ infra/validators/package-lock.json -nt $validators ]; then
  echo "Hearth: installing what checks deployment files (once) …" >&2
  npm ci --prefix infra/validators --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch $validators
fi
exec "$NODE" infra/run-tests.ts "$@"
