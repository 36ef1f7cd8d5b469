//! `audsem-clip-embeddings`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_clip_embeddings::cli::Cli;
use audsem_core::cli::Finish;

fn main() -> ExitCode {
    audsem_core::cli::main(dispatch)
}

fn dispatch(cli: Cli) -> anyhow::Result<Finish> {
    Ok(cli.command.run(&cli.global)?)
}
