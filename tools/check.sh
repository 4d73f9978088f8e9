#!/usr/bin/env bash
# Everything that must hold, on a clean machine: installs into its own virtual environment, then lint, types,
# layering and tests. Usage: bash tools/check.sh [arguments for pytest]
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${LOSSMITH_VENV:-.venv-check}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
bin=$venv/bin
"$bin/python" -m pip install --quiet --upgrade pip
# torch first and by its exact version: a range could draw a build with gigabytes of GPU libraries.
"$bin/pip" install --quiet "$(grep '^torch==' constraints.txt)"
"$bin/pip" install --quiet -c constraints.txt -e '.[all,test,peers,loops,linters,lint]'

echo "== lint"; "$bin/ruff" check . ; "$bin/ruff" format --check .
echo "== types"; "$bin/mypy"
echo "== layering"; "$bin/lint-imports" --no-logo 2>/dev/null || "$bin/lint-imports"
echo "== tests"; "$bin/python" -m pytest -n 2 "$@"
