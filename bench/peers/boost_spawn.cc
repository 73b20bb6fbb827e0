/* SPDX-License-Identifier: MIT */
/* Boost.Context starting a function on a stack of its own and seeing it end; for bench/task.c. */
#include <boost/context/continuation.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstdint>

using boost::context::callcc;
using boost::context::continuation;

extern "C" {
extern const char boost_spawn_version[];
const char boost_spawn_version[] = BOOST_LIB_VERSION;
double boost_spawn(uint64_t n, void *arg);
}

double boost_spawn(uint64_t n, void *)
{
    boost::context::pooled_fixedsize_stack stacks(65536);
    auto began = std::chrono::steady_clock::now();
    for (uint64_t i = n; i; i--)
        callcc(std::allocator_arg, stacks, [](continuation &&caller) { return std::move(caller); });
    std::chrono::duration<double, std::nano> ns = std::chrono::steady_clock::now() - began;
    return ns.count();
}
