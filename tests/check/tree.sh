# SPDX-License-Identifier: MIT
# The root has at most 20 entries, dot files aside; every source begins with its licence; long files are named.
bad=0
git ls-files >/dev/null || exit 1
entries=$(git ls-files | cut -d/ -f1 | sort -u | grep -cv '^\.')
if [ "$entries" -gt 20 ]; then
    echo "the root has $entries entries, more than 20"
    bad=1
fi
for file in $(git ls-files '*.c' '*.h' '*.cc' '*.S'); do
    [ -e "$file" ] || continue
    if ! head -n 1 "$file" | grep -q 'SPDX-License-Identifier: MIT'; then
        echo "$file:1: does not begin with its SPDX line"
        bad=1
    fi
    lines=$(wc -l <"$file")
    [ "$lines" -le 800 ] || echo "$file: $lines lines, more than 800"
done
exit $bad
