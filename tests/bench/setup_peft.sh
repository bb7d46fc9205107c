#!/usr/bin/env bash
# Brings Hugging Face PEFT, which the benchmarks and the scripts of tests/golden
# compare Attune with, into a virtual environment. Nothing of Attune needs it.
# Repeatable; takes some gigabytes of disk.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: tests/bench/setup_peft.sh DIRECTORY

Makes the virtual environment DIRECTORY; then
  DIRECTORY/bin/python runs tests/bench/*.py and tests/golden/*.py, and
  build/dev/bin/train_step --peft DIRECTORY/bin/python compares with PEFT.
USAGE
}

if (($# != 1)) || [[ "$1" == -* ]]; then
  usage >&2
  exit 2
fi

# The same release of PyTorch as deploy/wheels.txt links: both sides multiply
# matrices with the same library. Its wheel computes on CPUs, too.
readonly PACKAGES=(
  torch==2.15.0
  transformers==5.24.0
  tokenizers==0.23.3
  peft==0.21.2
  accelerate==1.15.0
  safetensors==0.8.0
  numpy==2.4.6
)

[[ -x "$1/bin/python" ]] || python3 -m venv "$1"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check \
  "${PACKAGES[@]}"
"$1/bin/python" - <<'PYTHON'
import peft
import torch
import transformers

print(f"PEFT {peft.__version__}, transformers {transformers.__version__}, "
      f"PyTorch {torch.__version__}")
PYTHON
