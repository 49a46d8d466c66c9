#!/bin/bash
# Instructions a frame of log-mel in each way of candidates.py, on x86-64 and aarch64, counted under QEMU.
# They are counts, the same on every run but for a few: nothing here is a board's time.
#   bash benchmarks/instructions.sh PYTHON ROOT
# PYTHON: one with edge-ser's dependencies. ROOT: a folder with an arm64 Debian 12 that holds python3.11, and
# NumPy for it in ROOT/opt/site:
#   mmdebstrap --arch=arm64 --variant=extract --include=python3.11,libstdc++6,libgcc-s1,libffi8,zlib1g bookworm ROOT
#   pip install --target ROOT/opt/site --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_aarch64 numpy
# Needs qemu-user (7.2 or later, with plugins), gcc and gcc-aarch64-linux-gnu.
set -euo pipefail
python=$1 root=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gcc -O2 -fPIC -shared "$here/instructions.c" -o "$work/instructions.so"
export EDGE_SER_BUILD=c
"$python" -m pip wheel -q --no-deps -w "$work/x86" "$here/.."
CC=aarch64-linux-gnu-gcc _PYTHON_HOST_PLATFORM=linux-aarch64 "$python" -m pip wheel -q --no-deps -w "$work/arm" "$here/.."
for kind in x86 arm; do (cd "$work/$kind" && python3 -m zipfile -e ./*.whl .); done

# Each way's name is followed by two marks: one before its 200 frames, one after.
count() { # NAME EMULATOR...
    "${@:2}" "$here/candidates.py" --count 2> "$work/marks.txt" || { cat "$work/marks.txt" >&2; exit 1; }
    sed -n 's/^\(.*\)\tMARK .*/\1/p; s/^MARK \([0-9]*\)$/\1/p' "$work/marks.txt" | paste - - | sed "s/^/$1\t/" >> "$work/counts.tsv"
}
export OPENBLAS_NUM_THREADS=1
export PYTHONPATH=$work/x86
count x86-64 qemu-x86_64 -cpu max -plugin "$work/instructions.so,mark=110" "$("$python" -c 'import sys; print(sys.executable)')"
export PYTHONPATH=$work/arm:$root/opt/site
for cpu in cortex-a53 cortex-a72 cortex-a76; do
    count $cpu qemu-aarch64 -L "$root" -cpu $cpu -plugin "$work/instructions.so,mark=173" "$root/usr/bin/python3.11"
done
unset PYTHONPATH
"$python" - "$work/counts.tsv" "$here/../results/front_end_instructions.json" << 'EOF'
import json, os, sys
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1])]
table = {name: {} for _, name, _ in rows}
for cpu, name, total in rows:
    table[name][cpu] = round(int(total) / 200)
with open(sys.argv[2] + ".new", "w") as file:
    json.dump({"unit": "instructions a frame, under QEMU", "ways": table}, file, indent=1)
    file.write("\n")
os.replace(sys.argv[2] + ".new", sys.argv[2])
for name, counts in table.items():
    print("  ".join(f"{cpu} {count:>8}" for cpu, count in counts.items()), name, sep="  ")
EOF
