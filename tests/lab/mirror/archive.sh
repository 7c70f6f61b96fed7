# shellcheck shell=bash
# Debian's archive, asked with an apt configuration of our own: the same mirror that the machine uses, plus its source
# packages, but private lists and no knowledge of what is installed here. Sourced by the scripts that download.

# archive_open DIR fills DIR with lists and sets the options for `archive`.
archive_open() {
  local state=$1 codename keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  : >"$state/status"
  : >"$state/sources"

  # The machine's own entries for Debian itself; others (a vendor's repository, say) are not ours to use.
  local uri release
  while read -r uri release; do
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$release" >>"$state/sources"
    [[ $release != "$codename" ]] ||
      printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$release" >>"$state/sources"
  done < <(machine_entries "$codename")
  [[ -s $state/sources ]] || die "apt on this machine has no entry for Debian $codename: is this a Debian 12 system?"

  ARCHIVE_OPTIONS=(
    -o "Dir::Etc::sourcelist=$state/sources" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status"
    -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Acquire::Retries=3 -o Debug::NoLocking=true -q
  )
  archive update >&2
}

archive() { apt-get "${ARCHIVE_OPTIONS[@]}" "$@"; }

machine_entries() {
  # shellcheck disable=SC2016  # apt expands these, not the shell
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$1" '
      $3 == "main" && ($2 == codename || $2 == codename "-updates" || $2 == codename "-security") {print $1, $2}
    ' | sort -u
}
