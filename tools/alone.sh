#!/usr/bin/env bash
# The tests with one framework alone installed, in a fresh virtual environment: what needs another one is skipped, and
# says so. Usage: bash tools/alone.sh FRAMEWORK [arguments for pytest]
# FRAMEWORK: none, torch, jax, tensorflow, xgboost, catboost, keras (on TensorFlow), keras+torch or keras+jax
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  none) extras= ;;
  torch | jax | tensorflow | xgboost | catboost | keras+torch | keras+jax) extras=$1 ;;
  keras) extras=keras+tensorflow ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
name=$1; shift
backend=${extras#keras+}

venv=${LOSSMITH_VENV:-.venv-alone-$name}
python=$venv/bin/python
python3 -m venv --clear "$venv"
"$python" -m pip install --quiet --upgrade pip
# torch by its exact version: a range could draw a build with gigabytes of GPU libraries.
case $extras in *torch*) "$python" -m pip install --quiet "$(grep '^torch==' constraints.txt)" ;; esac
wanted=test${extras:+,${extras//+/,}}
"$python" -m pip install --quiet -c constraints.txt -e ".[$wanted]"

echo "== installed"
"$python" - <<'END'
from importlib.metadata import distributions
known = {"torch", "jax", "tensorflow", "tensorflow-cpu", "keras", "xgboost", "xgboost-cpu", "catboost", "optax", "flax",
         "transformers", "lightning", "skorch", "accelerate", "equinox", "pytorch-metric-learning"}
print(", ".join(sorted(d.name for d in distributions() if d.name.lower() in known)) or "no framework")
END
echo "== tests"
case $extras in keras*) export KERAS_BACKEND=$backend ;; esac
"$python" -m pytest -n "${LOSSMITH_TEST_PROCESSES:-2}" "$@"
