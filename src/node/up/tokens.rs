//! What nodes join with, looked after for as long as this master is ready.

use std::convert::Infallible;
use std::time::Duration;

use rand::RngExt;

use super::Node;
use crate::clock;
use crate::node::error::NodeError;
use crate::node::kube::Kube;
use crate::node::token::{self, Deed, Kept, Policy};

/// Keeps all tokens alive, for ever. The cluster must be set up.
pub(super) async fn keep(node: &Node, kube: &Kube) -> Infallible {
    let policy = Policy::of(&node.file);
    let mut told = None;
    loop {
        let done = match round(kube, &policy).await {
            Ok(done) => {
                told = None;
                done
            }
            Err(error) => {
                // Once for each cause: an API server that is away is told elsewhere, too.
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    node.teller.note(format!("cannot look after the tokens that nodes join with: {text}"));
                    told = Some(text);
                }
                vec![]
            }
        };
        for Kept { id, deed } in &done {
            match deed {
                Deed::Revived => node.teller.note(format!("token {id} lives again: nodes may join with it")),
                Deed::Removed => node.teller.note(format!("token {id} was revoked, and is gone")),
                Deed::Left | Deed::Renewed | Deed::Shortened | Deed::Raced => {}
            }
        }
        let usual = token::pause(&policy, &done);
        let pause = Duration::try_from(usual).unwrap_or_default().mul_f64(rand::rng().random_range(0.7..1.3));
        tokio::time::sleep(if told.is_some() { pause.min(Duration::from_secs(30)) } else { pause }).await;
    }
}

async fn round(kube: &Kube, policy: &Policy) -> Result<Vec<Kept>, NodeError> {
    // Read anew each time: a newer seed may have brought another one.
    token::keep(kube, &token::of_this_node()?, policy, clock::now()).await
}
