# SPDX-License-Identifier: MIT
# Every C block of the documents compiles.  A block with an #include is a whole file, and is linked if it has a
# main; one without gets the includes; "```c body" marks statements, which go into a function that returns int.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
lib=build/check/gcc-release/libarsenal.a
{
    echo '#include <stdio.h>'
    echo '#include <stdlib.h>'
    echo '#include <string.h>'
    (cd include && for header in arsenal/*.h; do echo "#include <$header>"; done)
} >"$tmp/includes"

for doc in *.md docs/*.md; do
    [ -e "$doc" ] || continue
    awk -v doc="$doc" -v tmp="$tmp" -v prefix="$(echo "$doc" | tr '/.' '__')" '
        function finish() {
            if (body) print "}" > out
            close(out)
            out = ""
        }
        /^```/ && out != "" { finish(); next }
        /^```c( |$)/ {
            out = tmp "/" prefix "_" NR ".c"
            body = ($2 == "body")
            text = ""
            first = 1
            line = NR + 1
            next
        }
        out != "" {
            if (first) {
                whole = /^#include/
                first = 0
                if (!whole) while ((getline include < (tmp "/includes")) > 0) print include > out
                close(tmp "/includes")
                if (body) print "int snippet(void);\nint snippet(void)\n{" > out
                print "#line " line " \"" doc "\"" > out
            }
            print > out
        }
        END { if (out != "") { print doc ": a block is not closed"; exit 1 } }' "$doc" || exit 1
done

bad=0 count=0
for file in "$tmp"/*.c; do
    [ -e "$file" ] || break
    count=$((count + 1))
    if ! grep -q '^int main(' "$file"; then
        gcc -std=gnu11 -Wall -Wextra -Wno-unused -Werror -Iinclude -fsyntax-only "$file" || bad=1
    else
        gcc -std=gnu11 -O1 -Wall -Wextra -Werror -Iinclude "$file" $lib -pthread -o "$tmp/a.out" || bad=1
    fi
done
[ $count -gt 0 ] || { echo "no C block was found in the documents"; bad=1; }
exit $bad
