// SPDX-License-Identifier: MIT

use crate::{check, on_one, on_two, since, Bench};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Notify};
use tokio::task::{yield_now, JoinHandle};

pub const BENCHES: &[Bench] = &[
    ("task.yield2", "current_thread", |n| {
        on_one(yield_many(2, n / 2 + 1, n))
    }),
    ("task.yield10k", "current_thread", |n| {
        on_one(yield_many(10000, (n / 10000).max(100), n))
    }),
    ("task.spawn", "current_thread", |n| on_one(spawn(n))),
    ("task.spawn.w2", "multi_thread", |n| on_two(spawn(n))),
    ("task.spawn10k", "current_thread", |n| on_one(spawn10k(n))),
    ("task.spawn10k.w2", "multi_thread", |n| on_two(spawn10k(n))),
    ("task.skynet", "current_thread", |n| on_one(skynet(n))),
    ("task.skynet.w2", "multi_thread", |n| on_two(skynet(n))),
    ("task.skynet.chan", "current_thread, mpsc(1)", |n| {
        on_one(skynet_chan(n))
    }),
    ("task.skynet.chan.w2", "multi_thread, mpsc(1)", |n| {
        on_two(skynet_chan(n))
    }),
    ("task.parked.100k", "current_thread, on a Notify", |_| {
        on_one(parked(100000))
    }),
    ("task.parked", "current_thread, on a Notify", |_| {
        on_one(parked(1000000))
    }),
];

/// Lets `tasks` tasks yield `rounds` times each; the time for n yields.
async fn yield_many(tasks: u64, rounds: u64, n: u64) -> f64 {
    let began = Instant::now();
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..rounds {
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in all {
        task.await.unwrap();
    }
    since(began) * n as f64 / (tasks * rounds) as f64
}

async fn spawn(n: u64) -> f64 {
    let began = Instant::now();
    for _ in 0..n {
        tokio::spawn(async {}).await.unwrap();
    }
    since(began)
}

async fn spawn_batch(all: &mut Vec<JoinHandle<()>>, many: u64) {
    for _ in 0..many {
        all.push(tokio::spawn(async {}));
    }
    for task in all.drain(..) {
        task.await.unwrap();
    }
}

async fn spawn10k(n: u64) -> f64 {
    const MANY: u64 = 10000;
    let rounds = (n / MANY).max(1);
    let mut all = Vec::new();
    spawn_batch(&mut all, MANY).await;
    let began = Instant::now();
    for _ in 0..rounds {
        spawn_batch(&mut all, MANY).await;
    }
    since(began) * n as f64 / (rounds * MANY) as f64
}

const LEAVES: u64 = 1000000;
const SUM: u64 = 499999500000;

type Node<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn node(num: u64, size: u64) -> Node<u64> {
    Box::pin(async move {
        let mut sum = 0;
        let children: [_; 10] = std::array::from_fn(|i| {
            let num = num + i as u64 * (size / 10);
            match size {
                10 => tokio::spawn(async move { num }),
                _ => tokio::spawn(node(num, size / 10)),
            }
        });
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

async fn skynet(n: u64) -> f64 {
    let mut right = true;
    let began = Instant::now();
    for _ in 0..n {
        right &= tokio::spawn(node(0, LEAVES)).await.unwrap() == SUM;
    }
    check(since(began), right)
}

fn chan_node(out: mpsc::Sender<u64>, num: u64, size: u64) -> Node<()> {
    Box::pin(async move {
        let (send, mut receive) = mpsc::channel(1);
        for i in 0..10 {
            let send = send.clone();
            let num = num + i * (size / 10);
            match size {
                10 => tokio::spawn(async move { send.send(num).await.unwrap() }),
                _ => tokio::spawn(chan_node(send, num, size / 10)),
            };
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += receive.recv().await.unwrap();
        }
        out.send(sum).await.unwrap();
    })
}

async fn skynet_chan(n: u64) -> f64 {
    let mut right = true;
    let began = Instant::now();
    for _ in 0..n {
        let (send, mut receive) = mpsc::channel(1);
        tokio::spawn(chan_node(send, 0, LEAVES));
        right &= receive.recv().await == Some(SUM);
    }
    check(since(began), right)
}

/// Private memory and page tables of this process, in bytes.
fn memory_now() -> f64 {
    let mut kib = 0.0;
    for path in ["/proc/self/smaps_rollup", "/proc/self/status"] {
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            if let Some("Private_Clean:" | "Private_Dirty:" | "VmPTE:") = words.next() {
                kib += words
                    .next()
                    .and_then(|n| n.parse::<f64>().ok())
                    .unwrap_or(0.0);
            }
        }
    }
    kib * 1024.0
}

async fn parked(many: u64) -> f64 {
    let gate = Arc::new(Notify::new());
    let before = memory_now();
    for _ in 0..many {
        let gate = gate.clone();
        tokio::spawn(async move { gate.notified().await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let bytes = (memory_now() - before) / many as f64;
    gate.notify_waiters();
    bytes
}
