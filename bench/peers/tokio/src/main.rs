// SPDX-License-Identifier: MIT

//! The tokio peer of bench/, which speaks as bench/peer.h says.

mod chan;
mod select;
mod task;
mod timer;

use std::future::Future;
use std::io::{BufRead, Write};
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// An id, a remark, and what does it n times: ns for that, or the figure.
type Bench = (&'static str, &'static str, fn(u64) -> f64);

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs the future as a task on the only thread.
fn on_one<F>(future: F) -> f64
where
    F: Future<Output = f64> + Send + 'static,
{
    let runtime = current_thread();
    runtime.block_on(async { tokio::spawn(future).await.unwrap() })
}

/// Runs the future as a task of two workers.
fn on_two<F>(future: F) -> f64
where
    F: Future<Output = f64> + Send + 'static,
{
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(future).await.unwrap() })
}

fn since(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64
}

fn check(figure: f64, right: bool) -> f64 {
    if right {
        figure
    } else {
        -1.0
    }
}

fn main() {
    // Memory that tasks have freed is kept for the next ones.
    // SAFETY: no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TOP_PAD, 1 << 24);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
    }
    let benches: Vec<Bench> = [
        task::BENCHES,
        chan::BENCHES,
        select::BENCHES,
        timer::BENCHES,
    ]
    .concat();
    let mut out = std::io::stdout();

    println!("tokio {}", env!("TOKIO_VERSION"));
    for (id, remark, _) in &benches {
        println!("{id} {remark}");
    }
    println!();
    out.flush().unwrap();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let id = words.next().unwrap_or("");
        let n = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        let bench = benches.iter().find(|b| b.0 == id);
        println!("{}", bench.map_or(-1.0, |b| (b.2)(n)));
        out.flush().unwrap();
    }
}
