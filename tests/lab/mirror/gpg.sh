# shellcheck shell=bash
# GnuPG with a home of its own that is gone, agent included, when the script ends. Sourced by the scripts that make or use
# the mirror's key. The home is a short path under /tmp, because the agent's socket may not have a long one.

gpg_open() {
  GNUPGHOME=$(mktemp -d /tmp/khimg-gpg.XXXXXX)
  export GNUPGHOME
  trap gpg_close EXIT
}

gpg_close() {
  gpgconf --kill gpg-agent || true
  rm -rf "$GNUPGHOME"
}
