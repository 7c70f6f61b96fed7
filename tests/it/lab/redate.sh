#!/bin/sh
# Gives a certificate other dates, and leaves everything else in it as it is.
# usage: redate CERTIFICATE KEY CA CA-KEY BEGIN END    the last two as `date --date` reads them
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/index"
openssl rand -hex 8 >"$work/serial"
cat >"$work/config" <<CONFIG
[ca]
default_ca = own
[own]
database = $work/index
serial = $work/serial
new_certs_dir = $work
default_md = sha256
policy = any
copy_extensions = copyall
preserve = yes
[any]
organizationName = optional
commonName = supplied
CONFIG
date_of() { date --utc --date "$1" +%Y%m%d%H%M%SZ; }
openssl x509 -x509toreq -copy_extensions copyall -in "$1" -signkey "$2" -out "$work/request"
openssl ca -batch -notext -config "$work/config" -cert "$3" -keyfile "$4" -in "$work/request" -out "$work/new" \
  -startdate "$(date_of "$5")" -enddate "$(date_of "$6")"
cat "$work/new" >"$1"
