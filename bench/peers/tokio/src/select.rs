// SPDX-License-Identifier: MIT

use crate::{check, on_one, since, Bench};
use std::time::Instant;
use tokio::sync::mpsc;

pub const BENCHES: &[Bench] = &[
    ("select.2", "current_thread, mpsc(1)", |n| {
        on_one(select2(n))
    }),
    ("select.8", "current_thread, mpsc(1)", |n| {
        on_one(select8(n, a_producer_each))
    }),
    ("select.8park", "current_thread, mpsc(1)", |n| {
        on_one(select8(n, one_producer))
    }),
];

type Senders = Vec<mpsc::Sender<u64>>;

fn channels<const K: usize>() -> (Senders, [mpsc::Receiver<u64>; K]) {
    let mut senders = Vec::new();
    let receivers = std::array::from_fn(|_| {
        let (sender, receiver) = mpsc::channel(1);
        senders.push(sender);
        receiver
    });
    (senders, receivers)
}

/// Starts a producer for each channel; the number of messages sent.
fn a_producer_each(to: Senders, n: u64) -> u64 {
    let each = n / to.len() as u64 + 1;
    let total = each * to.len() as u64;
    for sender in to {
        tokio::spawn(async move {
            for _ in 0..each {
                sender.send(1).await.unwrap();
            }
        });
    }
    total
}

/// Starts one that sends to the channels in turn.
fn one_producer(to: Senders, n: u64) -> u64 {
    tokio::spawn(async move {
        for i in 0..n {
            to[i as usize % to.len()].send(1).await.unwrap();
        }
    });
    n
}

async fn select2(n: u64) -> f64 {
    let (to, [mut r0, mut r1]) = channels();
    let mut sum = 0;
    let began = Instant::now();
    let total = a_producer_each(to, n);
    for _ in 0..total {
        sum += tokio::select! {
            Some(v) = r0.recv() => v,
            Some(v) = r1.recv() => v,
            else => 0,
        };
    }
    check(since(began) * n as f64 / total as f64, sum == total)
}

async fn select8(n: u64, start: fn(Senders, u64) -> u64) -> f64 {
    let (to, [mut r0, mut r1, mut r2, mut r3, mut r4, mut r5, mut r6, mut r7]) = channels();
    let mut sum = 0;
    let began = Instant::now();
    let total = start(to, n);
    for _ in 0..total {
        sum += tokio::select! {
            Some(v) = r0.recv() => v,
            Some(v) = r1.recv() => v,
            Some(v) = r2.recv() => v,
            Some(v) = r3.recv() => v,
            Some(v) = r4.recv() => v,
            Some(v) = r5.recv() => v,
            Some(v) = r6.recv() => v,
            Some(v) = r7.recv() => v,
            else => 0,
        };
    }
    check(since(began) * n as f64 / total as f64, sum == total)
}
