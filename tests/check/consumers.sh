# SPDX-License-Identifier: MIT
# A program of somebody else builds and runs: by find_package, pkg-config, add_subdirectory and FetchContent, with
# the static and the shared library.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cp -R tests/check/consumer "$tmp/app" || exit 1
source=$PWD
bad=0

quiet() { # WHAT COMMAND...
    what=$1
    shift
    output=$("$@" 2>&1) && return 0
    printf '%s: failed: %s\n' "$what" "$*"
    printf '%s\n' "$output" | tail -n 15
    bad=1
    return 1
}
needs_so() { # PROGRAM yes|no
    if readelf -d "$1" | grep -q 'NEEDED.*libarsenal'; then found=yes; else found=no; fi
    [ $found = "$2" ] && return 0
    echo "$1: linked with libarsenal.so: $found, expected $2"
    bad=1
}

# Installed to one place and moved to another, as packagers do.
if quiet install cmake --install build/check/gcc-release --prefix "$tmp/first"; then
    mv "$tmp/first" "$tmp/prefix"
    if quiet find_package cmake -S "$tmp/app" -B "$tmp/package" -G Ninja -DUSE=package \
        -DCMAKE_PREFIX_PATH="$tmp/prefix" && quiet find_package cmake --build "$tmp/package"; then
        for program in static shared layer; do
            quiet "find_package, $program" "$tmp/package/$program"
        done
        needs_so "$tmp/package/static" no
        needs_so "$tmp/package/shared" yes
    fi
    if grep -rqF "$source" "$tmp/prefix" --include='*.cmake' --include='*.pc'; then
        echo "installed files name the source tree:"
        grep -rlF "$source" "$tmp/prefix" --include='*.cmake' --include='*.pc'
        bad=1
    fi
    libdir=$(dirname "$(find "$tmp/prefix" -name libarsenal.so)")
    export PKG_CONFIG_PATH="$libdir/pkgconfig"
    # shellcheck disable=SC2046 # flags are words
    if quiet pkg-config pkg-config --exists --print-errors 'arsenal >= 0.1'; then
        quiet "pkg-config, shared" gcc "$tmp/app/main.c" -o "$tmp/shared" \
            $(pkg-config --cflags --libs arsenal) &&
            quiet "pkg-config, shared" env LD_LIBRARY_PATH="$libdir" "$tmp/shared" &&
            needs_so "$tmp/shared" yes
        quiet "pkg-config, static" gcc -static "$tmp/app/main.c" -o "$tmp/static" \
            $(pkg-config --static --cflags --libs arsenal) &&
            quiet "pkg-config, static" "$tmp/static" && needs_so "$tmp/static" no
    fi
fi

for use in subdirectory fetch; do
    if quiet $use cmake -S "$tmp/app" -B "$tmp/$use" -G Ninja -DUSE=$use -DARSENAL_SOURCE="$source" &&
        quiet $use cmake --build "$tmp/$use"; then
        for program in static shared layer; do
            quiet "$use, $program" "$tmp/$use/$program"
        done
        needs_so "$tmp/$use/static" no
        needs_so "$tmp/$use/shared" yes
        quiet "$use, install" cmake --install "$tmp/$use" --prefix "$tmp/$use-prefix"
        if find "$tmp/$use-prefix" | grep arsenal; then
            echo "$use: these of Arsenal were installed with the project"
            bad=1
        fi
        if ctest --test-dir "$tmp/$use" -N | grep '#1:'; then
            echo "$use: Arsenal's tests are among the project's"
            bad=1
        fi
    fi
done
exit $bad
