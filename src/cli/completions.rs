//! `khimg completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, Output};

/// Print a completion script for a shell
///
/// For example: khimg completions bash > /etc/bash_completion.d/khimg
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn run(args: &CompletionsArgs, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "khimg", &mut script);
    output.text(&String::from_utf8_lossy(&script));
    Ok(())
}
