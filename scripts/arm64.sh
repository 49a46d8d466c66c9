#!/bin/bash
# Installs edge-ser from its wheel into an arm64 Debian 12 that holds nothing else, and runs it there under QEMU:
# models, listen, verify, bench. What runs is what a Raspberry Pi runs; how long it takes here says nothing of one.
#   bash scripts/arm64.sh [FOLDER]        the folder keeps root and wheels for the next time (default: a new one)
# Needs root, qemu-user-static, mmdebstrap, gcc-aarch64-linux-gnu (without it the front end runs on NumPy).
# EXTRAS (default litert): what is installed beside NumPy, or `none`.
set -euo pipefail
here=$(realpath "$(dirname "$0")/..")
work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/wheels"
root=$work/root extras=${EXTRAS:-litert} python=${PYTHON:-python3}
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64)
say() { echo "arm64: $*" >&2; }

if [ ! -e "$root/usr/bin/python3.11" ]; then
    say "an arm64 root"
    mmdebstrap --quiet --arch=arm64 --variant=extract \
        --include=python3.11-minimal,python3.11,libpython3.11-stdlib,libstdc++6,libgcc-s1,libc6,zlib1g,libssl3,libexpat1,libffi8,ca-certificates \
        bookworm "$root"
    # The runtimes read it, and QEMU 7 shows the host's.
    mkdir -p "$root/proc"
    printf 'processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n' > "$root/proc/cpuinfo"
fi

say "the wheel"
rm -f "$work"/wheels/edge_ser-*.whl
if command -v aarch64-linux-gnu-gcc > /dev/null; then
    EDGE_SER_BUILD=c CC=aarch64-linux-gnu-gcc _PYTHON_HOST_PLATFORM=linux-aarch64 \
        "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$work/wheels" "$here"
else
    EDGE_SER_BUILD=numpy "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$work/wheels" "$here"
fi
wheel=$(ls "$work"/wheels/edge_ser-*.whl)
site=$root/opt/site
rm -rf "$site"
[ "$extras" = none ] && wanted=$wheel || wanted="$wheel[$extras]"
platforms=()
for platform in linux_aarch64 manylinux_2_17_aarch64 manylinux2014_aarch64 manylinux_2_27_aarch64 manylinux_2_28_aarch64; do
    platforms+=(--platform "$platform")
done
say "installing $(basename "$wheel") with ${extras}, wheels only"
"$python" -m pip install --quiet --disable-pip-version-check --target "$site" --only-binary=:all: --implementation cp \
    --python-version 3.11 "${platforms[@]}" "$wanted"
for heavy in torch numba scipy librosa sklearn pandas; do
    [ ! -e "$site/$heavy" ] || { say "$heavy was installed, and a board has no room for it"; exit 1; }
done

# bench starts processes by the interpreter's name; this one is the emulator with it.
cat > "$work/python" << EOF
#!/bin/sh
exec $qemu -L $root -cpu ${CPU:-cortex-a72} -E PYTHONPATH=$site -E PYTHONNOUSERSITE=1 -E OPENBLAS_NUM_THREADS=1 $root/usr/bin/python3.11 "\$@"
EOF
chmod +x "$work/python"
run() { # our command, with bench's children under the emulator too
    "$work/python" -c "import sys; sys.executable = '$work/python'; from edge_ser.cli import main; sys.exit(main(sys.argv[1:]))" "$@"
}
engines=(numpy)
[ "$extras" = none ] || engines+=(litert)
cd "$work"
"$work/python" -c "import platform; assert platform.machine() == 'aarch64'; import numpy; print('arm64: Python', platform.python_version(), 'NumPy', numpy.__version__)" >&2
"$python" - << 'EOF'
import random, struct, wave
random.seed(0)
with wave.open("sound.wav", "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes(struct.pack("<48000h", *(int(random.gauss(0, 3000 if i // 8000 % 2 else 20)) for i in range(48000))))
EOF
for engine in "${engines[@]}"; do
    say "listen with $engine"
    run listen sound.wav --engine "$engine" --doze -o jsonl > "listen-$engine.jsonl"
    [ "$(grep -c '"type": "prediction"' "listen-$engine.jsonl")" = 12 ] || { say "listen gave not 12 answers"; exit 1; }
done
say "verify"
run verify stream72k sound.wav --seconds 3 --quick -o json > verify.json || { cat verify.json >&2; exit 1; }
say "bench"
run bench $(printf -- '--engine %s ' "${engines[@]}") --rounds 1 --steps 4 -o json > bench.json
"$python" - << 'EOF'
import json
runs = json.load(open("bench.json"))["runs"]
assert runs and all(run["ok"] for run in runs), runs
checks = json.load(open("verify.json"))
print("arm64: verify", "ok" if checks["ok"] else "failed", "| bench ran", ", ".join(f"{r['engine']} {r['precision']}" for r in runs))
EOF
say "done"
