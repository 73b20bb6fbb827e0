# SPDX-License-Identifier: MIT
# Everything compiles without a warning, with gcc and clang, in release and debug.  Other checks look into these
# builds.
bad=0
for cc in gcc clang; do
    case $cc in gcc) cxx=g++ ;; *) cxx=clang++ ;; esac
    for kind in release debug; do
        dir=build/check/$cc-$kind
        if ! output=$({ cmake --preset $kind -B $dir -DCMAKE_C_COMPILER=$cc -DCMAKE_CXX_COMPILER=$cxx \
            -DARSENAL_WERROR=ON && cmake --build $dir -- -k 0; } 2>&1); then
            [ -e $dir/build.ninja ] || rm -rf $dir
            case $output in
            *"No space left on device"*) echo "the disk is full; free some space (df -h build)"; exit 1 ;;
            esac
            printf '%s: failed\n' "$dir"
            printf '%s\n' "$output" | grep -v -- ' -[co] ' |
                grep -E 'error[: ]|warning[: ]|Error|undefined|FAILED' | head -n 30
            bad=1
        fi
    done
done
exit $bad
