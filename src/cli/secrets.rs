//! `khimg secrets`.

use std::path::PathBuf;

use clap::Subcommand;
use khimg::secrets::Secrets;
use serde_json::json;

use super::failure::CommandError;
use super::{Failure, Output};

/// The cluster's keys and token, kept beside the cluster file
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Make them; refuses where there are some already
    New {
        /// The file
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
    },
    /// Tell what may be told: the CA's hash and the token's public half
    Show {
        /// The file
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
    },
}

pub fn run(command: &SecretsCommand, output: &Output) -> Result<(), Failure> {
    let secrets = match command {
        SecretsCommand::New { path } if path.exists() => {
            return Err(CommandError::Exists { path: path.display().to_string() }.into());
        }
        SecretsCommand::New { path } => Secrets::load_or_create(path)?,
        SecretsCommand::Show { path } => Secrets::load(path)?,
    };
    let (hash, token) = (secrets.ca_hash()?, secrets.token_id());
    if output.json() {
        output.data(&json!({"caHash": hash, "tokenId": token}));
    } else {
        output.text(&format!("CA hash   {hash}\ntoken id  {token}"));
    }
    Ok(())
}
