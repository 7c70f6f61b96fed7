//! How long the API is away when something dies.

use std::time::{Duration, Instant};

use super::agreement::{MASTERS, lead};
use super::client::Client;
use crate::support::rehearsal::Rehearsal;

/// Machines in continuous integration are noisy: there, the goals count double.
const NOISE: u32 = 2;

/// The goal for the longest gap.
const GAP: Duration = Duration::from_millis(800);

/// The goal where etcd has to choose another leader, which takes it a second.
const GAP_WITH_ELECTION: Duration = Duration::from_millis(1300);

/// The goal for the last call that fails.
const LAST_FAILURE: Duration = Duration::from_secs(2);

/// How long calls go on before and after the event.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(6);

/// Every way in which a part of the endpoint may die, one after another.
pub fn survives_every_loss(lab: &Rehearsal) {
    let mut missed = Vec::new();
    for leads in [false, true] {
        let holder = let_holder_lead(lab, leads);
        let what =
            if leads { "power loss of the VIP's holder, which leads etcd" } else { "power loss of the VIP's holder" };
        missed.extend(measure(lab, what, leads, || lab.fault(&["power-off", &holder])));
        lab.fault(&["power-on", &holder]);
        lab.wait_ready();
    }
    for service in ["haproxy", "keepalived", "kube-apiserver"] {
        // The neighbour's death is no etcd member's.
        let holder = let_holder_lead(lab, false);
        missed.extend(measure(lab, &format!("kill -9 of {service} on the VIP's holder"), false, || {
            lab.fault(&["kill-service", "--service", service, &holder]);
        }));
        lab.until("all API servers are ready again", || lab.all_masters_answer());
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Gives what is wrong with the outage, if anything is.
fn measure(lab: &Rehearsal, what: &str, election: bool, event: impl FnOnce()) -> Option<String> {
    let client = Client::start(lab);
    std::thread::sleep(BEFORE);
    let at = Instant::now();
    event();
    std::thread::sleep(AFTER);
    let outage = client.outage(at);
    let last = outage.last_failure.unwrap_or_default();
    let goal = if election { GAP_WITH_ELECTION } else { GAP };
    let told = format!(
        "{what}: longest gap {:.2} s (goal {:.1} s), last failed call {:.2} s after it (goal {:.0} s), {} of {} calls failed",
        outage.gap.as_secs_f64(),
        goal.as_secs_f64(),
        last.as_secs_f64(),
        LAST_FAILURE.as_secs_f64(),
        outage.failed,
        outage.calls
    );
    println!("{told}");
    (outage.gap > goal * NOISE || last > LAST_FAILURE * NOISE).then_some(told)
}

/// Lets the master that has the endpoint's address lead etcd, or lets it not. Gives that master.
fn let_holder_lead(lab: &Rehearsal, leads: bool) -> String {
    let holder = lab.until("one master has the address", || holder(lab));
    let other = MASTERS.into_iter().find(|master| *master != holder).expect("another");
    lead(lab, if leads { &holder } else { other });
    holder
}

fn holder(lab: &Rehearsal) -> Result<String, String> {
    let holds = |node: &String| lab.must(node, "ip -brief address show ens160").contains("10.77.0.100/");
    let holders: Vec<String> = MASTERS.map(str::to_owned).into_iter().filter(holds).collect();
    match &holders[..] {
        [one] => Ok(one.clone()),
        other => Err(format!("held by {other:?}")),
    }
}
