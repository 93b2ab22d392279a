#!/bin/sh
# The Debian packages that tests use: installed when we are root, else named.
set -eu
missing=""
need() { command -v "$1" >/dev/null || missing="$missing $2"; }

need chromium chromium
need firefox-esr firefox-esr
need clang clang
need fc-list fontconfig
need ip iproute2
need turnserver coturn
# Debian keeps initdb off the path.
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "· Installing Debian packages for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "plumm: the tests need these Debian packages:$missing" >&2
    exit 1
fi
