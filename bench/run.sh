#!/bin/sh
# SPDX-License-Identifier: MIT
# ./dev bench [GROUP...] [--peers] [--quick] [--json FILE]: runs the benchmarks that were built and prints a table.
set -u
root=$(cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=$root/build/release
all='coro task chan select timer mutex lock strategy costs echo udp clock rng kern cpu mem'

say() { printf 'bench: %s\n' "$*" >&2; }
die() { say "$2"; exit "$1"; }

groups='' json='' peers='' quick=''
while [ $# -gt 0 ]; do
    case $1 in
    --peers) peers=$1 ;;
    --quick) quick=$1 ;;
    --json | --build)
        [ $# -gt 1 ] || die 2 "$1 needs a value"
        if [ "$1" = --json ]; then json=$2; else build=$2; fi
        shift
        ;;
    --json=*) json=${1#*=} ;;
    --help | -h)
        echo "usage: ./dev bench [GROUP...] [--peers] [--quick] [--json FILE]"
        echo "groups: $all"
        exit 0
        ;;
    -*) die 2 "unknown option $1; there are --peers, --quick and --json FILE" ;;
    *)
        case " $all " in
        *" $1 "*) groups="$groups $1" ;;
        *) die 2 "there is no group $1; there are: $all" ;;
        esac
        ;;
    esac
    shift
done
[ -n "$groups" ] || groups=$all

records=$(mktemp) || exit 1
trap 'rm -f "$records"' EXIT
child=''
trap '[ -z "$child" ] || kill -9 "$child"; exit 130' INT TERM HUP
# What a program starts dies with it (tools/process.h), and it with this script, however that ends.
alone=''
setpriv --pdeathsig KILL true 2>/dev/null && alone='setpriv --pdeathsig KILL --'
if [ -n "$json" ]; then
    (: >>"$json") 2>/dev/null || die 1 "cannot write $json"
fi

# built WHAT COMMAND...: a peer whose tools are missing, or fail, is left out.
built() {
    what=$1
    shift
    command -v "$1" >/dev/null 2>&1 || { say "$what is left out: there is no $1 here"; return 1; }
    say "building the peer $what"
    output=$("$@" 2>&1) && return 0
    say "$what is left out: $1 failed: $(printf '%s' "$output" | tail -n 1)"
    return 1
}

# The peers of the echo server, which bench/echo.c starts.
if [ -n "$peers" ]; then
    case " $groups " in
    *" echo "*)
        built go go -C "$root/bench/peers/go" build -o "$build/bench/go_echo" ./echo
        built tokio cargo build --quiet --release --locked --target-dir "$build/bench/tokio" \
            --manifest-path "$root/bench/peers/tokio/Cargo.toml"
        ;;
    esac
fi

# What is measured in turn with Arsenal by its own program (see peer.h).
set --
if [ -n "$peers" ]; then
    case " $groups " in
    *" task "* | *" chan "* | *" select "* | *" timer "*)
        if built go go -C "$root/bench/peers/go" build -o "$build/bench/peer_go" .; then
            set -- "$@" --peer "$build/bench/peer_go"
        fi
        if built tokio cargo build --quiet --release --locked --target-dir "$build/bench/tokio" \
            --manifest-path "$root/bench/peers/tokio/Cargo.toml"; then
            set -- "$@" --peer "$build/bench/tokio/release/peer"
        fi
        if [ -x "$build/bench/boost_fiber" ]; then
            set -- "$@" --peer "$build/bench/boost_fiber"
        else
            say "boost.fiber is left out: libboost-fiber-dev or a C++ compiler is missing"
        fi
        ;;
    esac
fi

# run GROUP [--peer PROGRAM...]
run() {
    group=$1
    shift
    [ -x "$build/bench/$group" ] || die 1 "$build/bench/$group is not built"
    # In the background: a trap waits for what runs in front.
    $alone "$build/bench/$group" ${peers:+"$peers"} ${quick:+"$quick"} "$@" --json "$records" &
    child=$!
    wait "$child"
    rc=$?
    child=''
    return $rc
}

bad=''
for group in $groups; do
    case $group in
    task | chan | select | timer) run "$group" "$@" ;;
    *) run "$group" ;;
    esac || bad="$bad $group"
done
"$build/bench/table" "$records" || exit 1
if [ -n "$json" ]; then
    cat "$records" >>"$json" || die 1 "cannot write $json"
fi
[ -z "$bad" ] || die 1 "failed:$bad"
