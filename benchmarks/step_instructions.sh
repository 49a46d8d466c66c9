#!/bin/bash
# Instructions a second of audio that a step of listening takes on Raspberry Pis' processors, counted under QEMU:
# front end, gate, model, detector of speech, answer. They are counts, the same on every run but for a few: nothing here
# is a board's time.
#   bash benchmarks/step_instructions.sh ROOT [PEERS]
# ROOT: what scripts/arm.sh FOLDER leaves as FOLDER/root. PEERS: what `edge-ser bench --peers PEERS` leaves; with it,
# a window of Wav2Small (72 K) and of MobileNetV4-S, five seconds, is counted beside. Needs qemu-user (7.2 or later, with
# plugins), gcc.
set -euo pipefail
root=$(realpath "$1") here=$(realpath "$(dirname "$0")") peers=${2:+$(realpath "$2")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -fPIC -shared "$here/instructions.c" -o "$work/instructions.so"
mkdir -p "$work/path/benchmarks"
cp "$here/count_step.py" "$here/one_thread.py" "$work/path/benchmarks/"
cd "$work/path" # python -m looks here first
pythons=("$root"/usr/bin/python3.[0-9]*)

count() { # CPU NAME MODEL ENGINE STEPS GATE
    qemu-aarch64 -L "$root" -cpu "$1" -E PYTHONPATH="$work/path:$root/opt/site" -plugin "$work/instructions.so,mark=173" \
        "${pythons[0]}" -m benchmarks.count_step "${@:3}" 2> "$work/marks" || { cat "$work/marks" >&2; exit 1; }
    counted=$(sed -n 's/^MARK \([0-9]*\)$/\1/p' "$work/marks" | tail -1)
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$5" "$counted" | tee -a "$work/counts.tsv" >&2
}
for cpu in cortex-a53 cortex-a72 cortex-a76; do
    for engine in numpy litert; do
        count $cpu "stream72k, $engine fp32, gate open" stream72k $engine 40 open
        count $cpu "stream72k, $engine fp32, gate closed, dozing" stream72k $engine 40 doze
    done
    for peer in ${peers:+wav2small-72k mobilenetv4-s}; do
        count $cpu "$peer, litert fp32" "$peers/$peer" litert 2 open
    done
done
python3 - "$work/counts.tsv" "$here/../results/step_instructions.json" "$root" << 'EOF'
import glob, json, os, sys
table = {}
for line in open(sys.argv[1]):
    cpu, way, steps, count = line.rstrip("\n").split("\t")
    step = int(count) / int(steps)  # a quarter of a second; of a peer, a window of five
    for name, a_second in [(way, 4)] if way.startswith("stream72k") else [(f"{way}, four windows", 4), (f"{way}, one window", 1)]:
        table.setdefault(name, {})[cpu] = round(a_second * step)
site = f"{sys.argv[3]}/opt/site"
versions = [os.path.basename(path).removesuffix(".dist-info").split("-") for name in ("numpy", "ai_edge_litert") for path in glob.glob(f"{site}/{name}-*.dist-info")]
versions.append(["python", os.path.basename(glob.glob(f"{sys.argv[3]}/usr/bin/python3.[0-9]*")[0]).removeprefix("python")])
document = {"unit": "instructions a second of audio, under QEMU", "versions": dict(versions),
            "front_end": "c" if os.path.exists(f"{site}/edge_ser/dsp/_front_end.so") else "numpy", "ways": table}
with open(sys.argv[2] + ".new", "w") as file:
    json.dump(document, file, indent=1)
    file.write("\n")
os.replace(sys.argv[2] + ".new", sys.argv[2])
EOF
