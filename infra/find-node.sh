# Sourced from the repository's root: installs the packages once, then sets NODE to a Node.js of version 24 or newer.
# Where node_modules is a link it is another checkout's, and installing would empty it under whoever uses it.
if [ ! -L node_modules ] && { [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; }; then
  echo "Hearth: installing packages (once) …" >&2
  if ! npm ci --no-audit --no-fund --loglevel=error >&2; then
    echo "Hearth: the packages could not be installed. Check the network and the messages above, then run the command again." >&2
    exit 1
  fi
  touch node_modules/.package-lock.json
fi
is_new_enough() { "$1" -e 'process.exit(+process.versions.node.split(".")[0] >= 24 ? 0 : 1)' 2>/dev/null; }
NODE=node
if ! is_new_enough "$NODE"; then
  NODE=$PWD/node_modules/.bin/node
  # Missing when install scripts were off: bring it now, or say why not.
  [ -x "$NODE" ] || node infra/ensure-node.mjs || exit 1
  if ! is_new_enough "$NODE"; then
    echo "Hearth needs Node.js 24 or newer and found $(node --version). Install it from https://nodejs.org, or delete node_modules and run the command again." >&2
    exit 1
  fi
fi
