//! `audsem-filtering`: parse, dispatch, exit code.

use std::process::ExitCode;

use audsem_core::cli::Finish;
use audsem_filtering::cli::{Cli, Command};
use audsem_filtering::extract;
