// SPDX-License-Identifier: MIT

//! tokio's echo server: a task for each connection, its buffer in it.  `echo [WORKERS]`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

async fn serve(mut conn: TcpStream) {
    let mut buf = [0u8; 1024];
    loop {
        match conn.read(&mut buf).await {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                if conn.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn accept_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!(
        "listening at {}, tokio {}",
        listener.local_addr().unwrap(),
        env!("TOKIO_VERSION")
    );
    loop {
        if let Ok((conn, _)) = listener.accept().await {
            let _ = conn.set_nodelay(true);
            tokio::spawn(serve(conn));
        }
    }
}

fn main() {
    let workers = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let runtime = match workers.unwrap_or(1) {
        1 => Builder::new_current_thread().enable_io().build(),
        n => Builder::new_multi_thread()
            .worker_threads(n)
            .enable_io()
            .build(),
    }
    .unwrap();
    runtime.block_on(async { tokio::spawn(accept_all()).await.unwrap() })
}
