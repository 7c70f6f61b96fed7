# shellcheck shell=bash
# What every script of the mirror shares: where the cache is, which versions are made, how to talk.
# Sourced, never run. Nothing in here starts, builds or downloads anything.

set -euo pipefail
export LC_ALL=C.UTF-8
umask 022

# shellcheck disable=SC2034  # read by the scripts that source this file
{
  HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  CACHE=$(realpath -m "${KHIMG_LAB_CACHE:-/var/cache/khimg-lab}")
  HTTP_PORT=${KHIMG_LAB_HTTP_PORT:-18080}
  REGISTRY_PORT=${KHIMG_LAB_REGISTRY_PORT:-18081}

  KUBE_VERSION=1.20.2
}

# Every time stamp that we write ourselves: the day Kubernetes v1.20.2 came out.
export SOURCE_DATE_EPOCH=1610496000

say() { printf 'mirror: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# The bare SHA-256 of one file.
sha256() { sha256sum "$1" | cut -d' ' -f1; }

# One line of the manifest for one .deb.
package_line() {
  printf 'package %s %s %s\n' "$(dpkg-deb --field "$1" Package)" "$(dpkg-deb --field "$1" Version)" "$(sha256 "$1")"
}

# cni_version BINARIES: the upstream version of Debian's CNI plugins, 1.1.1 of 1.1.1+ds1-3+b5, say.
cni_version() {
  sed -n 's/^package containernetworking-plugins \([0-9.]*\).*/\1/p' "$1/versions"
}

# One run at a time works on the cache. File descriptor 9 keeps the lock as long as this script, or anything that it
# started and that outlived it, is alive.
lock() {
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  if ! flock --nonblock 9; then
    say "waiting for another run to finish"
    flock 9
  fi
}
