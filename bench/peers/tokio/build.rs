// SPDX-License-Identifier: MIT

//! Tells the program which tokio Cargo.lock names.

fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let version = lock
        .split("[[package]]")
        .find(|entry| entry.contains("name = \"tokio\"\n"))
        .and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next())
        .unwrap_or("unknown");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rustc-env=TOKIO_VERSION={version}");
}
