# SPDX-License-Identifier: MIT
# The hot paths take no more instructions than instructions/CPU-COMPILER.txt says, but for 2 %.  Counts do not depend
# on the machine's speed or load, but on the compiler: for another one there is no table, and nothing to compare.
dir=tests/check/instructions
table=$dir/$(uname -m)-gcc$(gcc -dumpversion | cut -d. -f1).txt
[ -e $table ] || { echo "there is no $table"; exit 0; }
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
gcc -std=gnu11 -O2 -Iinclude $dir/count.c -o "$tmp/count" build/check/gcc-release/libarsenal.a -lpthread || exit 1
output=$(valgrind --tool=callgrind --callgrind-out-file="$tmp/out" "$tmp/count" 2>&1) || {
    printf '%s\n' "$output" | tail -n 20
    exit 1
}
n=$(sed -n 's/.*\<N = \([0-9]*\),.*/\1/p' $dir/count.c)
for dump in "$tmp"/out.*; do
    awk -v n="$n" '/^desc: Trigger:/ { id = $NF } /^totals:/ { printf "%s %.1f\n", id, $2 / n }' "$dump"
done >"$tmp/counted"
awk -v table=$table '
    FILENAME == table { if (!/^#/) told[$1] = $2; next }
    !($1 in told) { print $1 " is not in " table; bad = 1; next }
    {
        if ($2 > told[$1] * 1.02 + .1) { print $1 ": " $2 " instructions, more than the " told[$1] " of " table; bad = 1 }
        else if ($2 < told[$1] * .98 - .1) print $1 ": " $2 " instructions, less than the " told[$1] " of " table
        delete told[$1]
    }
    END { for (id in told) { print id " was not counted"; bad = 1 }; exit bad }' $table "$tmp/counted"
