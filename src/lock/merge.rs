//! One order for everything in a lock, and locks of different roles made into one.

use std::collections::BTreeMap;

use super::{Addon, File, Image, Lock, Package, Repository, Why};
use crate::cluster::Role;
use crate::profile::ADDON;

impl Lock {
    /// The same in order, with the roles of `previous` that it does not hold ([`Lock::with_rest_of`]).
    #[must_use]
    pub fn following(mut self, previous: Option<&Self>) -> Self {
        self.normalise();
        match previous {
            Some(previous) => self.with_rest_of(previous),
            None => self,
        }
    }

    /// The same with the roles of `previous` that this one does not hold, so that roles can be locked one by one.
    ///
    /// They are left out where they belong to another Kubernetes version: then they are stale by themselves.
    #[must_use]
    pub fn with_rest_of(mut self, previous: &Self) -> Self {
        let clash = matches!((self.kubernetes, previous.kubernetes), (Some(new), Some(old)) if new != old);
        let systems = previous.systems.iter().filter(|old| self.systems.iter().all(|new| new.target != old.target));
        self.systems.extend(systems.cloned().collect::<Vec<_>>());
        let rest: BTreeMap<_, _> = previous.inputs.iter().filter(|(key, _)| !self.inputs.contains_key(*key)).collect();
        if clash || rest.is_empty() {
            self.normalise();
            return self;
        }
        let target = |role: Role, place: &dyn std::fmt::Display| rest.contains_key(&format!("{role}-{place}"));
        // A file or image knows its architecture only: it stays for a role if any target of that architecture stays.
        let arch = |role: Role, arch: crate::arch::Arch| {
            let (head, tail) = (format!("{role}-"), format!("-{arch}"));
            rest.keys().any(|key| key.starts_with(&head) && key.ends_with(&tail))
        };
        self.packages.extend(previous.packages.iter().filter_map(|package| {
            let why = only(&package.why, |role| target(role, &package.target));
            (!why.is_empty()).then(|| Package { why, ..package.clone() })
        }));
        self.files.extend(previous.files.iter().filter_map(|file| {
            let why = only(&file.why, |role| arch(role, file.arch));
            (!why.is_empty()).then(|| File { why, ..file.clone() })
        }));
        self.images.extend(previous.images.iter().filter_map(|image| {
            let why = only(&image.why, |role| arch(role, image.arch));
            (!why.is_empty()).then(|| Image { why, ..image.clone() })
        }));
        let used = |addon: &Addon| {
            let whys = self.images.iter().flat_map(|image| &image.why);
            let component = format!("{ADDON}{}", addon.name);
            whys.clone().any(|why| why.component == component)
                && !self.addons.iter().any(|known| known.name == addon.name)
        };
        let addons: Vec<Addon> = previous.addons.iter().filter(|addon| used(addon)).cloned().collect();
        self.addons.extend(addons);
        self.repositories.extend(previous.repositories.iter().cloned());
        self.kubernetes = self.kubernetes.or(previous.kubernetes);
        self.inputs.extend(rest.into_iter().map(|(key, digest)| (key.clone(), *digest)));
        self.normalise();
        self
    }

    /// Puts everything in order and each artifact in once, with the reasons of all its occurrences.
    pub(super) fn normalise(&mut self) {
        once(&mut self.packages, |package| &mut package.why);
        once(&mut self.files, |file| &mut file.why);
        once(&mut self.images, |image| &mut image.why);
        self.systems.sort_by(|a, b| a.target.cmp(&b.target));
        self.addons.sort();
        self.addons.dedup();
        self.repositories.sort();
        // Of one repository the newest state counts; it stands last.
        let mut newest: BTreeMap<(String, String), Repository> = BTreeMap::new();
        for state in std::mem::take(&mut self.repositories) {
            newest.insert((state.source.clone(), state.suite.clone()), state);
        }
        self.repositories = newest.into_values().collect();
    }
}

fn only(why: &[Why], keep: impl Fn(Role) -> bool) -> Vec<Why> {
    why.iter().filter(|why| keep(why.role)).cloned().collect()
}

/// Makes one of the items that differ in their reasons only.
fn once<T: Ord + Clone>(items: &mut Vec<T>, why: impl Fn(&mut T) -> &mut Vec<Why>) {
    let mut merged: BTreeMap<T, Vec<Why>> = BTreeMap::new();
    for mut item in std::mem::take(items) {
        let reasons = std::mem::take(why(&mut item));
        merged.entry(item).or_default().extend(reasons);
    }
    items.extend(merged.into_iter().map(|(mut item, mut reasons)| {
        reasons.sort();
        reasons.dedup();
        *why(&mut item) = reasons;
        item
    }));
}
