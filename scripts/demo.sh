#!/usr/bin/env bash
# What `make demo` shows, after its set-up: demo.sh [EDGE_SER] [FOLDER FOR THE PICTURE]
set -euo pipefail
cd "$(dirname "$0")/.."
ser=${1:-edge-ser}
out=${2:-out/demo}
sample=edge_ser/samples/demo.flac

bold= plain= pace=
if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
    pace=--realtime # half a minute, as a person would hear it; into a file or a log as fast as it goes
fi
say() { printf '\n%s%s%s\n\n' "$bold" "$1" "$plain"; }
command="edge-ser listen $sample${pace:+ $pace}"

say "1. Listening to six voices, calm and agitated, made by espeak-ng:  $command"
# shellcheck disable=SC2086 # $pace is one option or none
"$ser" listen "$sample" $pace

say "2. What that costs on this machine:  edge-ser bench"
"$ser" bench

say "3. The same speech as a picture:  edge-ser predict $sample --plot $out/speech.png"
mkdir -p "$out" && out=$(cd "$out" && pwd)
"$ser" predict "$sample" --plot "$out/speech.png"

say "The picture is $out/speech.png. Now your own voice:  $ser listen   (extra: mic)"
