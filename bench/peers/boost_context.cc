/* SPDX-License-Identifier: MIT */
/* Boost.Context's continuation, the leanest of its public interfaces; functions for bench/coro.c. */
#include <boost/context/continuation.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

using boost::context::callcc;
using boost::context::continuation;

extern "C" {
extern const char boost_context_version[];
const char boost_context_version[] = BOOST_LIB_VERSION;
double boost_context_switch(uint64_t n, void *arg);
double boost_context_switch_many(uint64_t n, void *arg);
double boost_context_create(uint64_t n, void *arg);
}

static double now()
{
    using clock = std::chrono::steady_clock;
    return (double)std::chrono::duration_cast<std::chrono::nanoseconds>(
               clock::now().time_since_epoch())
        .count();
}

static continuation start(const bool *stop)
{
    return callcc([stop](continuation &&caller) {
        do caller = caller.resume();
        while (!*stop);
        return std::move(caller);
    });
}

double boost_context_switch(uint64_t n, void *)
{
    bool stop = false;
    continuation c = start(&stop);
    double began = now();
    for (uint64_t i = (n + 1) / 2; i; i--) c = c.resume();
    double ns = now() - began;
    stop = true;
    c = c.resume();
    return ns;
}

double boost_context_switch_many(uint64_t n, void *)
{
    const size_t many = 10000;
    bool stop = false;
    std::vector<continuation> c;
    for (size_t i = 0; i < many; i++) c.push_back(start(&stop));
    size_t at = 0;
    double began = now();
    for (uint64_t i = (n + 1) / 2; i; i--) {
        c[at] = c[at].resume();
        if (++at == many) at = 0;
    }
    double ns = now() - began;
    stop = true;
    for (size_t i = 0; i < many; i++) c[i] = c[i].resume();
    return ns;
}

double boost_context_create(uint64_t n, void *)
{
    double began = now();
    for (uint64_t i = n; i; i--) callcc([](continuation &&caller) { return std::move(caller); });
    return now() - began;
}
