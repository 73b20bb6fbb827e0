# SPDX-License-Identifier: MIT
# Each public header compiles alone, as C11, C17 and C++17, with gcc and clang.
bad=0
for path in include/arsenal/*.h; do
    header=arsenal/${path##*/}
    for compiler in "gcc -x c -std=c11" "gcc -x c -std=c17" "g++ -x c++ -std=c++17" \
        "clang -x c -std=c11" "clang -x c -std=c17" "clang++ -x c++ -std=c++17"; do
        # shellcheck disable=SC2086 # the compiler has arguments
        echo "#include <$header>" |
            $compiler -Wall -Wextra -pedantic -Werror -Iinclude -fsyntax-only - && continue
        echo "<$header>: does not compile alone with $compiler"
        bad=1
    done
done
exit $bad
