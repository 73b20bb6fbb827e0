#!/bin/sh
# SPDX-License-Identifier: MIT
# ./dev dieharder [--quick] [GENERATOR...]: what the generators of <arsenal/rng.h> give goes through dieharder.
# It fails if dieharder calls one of its tests failed (p < 1e-6).  The seeds are fixed, so a run can be repeated.
set -u
cd -- "$(dirname -- "$0")/../.." || exit 1
# Births, ranks of 32x32 and 6x8 matrices, bits, runs, Marsaglia and Tsang's gcd, serial pairs, distributions of bits.
some='0 2 3 8 15 101 102'

quick=''
if [ "${1-}" = --quick ]; then
    quick=yes
    shift
fi
[ $# -gt 0 ] || set -- splitmix64 wyrand pcg32 pcg64 xoshiro256p xoshiro256pp xoshiro256ss philox fill
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
gcc -std=c11 -O2 -Iinclude tests/dieharder/stream.c build/release/libarsenal.a -o "$tmp/stream" || exit 1

# dieharder ARGUMENT...: the tests of one run; its lines of results.
through() {
    "$tmp/stream" "$name" | dieharder -g 200 "$@" | grep -E 'PASSED|WEAK|FAILED'
}

bad=0
for name; do
    if [ "$quick" ]; then
        for test in $some; do through -d "$test"; done
    else
        through -a
    fi >"$tmp/results"
    printf '%s: %s tests passed, %s are weak, %s failed\n' "$name" "$(grep -c PASSED "$tmp/results")" \
        "$(grep -c WEAK "$tmp/results")" "$(grep -c FAILED "$tmp/results")"
    grep -E 'WEAK|FAILED' "$tmp/results"
    if ! grep -q PASSED "$tmp/results" || grep -q FAILED "$tmp/results"; then bad=1; fi
done
exit $bad
