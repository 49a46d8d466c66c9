# The board's side of `edge-ser deploy`; sent with each step. Nothing runs before the last line has come.
#   sh -s STEP PREFIX ID DEPLOY [ARGUMENT...]
# Releases lie in PREFIX/releases/ID, each a virtual environment that is whole when it holds the file `whole`;
# PREFIX/current is a link to one of them, and moves in one rename. While it moves, PREFIX/switching holds what it
# was, so that whatever is killed there can be undone. PREFIX/deploy names the deploy that checked last: the steps of
# one are several connections, and one that another has overtaken goes no further.
set -eu

fail() { echo "edge-ser-deploy: $*" >&2; exit 3; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

current() { readlink "$prefix/current" 2> /dev/null | sed 's|.*/||'; }

point() { # to a release, in one rename
    ln -sfn "releases/$1" "$prefix/current.new"
    mv -Tf "$prefix/current.new" "$prefix/current"
}

serve() { # a release's service, from the link
    as_root "$prefix/current/bin/edge-ser" service install --name "$1" --program "$prefix/current/bin/edge-ser" --listen "$2"
}

undo() { # go back to what was before the switch that did not end
    [ -e "$prefix/switching" ] || return 0
    { read -r before; read -r name; read -r listen; } < "$prefix/switching"
    if [ -n "$before" ] && [ -e "$prefix/releases/$before/whole" ]; then
        point "$before"
        [ -z "$name" ] || serve "$name" "$listen" || echo "edge-ser-deploy: the old service did not start again" >&2
    else
        rm -f "$prefix/current"
    fi
    rm -f "$prefix/switching"
    echo "undone=$before"
}

step_check() { # PYTHON
    python=$1
    command -v "$python" > /dev/null || fail "$python is not installed; apt install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is older than 3.11; use Raspberry Pi OS Bookworm or later"
    "$python" -c 'import venv, ensurepip' 2> /dev/null || fail "python3-venv is not installed; apt install python3-venv"
    command -v rsync > /dev/null || fail "rsync is not installed; apt install rsync"
    [ "$(id -u)" = 0 ] || [ -z "$2" ] || sudo -n true 2> /dev/null || fail "a service needs sudo without a password for this user, or --no-service"
    mkdir -p "$prefix/releases" "$prefix/incoming/$id" 2> /dev/null || fail "$prefix cannot be written; name another --prefix"
    undo
    free=$(df -Pk "$prefix" | awk 'NR == 2 {print $4}')
    [ "$free" -gt "$3" ] || fail "$((free / 1024)) MB are free in $prefix, and $(($3 / 1024)) are needed; make room"
    echo "arch=$(uname -m)"
    echo "python=$("$python" -c 'import platform; print(platform.python_version())')"
    echo "board=$(tr -d '\0' < /proc/device-tree/model 2> /dev/null || true)"
    echo "memory_mb=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"
    echo "free_mb=$((free / 1024))"
    echo "before=$(current)"
    echo "$deploy" > "$prefix/deploy"
}

step_build() { # PYTHON REQUIREMENT INDEX(yes|no)
    release=$prefix/releases/$id
    if [ -e "$release/whole" ]; then echo "built=before"; return 0; fi
    rm -rf "$release"
    trap 'rm -rf "$release"' EXIT
    trap 'exit 4' HUP INT TERM PIPE
    "$1" -m venv "$release" || fail "no virtual environment can be made in $release"
    if [ "$3" = no ]; then set -- "$1" "$2" --no-index; else set -- "$1" "$2"; fi
    wheels=$prefix/incoming/$id; requirement=$2; shift 2
    "$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" --find-links "$wheels" "$requirement" >&2 ||
        fail "pip cannot install $requirement in $release"
    if [ -d "$wheels/model" ]; then cp -r "$wheels/model" "$release/model"; fi
    sync
    date > "$release/whole"
    trap - EXIT
    echo "built=now"
}

step_try() { # MODEL: it has to answer before anything relies on it
    "$prefix/releases/$id/bin/edge-ser" bench ${1:+"$1"} --engine numpy --rounds 1 --steps 4 -o json > /dev/null ||
        fail "the new release does not run here"
}

step_switch() { # SERVICE LISTEN
    [ -e "$prefix/releases/$id/whole" ] || fail "there is no whole release $id"
    before=$(current)
    printf '%s\n%s\n%s\n' "$before" "$1" "$2" > "$prefix/switching.new"
    mv -f "$prefix/switching.new" "$prefix/switching"
    trap 'undo >&2' EXIT
    trap 'exit 4' HUP INT TERM PIPE
    point "$id"
    [ -z "$1" ] || serve "$1" "$2" || fail "the service does not start with the new release; the old one is back"
    rm -f "$prefix/switching"
    trap - EXIT
    echo "before=$before"
}

step_bench() { # MODEL
    "$prefix/current/bin/edge-ser" bench ${1:+"$1"} -o json
}

step_tidy() { # BEFORE: keep what runs and what ran before it, or, deployed again, the newest of the others
    runs=$(current) before=$1
    if [ -z "$before" ] || [ "$before" = "$id" ]; then
        before=$(cd "$prefix/releases" && ls -t -- */whole | sed 's|/whole||' | grep -vx -e "$id" -e "$runs" | head -n 1)
    fi
    for release in "$prefix"/releases/*; do
        case ${release##*/} in "$id" | "$runs" | "${before:-none}") ;; *) rm -rf "$release" ;; esac
    done
    rm -rf "$prefix/incoming"
}

main() {
    step=$1 prefix=$2 id=$3 deploy=$4
    shift 4
    if [ ! -d "$prefix" ] && ! mkdir -p "$prefix" 2> /dev/null; then
        as_root install -d -o "$(id -u)" -g "$(id -g)" "$prefix" || fail "$prefix cannot be made; name another --prefix"
    fi
    [ -w "$prefix" ] || fail "$prefix cannot be written; name another --prefix"
    # One at a time; the lock goes with the process, and is not for what it starts.
    command -v flock > /dev/null || fail "flock is not installed; apt install util-linux"
    exec 9> "$prefix/lock"
    flock -n 9 || fail "another deploy is at work there"
    [ "$step" = check ] || [ "$(cat "$prefix/deploy" 2> /dev/null)" = "$deploy" ] ||
        fail "another deploy has begun there since; see how that one ends, then deploy again"
    "step_$step" "$@" 9>&-
}

main "$@"
