//! `khimg secrets`.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use khimg::node::token;
use khimg::secrets::{KeyAlgorithm, Rotation, Secrets};
use serde_json::json;
use url::Url;

use super::failure::CommandError;
use super::project::wait;
use super::token::{administrator, done};
use super::{Failure, Output};

/// The cluster's keys and token, kept beside the cluster file
///
/// Whoever has this file owns the cluster. `khimg build` makes it if it is not there, puts what each node needs into its
/// seed, and nothing of it into a bundle.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Make them; refuses where there are some already
    New {
        /// The file
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
        /// The kind of the certificate authorities' keys
        #[arg(long, value_enum, default_value_t = Algorithm::EcdsaP256)]
        algorithm: Algorithm,
    },
    /// Tell what may be told: the CA's hash and the token's public half
    Show {
        /// The file
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
        /// Print the whole token and nothing else, for `khimg node token add`
        #[arg(long)]
        token: bool,
    },
    /// Make a new token and VRRP password, for seeds that are built from now on
    ///
    /// Changes no running cluster. Seeds that were built before keep the old token, which stays good until `joinUntil` or
    /// until it is revoked; seeds built afterwards join only once the running cluster has taken in the new token. The VRRP
    /// password counts only where the cluster file asks for VRRP version 2: there, load balancers with old and new seeds do
    /// not hear each other. The file that was there stays beside the new one, under the first free number.
    Rotate {
        /// The file
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
        /// New certificate authorities, too: seeds built from now on make a NEW cluster
        ///
        /// No node of the running cluster trusts them, and they trust none of its nodes: a node that is wiped and gets a new
        /// seed is lost to the cluster. Only for a cluster that is built anew from nothing, as after its secrets were stolen.
        #[arg(long)]
        authorities: bool,
    },
    /// Take back, in the running cluster, the token that this file holds
    ///
    /// Nobody joins with it any more, no master renews it, and nodes that have joined stay. Asks the cluster's API server as
    /// an administrator, with a certificate that is made for this moment from this file. Where the server cannot be reached
    /// from here: `khimg node token revoke`, on any master.
    Revoke {
        /// The file; that of an older token is secrets.yaml.1, .2 and so on
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
        /// The cluster's endpoint, such as https://192.168.30.200:8443
        #[arg(long, value_name = "URL")]
        server: Url,
    },
    /// Let the running cluster take in the token that this file holds, so that new seeds can join
    ///
    /// Where the server cannot be reached from here: `khimg secrets show --token`, and give that to
    /// `khimg node token add` on any master.
    Admit {
        /// The file
        #[arg(default_value = "secrets.yaml")]
        path: PathBuf,
        /// The cluster's endpoint, such as https://192.168.30.200:8443
        #[arg(long, value_name = "URL")]
        server: Url,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Algorithm {
    /// ECDSA over NIST P-256
    #[value(name = "ecdsa-p256")]
    EcdsaP256,
    /// RSA with 2048 bits, for clients that know nothing else
    #[value(name = "rsa-2048")]
    Rsa2048,
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(chosen: Algorithm) -> Self {
        match chosen {
            Algorithm::EcdsaP256 => Self::EcdsaP256,
            Algorithm::Rsa2048 => Self::Rsa2048,
        }
    }
}

pub fn run(command: &SecretsCommand, output: &Output) -> Result<(), Failure> {
    match command {
        SecretsCommand::New { path, .. } if path.exists() => {
            Err(CommandError::Exists { path: path.display().to_string() }.into())
        }
        SecretsCommand::New { path, algorithm } => tell(&Secrets::create(path, (*algorithm).into())?, output),
        SecretsCommand::Show { path, token: true } => {
            let secrets = Secrets::load(path)?;
            if output.json() {
                output.data(&json!({"token": secrets.token.expose()}));
            } else {
                output.text(secrets.token.expose());
            }
            Ok(())
        }
        SecretsCommand::Show { path, token: false } => tell(&Secrets::load(path)?, output),
        SecretsCommand::Rotate { path, authorities } => rotate(path, *authorities, output),
        SecretsCommand::Revoke { path, server } => {
            let secrets = Secrets::load(path)?;
            let (kube, id) = (administrator(&secrets, server)?, secrets.token.id());
            wait(output, async { Ok(token::revoke(&kube, id).await?) })?;
            done(output, id, "revoked", "nobody joins with it any more; nodes that have joined stay");
            Ok(())
        }
        SecretsCommand::Admit { path, server } => {
            let secrets = Secrets::load(path)?;
            let kube = administrator(&secrets, server)?;
            wait(output, async { Ok(token::admit(&kube, &secrets.token).await?) })?;
            done(output, secrets.token.id(), "added", "masters renew it from now on, within their next round");
            Ok(())
        }
    }
}

fn rotate(path: &Path, authorities: bool, output: &Output) -> Result<(), Failure> {
    let rotation = if authorities { Rotation::Everything } else { Rotation::Token };
    let (secrets, kept) = Secrets::rotate(path, rotation)?;
    tell(&secrets, output)?;
    output.note(&format!("the secrets that were there are in {} now", kept.display()));
    output.note(match rotation {
        Rotation::Token => {
            "build again: new seeds join a running cluster after `khimg secrets admit`; old seeds join until \
             `khimg secrets revoke` on the old file, or joinUntil"
        }
        Rotation::Everything => {
            "seeds built from now on make a new cluster: no node of the running one trusts these authorities"
        }
    });
    Ok(())
}

fn tell(secrets: &Secrets, output: &Output) -> Result<(), Failure> {
    let (hash, token) = (secrets.ca_hash()?, secrets.token.id());
    if output.json() {
        output.data(&json!({"caHash": hash, "tokenId": token}));
    } else {
        output.text(&format!("CA hash   {hash}\ntoken id  {token}"));
    }
    Ok(())
}
