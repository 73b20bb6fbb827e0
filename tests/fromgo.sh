# SPDX-License-Identifier: MIT
# Usage: fromgo.sh DOCUMENT LIBRARY COMPILER [OPTION...]
#
# Builds and runs each pair of Go and C programs of the document, and compares what both print with the text
# that stands below them.  Without Go, or with one that is too old, only the C programs.
doc=$1
lib=$2
shift 2
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/go" "$tmp/bin"

# NUMBER.c, go/pNUMBER/main.go, NUMBER.txt and NUMBER.title of each section.
awk -v tmp="$tmp" '
    /^## / { n++; title = $0; sub(/^## [0-9]+\. /, "", title); print title > (tmp "/" n ".title"); next }
    /^```/ && out != "" { close(out); out = ""; next }
    /^```go$/ { system("mkdir " tmp "/go/p" n); out = tmp "/go/p" n "/main.go"; next }
    /^```c$/ { out = tmp "/" n ".c"; next }
    /^```text$/ { out = tmp "/" n ".txt"; next }
    out != "" { print > out }
    END { print n + 0 > (tmp "/count") }' "$doc" || exit 1
count=$(cat "$tmp/count")
[ "$count" -ge 20 ] || { echo "$doc: $count pairs, fewer than 20"; exit 1; }

go=
if ! command -v go >/dev/null 2>&1; then
    echo "SKIPPED the Go halves: there is no go on PATH"
else
    version=$(GOTOOLCHAIN=local go env GOVERSION)
    case $version in
    go1.[0-9] | go1.[0-9].* | go1.1* | go1.2[0-4] | go1.2[0-4].*)
        echo "SKIPPED the Go halves: they need Go 1.25, this is $version" ;;
    *) go=yes ;;
    esac
fi
if [ -n "$go" ]; then
    printf 'module fromgo\n\ngo 1.25\n' >"$tmp/go/go.mod"
    [ -n "${GOCACHE:-}${HOME:-}" ] || export GOCACHE="$tmp/cache"
    (cd "$tmp/go" && GOTOOLCHAIN=local GOFLAGS=-mod=mod GOPROXY=off GO111MODULE=on GOWORK=off \
        go build -o "$tmp/bin/" ./...) || exit 1
fi

bad=0
# same NUMBER NAME PROGRAM: it ends with 0 and prints what the document says.
same() {
    timeout 60 "$3" >"$tmp/printed" 2>&1
    status=$?
    if [ $status != 0 ] || ! cmp -s "$tmp/printed" "$tmp/$1.txt"; then
        echo "$1. $(cat "$tmp/$1.title"): the $2 program ended with $status and printed:"
        sed 's/^/    /' "$tmp/printed"
        bad=1
    fi
}

n=0
while [ $n -lt "$count" ]; do
    n=$((n + 1))
    for part in "$n.c" "go/p$n/main.go" "$n.txt"; do
        [ -s "$tmp/$part" ] || { echo "$n. $(cat "$tmp/$n.title"): has no ${part##*/}"; bad=1; continue 2; }
    done
    if "$@" "$tmp/$n.c" "$lib" -pthread -o "$tmp/bin/c$n"; then
        same $n C "$tmp/bin/c$n"
    else
        echo "$n. $(cat "$tmp/$n.title"): the C program does not compile"
        bad=1
    fi
    [ -z "$go" ] || same $n Go "$tmp/bin/p$n"
done
[ $bad = 1 ] || echo "$count pairs print the same"
exit $bad
