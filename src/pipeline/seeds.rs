//! From rendered nodes to what is delivered for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Error, PipelineError};
use crate::arch::Arch;
use crate::cluster::{Cluster, Disc, Seeding};
use crate::deliver::{NodeDisc, NodeSeed};
use crate::pack::Bundle;
use crate::render::NodeFiles;
use crate::report::{Event, Reporter};
use crate::seed::{self, BundleRef, DepotFile, Form, Seed};
use crate::store::{Store, Verified};

/// A khimg program of the depot.
pub(super) struct Program {
    pub(super) arch: Arch,
    pub(super) blob: Verified,
    pub(super) depot: DepotFile,
}

/// The programs for all architectures that the bundles are for.
pub(super) fn programs(
    bundles: &[Bundle],
    given: &BTreeMap<Arch, PathBuf>,
    store: &Store,
) -> Result<Vec<Program>, Error> {
    let archs: BTreeSet<Arch> = bundles.iter().map(|bundle| bundle.target().arch).collect();
    let mut programs = Vec::new();
    for arch in archs {
        let path = given.get(&arch).ok_or(PipelineError::NoProgram { arch })?;
        let packed = bundles.iter().filter(|bundle| bundle.target().arch == arch).map(Bundle::program);
        // Nodes must get the same program from the bundle and from beside it.
        let changed = || PipelineError::ProgramChanged { path: path.clone() };
        let digest = packed.flatten().next().ok_or_else(changed)?;
        let blob = match store.get(&digest)? {
            Some(blob) => blob,
            None => {
                let failed = |source| PipelineError::Program { path: path.clone(), source };
                let mut file = std::fs::File::open(path).map_err(failed)?;
                let mut writer = store.writer()?;
                std::io::copy(&mut file, &mut writer).map_err(failed)?;
                // Read a second time: somebody may have replaced it.
                Some(writer.commit()?).filter(|blob| blob.digest() == digest).ok_or_else(changed)?
            }
        };
        let depot = DepotFile { path: format!("bin/khimg-{arch}"), sha256: blob.digest(), size: blob.size() };
        programs.push(Program { arch, blob, depot });
    }
    Ok(programs)
}

/// The seeds of all `nodes` whose role is among the bundles.
pub(super) fn all<'n>(
    cluster: &Cluster,
    nodes: &'n [NodeFiles],
    bundles: &[Bundle],
    programs: &[Program],
) -> Result<Vec<(&'n NodeFiles, Seed)>, Error> {
    let mut seeds = Vec::new();
    for node in nodes {
        seeds.extend(seed_of(cluster, node, bundles, programs)?.map(|seed| (node, seed)));
    }
    Ok(seeds)
}

fn seed_of(
    cluster: &Cluster,
    node: &NodeFiles,
    bundles: &[Bundle],
    programs: &[Program],
) -> Result<Option<Seed>, Error> {
    let bundle = bundles.iter().find(|bundle| bundle.role() == node.role && *bundle.target() == node.target);
    let program = programs.iter().find(|program| program.arch == node.target.arch);
    let (Some(bundle), Some(program)) = (bundle, program) else { return Ok(None) };
    let path = format!("bundles/{}", bundle.file_name());
    let reference = BundleRef {
        bundle: DepotFile { path, sha256: bundle.sha256, size: bundle.size },
        pieces: bundle.pieces().iter().map(|piece| (piece.sha256, piece.size)).collect(),
        program: program.depot.clone(),
    };
    Ok(Some(seed::seed(cluster, node, &reference)?))
}

/// What is delivered of a seed.
pub(super) fn delivered<'a>(node: &'a NodeFiles, seed: &'a Seed, disc: Disc) -> NodeSeed<'a> {
    let no_cloud = [
        ("user-data", seed.user_data.expose().as_bytes()),
        ("meta-data", seed.meta_data.as_bytes()),
        ("network-config", seed.network_config.as_bytes()),
    ];
    let disc = (disc != Disc::None || seed.needs_disc()).then(|| NodeDisc {
        seed: no_cloud.map(|(name, _)| name).to_vec(),
        public: if disc == Disc::Bundle {
            vec![&seed.bundle.bundle.path, &seed.bundle.program.path]
        } else {
            Vec::new()
        },
    });
    let mut files = BTreeMap::from(no_cloud);
    let handed = seed.handed.as_ref().and_then(|handed| handed.bytes.as_ref());
    files.extend(handed.map(|bytes| ("platform-user-data", bytes.expose().as_slice())));
    files.extend(seed.report.as_ref().map(|proof| ("report.sha256", proof.as_bytes())));
    NodeSeed { node: &node.name, role: node.role, target: &node.target, files, disc }
}

/// Says what became of seeds that the platform has no room for.
pub(super) fn tell_forms(seeding: &Seeding, seeds: &[(&NodeFiles, Seed)], reporter: &dyn Reporter) {
    let mut counts = BTreeMap::new();
    for handed in seeds.iter().filter_map(|(_, seed)| seed.handed.as_ref()) {
        *counts.entry(handed.form).or_insert(0) += 1;
    }
    for (form, count) in &counts {
        if let Some(text) = form.told(seeding.platform, *count) {
            reporter.report(Event::Note { text });
        }
    }
    let bare = seeding.url.as_deref().is_some_and(|url| url.starts_with("http:"));
    if bare && counts.contains_key(&Form::Url) {
        let text = "`seed.url` has no TLS: whoever can listen on the way reads the seeds".to_owned();
        reporter.report(Event::Warning { text });
    }
}
