# SPDX-License-Identifier: MIT
# The shared library exports what the public headers declare, and nothing else; the static one adds to a
# program's names only ars_ ones.
bad=0
lib=build/check/gcc-release
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
nm -D --defined-only $lib/libarsenal.so >"$tmp/so" || exit 1
nm -g --defined-only $lib/libarsenal.a >"$tmp/a" 2>/dev/null || exit 1

awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' "$tmp/so" | sort -u >"$tmp/exported"
# Declared: what is marked with ARS_API, and the twins of what is marked with ARS_INLINE.
(cd include && for header in arsenal/*.h; do echo "#include <$header>"; done) |
    gcc -E -P -Iinclude -DARS_INLINE=ars__inline -x c - | tr '\n' ' ' |
    sed 's/ars__inline/\n&/g; s/__attribute__((visibility("default")))/\n&/g' | awk '
    NR > 1 && match($0, /ars_[a-z][a-z0-9_]*\(/) { print substr($0, RSTART, RLENGTH - 1) }' |
    sort -u >"$tmp/declared"
complain() { # LIST, TEXT
    [ ! -s "$1" ] || { sed "s|\$|: $2|" "$1"; bad=1; }
}
comm -23 "$tmp/exported" "$tmp/declared" >"$tmp/list"
complain "$tmp/list" "exported by libarsenal.so, but no public header declares it with ARS_API or ARS_INLINE"
comm -13 "$tmp/exported" "$tmp/declared" >"$tmp/list"
complain "$tmp/list" "declared by a public header, but libarsenal.so does not export it"
grep -Ev '^ars_[a-z]' "$tmp/exported" >"$tmp/list"
complain "$tmp/list" "exported by libarsenal.so, but it does not begin with ars_ and a letter"
awk 'NF == 3 && $3 !~ /^ars_[_a-z]/ { print $3 }' "$tmp/a" | sort -u >"$tmp/list"
complain "$tmp/list" "a global name of libarsenal.a that does not begin with ars_"
soname=$(readelf -d $lib/libarsenal.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
version=$(sed -n 's/^project(arsenal VERSION \([0-9]*\.[0-9]*\)\..*/\1/p' CMakeLists.txt)
if [ "$soname" != "libarsenal.so.$version" ] || ! grep -q " A ARS_$version" "$tmp/so"; then
    echo "libarsenal.so has the SONAME '$soname' and not libarsenal.so.$version, or lacks the version ARS_$version"
    bad=1
fi
exit $bad
