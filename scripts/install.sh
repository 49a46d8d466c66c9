#!/bin/sh
# Installs edge-ser on Raspberry Pi OS or any Debian whose Python is the system's own (PEP 668).
#   sh scripts/install.sh                        for this user, from this checkout, with microphone and LiteRT
#   sudo sh scripts/install.sh                   for all users, and for a service, which sees no homes
#   sh scripts/install.sh --extras none          NumPy alone (32-bit boards: Debian's python3-numpy is taken)
#   sh scripts/install.sh --wheel FILE --prefix ~/ser --bin ~/bin
# Makes a virtual environment in PREFIX (~/.local/share/edge-ser; root's: /usr/local/lib/edge-ser), beside the one that
# is there; when the new one has answered once, BIN/edge-ser is linked to it (~/.local/bin; root's: /usr/local/bin) and
# the old one is removed.
set -eu
if [ "$(id -u)" = 0 ]; then
    prefix=/usr/local/lib/edge-ser bin=/usr/local/bin
    umask 022 # others run it
else
    prefix=$HOME/.local/share/edge-ser bin=$HOME/.local/bin
fi
extras=mic,litert source=$(dirname "$0")/.. python=python3 find_links=
fail() { echo "install: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
    case $1 in --extras | --wheel | --prefix | --bin | --python | --find-links)
        [ $# -gt 1 ] || fail "$1 lacks its value; --help says what there is" ;; esac
    case $1 in
        --extras) extras=$2; shift 2 ;;
        --wheel) source=$2; shift 2 ;;
        --prefix) prefix=$2; shift 2 ;;
        --bin) bin=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        --find-links) find_links=$2; shift 2 ;; # a folder with wheels; nothing is fetched then
        *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

command -v "$python" > /dev/null || fail "there is no $python; sudo apt install python3, or name another with --python"
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

mkdir -p "$prefix" "$bin"
prefix=$(cd "$prefix" && pwd) bin=$(cd "$bin" && pwd)
new=$prefix/$(date +%Y%m%d-%H%M%S)
trap 'rm -rf "$new"' EXIT
"$python" -m venv $system "$new"
"$new/bin/python" -m pip install --quiet --disable-pip-version-check ${find_links:+--no-index --find-links "$find_links"} "$wanted"
# It must answer before anything points to it.
"$new/bin/python" -c 'import sys; sys.stdout.buffer.write(bytes(16000))' | "$new/bin/edge-ser" listen - --engine numpy -o jsonl > /dev/null
trap - EXIT
ln -sfn "$new/bin/edge-ser" "$bin/edge-ser.new"
mv -f "$bin/edge-ser.new" "$bin/edge-ser"
# Only what this script has made: PREFIX may hold other things.
for old in "$prefix"/[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]; do
    [ "$old" = "$new" ] || rm -rf "$old"
done
"$bin/edge-ser" --version
case :$PATH: in *":$bin:"*) ;; *) echo "install: add $bin to PATH, or call it by that name" >&2 ;; esac
