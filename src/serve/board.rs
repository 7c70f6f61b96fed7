//! Who has fetched what, and how far each node is: the live table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::machine::Machines;
use crate::clock;
use crate::cluster::Role;
use crate::node::told::Told;

/// Most that is said of one node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The node.
    pub node: String,
    /// Its role.
    pub role: Role,
    /// When it asked for its network boot last.
    pub boot: Option<Timestamp>,
    /// When its user-data was handed out, and to whom.
    pub seed: Option<(Timestamp, IpAddr)>,
    /// How often a file of its seed was refused because it had been handed out.
    pub refused: u32,
    /// The file that it fetched last from the depot, with the bytes that left for it.
    pub fetched: Option<(String, u64)>,
    /// When it last said how far it is, and what.
    pub told: Option<(Timestamp, Told)>,
    /// When anything was last heard of it.
    pub seen: Option<Timestamp>,
}

/// One row for each node, in the order of the cluster file.
pub struct Board {
    rows: Mutex<Vec<Row>>,
    places: BTreeMap<String, usize>,
    changed: tokio::sync::watch::Sender<u64>,
}

impl Board {
    /// An empty table.
    pub fn new(machines: &Machines) -> Self {
        let rows: Vec<Row> = machines
            .all()
            .iter()
            .map(|machine| Row {
                node: machine.name.clone(),
                role: machine.role,
                boot: None,
                seed: None,
                refused: 0,
                fetched: None,
                told: None,
                seen: None,
            })
            .collect();
        let places = rows.iter().enumerate().map(|(at, row)| (row.node.clone(), at)).collect();
        Self { rows: Mutex::new(rows), places, changed: tokio::sync::watch::Sender::new(0) }
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened to `node`.
    pub fn note(&self, node: &str, change: impl FnOnce(&mut Row, Timestamp)) {
        let now = clock::now();
        let Some(at) = self.places.get(node) else { return };
        if let Some(row) = self.rows().get_mut(*at) {
            row.seen = Some(now);
            change(row, now);
        }
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Wakes whenever the table changes.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The table as it is.
    pub fn now(&self) -> Vec<Row> {
        self.rows().clone()
    }

    /// The table for people.
    pub fn text(&self) -> String {
        let rows = self.now();
        let name = rows.iter().map(|row| row.node.len()).max().unwrap_or_default().max(4);
        let mut text =
            format!("{:<name$}  {:<6}  {:<5}  {:<20}  {:<24}  status\n", "node", "role", "boot", "seed", "fetched");
        for row in rows {
            let [boot, seed, fetched, status] = row.cells();
            // A text in memory takes all that is written.
            let _written = writeln!(
                text,
                "{:<name$}  {:<6}  {boot:<5}  {seed:<20}  {fetched:<24}  {status}",
                row.node,
                row.role.name()
            );
        }
        text
    }
}

impl Row {
    /// Boot, seed, what was fetched, status: short texts.
    pub fn cells(&self) -> [String; 4] {
        let boot = if self.boot.is_some() { "yes" } else { "-" }.to_owned();
        let refused = if self.refused > 0 { format!(" ({} refused)", self.refused) } else { String::new() };
        let seed = match self.seed {
            Some((_, to)) => format!("{to}{refused}"),
            None => format!("-{refused}"),
        };
        let fetched = self.fetched.as_ref().map_or_else(
            || "-".to_owned(),
            |(path, bytes)| format!("{} {} MB", path.rsplit('/').next().unwrap_or(path), bytes / 1_000_000),
        );
        let status = self.told.as_ref().map_or_else(
            || "-".to_owned(),
            |(at, told)| {
                let message = told.message.as_ref().map_or_else(String::new, |message| format!(" ({message})"));
                format!("{} {}: {}{message}", at.strftime("%H:%M:%SZ"), told.condition.name(), told.step)
            },
        );
        [boot, seed, fetched, status]
    }
}
