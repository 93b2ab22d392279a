#!/bin/sh
# Say in one line what this machine lacks for a build; silent when nothing.
# usage: scripts/requirements.sh PYTHON
set -eu
python=$1
lacks=""
lack() { lacks="$lacks $1"; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || lack "python3 (3.11 or newer)"
"$python" -c 'import ensurepip' 2>/dev/null || lack python3-venv
"$python" -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null || lack python3-dev
command -v gcc >/dev/null || lack gcc
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || lack "nodejs (20 or newer)"
command -v npm >/dev/null || lack npm

[ -z "$lacks" ] || { echo "plumm: this machine lacks:$lacks" >&2; exit 1; }
