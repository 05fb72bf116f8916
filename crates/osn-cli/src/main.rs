//! The program `osn`.

mod processor;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A training step allocates every tensor anew, and the system's allocator fetches large ones from the kernel
/// page by page.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    processor::check();
    run()
}

/// The program itself, apart: in `main` its instructions might come before the check.
#[inline(never)]
fn run() -> ExitCode {
    ExitCode::from(osn_cli::run(&std::env::args_os().collect::<Vec<_>>()))
}
