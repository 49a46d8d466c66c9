#!/bin/bash
# Installs edge-ser from its wheel into an ARM Debian that holds nothing else, and runs it there under QEMU:
# models, listen, verify, bench. What runs is what a Raspberry Pi runs; how long it takes here says nothing of one.
#   bash scripts/arm.sh [FOLDER]        the folder keeps root and wheels for the next time (default: a new one)
# SUITE: bookworm (default, Python 3.11) or trixie (3.13). ARCH: arm64 (default), or armhf for boards of 32 bits, with
# Debian's python3-numpy and the wheel without its dependencies. EXTRAS (default litert,onnx; none on armhf): what is
# installed beside NumPy, or `none`. CHECKPOINT: exported in every format here, where torch is, and verified there
# (default: one of results/). CPU: that QEMU shows. MIRROR: of Debian, in place of
# mmdebstrap's own with its security updates.
# Needs root, qemu-user-static, mmdebstrap, and gcc-aarch64-linux-gnu or gcc-arm-linux-gnueabihf (without one the front
# end runs on NumPy).
set -euo pipefail
here=$(realpath "$(dirname "$0")/..")
suite=${SUITE:-bookworm} arch=${ARCH:-arm64} python=${PYTHON:-python3}
say() { echo "$arch $suite: $*" >&2; }
case $suite in
    bookworm) number=3.11 packages=libssl3 ;;
    trixie) number=3.13 packages=libssl3t64 ;;
    *) say "SUITE is bookworm or trixie"; exit 2 ;;
esac
# The runtimes read /proc/cpuinfo, and QEMU 7 shows the host's.
case $arch in
    arm64)
        emulator=qemu-aarch64 compiler=aarch64-linux-gnu-gcc platform=linux_aarch64 machine=aarch64
        extras=${EXTRAS:-litert,onnx} cpu=${CPU:-cortex-a72} features="fp asimd evtstrm crc32 cpuid" part=0xd08
        for glibc in manylinux_2_17 manylinux2014 manylinux_2_27 manylinux_2_28; do platforms+=(--platform "${glibc}_aarch64"); done ;;
    armhf)
        emulator=qemu-arm compiler=arm-linux-gnueabihf-gcc platform=linux_armv7l machine=armv7l
        extras=${EXTRAS:-none} cpu=${CPU:-cortex-a15} features="half thumb fastmult vfp edsp neon vfpv3 tls vfpv4" part=0xc0f
        packages+=,python3-numpy
        [ "$extras" = none ] || { say "no runtime has wheels for 32 bits; leave EXTRAS out"; exit 2; } ;;
    *) say "ARCH is arm64 or armhf"; exit 2 ;;
esac
platforms+=(--platform "$platform")
[[ $python != */* ]] || python=$(realpath -s "$python") # it is called from another folder too
work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/wheels"
work=$(realpath "$work")
root=$work/root
qemu=$(command -v $emulator-static || command -v $emulator)

if [ ! -e "$root/usr/bin/python$number" ]; then
    say "a root"
    mmdebstrap --quiet --arch="$arch" --variant=extract \
        --include="python$number-minimal,python$number,libpython$number-stdlib,libstdc++6,libgcc-s1,libc6,zlib1g,libexpat1,libffi8,ca-certificates,$packages" \
        "$suite" "$root" ${MIRROR:+"$MIRROR"}
    # From Trixie on, no package of these brings the links of the merged /usr.
    for folder in bin lib sbin; do [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"; done
    # Debian links the BLAS that is chosen when packages are set up, and here none is.
    find "$root/usr/lib" -path '*/blas/libblas.so.3' -o -path '*/lapack/liblapack.so.3' | while read -r library; do
        ln -sf "$(realpath --relative-to="$(dirname "$library")/.." "$library")" "$(dirname "$library")/../$(basename "$library")"
    done
    mkdir -p "$root/proc"
    printf 'processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 3\n' "$features" "$part" > "$root/proc/cpuinfo"
fi

say "the wheel"
rm -f "$work"/wheels/edge_ser-*.whl
if command -v "$compiler" > /dev/null; then
    EDGE_SER_BUILD=c CC=$compiler _PYTHON_HOST_PLATFORM=${platform/_/-} \
        "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$work/wheels" "$here"
else
    EDGE_SER_BUILD=numpy "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$work/wheels" "$here"
fi
wheel=$(ls "$work"/wheels/edge_ser-*.whl)
site=$root/opt/site
rm -rf "$site"
[ "$extras" = none ] && wanted=("$wheel") || wanted=("$wheel[$extras]")
[ "$arch" = arm64 ] || wanted+=(--no-deps)
say "installing $(basename "$wheel") with $extras, wheels only"
"$python" -m pip install --quiet --disable-pip-version-check --target "$site" --only-binary=:all: --implementation cp \
    --python-version "$number" "${platforms[@]}" "${wanted[@]}"
for heavy in torch numba scipy librosa sklearn pandas; do
    [ ! -e "$site/$heavy" ] || { say "$heavy was installed, and a board has no room for it"; exit 1; }
done

# bench starts processes by the interpreter's name; this one is the emulator with it.
cat > "$work/python" << EOF
#!/bin/sh
exec $qemu -L $root -cpu $cpu -E PYTHONPATH=$site -E PYTHONNOUSERSITE=1 -E OPENBLAS_NUM_THREADS=1 $root/usr/bin/python$number "\$@"
EOF
chmod +x "$work/python"
run() { # our command, with bench's children under the emulator too
    "$work/python" -c "import sys; sys.executable = '$work/python'; from edge_ser.cli import main; sys.exit(main(sys.argv[1:]))" "$@"
}
engines=(numpy)
for engine in litert onnx; do [[ ",$extras," != *",$engine,"* ]] || engines+=("$engine"); done
checkpoint=$(realpath "${CHECKPOINT:-$here/results/ravdess-distil/fold0-seed0.safetensors}")
rm -rf "$work/every"
if (cd "$here" && "$python" -c "import torch, litert_torch, onnx") 2> /dev/null; then
    say "every format of $(basename "$checkpoint"), made here"
    (cd "$here" && "$python" -m edge_ser export "$checkpoint" --format all --calibrate sample --out "$work/every" -o json) > "$work/every.json"
else
    say "torch is not installed here: only the shipped model's files are verified"
fi
cd "$work"
"$work/python" -c "import platform; assert platform.machine() == '$machine', platform.machine(); import numpy; print('$arch $suite: Python', platform.python_version(), 'NumPy', numpy.__version__)" >&2
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
if [ -d every ]; then
    say "verify every format"
    run verify every sound.wav --seconds 3 --quick -o json > every-verify.json || { cat every-verify.json >&2; exit 1; }
    "$python" - "${engines[@]}" << 'EOF'
import json, sys
made = {(r["engine"], r["precision"]) for r in json.load(open("every/bundle.json"))["files"] if r["engine"] in sys.argv[1:]}
done = {(c["engine"], c["precision"]) for c in json.load(open("every-verify.json"))["checks"] if c["name"] == "chunks" and c["ok"]}
assert made and made == done, f"made {sorted(made)}, run {sorted(done)}"
print("verified", ", ".join(" ".join(pair) for pair in sorted(done)))
EOF
fi
say "bench"
run bench $(printf -- '--engine %s ' "${engines[@]}") --rounds 1 --steps 4 -o json > bench.json
"$python" - << 'EOF'
import json
runs = json.load(open("bench.json"))["runs"]
assert runs and all(run["ok"] for run in runs), runs
checks = json.load(open("verify.json"))
print("verify", "ok" if checks["ok"] else "failed", "| bench ran", ", ".join(f"{r['engine']} {r['precision']}" for r in runs))
EOF
say "done"
