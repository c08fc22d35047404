//! Parse, run, exit code.

use std::process::ExitCode;

use alertbridge::cli;
use clap::Parser as _;

/// The C library's allocator keeps the memory of large mails for each thread: four times the
/// program's peak usage. This one returns it at once.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Only a second call fails, and there is none.
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
    // What still waits for a standard stream that nobody reads is not waited for.
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
