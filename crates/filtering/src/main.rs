//! `audsem-filtering`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_core::cli::CommandOutput;
use audsem_core::run::Summary;
use audsem_filtering::cli::{Cli, Command};
use audsem_filtering::explain::explain;
use audsem_filtering::{clips, combine, extract};

fn main() -> ExitCode {
    audsem_core::cli::main(option_env!("AUDSEM_COMMIT"), dispatch)
}

fn dispatch(cli: Cli) -> anyhow::Result<CommandOutput> {
    let global = &cli.global;
    match cli.command {
        Command::Extract(args) => Ok(with_next(extract::run(&args.config(), &args.run.options(global)?)?)),
        Command::FetchCaptions(args) => Ok(args.run(global)?.into()),
        Command::TrainClassifier(args) => Ok(args.run(global)?.into()),
        Command::Classify(args) => Ok(args.run(global)?.into()),
        Command::Label(args) => Ok(args.run(global)?.into()),
        Command::Combine(args) => Ok(with_next(combine::run(&args.config()?, &args.run.options(global)?)?)),
        Command::Explain(args) => {
            let explanation = explain(&args.judging()?.load(1)?, args.limits().as_ref(), &args.text);
            Ok(CommandOutput::Text(if global.json { explanation.to_json() } else { explanation.to_string() }))
        }
        Command::Download(args) => Ok(with_next(args.run(global)?)),
        Command::Clips(args) => Ok(with_next(clips::run(&args.config(), &args.run.options(global)?)?)),
    }
}

/// The output of a command with what reads its folder, so that nobody has to look that up.
fn with_next(summary: Summary) -> CommandOutput {
    let folder = summary.output.display();
    let next = match summary.command.as_str() {
        "extract" => format!(
            "audsem-filtering combine --input {folder} --output TABLE, after `classify` or `label`, or with --policy none"
        ),
        "combine" => format!(
            "audsem-filtering download --input {folder} --output MEDIA, with --source DIR for media of your own"
        ),
        "download" => format!("audsem-filtering clips --input {folder} --table TABLE --output CLIPS"),
        _ => format!("audsem-tarify shards --table TABLE --input {folder} --output SHARDS"),
    };
    summary.with_next(next).into()
}
