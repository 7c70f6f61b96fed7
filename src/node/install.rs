//! The two changes that a node knows: to a bundle, and back to the one before.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::error::NodeError;
use super::images::{self, Engine};
use super::packages::{self, Ours};
use super::place::{Places, wanted};
use super::record::{Change, Generation, Installed, Pending};
use super::state::State;
use super::status::Journal;
use super::unpack::{self, Unpacked};
use super::{durable, units};
use crate::clock;
use crate::digest::Digest;
use crate::pack::contents::Units;
use crate::report::Reporter;

/// How many bundles stay on a node: the present one, and the one to go back to.
const KEPT: usize = 2;

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The bundle that the node has now; none after the first one was undone.
    pub bundle: Option<Digest>,
    /// How many files, packages, units and images were changed; nothing was to be done where that is 0.
    pub changes: usize,
}

/// Brings the machine to the state of the bundle at `file`, which must have this digest; without a file, of the bundle with this
/// digest that is unpacked on it already.
///
/// May be cut off at any point and run again. Run on a machine that has the bundle, it looks at everything and puts right
/// what is not as it should be. A machine that was in the middle of another change is first brought to an end of that.
///
/// # Errors
/// The bundle is not the one that was asked for, or is not for this machine; the package manager, systemd or the runtime
/// fail; the disk is full.
pub fn install(
    state: &State,
    file: Option<&Path>,
    sha256: &Digest,
    reporter: &dyn Reporter,
) -> Result<Outcome, NodeError> {
    let _exclusive = state.lock()?;
    let mut journal = Journal::new(state, reporter, "install");
    journal.bundle(Some(*sha256));
    let result = Work::begin(state, &mut journal).and_then(|mut work| work.install(file, sha256));
    journal.end(result)
}

/// Brings the machine back to the bundle before the present one, or, where an installation was cut off, to what was before it.
///
/// Packages go back to the versions of that bundle; those that it does not have stay.
///
/// # Errors
/// There is nothing to go back to; those of [`install`].
pub fn rollback(state: &State, reporter: &dyn Reporter) -> Result<Outcome, NodeError> {
    let _exclusive = state.lock()?;
    let mut journal = Journal::new(state, reporter, "rollback");
    let result = Work::begin(state, &mut journal).and_then(|mut work| work.rollback());
    journal.end(result)
}

/// One change under way.
struct Work<'a, 'j> {
    state: &'a State,
    journal: &'a mut Journal<'j>,
    record: Installed,
    /// Every package version that any of the bundles in question brought.
    ours: Ours,
    changes: usize,
}

impl<'a, 'j> Work<'a, 'j> {
    fn begin(state: &'a State, journal: &'a mut Journal<'j>) -> Result<Self, NodeError> {
        let record = Installed::read(state)?;
        let mut ours = Ours::new();
        for generation in &record.history {
            ours.extend(generation.packages.clone());
        }
        if let Some(half) =
            record.pending.as_ref().map(|pending| unpack::open(state, &pending.sha256)).transpose()?.flatten()
        {
            ours.extend(versions(&half));
        }
        Ok(Self { state, journal, record, ours, changes: 0 })
    }

    fn outcome(&self) -> Outcome {
        Outcome { bundle: self.record.current().map(|generation| generation.sha256), changes: self.changes }
    }

    fn install(&mut self, file: Option<&Path>, sha256: &Digest) -> Result<Outcome, NodeError> {
        let begun = match self.record.pending.clone() {
            Some(Pending { sha256: half, change: Change::Install }) if half == *sha256 => true,
            Some(Pending { sha256: half, .. }) => {
                self.journal
                    .note(format!("the change to or from bundle {} was cut off; undoing that first", half.short()));
                self.undo(&half)?;
                false
            }
            None => false,
        };
        self.journal.step("unpack")?;
        let bundle = match file {
            Some(file) => unpack::unpack(self.state, file, sha256)?,
            None => unpack::open(self.state, sha256)?.ok_or(NodeError::NotHere { sha256: *sha256 })?,
        };
        check_target(&bundle)?;
        self.ours.extend(versions(&bundle));
        let is_new = begun || self.record.current().is_none_or(|current| current.sha256 != *sha256);
        if is_new && !begun {
            // What an undone or forgotten installation of the same bundle kept is of an older time.
            durable::remove(&self.state.saved(sha256))?;
            self.record.pending = Some(Pending { sha256: *sha256, change: Change::Install });
            self.record.write(self.state)?;
        }
        let before = self.record.current().filter(|_| is_new).cloned();
        self.apply(&bundle, before.as_ref())?;
        if is_new {
            self.record.history.retain(|generation| generation.sha256 != *sha256);
            self.record.history.push(generation(&bundle));
            let surplus = self.record.history.len().saturating_sub(KEPT);
            self.record.history.drain(..surplus);
            self.commit()?;
        }
        Ok(self.outcome())
    }

    /// Everything of a bundle, as far as it is not there.
    fn apply(&mut self, bundle: &Unpacked, before: Option<&Generation>) -> Result<(), NodeError> {
        self.journal.step("packages")?;
        let packages = packages::install(bundle, &self.ours, &self.state.scratch(), self.journal)?;
        self.changes += packages.len();

        self.journal.step("files")?;
        let places = self.places(&bundle.sha256);
        let (mut kept, mut changed) = (BTreeSet::new(), Vec::new());
        for file in wanted(bundle) {
            kept.insert(file.path);
            if places.put(&file)? {
                changed.push(file.path.to_owned());
            }
        }
        for path in before.iter().flat_map(|before| before.files.keys()) {
            if !kept.contains(path.as_str()) && places.withdraw(path)? {
                changed.push(path.clone());
            }
        }
        self.changes += changed.len();

        self.journal.step("units")?;
        let units = &bundle.contents.units;
        self.changes +=
            units::switch(&before.map(|before| before.units.clone()).unwrap_or_default(), units, self.journal)?;

        self.journal.step("start")?;
        let engine = Engine::of(&bundle.contents);
        let configured = engine.is_some_and(|engine| {
            changed.iter().any(|path| engine.configuration().iter().any(|directory| path.starts_with(directory)))
        });
        self.start(bundle, engine, configured || !packages.is_empty())
    }

    /// What only a machine that runs can do: load images and start services.
    fn start(&mut self, bundle: &Unpacked, engine: Option<Engine>, engine_changed: bool) -> Result<(), NodeError> {
        let Units { enable, .. } = &bundle.contents.units;
        if !units::booted() {
            let images = bundle.contents.images.len();
            if images > 0 {
                self.journal.note(format!("systemd does not run here: {images} images wait until it does"));
            }
            return Ok(());
        }
        if self.changes > 0 {
            units::reload(self.journal)?;
            units::declare(&wanted(bundle).map(|file| file.path).collect::<Vec<_>>())?;
        }
        if let Some(engine) = engine {
            units::start(engine.unit(), engine_changed)?;
            self.changes += images::import(engine, bundle, self.journal)?;
        }
        if self.changes > 0 {
            let others: Vec<&String> =
                enable.iter().filter(|unit| engine.is_none_or(|engine| engine.unit() != **unit)).collect();
            units::refresh(&others)?;
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<Outcome, NodeError> {
        let present = match &self.record.pending {
            Some(pending) => pending.sha256,
            None if self.record.history.len() < KEPT => return Err(NodeError::NothingBefore),
            None => self.record.current().map(|current| current.sha256).ok_or(NodeError::NothingBefore)?,
        };
        self.undo(&present)?;
        Ok(self.outcome())
    }

    /// Back to what was before the bundle `sha256`.
    fn undo(&mut self, sha256: &Digest) -> Result<(), NodeError> {
        let undone = unpack::open(self.state, sha256)?;
        let before = self.record.history.iter().rfind(|generation| generation.sha256 != *sha256).cloned();
        self.journal.bundle(before.as_ref().map(|before| before.sha256));
        self.record.pending = Some(Pending { sha256: *sha256, change: Change::Undo });
        self.record.write(self.state)?;

        let bundle = match &before {
            Some(before) => {
                let path = self.state.bundle(&before.sha256);
                Some(unpack::open(self.state, &before.sha256)?.ok_or(NodeError::Gone { path, change: Change::Undo })?)
            }
            None => None,
        };
        self.journal.step("packages")?;
        if let Some(bundle) = &bundle {
            self.changes += packages::install(bundle, &self.ours, &self.state.scratch(), self.journal)?.len();
        }
        if let Some(undone) = &undone {
            self.tell_leftovers(undone, bundle.as_ref());
        }

        self.journal.step("files")?;
        self.changes += self.places(sha256).restore()?;

        self.journal.step("units")?;
        let off = undone.map(|undone| undone.contents.units).unwrap_or_default();
        let on = before.map(|before| before.units).unwrap_or_default();
        self.changes += units::switch(&off, &on, self.journal)?;

        self.journal.step("start")?;
        if let Some(bundle) = &bundle {
            self.start(bundle, Engine::of(&bundle.contents), true)?;
        } else if units::booted() {
            units::reload(self.journal)?;
        }
        self.record.history.retain(|generation| generation.sha256 != *sha256);
        self.commit()
    }

    /// Packages that the undone bundle brought and the one before does not know.
    fn tell_leftovers(&self, undone: &Unpacked, bundle: Option<&Unpacked>) {
        let known =
            |name: &str| bundle.is_some_and(|bundle| bundle.contents.packages.iter().any(|one| one.name == name));
        let packages = undone.contents.packages.iter().map(|package| package.name.as_str());
        let left: Vec<&str> = packages.filter(|name| !known(name)).collect();
        if !left.is_empty() {
            self.journal
                .note(format!("these packages stay, though the bundle before did not have them: {}", left.join(", ")));
        }
    }

    fn places(&self, sha256: &Digest) -> Places {
        Places::new(self.state, sha256)
    }

    /// The change is complete. What nobody can go back to any more goes.
    fn commit(&mut self) -> Result<(), NodeError> {
        self.record.pending = None;
        self.record.write(self.state)?;
        let kept: Vec<String> = self.record.history.iter().map(|generation| generation.sha256.short()).collect();
        let saved: Vec<String> = kept.last().cloned().into_iter().collect();
        for (directory, kept) in [(self.state.bundles(), &kept), (self.state.saved_all(), &saved)] {
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                if !kept.iter().any(|name| entry.file_name() == name.as_str()) {
                    durable::remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

fn generation(bundle: &Unpacked) -> Generation {
    let contents = &bundle.contents;
    Generation {
        sha256: bundle.sha256,
        role: contents.role,
        target: contents.target.clone(),
        kubernetes: contents.kubernetes,
        khimg: contents.khimg.clone(),
        at: clock::now(),
        files: wanted(bundle).map(|file| (file.path.to_owned(), file.digest())).collect(),
        packages: versions(bundle).collect(),
        units: contents.units.clone(),
    }
}

fn versions(bundle: &Unpacked) -> impl Iterator<Item = (String, String)> + '_ {
    bundle.contents.packages.iter().map(|package| (package.name.clone(), package.version.clone()))
}

/// What the catalogue may call a system that names itself so in os-release(5): `rocky-9.4` is `rocky-9`, and CentOS Stream, which
/// has CentOS Linux' id, is `centos-stream-8`.
fn names(id: Option<String>, version: Option<String>, name: Option<String>) -> Vec<String> {
    let Some((id, version)) = id.zip(version) else { return Vec::new() };
    let id = id.to_ascii_lowercase();
    let id = if name.is_some_and(|name| name.contains("Stream")) { format!("{id}-stream") } else { id };
    let major = version.split('.').next().unwrap_or_default();
    vec![format!("{id}-{version}"), format!("{id}-{major}")]
}

/// A bundle is for one base system and architecture. Where the machine does not say what it is, nothing is refused.
fn check_target(bundle: &Unpacked) -> Result<(), NodeError> {
    let target = &bundle.contents.target;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let os = names(value("ID"), value("VERSION_ID"), value("NAME"));
    let os = if os.is_empty() { vec![target.os.clone()] } else { os };
    let machine = std::env::consts::ARCH;
    if os.contains(&target.os) && machine == target.arch.machine() {
        return Ok(());
    }
    Err(NodeError::Target {
        wanted: format!("{} on {}", target.os, target.arch.machine()),
        found: format!("{} on {machine}", os.first().map_or("an unknown system", String::as_str)),
    })
}
