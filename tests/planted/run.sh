# SPDX-License-Identifier: MIT
# Plants each bug of tests/planted/NAME.patch into a copy of the tree: the test that it names must then fail.
#
# A patch begins with what the bug is, and a line of its own that says what must catch it:
#
#     Catch: VERB STEM        VERB: test, debug, checked, asan, ubsan or tsan
#
# The same test must pass in the copy without the bug, and the copy with it must compile.
set -u
fail() { echo "planted: $*" >&2; exit 1; }

[ $# -gt 0 ] || set -- $(cd tests/planted && echo *.patch | sed 's/\.patch//g')
for name; do
    [ -e "tests/planted/$name.patch" ] || { echo "planted: there is no tests/planted/$name.patch" >&2; exit 2; }
done
patches=$PWD/tests/planted
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM
{ git ls-files -co --exclude-standard || fail "this is not a git checkout"; } |
    while read -r file; do [ ! -e "$file" ] || echo "$file"; done |
    tar -cf - -T - | tar -xf - -C "$copy" || fail "copying the tree failed"
cd "$copy" || exit 1
export ARS_TEST_QUICK=1 UBSAN_OPTIONS=print_stacktrace=1

build() { # PRESET STEM
    if [ ! -e "build/$1/build.ninja" ]; then
        cmake --preset "$1" -DARSENAL_TEST_TIMEOUT=60 -DARSENAL_BENCH=OFF -DARSENAL_EXAMPLES=OFF || return 1
    fi
    cmake --build "build/$1" --target "test_$2"
}
run() { # PRESET STEM
    wrapper=
    [ "$1" != tsan ] || ! setarch -R true 2>/dev/null || wrapper='setarch -R'
    $wrapper ctest --test-dir "build/$1" --output-on-failure --no-tests=error -R "^$2\$"
}

passed= bad=0
for name; do
    patch=$patches/$name.patch
    catch=$(sed -n 's/^Catch: *\([a-z]* [a-z0-9_]*\) *$/\1/p' "$patch")
    preset=${catch% *} stem=${catch#* }
    case $preset in test) preset=release ;; esac
    case $preset in
    release | debug | checked | asan | ubsan | tsan) ;;
    *) echo "planted $name: lacks its line 'Catch: VERB STEM'"; bad=1; continue ;;
    esac
    case $passed in
    *" $preset/$stem "*) ;;
    *)
        if ! output=$({ build "$preset" "$stem" && run "$preset" "$stem"; } 2>&1); then
            printf '%s\n' "$output" | tail -n 40
            echo "planted $name: cannot tell: $catch fails without the bug"
            bad=1
            continue
        fi
        passed="$passed $preset/$stem "
        ;;
    esac
    if ! git apply "$patch"; then
        echo "planted $name: the patch does not apply any more"
        bad=1
        continue
    fi
    if ! output=$(build "$preset" "$stem" 2>&1); then
        printf '%s\n' "$output" | tail -n 40
        echo "planted $name: cannot tell: it does not compile with the bug"
        bad=1
    elif output=$(run "$preset" "$stem" 2>&1); then
        echo "planted $name: NOT CAUGHT by $catch"
        bad=1
    else
        # How it showed: a sanitizer's summary, an assertion, a signal, or the time limit.
        how=$(printf '%s\n' "$output" | grep -m 1 -E 'SUMMARY:|runtime error:')
        [ -n "$how" ] ||
            how=$(printf '%s\n' "$output" | grep -m 1 -E '[a-z_]+\.[ch]:[0-9]+:|[Aa]ssert')
        [ -n "$how" ] || how=$(printf '%s\n' "$output" | grep -m 1 -E '\*\*\*')
        printf 'planted %s: caught by %s: %s\n' "$name" "$catch" "$how" |
            sed "s|$copy/||g; s/  */ /g; s/ (BuildId:[^)]*)//g"
    fi
    git apply -R "$patch" || fail "$name: cannot be taken out again"
done
[ $bad = 0 ] || exit 1
echo "planted: all $# caught"
