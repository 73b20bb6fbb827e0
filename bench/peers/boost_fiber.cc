/* SPDX-License-Identifier: MIT */
/*
 * The Boost.Fiber peer of bench/, which speaks as bench/peer.h says.
 *
 * It has no select.  A million fibers need 8 GB of stacks, or, started with
 * launch::dispatch, seconds to find the ended ones: no skynet, no timers.
 */
#include <boost/fiber/all.hpp>
#include <boost/version.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <malloc.h>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using boost::fibers::buffered_channel;
using boost::fibers::channel_op_status;
using boost::fibers::fiber;
using boost::fibers::launch;
using boost::fibers::unbuffered_channel;

namespace
{

using stacks = boost::fibers::pooled_fixedsize_stack;

/* Of the thread that asks: a pool may be used by one thread only. */
stacks &pool()
{
    thread_local stacks here(65536);
    return here;
}

/*
 * A stack from a pool is given back where the fiber ends.  With two workers
 * that may be another thread, so there stacks come from malloc().
 */
bool two_workers = false;

template <class F> fiber start(launch how, F f)
{
    if (two_workers)
        return fiber(how, std::allocator_arg, boost::fibers::fixedsize_stack(65536), std::move(f));
    return fiber(how, std::allocator_arg, pool(), std::move(f));
}

double now()
{
    using clock = std::chrono::steady_clock;
    return std::chrono::duration<double, std::nano>(clock::now().time_since_epoch()).count();
}

double cpu()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- tasks ---- */

double yield_many(uint64_t tasks, uint64_t rounds, uint64_t n)
{
    auto batch = [tasks](uint64_t times) {
        std::vector<fiber> all;
        for (uint64_t i = 0; i < tasks; i++)
            all.push_back(start(launch::post, [times] {
                for (uint64_t k = 0; k < times; k++) boost::this_fiber::yield();
            }));
        for (fiber &f : all) f.join();
    };
    batch(1);
    double began = now();
    batch(rounds);
    return (now() - began) * (double)n / (double)(tasks * rounds);
}

double spawn(uint64_t n)
{
    double began = now();
    for (uint64_t i = n; i; i--) start(launch::dispatch, [] {}).join();
    return now() - began;
}

double spawn10k(uint64_t n)
{
    const uint64_t many = 10000, rounds = std::max<uint64_t>(n / many, 10);
    auto batch = [] {
        std::vector<fiber> all;
        for (uint64_t i = 0; i < many; i++) all.push_back(start(launch::post, [] {}));
        for (fiber &f : all) f.join();
    };
    /* The process is new, and so is its memory. */
    for (int i = 0; i < 5; i++) batch();
    double began = now();
    for (uint64_t i = rounds; i; i--) batch();
    return (now() - began) * (double)n / (double)(rounds * many);
}

/* ---- channels ---- */

using numbers = unbuffered_channel<uint64_t>;

void echo(numbers &there, numbers &back)
{
    uint64_t v;
    while (there.pop(v) == channel_op_status::success) back.push(v + 1);
}

double ask(uint64_t n, numbers &there, numbers &back)
{
    uint64_t v = 0;
    double began = now();
    for (uint64_t i = n; i; i--) {
        there.push(v);
        back.pop(v);
    }
    double ns = now() - began;
    there.close();
    return v == n ? ns : -1;
}

double pingpong(uint64_t n)
{
    numbers there, back;
    fiber other = start(launch::post, [&] { echo(there, back); });
    double ns = ask(n, there, back);
    other.join();
    return ns;
}

double pingpong2(uint64_t n)
{
    numbers there, back;
    std::thread other([&] { echo(there, back); });
    double ns = ask(n, there, back);
    other.join();
    return ns;
}

void produce(uint64_t n, buffered_channel<uint64_t> &to)
{
    for (uint64_t i = 0; i < n; i++) to.push(i);
    to.close();
}

double consume(uint64_t n, buffered_channel<uint64_t> &from, double began)
{
    uint64_t v, sum = 0;
    while (from.pop(v) == channel_op_status::success) sum += v;
    double ns = now() - began;
    return sum == n * (n - 1) / 2 ? ns : -1;
}

double buffered(uint64_t n)
{
    buffered_channel<uint64_t> c(128);
    double began = now();
    fiber other = start(launch::post, [&] { produce(n, c); });
    double ns = consume(n, c, began);
    other.join();
    return ns;
}

double buffered2(uint64_t n)
{
    buffered_channel<uint64_t> c(128);
    std::thread other([&] { produce(n, c); });
    double ns = consume(n, c, now());
    other.join();
    return ns;
}

/* Leaves its fibers behind: the process ends after it. */
double sieve(uint64_t)
{
    double began = cpu();
    numbers *in = new numbers;
    uint64_t prime = 0;

    start(launch::post, [to = in] {
        for (uint64_t i = 2;; i++) to->push(i);
    }).detach();
    for (int i = 0; i < 2000; i++) {
        in->pop(prime);
        numbers *out = new numbers;
        start(launch::post, [from = in, to = out, prime] {
            uint64_t v;
            while (from->pop(v) == channel_op_status::success)
                if (v % prime) to->push(v);
        }).detach();
        in = out;
    }
    return prime == 17389 ? cpu() - began : -1;
}

/* ---- the program ---- */

using work = double (*)(uint64_t);

/* Runs 'fn' on two workers that steal from each other. */
double on_two(work fn, uint64_t n)
{
    using boost::fibers::algo::work_stealing;
    boost::fibers::mutex lock;
    boost::fibers::condition_variable changed;
    bool done = false;

    two_workers = true;
    std::thread other([&] {
        boost::fibers::use_scheduling_algorithm<work_stealing>(2, true);
        std::unique_lock<boost::fibers::mutex> held(lock);
        changed.wait(held, [&] { return done; });
    });
    boost::fibers::use_scheduling_algorithm<work_stealing>(2, true);
    double result = fn(n);
    {
        std::unique_lock<boost::fibers::mutex> held(lock);
        done = true;
    }
    changed.notify_all();
    other.join();
    return result;
}

const struct {
    const char *id, *remark;
    work fn;
    int workers;
} benches[] = {
    {"task.yield2", "round_robin", [](uint64_t n) { return yield_many(2, n / 2 + 1, n); }, 1},
    {"task.yield10k", "round_robin",
     [](uint64_t n) { return yield_many(10000, std::max<uint64_t>(n / 10000, 100), n); }, 1},
    {"task.spawn", "dispatch, pooled stacks", spawn, 1},
    {"task.spawn.w2", "dispatch, work_stealing", spawn, 2},
    {"task.spawn10k", "post, pooled stacks", spawn10k, 1},
    {"task.spawn10k.w2", "post, work_stealing", spawn10k, 2},
    {"chan.pingpong", "unbuffered_channel", pingpong, 1},
    {"chan.pingpong2", "unbuffered_channel, a thread each", pingpong2, 1},
    {"chan.buffered", "buffered_channel(128)", buffered, 1},
    {"chan.buffered2", "buffered_channel(128), a thread each", buffered2, 1},
    {"chan.buffered2.spsc", "buffered_channel(128), a thread each", buffered2, 1},
    {"chan.sieve", "unbuffered_channel", sieve, 1},
    {"chan.sieve.w2", "unbuffered_channel, work_stealing", sieve, 2},
};

/* In a process of its own, since a scheduler can be chosen once only. */
double run(const std::string &id, uint64_t n)
{
    double result = -1;
    int ends[2];

    if (pipe(ends)) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        for (const auto &b : benches)
            if (id == b.id) result = b.workers == 2 ? on_two(b.fn, n) : b.fn(n);
        ssize_t told = write(ends[1], &result, sizeof result);
        _exit(told != sizeof result);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], &result, sizeof result) != sizeof result) result = -1;
    close(ends[0]);
    if (pid > 0) waitpid(pid, nullptr, 0);
    return result;
}

} // namespace

int main()
{
    /* Memory that fibers have freed is kept for the next ones. */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 1 << 24);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    std::cout << "boost.fiber " << BOOST_LIB_VERSION << '\n';
    for (const auto &b : benches) std::cout << b.id << ' ' << b.remark << '\n';
    std::cout << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string id;
        uint64_t n = 1;
        words >> id >> n;
        std::cout << run(id, n) << std::endl;
    }
}
