# SPDX-License-Identifier: MIT
# All C files are as ./dev fmt leaves them.
find include src tests tools examples bench -name '*.[ch]' -o -name '*.cc' | {
    bad=0
    while read -r file; do
        clang-format-14 "$file" | cmp -s - "$file" && continue
        echo "$file: ./dev fmt changes it, first at line" \
            "$(clang-format-14 "$file" | diff "$file" - | sed -n '1s/[^0-9].*//p')"
        bad=1
    done
    exit $bad
}
