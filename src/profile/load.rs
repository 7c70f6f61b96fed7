//! Profiles from their files: built in, or the user's.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Part, Profile, Profiles};
use crate::catalog::Catalog;
use crate::catalog::condition::Known;
use crate::catalog::shelf::{Placed, Shelf};
use crate::cluster::Role;
use crate::config::{Problem, Problems, known};
use crate::shipped;

fn file(role: Role) -> String {
    format!("{role}.yaml")
}

/// The built-in profiles; each file in the directory `user` stands in for the built-in one of its name (`master.yaml`, …).
///
/// # Errors
/// Everything that is wrong with any of the files, at once: files that cannot be read, values that do not fit, and names that
/// `catalog` does not have.
pub fn load(user: Option<&Path>, catalog: &Catalog) -> Result<Profiles, Problems> {
    let shelf = Shelf { built_in: shipped::profiles(), name: "profiles", user };
    let mut problems = Vec::new();
    let names = Role::ALL.map(file);
    shelf.strangers(&names.each_ref().map(String::as_str), &mut problems);
    let facts = catalog.known_facts();
    let mut profiles = Profiles::new();
    for role in Role::ALL {
        let Some(placed) = shelf.last::<Profile>(&file(role), &mut problems) else { continue };
        check(role, &placed, catalog, &facts, &mut problems);
        profiles.insert(role, placed.value);
    }
    Problems::or(problems, profiles)
}

fn check(role: Role, placed: &Placed<Profile>, catalog: &Catalog, facts: &Known, problems: &mut Vec<Problem>) {
    let Placed { value: profile, document } = placed;
    if profile.role != role {
        let message = format!("the file of the role {role} says that it is for {}", profile.role);
        problems.push(document.problem("/role", message, Some(format!("write `role: {role}`, or rename the file"))));
    }
    for (index, part) in profile.components.iter().enumerate() {
        if !catalog.components.contains_key(&part.name) {
            let help = known(&part.name, "components", catalog.components.keys().map(String::as_str));
            let message = format!("the catalogue has no component {:?}", part.name);
            problems.push(document.problem(&format!("/components/{index}/name"), message, Some(help)));
        }
    }
    let lists: [(&str, &[Part]); 4] = [
        ("components", &profile.components),
        ("layers", &profile.layers),
        ("enable", &profile.enable),
        ("mask", &profile.mask),
    ];
    for (list, parts) in lists {
        let mut seen = BTreeSet::new();
        for (index, part) in parts.iter().enumerate() {
            for (fact, flaw) in part.when.flaws(facts) {
                let pointer = format!("/{list}/{index}/when/{}", crate::config::segment(&fact));
                problems.push(document.key_problem(&pointer, flaw.to_string(), flaw.remedy()));
            }
            if !seen.insert(&part.name) {
                let message = format!("{:?} is in `{list}` twice", part.name);
                let help = "join the two conditions; a fact may have a list of values".to_owned();
                problems.push(document.problem(&format!("/{list}/{index}/name"), message, Some(help)));
            }
        }
    }
}
