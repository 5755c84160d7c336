#!/bin/sh
# Makes a media node of a Debian 12 machine (or renews one). Run as root from an unpacked Hearth archive or a clone:
#   sh infra/vm/install.sh
# Installs into /opt/hearth with a Node.js of its own, keeps what is already in /etc/hearth, and leaves starting to you:
#   systemctl enable --now hearth-node
# Settings, by environment:
#   HEARTH_NODE_DIST   where Node.js comes from, with SHASUMS256.txt beside it (a mirror of nodejs.org/dist/VERSION)
#   DESTDIR            put before every path; nothing is registered with the running system then (images, tests)
set -eu

node_version=v24.21.0
node_dist=${HEARTH_NODE_DIST:-https://nodejs.org/dist/$node_version}
root=${DESTDIR:-}
home=$root/opt/hearth
settings=$root/etc/hearth
source=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
  echo "Hearth: $1" >&2
  exit 1
}

case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64) arch=arm64 ;;
  *) fail "there is no Node.js package for $(uname -m); x86_64 and aarch64 are supported." ;;
esac
for tool in curl sha256sum tar xz; do
  command -v $tool >/dev/null || fail "$tool is missing: apt-get install curl coreutils tar xz-utils"
done
if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
  fail "run this as root: sudo sh infra/vm/install.sh"
fi

# Everything new is made beside the old and takes its place in one move, so that a failed renewal changes nothing.
next=$home.next
rm -rf "$next"
mkdir -p "$next/node"
trap 'rm -rf "$next"' EXIT

archive=node-$node_version-linux-$arch.tar.xz
curl -fsSL --retry 3 -o "$next/$archive" "$node_dist/$archive" || fail "cannot fetch $node_dist/$archive"
curl -fsSL --retry 3 -o "$next/SHASUMS256.txt" "$node_dist/SHASUMS256.txt" || fail "cannot fetch $node_dist/SHASUMS256.txt"
(cd "$next" && grep " $archive\$" SHASUMS256.txt | sha256sum --check --quiet -) ||
  fail "$archive is not what its checksum says; nothing was changed."
tar -xJf "$next/$archive" -C "$next/node" --strip-components=1 --no-same-owner
rm "$next/$archive" "$next/SHASUMS256.txt"

mkdir -p "$next/infra"
cp -R "$source/media-node" "$source/LICENSE" "$next/"
cp -R "$source/infra/bin" "$source/infra/dns" "$source/infra/hls-check" "$source/infra/simulate" "$source/infra/simulate.ts" "$next/infra/"
cp "$source/infra/vm/package.json" "$source/infra/vm/package-lock.json" "$next/"
(cd "$next" && PATH=$next/node/bin:$PATH npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error) ||
  fail "the packages could not be installed; nothing was changed."

rm -rf "$home.last"
if [ -e "$home" ]; then mv "$home" "$home.last"; fi
mv "$next" "$home"
trap - EXIT

install -d -m 0755 "$settings" "$root/etc/systemd/system" "$root/etc/sysctl.d" "$root/usr/local/bin"
install -m 0644 "$source/infra/vm/hearth-node.service" "$root/etc/systemd/system/hearth-node.service"
install -m 0644 "$source/infra/vm/60-hearth.conf" "$root/etc/sysctl.d/60-hearth.conf"
# Whoever may read the node's settings judges Server.xml, asks the store and speaks to the node with them, as the unit does.
cat >"$root/usr/local/bin/hearth" <<'END'
#!/bin/sh
settings=/etc/hearth/environment
if [ -r "$settings" ]; then
  exec /opt/hearth/node/bin/node --env-file="$settings" /opt/hearth/media-node/main.ts "$@"
fi
exec /opt/hearth/node/bin/node /opt/hearth/media-node/main.ts "$@"
END
chmod 0755 "$root/usr/local/bin/hearth"
for file in Server.xml environment; do
  [ -e "$settings/$file" ] || install -m 0640 "$source/infra/vm/$file" "$settings/$file"
done
sed -i "s/^HEARTH_NODE_ID=this-machine$/HEARTH_NODE_ID=$(hostname)/" "$settings/environment"

if [ -z "$root" ]; then
  getent passwd hearth >/dev/null || useradd --system --home-dir /var/lib/hearth --shell /usr/sbin/nologin hearth
  chown root:hearth "$settings/Server.xml" "$settings/environment"
  sysctl -q -p /etc/sysctl.d/60-hearth.conf || echo "Hearth: the kernel settings were not taken; see above." >&2
  systemctl daemon-reload
  echo "Hearth is installed. Edit /etc/hearth/environment and /etc/hearth/Server.xml, then:"
  echo "  sudo hearth check /etc/hearth/Server.xml && sudo systemctl enable --now hearth-node"
fi
