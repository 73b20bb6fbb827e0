// SPDX-License-Identifier: MIT

use crate::{on_two, since, Bench};
use std::time::{Duration, Instant};
use tokio::time::sleep;

pub const BENCHES: &[Bench] = &[
    ("timer.million", "multi_thread, 2 workers", |_| {
        on_two(million())
    }),
    ("timer.million.warm", "multi_thread, 2 workers", |_| {
        on_two(async {
            million().await;
            million().await
        })
    }),
];

/// Lets 1,000,000 tasks sleep 1 to 1,000 ms; in seconds.
async fn million() -> f64 {
    let mut random: u64 = 88172645463325252;
    let began = Instant::now();
    let all: Vec<_> = (0..1000000)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            tokio::spawn(sleep(Duration::from_millis(1 + (random >> 33) % 1000)))
        })
        .collect();
    for task in all {
        task.await.unwrap();
    }
    since(began) / 1e9
}
