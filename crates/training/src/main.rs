//! `audsem-training`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_core::cli::CommandOutput;
use audsem_models::nn::settle_candle_threads;
use audsem_training::cli::Cli;

#[allow(unsafe_code, reason = "an environment variable, before anything reads one")]
fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { settle_candle_threads() };
    audsem_core::cli::main(option_env!("AUDSEM_COMMIT"), dispatch)
}

fn dispatch(cli: Cli) -> anyhow::Result<CommandOutput> {
    Ok(cli.command.run(&cli.global)?)
}
