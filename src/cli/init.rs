//! `khimg init`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use khimg::shipped;

use super::failure::CommandError;
use super::{Failure, Output};

/// Write a commented cluster.yaml that builds as it is
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where; made if need be
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// A well-known cluster instead, as a write-up of it has it; its comments say what was put right
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(shipped::examples().into_keys()))]
    example: Option<String>,
}

pub fn run(args: &InitArgs, output: &Output) -> Result<(), Failure> {
    let here = args.dir == Path::new(".");
    let path = if here { PathBuf::from("cluster.yaml") } else { args.dir.join("cluster.yaml") };
    let failed = |source| CommandError::Write { path: path.display().to_string(), source };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(CommandError::Exists { path: path.display().to_string() }.into());
        }
        other => other.map_err(failed)?,
    };
    let named = args.example.as_deref().and_then(|name| shipped::examples().remove(name));
    file.write_all(named.unwrap_or(khimg::cluster::EXAMPLE.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    output.text(&path.display().to_string());
    output.note("next: edit the nodes and the endpoint, then `khimg build`");
    Ok(())
}
