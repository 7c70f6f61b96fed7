//! `khimg node token`: on a master, what nodes join with.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use khimg::clock;
use khimg::node::kube::Kube;
use khimg::node::kubeconfig::{ADMIN, Kubeconfig};
use khimg::node::token::{self, Known, Terms};
use khimg::secrets::{Secret, Token};
use serde_json::json;

use super::failure::CommandError;
use super::project::wait;
use super::{Failure, Output};

/// On a master: what nodes join with, until when, and how to take it back
///
/// Every seed holds the same token. In the cluster it lives for `tokenLife` of the cluster file; all masters renew it
/// until `joinUntil` after the cluster's formation, then let it run out. Nodes that have joined do not need it any more.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Say which tokens there are, how long they live, and until when masters renew them
    List {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Take a token back: nobody joins with it any more, and no master renews it
    ///
    /// For all masters, and for good, until `restore`. Nodes that have joined stay in the cluster.
    Revoke {
        /// The token's public half [default: that of this node's seed]
        #[arg(value_parser = parse_id)]
        id: Option<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Let a token that was taken back be good again
    Restore {
        /// The token's public half [default: that of this node's seed]
        #[arg(value_parser = parse_id)]
        id: Option<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Take in the token of newer seeds, read from standard input
    ///
    /// As in: khimg secrets show --token | ssh master-1 khimg node token add
    Add {
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Let masters renew tokens for so long from now, sooner or later than the cluster file said
    Extend {
        /// Such as 90m, 12h or 30d; 0m stops it
        #[arg(value_parser = parse_length)]
        time: SignedDuration,
        #[command(flatten)]
        cluster: Cluster,
    },
}

/// Which cluster, as whom.
#[derive(Debug, Args)]
pub struct Cluster {
    /// How to reach the API server, and as whom
    #[arg(long, value_name = "FILE", default_value = ADMIN)]
    kubeconfig: PathBuf,
}

impl Cluster {
    fn connect(&self) -> Result<Kube, Failure> {
        Ok(Kubeconfig::read(&self.kubeconfig)?.connect()?)
    }
}

fn parse_id(text: &str) -> Result<String, String> {
    // Whoever gives all of it has it in the shell's history now, and should not find it in a message, too.
    Token::is_id(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "it is the six letters or digits before the dot".to_owned())
}

fn parse_length(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "a whole number with m, h or d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let hours = match unit {
        "m" => {
            return number.parse::<u32>().map(|minutes| SignedDuration::from_mins(minutes.into())).map_err(|_| wrong());
        }
        "h" => 1,
        "d" => 24,
        _ => return Err(wrong()),
    };
    number.parse::<u16>().map(|number| SignedDuration::from_hours(i64::from(number) * hours)).map_err(|_| wrong())
}

pub fn run(command: &TokenCommand, output: &Output) -> Result<(), Failure> {
    match command {
        TokenCommand::List { cluster } => {
            let kube = cluster.connect()?;
            // A seed that is not here any more is no reason to say nothing.
            let own = token::of_this_node().ok();
            let (terms, known) = wait(output, async { Ok(token::list(&kube, own.as_ref()).await?) })?;
            tell(&terms, &known, clock::now(), output);
        }
        TokenCommand::Revoke { id, cluster } => {
            let (kube, id) = (cluster.connect()?, chosen(id.as_ref())?);
            wait(output, async { Ok(token::revoke(&kube, &id).await?) })?;
            done(output, &id, "revoked", "nobody joins with it any more; nodes that have joined stay");
        }
        TokenCommand::Restore { id, cluster } => {
            let (kube, id) = (cluster.connect()?, chosen(id.as_ref())?);
            wait(output, async { Ok(token::restore(&kube, &id).await?) })?;
            done(output, &id, "restored", "masters renew it again, within their next round");
        }
        TokenCommand::Add { cluster } => {
            let (kube, token) = (cluster.connect()?, from_input()?);
            wait(output, async { Ok(token::admit(&kube, &token).await?) })?;
            done(output, token.id(), "added", "masters renew it from now on, within their next round");
        }
        TokenCommand::Extend { time, cluster } => {
            let (kube, date) = (cluster.connect()?, clock::now() + *time);
            wait(output, async { Ok(token::extend(&kube, date).await?) })?;
            if output.json() {
                output.data(&json!({"joinUntil": date}));
            } else {
                output.text(&format!("nodes may join until {}", shown(date)));
            }
        }
    }
    Ok(())
}

fn chosen(id: Option<&String>) -> Result<String, Failure> {
    match id {
        Some(id) => Ok(id.clone()),
        None => Ok(token::of_this_node()?.id().to_owned()),
    }
}

/// A token from standard input, which is as private as whoever fills it.
fn from_input() -> Result<Token, Failure> {
    let mut text = Vec::new();
    let read = std::io::stdin().take(1024).read_to_end(&mut text);
    read.map_err(|source| CommandError::Read { path: "the standard input".to_owned(), source })?;
    let text = Secret::new(text);
    let token = std::str::from_utf8(text.expose()).ok().and_then(|text| Token::parse(text.trim()));
    Ok(token.ok_or(CommandError::NoToken)?)
}

pub fn done(output: &Output, id: &str, deed: &str, effect: &str) {
    if output.json() {
        output.data(&json!({"tokenId": id, "done": deed}));
    } else {
        output.text(&format!("token {id} {deed}: {effect}"));
    }
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn tell(terms: &Terms, known: &[Known], now: Timestamp, output: &Output) {
    if output.json() {
        output.data(&json!({"formedAt": terms.formed_at, "joinUntil": terms.join_until, "tokens": known}));
        return;
    }
    let over = if terms.join_until <= now { ", which is over" } else { "" };
    output.text(&format!("formed      {}", shown(terms.formed_at)));
    output.text(&format!("join until  {}{over}", shown(terms.join_until)));
    for token in known {
        let state = match (token.revoked, token.expires) {
            (true, _) => "revoked".to_owned(),
            (false, Some(end)) if end > now => format!("lives until {} unless it is renewed", shown(end)),
            (false, _) => "does not live".to_owned(),
        };
        output.text(&format!("token       {} {state}", token.id));
    }
}

/// The administrator's client of a cluster whose secrets are here.
pub fn administrator(secrets: &khimg::secrets::Secrets, server: &url::Url) -> Result<Kube, Failure> {
    let own = secrets.ca.issue("khimg", &[], khimg::secrets::Usage::Administrator)?;
    let key = Secret::new(own.key.expose().clone().into_bytes());
    let client = Some((own.certificate.as_bytes(), &key));
    let credentials = khimg::node::call::Credentials::new(secrets.ca.certificate.as_bytes(), client);
    Ok(Kube::new(server.clone(), &credentials)?)
}
