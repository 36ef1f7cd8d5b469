//! `audsem-filtering`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_core::cli::CommandOutput;
use audsem_filtering::cli::{Cli, Command};
use audsem_filtering::{clips, combine, extract};

fn main() -> ExitCode {
    audsem_core::cli::main(dispatch)
}

fn dispatch(cli: Cli) -> anyhow::Result<CommandOutput> {
    let global = &cli.global;
    match cli.command {
        Command::Extract(args) => Ok(extract::run(&args.config(), &args.run.options(global)?)?.into()),
        Command::FetchCaptions(args) => Ok(args.run(global)?.into()),
        Command::TrainClassifier(args) => Ok(args.run(global)?.into()),
        Command::Classify(args) => Ok(args.run(global)?.into()),
        Command::Label(args) => Ok(args.run(global)?.into()),
        Command::Combine(args) => Ok(combine::run(&args.config()?, &args.run.options(global)?)?.into()),
        Command::Explain(args) => {
            let explanation = combine::explain(&args.judging()?.load(1)?, &args.text);
            Ok(CommandOutput::Text(if global.json { explanation.to_json() } else { explanation.to_string() }))
        }
        Command::Download(args) => Ok(args.run(global)?.into()),
        Command::Clips(args) => Ok(clips::run(&args.config(), &args.run.options(global)?)?.into()),
    }
}
