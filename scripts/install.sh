#!/bin/sh
# Installs edge-ser for this user on Raspberry Pi OS or any Debian whose Python is the system's own (PEP 668).
#   sh scripts/install.sh                        from this checkout, with microphone and LiteRT
#   sh scripts/install.sh --extras none          NumPy alone (32-bit boards: Debian's python3-numpy is taken)
#   sh scripts/install.sh --wheel FILE --prefix ~/ser
# Makes a virtual environment in PREFIX (~/.local/share/edge-ser), beside the one that is there; when the new one has
# answered once, ~/.local/bin/edge-ser is linked to it and the old one is removed.
set -eu
extras=mic,litert prefix=$HOME/.local/share/edge-ser source=$(dirname "$0")/.. python=python3 find_links=
while [ $# -gt 0 ]; do
    case $1 in
        --extras) extras=$2; shift 2 ;;
        --wheel) source=$2; shift 2 ;;
        --prefix) prefix=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        --find-links) find_links=$2; shift 2 ;; # a folder with wheels; nothing is fetched then
        *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
fail() { echo "install: $*" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11; use Debian 12 or later"
"$python" -c 'import venv, ensurepip' 2> /dev/null || fail "sudo apt install python3-venv, then again"
case ,$extras, in *,mic,*) ldconfig -p 2> /dev/null | grep -q libportaudio ||
    echo "install: for microphones through PortAudio: sudo apt install libportaudio2 (arecord needs alsa-utils alone)" >&2 ;; esac
system=
case $(uname -m) in armv6l | armv7l) # no wheels of NumPy there, but Debian has it
    "$python" -c 'import numpy' 2> /dev/null || fail "sudo apt install python3-numpy, then again"
    system=--system-site-packages extras=none ;;
esac
[ "$extras" = none ] && wanted=$source || wanted="$source[$extras]"

mkdir -p "$prefix"
new=$prefix/$(date +%Y%m%d-%H%M%S)
trap 'rm -rf "$new"' EXIT
"$python" -m venv $system "$new"
"$new/bin/python" -m pip install --quiet --disable-pip-version-check ${find_links:+--no-index --find-links "$find_links"} "$wanted"
# It must answer before anything points to it.
"$new/bin/python" -c 'import sys; sys.stdout.buffer.write(bytes(16000))' | "$new/bin/edge-ser" listen - --engine numpy -o jsonl > /dev/null
trap - EXIT
mkdir -p "$HOME/.local/bin"
ln -sfn "$new/bin/edge-ser" "$HOME/.local/bin/edge-ser.new"
mv -f "$HOME/.local/bin/edge-ser.new" "$HOME/.local/bin/edge-ser"
for old in "$prefix"/*; do
    [ "$old" = "$new" ] || rm -rf "$old"
done
"$HOME/.local/bin/edge-ser" --version
case :$PATH: in *":$HOME/.local/bin:"*) ;; *) echo "install: add $HOME/.local/bin to PATH, or call it by that name" >&2 ;; esac
