#!/bin/sh
# SPDX-License-Identifier: MIT
# ./dev bench [GROUP...] [--peers] [--quick] [--json FILE]: runs the benchmarks that were built and prints a table.
set -u
root=$(cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=$root/build/release
all='coro task echo'

die() { printf 'bench: %s\n' "$2" >&2; exit "$1"; }

groups='' options='' json=''
while [ $# -gt 0 ]; do
    case $1 in
    --peers | --quick) options="$options $1" ;;
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
trap 'exit 130' INT TERM
if [ -n "$json" ]; then
    (: >>"$json") 2>/dev/null || die 1 "cannot write $json"
fi

bad=''
for group in $groups; do
    [ -x "$build/bench/$group" ] || die 1 "$build/bench/$group is not built"
    # shellcheck disable=SC2086 # several words
    "$build/bench/$group" $options --json "$records" || bad="$bad $group"
done
"$build/bench/table" "$records" || exit 1
if [ -n "$json" ]; then
    cat "$records" >>"$json" || die 1 "cannot write $json"
fi
[ -z "$bad" ] || die 1 "failed:$bad"
