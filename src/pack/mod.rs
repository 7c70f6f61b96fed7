//! Pack: from rendered files and fetched artifacts to one bundle for each role.
//!
//! ```text
//! role's files ─┐
//! lock         ─┼▶ plan ─▶ recipes ─▶ layers ─▶ bundle      the same bytes on every machine
//! store        ─┘          (data)    (store)   (pieces)
//! ```
//!
//! A bundle is one ordinary compressed tar archive made of layers. Each layer is a stretch of that archive, compressed by
//! itself, so that it can be made once and kept: the file is their concatenation. `tar --zstd -x`, `zstd -d` and `gunzip`
//! read it as what it is.
//!
//! ```text
//! packages/<file>.deb     `apt-get install ./packages/*.deb` needs no network
//! images/<name>.tar       for `ctr image import` and `docker load`
//! rootfs/<path on node>   rendered files, plain programs, khimg itself
//! bundle.json             table of contents
//! ```

pub mod bundle;
mod check;
pub mod compress;
pub mod contents;
mod error;
mod gzip;
pub mod layer;
pub(crate) mod locator;
pub mod member;
mod plan;
mod prefix;
mod program;
mod recipe;
pub(crate) mod segment;
mod unpack;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::arch::Arch;
use crate::cluster::Role;
use crate::digest::Digest;
use crate::fetch::Fetched;
use crate::lock::Lock;
use crate::render::RoleFiles;
use crate::report::{self, Event, Reporter};
use crate::store::Store;
pub use bundle::{Bundle, Piece};
pub use check::Place;
pub use compress::Format;
use compress::{Parameters, Workers};
pub use contents::Contents;
pub use error::PackError;
pub use layer::Layer;
pub use member::{Listing, Member, What};
use plan::Plan;
use program::Program;
use recipe::Recipe;
pub use unpack::UnpackError;

/// How to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The file format.
    pub format: Format,
    /// Threads that compress; as many as the machine has processors where it is `None`. Never changes a byte.
    pub jobs: Option<NonZeroUsize>,
    /// The khimg program for each architecture of the nodes: static, because nodes may have any C library.
    pub programs: BTreeMap<Arch, PathBuf>,
}

/// Packs a bundle for each role, reusing every layer that the store has already.
///
/// # Errors
/// An artifact that was not fetched or is not what the lock says, two things at one path, a secret among public files, and
/// whatever the disk refuses. The store keeps the layers that were completed.
pub fn pack(
    roles: &[RoleFiles],
    fetched: &Fetched,
    lock: &Lock,
    store: &Store,
    options: &PackOptions,
    reporter: &dyn Reporter,
) -> Result<Vec<Bundle>, PackError> {
    let workers = Workers::new(options.jobs)?;
    let programs = programs(roles, options, Some(store))?;
    let mut plans = Vec::new();
    for files in roles {
        plans.push((files, plan(files, lock, fetched, &programs)?));
    }
    let recipes = plans.iter().flat_map(|(_, plan)| &plan.recipes);
    let layers = layers(recipes, store, options.format, &workers, reporter)?;
    let mut drafts = Vec::new();
    for (files, Plan { recipes, packages, files: plain, images, unsigned }) in plans {
        let found = |recipe: &Recipe<'_>| {
            let layer = layers.get(&recipe.key(&Parameters::new(options.format, recipe.density)))?;
            Some(Layer { name: recipe.name.clone(), ..layer.clone() })
        };
        // Every recipe has its layer.
        let layers: Vec<Layer> = recipes.iter().filter_map(found).collect();
        let contents = Contents {
            format: contents::FORMAT,
            khimg: env!("CARGO_PKG_VERSION").to_owned(),
            role: files.role,
            target: files.target.clone(),
            // The others do not change with Kubernetes, so neither does their bundle.
            kubernetes: lock.kubernetes.filter(|_| matches!(files.role, Role::Master | Role::Worker)),
            layers: layers.iter().map(contents::LayerEntry::from).collect(),
            packages,
            files: plain,
            images,
            units: contents::Units { enable: files.enable.clone(), mask: files.mask.clone() },
            unsigned,
        };
        drafts.push((contents, layers));
    }
    let finish = |(contents, layers)| Bundle::new(contents, options.format, layers, store, &workers);
    let bundles: Vec<Result<Bundle, PackError>> = drafts.into_par_iter().map(finish).collect();
    bundles.into_iter().collect()
}

/// Builds every layer of `bundles` twice again, with one thread and with several, and compares.
///
/// # Errors
/// [`PackError::Differs`] with the first differing byte; those of [`pack`].
pub fn check(
    roles: &[RoleFiles],
    fetched: &Fetched,
    lock: &Lock,
    bundles: &[Bundle],
    options: &PackOptions,
    reporter: &dyn Reporter,
) -> Result<(), PackError> {
    let one = Workers::new(Some(NonZeroUsize::MIN))?;
    let two = Workers::new(options.jobs.filter(|jobs| *jobs > NonZeroUsize::MIN).or(NonZeroUsize::new(2)))?;
    let programs = programs(roles, options, None)?;
    let mut checked: Vec<Digest> = Vec::new();
    for (files, bundle) in roles.iter().zip(bundles) {
        let plan = plan(files, lock, fetched, &programs)?;
        for (recipe, layer) in plan.recipes.iter().zip(&bundle.layers) {
            let key = recipe.key(&layer.parameters);
            if checked.contains(&key) {
                continue;
            }
            checked.push(key);
            let compared = task(reporter, format!("check {}", layer.name), || {
                check::compare(recipe, layer, bundle.format, &[&one, &two])
            });
            if let Some(place) = compared? {
                let (bundle, layer) = (bundle.file_name(), layer.name.clone());
                return Err(PackError::Differs { bundle, layer, place });
            }
        }
    }
    Ok(())
}

/// Decompresses a layer or a whole bundle.
pub(crate) fn decode<'r>(reader: impl Read + 'r, format: Format) -> io::Result<Box<dyn Read + 'r>> {
    Ok(match format {
        Format::TarZst => {
            let mut decoder = zstd::stream::read::Decoder::new(reader)?;
            decoder.window_log_max(compress::WIDEST_WINDOW)?;
            Box::new(decoder)
        }
        Format::TarGz => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, reader))),
    })
}

fn programs(
    roles: &[RoleFiles],
    options: &PackOptions,
    store: Option<&Store>,
) -> Result<BTreeMap<Arch, Program>, PackError> {
    let mut programs = BTreeMap::new();
    for arch in roles.iter().map(|files| files.target.arch) {
        if let Entry::Vacant(vacant) = programs.entry(arch) {
            let path = options.programs.get(&arch).ok_or(PackError::NoProgram { arch })?;
            vacant.insert(Program::read(path, arch, store)?);
        }
    }
    Ok(programs)
}

fn plan<'a>(
    files: &'a RoleFiles,
    lock: &'a Lock,
    fetched: &'a Fetched,
    programs: &'a BTreeMap<Arch, Program>,
) -> Result<Plan<'a>, PackError> {
    let arch = files.target.arch;
    plan::plan(files, lock, fetched, programs.get(&arch).ok_or(PackError::NoProgram { arch })?)
}

/// The layers of all recipes, each once, by their keys: from the store, or new ones. While one is on its way to the disk, the next
/// is compressed.
fn layers<'a>(
    recipes: impl Iterator<Item = &'a Recipe<'a>>,
    store: &Store,
    format: Format,
    workers: &Workers,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<Digest, Layer>, PackError> {
    thread::scope(|scope| {
        let (mut layers, mut saving) = (BTreeMap::new(), BTreeMap::new());
        for recipe in recipes {
            let key = recipe.key(&Parameters::new(format, recipe.density));
            if layers.contains_key(&key) || saving.contains_key(&key) {
                continue;
            }
            let label = format!("pack {}", recipe.name);
            if let Some(layer) = Layer::find(recipe, &key, format, store)? {
                reporter.report(Event::Skipped { label, reason: "in the store already".to_owned() });
                layers.insert(key, layer);
                continue;
            }
            let unsaved = task(reporter, label, || Layer::make(recipe, key, format, store, workers))?;
            saving.insert(key, scope.spawn(move || unsaved.save(store)));
        }
        for (key, saving) in saving {
            layers.insert(key, saving.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(layers)
    })
}

/// Tells the beginning and the end of a piece of work, well or not.
fn task<T>(reporter: &dyn Reporter, label: String, work: impl FnOnce() -> T) -> T {
    let task = report::next_task();
    reporter.report(Event::Started { task, label, total: None });
    let result = work();
    reporter.report(Event::Finished { task });
    result
}
