# SPDX-License-Identifier: MIT
# src/layers.txt against what is: the layers in CMakeLists.txt, the includes of each layer and of its public
# headers, and the undefined symbols of each layer's library.
bad=0
lib=build/check/gcc-release

# The layers as "NAME : DEPENDENCY...", and the public headers of each as "<NAME> : HEADER...".
layers=$(sed -n 's/#.*//; s/[ :]\{1,\}/ /g; s/ $//; /^[a-z]/p' src/layers.txt)
declared=$(sed -n 's/^ars_layer(\(.*\))$/\1/p' CMakeLists.txt)
if [ "$layers" != "$declared" ]; then
    echo "src/layers.txt and the ars_layer() lines of CMakeLists.txt differ:"
    echo "$layers" >"${TMPDIR:-/tmp}/layers.$$"
    echo "$declared" | diff "${TMPDIR:-/tmp}/layers.$$" -
    rm -f "${TMPDIR:-/tmp}/layers.$$"
    bad=1
fi

grep -En '^[[:space:]]*#[[:space:]]*include' -r src include/arsenal --include='*.[chS]' |
    awk '
    FILENAME == "src/layers.txt" {
        sub(/#.*/, "")
        if (!/:/) next
        split($0, half, ":")
        name = half[1]
        gsub(/[ <>]/, "", name)
        n = split(half[2], words, " ")
        if ($0 ~ /^</)
            for (i = 1; i <= n; i++) home[words[i]] = name
        else {
            may[name, name] = 1
            for (i = 1; i <= n; i++) {
                may[name, words[i]] = 1
                if (!(words[i] in layer)) fail("src/layers.txt: " name " : " words[i] " comes later or not at all")
            }
            layer[name] = 1
        }
        next
    }
    function fail(text) { print text; bad = 1 }
    {
        split($0, part, ":")
        file = part[1]
        at = part[1] ":" part[2] ": "
        n = split(file, dirs, "/")
        if (dirs[1] == "include") {
            from = home[dirs[3]]
            if (from == "") { if (!told[file]++) fail(file ": has no layer in src/layers.txt"); next }
        } else {
            from = dirs[2]
            if (!(from in layer)) { if (!told[file]++) fail(file ": its folder is no layer of src/layers.txt"); next }
        }
        if (match($0, /<[^>]*>/)) {
            what = substr($0, RSTART + 1, RLENGTH - 2)
            if (what !~ /^arsenal\//) next
            to = home[substr(what, 9)]
            if (to == "") { fail(at "<" what "> has no layer in src/layers.txt"); next }
        } else if (match($0, /"[^"]*"/)) {
            what = substr($0, RSTART + 1, RLENGTH - 2)
            if (dirs[1] == "include") { fail(at "a public header includes \"" what "\""); next }
            to = what
            sub(/\/.*/, "", to)
            if (what !~ /\// || (!(to in layer) && what !~ /\.\./)) next   # in its own folder
            if (!(to in layer)) { fail(at "\"" what "\" is not written as \"LAYER/file\""); next }
        } else { fail(at "an include that is neither <file> nor \"file\""); next }
        if (!((from, to) in may)) fail(at from " may not include " what " of " to)
    }
    END { exit bad }' src/layers.txt - || bad=1

for name in $(echo "$layers" | cut -d' ' -f1); do
    if [ -f "$lib/libarsenal_$name.a" ]; then
        nm -A "$lib/libarsenal_$name.a" 2>/dev/null | sed "s/^/$name /"
    elif ls "src/$name"/*.c >/dev/null 2>&1; then
        echo "missing $lib/libarsenal_$name.a"
    fi
done | awk '
    FILENAME == "src/layers.txt" {
        sub(/#.*/, "")
        if (!/:/ || /^</) next
        split($0, half, ":")
        gsub(/ /, "", half[1])
        may[half[1], half[1]] = 1
        n = split(half[2], words, " ")
        for (i = 1; i <= n; i++) may[half[1], words[i]] = 1
        next
    }
    $1 == "missing" { print $2 ": is not there; see the check build"; bad = 1; next }
    {
        object = $2
        sub(/^.*\.a:/, "", object)
        sub(/:.*/, "", object)
        if ($(NF - 1) ~ /^[TDBRVWGSC]$/) owner[$NF] = $1
        else if ($(NF - 1) == "U") used[$1 " " object " " $NF] = 1
    }
    END {
        for (use in used) {
            split(use, u, " ")
            if (u[3] in owner) {
                if (!((u[1], owner[u[3]]) in may)) {
                    print "src/" u[1] "/" u[2] ": uses " u[3] " of " owner[u[3]] ", which " u[1] " may not"
                    bad = 1
                }
            } else if (u[3] ~ /^ars_/) {
                print "src/" u[1] "/" u[2] ": uses " u[3] ", which no layer defines"
                bad = 1
            }
        }
        exit bad
    }' src/layers.txt - || bad=1
exit $bad
