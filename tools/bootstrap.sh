#!/usr/bin/env bash
# Creates the virtual environment named on the command line with the newest fitting Python found,
# and says what to install when it cannot. `make` calls it; PYTHON=… chooses the interpreter.
set -euo pipefail
venv=${1:?usage: tools/bootstrap.sh FOLDER}

fits() {
  "$1" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 15)))' >/dev/null 2>&1
}

find_python() {
  local name
  for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if command -v "$name" >/dev/null 2>&1 && fits "$name"; then
      echo "$name"
      return
    fi
  done
  echo "Agent Squad needs Python 3.11 or newer, and none of these is one: ${PYTHON:-python3.11 … python3}." >&2
  echo "Install it (Debian 12: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python" >&2
  exit 1
}

if [ -x "$venv/bin/python" ] && fits "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  exit 0
fi

python=$(find_python)
echo "creating $venv with $("$python" --version 2>&1)"
if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
  if command -v virtualenv >/dev/null 2>&1; then
    exec virtualenv --quiet --python "$python" "$venv"
  fi
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  echo "'$python' comes without the venv module, which Debian and Ubuntu package apart." >&2
  echo "Install it (apt-get install python$version-venv) and run the same command again." >&2
  exit 1
fi
exec "$python" -m venv "$venv"
