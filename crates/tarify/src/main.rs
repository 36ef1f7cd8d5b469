//! `audsem-tarify`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_core::cli::CommandOutput;
use audsem_tarify::cli::Cli;

fn main() -> ExitCode {
    audsem_core::cli::main(option_env!("AUDSEM_COMMIT"), dispatch)
}

fn dispatch(cli: Cli) -> anyhow::Result<CommandOutput> {
    Ok(cli.command.run(&cli.global)?)
}
