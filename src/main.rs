//! Parses the command line, runs the command, and exits with its code.

use std::process::ExitCode;

use alertbridge::cli;
use clap::Parser as _;

fn main() -> ExitCode {
    return_large_blocks();
    // The call fails only if it is made a second time, and this is the only one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::complain(&anyhow::Error::new(error).context("the runtime does not start"));
            return ExitCode::FAILURE;
        }
    };

    let ended = runtime.block_on(cli.run());
    // Do not wait for threads that are blocked on a standard stream that nobody reads.
    runtime.shutdown_background();

    match ended {
        Ok(code) => code,
        // `alertbridge … | head`: the reader has stopped reading.
        Err(error) if cli::reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Makes the C library give the memory of large mails back to the system as soon as it is freed.
///
/// By default it keeps blocks of up to 32 MiB that a thread has freed, which doubles the program's
/// peak usage: the threshold grows with each of them unless it is set (mallopt(3),
/// `M_MMAP_THRESHOLD`).
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no crate wraps mallopt")]
fn return_large_blocks() {
    const LARGE: libc::c_int = 256 << 10;

    // SAFETY: mallopt changes a number of the allocator's, and there is no other thread yet.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

#[cfg(not(target_env = "gnu"))]
fn return_large_blocks() {}
