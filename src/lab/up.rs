//! From a delivery to running nodes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::getuid;

use super::error::LabError;
use super::interrupt::Interrupt;
use super::machine::{self, SEED};
use super::place::{self, Place};
use super::record::{Lab, Record, VERSION};
use super::status::{NodeStatus, status};
use super::{base, boot, down, kernel, network, outside, program};
use crate::catalog::Catalog;
use crate::deliver::manifest::{PUBLIC, SECRET};
use crate::report::{Event, Reporter};

/// How often nodes are asked how they are.
const LOOK: Duration = Duration::from_millis(500);

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// The directory of all labs.
    pub labs: PathBuf,
    /// The lab's name.
    pub name: String,
    /// Where operating systems for nodes are kept.
    pub bases: PathBuf,
    /// The delivery.
    pub dist: PathBuf,
    /// Nodes that get power; all, if none is named.
    pub only: Vec<String>,
    /// Nodes that get none.
    pub without: Vec<String>,
    /// Size of each node's disk in bytes.
    pub disk: u64,
    /// Whether there is a way out of the lab, for nodes that have a gateway.
    pub outside: bool,
}

/// Makes a lab and gives its nodes power. What they do from then on, they do by themselves.
///
/// # Errors
/// Whatever is missing or fails; nothing is left of the lab then.
pub fn up(
    options: &UpOptions,
    catalog: &Catalog,
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Lab, LabError> {
    if !getuid().is_root() {
        return Err(LabError::NotRoot);
    }
    program::check(if options.outside { outside::NEEDED } else { &[] })?;
    let place = Place::new(&options.labs, &options.name)?;
    let _exclusive = place.lock()?;
    if place.directory().exists() {
        return Err(LabError::Exists { name: options.name.clone(), path: place.directory().to_owned() });
    }
    reporter.report(Event::Stage { name: "prepare" });
    let lab = plan(place, options, catalog, reporter, interrupt)?;
    let powered = powered(&lab, options)?;
    if let Err(error) = make(&lab, options, &powered, reporter, interrupt) {
        // The first failure is the one to tell.
        if let Err(further) = down::clear(&lab.place) {
            reporter.report(Event::Warning { text: format!("not everything could be removed: {further}") });
        }
        return Err(error);
    }
    Ok(lab)
}

/// What the lab will be made of. Makes nothing of the lab itself.
fn plan(
    place: Place,
    options: &UpOptions,
    catalog: &Catalog,
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Lab, LabError> {
    let delivery = machine::read(&options.dist)?;
    let mut bases = BTreeMap::new();
    for machine in &delivery.machines {
        let unknown = || LabError::dist(&options.dist, format!("{} is not in the catalogue", machine.target.os));
        let system = catalog.systems.get(&machine.target.os).ok_or_else(unknown)?;
        let base = base::base(&options.bases, &machine.target, system, reporter, interrupt)?;
        bases.insert(machine.name.clone(), base);
    }
    let addresses = network::addresses(&delivery);
    let record = Record {
        version: VERSION,
        cluster: delivery.cluster,
        endpoint: delivery.endpoint,
        addresses,
        disk: options.disk,
        machines: delivery.machines,
        bases,
    };
    Ok(Lab { place, record })
}

/// The nodes that get power.
fn powered(lab: &Lab, options: &UpOptions) -> Result<Vec<String>, LabError> {
    for name in options.only.iter().chain(&options.without) {
        lab.machine(name)?;
    }
    let names = lab.record.machines.iter().map(|machine| machine.name.clone());
    let wanted =
        |name: &String| (options.only.is_empty() || options.only.contains(name)) && !options.without.contains(name);
    Ok(names.filter(wanted).collect())
}

fn make(
    lab: &Lab,
    options: &UpOptions,
    powered: &[String],
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<(), LabError> {
    place::private_directory(lab.place.directory())?;
    lab.save()?;
    kernel::keep(&lab.place)?;
    copy_tree(&options.dist.join(PUBLIC), &lab.place.depot())?;
    for machine in &lab.record.machines {
        let to = lab.place.seeds().join(&machine.name);
        place::private_directory(&to)?;
        for name in SEED {
            let from = options.dist.join(SECRET).join(&machine.name).join(name);
            fs::copy(&from, to.join(name)).map_err(LabError::io("copy", &from))?;
        }
    }
    network::make(&lab.place, &lab.record.addresses)?;
    if options.outside {
        outside::open(&lab.place)?;
    }
    reporter.report(Event::Stage { name: "power on" });
    for name in powered {
        interrupt.check()?;
        boot::on(lab, name, interrupt)?;
        reporter.report(Event::Note { text: format!("{name} is on") });
    }
    Ok(())
}

/// The delivery may be built anew while the lab is up; the lab keeps its own. Links cost nothing, where they are possible.
fn copy_tree(from: &Path, to: &Path) -> Result<(), LabError> {
    for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
        let entry = entry.map_err(|error| LabError::io("read", from)(error.into()))?;
        let target = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        let copied = if entry.file_type().is_dir() {
            fs::create_dir_all(&target)
        } else {
            fs::hard_link(entry.path(), &target).or_else(|_| fs::copy(entry.path(), &target).map(drop))
        };
        copied.map_err(LabError::io("copy to", &target))?;
    }
    Ok(())
}

/// Waits until every node that is on says that it is ready, and tells what each of them is at.
///
/// # Errors
/// Time ran out, or the user wants no more. The lab stays as it is.
pub fn wait_ready(
    lab: &Lab,
    timeout: Duration,
    reporter: &dyn Reporter,
    interrupt: &Interrupt,
) -> Result<(), LabError> {
    reporter.report(Event::Stage { name: "wait" });
    let begun = Instant::now();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        interrupt.check()?;
        let nodes = status(lab)?;
        for node in nodes.iter().filter(|node| node.on) {
            if told.get(&node.name) != Some(&node.state) {
                let text = format!("{:>4} s  {}: {}", begun.elapsed().as_secs(), node.name, node.state);
                reporter.report(Event::Note { text });
                told.insert(node.name.clone(), node.state.clone());
            }
        }
        let waiting: Vec<&NodeStatus> = nodes.iter().filter(|node| node.on && !node.ready).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > timeout {
            let waiting = waiting.iter().map(|node| format!("{}: {}", node.name, node.state)).collect();
            return Err(LabError::NotReady { seconds: timeout.as_secs(), waiting });
        }
        std::thread::sleep(LOOK);
    }
}
