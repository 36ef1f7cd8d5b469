//! `audsem-tarify`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_core::cli::Finish;
use audsem_tarify::cli::Cli;

fn main() -> ExitCode {
    audsem_core::cli::main(dispatch)
}

fn dispatch(cli: Cli) -> anyhow::Result<Finish> {
    Ok(cli.command.run(&cli.global)?.into())
}
