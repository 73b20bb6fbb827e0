// SPDX-License-Identifier: MIT

use crate::{check, current_thread, on_one, on_two, since, Bench};
use std::time::Instant;
use tokio::sync::mpsc;

pub const BENCHES: &[Bench] = &[
    ("chan.pingpong", "current_thread, mpsc(1)", |n| {
        on_one(pingpong(n))
    }),
    ("chan.pingpong2", "two current_thread, mpsc(1)", pingpong2),
    ("chan.buffered", "current_thread, mpsc(128)", |n| {
        on_one(buffered(n))
    }),
    ("chan.buffered2", "two current_thread, mpsc(128)", buffered2),
    (
        "chan.buffered2.spsc",
        "two current_thread, mpsc(128)",
        buffered2,
    ),
    ("chan.sieve", "current_thread, mpsc(1)", |_| on_one(sieve())),
    (
        "chan.sieve.w2",
        "multi_thread, mpsc(1)",
        |_| on_two(sieve()),
    ),
];

async fn echo(mut there: mpsc::Receiver<u64>, back: mpsc::Sender<u64>) {
    while let Some(v) = there.recv().await {
        back.send(v + 1).await.unwrap();
    }
}

async fn ask(n: u64, there: mpsc::Sender<u64>, mut back: mpsc::Receiver<u64>) -> f64 {
    let mut v = 0;
    let began = Instant::now();
    for _ in 0..n {
        there.send(v).await.unwrap();
        v = back.recv().await.unwrap();
    }
    check(since(began), v == n)
}

async fn pingpong(n: u64) -> f64 {
    let (there, at_there) = mpsc::channel(1);
    let (back, at_back) = mpsc::channel(1);
    tokio::spawn(echo(at_there, back));
    ask(n, there, at_back).await
}

/// Each side is the only task of a thread of its own.
fn pingpong2(n: u64) -> f64 {
    let (there, at_there) = mpsc::channel(1);
    let (back, at_back) = mpsc::channel(1);
    let other = std::thread::spawn(|| current_thread().block_on(echo(at_there, back)));
    let ns = current_thread().block_on(ask(n, there, at_back));
    other.join().unwrap();
    ns
}

async fn produce(n: u64, to: mpsc::Sender<u64>) {
    for i in 0..n {
        to.send(i).await.unwrap();
    }
}

async fn consume(n: u64, mut from: mpsc::Receiver<u64>, began: Instant) -> f64 {
    let mut sum = 0;
    while let Some(v) = from.recv().await {
        sum += v;
    }
    check(since(began), sum == n * (n - 1) / 2)
}

async fn buffered(n: u64) -> f64 {
    let (to, from) = mpsc::channel(128);
    let began = Instant::now();
    tokio::spawn(produce(n, to));
    consume(n, from, began).await
}

/// Each side is the only task of a thread of its own.
fn buffered2(n: u64) -> f64 {
    let (to, from) = mpsc::channel(128);
    let other = std::thread::spawn(move || current_thread().block_on(produce(n, to)));
    let ns = current_thread().block_on(consume(n, from, Instant::now()));
    other.join().unwrap();
    ns
}

/// The CPU time of this process, in seconds.
fn cpu() -> f64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call only writes to the timespec it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

async fn filter(mut from: mpsc::Receiver<u64>, to: mpsc::Sender<u64>, prime: u64) {
    while let Some(v) = from.recv().await {
        if v % prime != 0 && to.send(v).await.is_err() {
            return;
        }
    }
}

async fn sieve() -> f64 {
    let began = cpu();
    let (to, mut from) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut i = 2;
        while to.send(i).await.is_ok() {
            i += 1;
        }
    });
    let mut prime = 0;
    for _ in 0..2000 {
        prime = from.recv().await.unwrap();
        let (to, next) = mpsc::channel(1);
        tokio::spawn(filter(from, to, prime));
        from = next;
    }
    check(cpu() - began, prime == 17389)
}
