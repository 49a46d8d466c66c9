#!/bin/bash
# Instructions a second of audio that a step of listening takes on Raspberry Pis' processors, counted under QEMU:
# front end, gate, model, answer. They are counts, the same on every run but for a few: nothing here is a board's time.
#   bash benchmarks/step_instructions.sh ROOT
# ROOT: what scripts/arm.sh FOLDER leaves as FOLDER/root. Needs qemu-user (7.2 or later, with plugins), gcc.
set -euo pipefail
root=$(realpath "$1") here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -fPIC -shared "$here/instructions.c" -o "$work/instructions.so"
mkdir -p "$work/path/benchmarks"
cp "$here/count_step.py" "$here/one_thread.py" "$work/path/benchmarks/"
cd "$work/path" # python -m looks here first
for cpu in cortex-a53 cortex-a72 cortex-a76; do
    for engine in numpy litert; do
        for gate in open doze; do
            qemu-aarch64 -L "$root" -cpu $cpu -E PYTHONPATH="$work/path:$root/opt/site" -plugin "$work/instructions.so,mark=173" \
                "$root/usr/bin/python3.11" -m benchmarks.count_step $engine $gate 2> "$work/marks" || { cat "$work/marks" >&2; exit 1; }
            count=$(sed -n 's/^MARK \([0-9]*\)$/\1/p' "$work/marks" | tail -1)
            printf '%s\t%s\t%s\t%s\n' $cpu $engine $gate "$count" | tee -a "$work/counts.tsv" >&2
        done
    done
done
python3 - "$work/counts.tsv" "$here/../results/step_instructions.json" "$(ls "$root/opt/site/edge_ser/dsp/" | grep -c '_front_end.so' || true)" << 'EOF'
import json, os, sys
rows = [line.split() for line in open(sys.argv[1])]
table = {}
for cpu, engine, gate, count in rows:
    table.setdefault(f"{engine} fp32, gate {'open' if gate == 'open' else 'closed, dozing'}", {})[cpu] = round(int(count) / 10)
document = {"unit": "instructions a second of audio, under QEMU", "model": "stream72k",
            "front_end": "c" if int(sys.argv[3]) else "numpy", "ways": table}
with open(sys.argv[2] + ".new", "w") as file:
    json.dump(document, file, indent=1)
    file.write("\n")
os.replace(sys.argv[2] + ".new", sys.argv[2])
EOF
