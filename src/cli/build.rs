//! `khimg build`.

use std::path::PathBuf;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use indicatif::HumanBytes;
use khimg::arch::Arch;
use khimg::pack::Format;
use khimg::pipeline::{self, BuildOptions};

use super::failure::CommandError;
use super::project::{ProjectArgs, RoleArgs, wait};
use super::{Failure, Global, Output};

/// Build bundles and seeds: lock if needed, fetch, render, pack, deliver
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    roles: RoleArgs,

    /// Where to deliver; replaced as a whole when the build is done
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    out: PathBuf,

    /// Refuse to change khimg.lock
    #[arg(long)]
    locked: bool,

    /// Compression of the bundles
    #[arg(long, value_enum, default_value_t = BundleFormat::TarZst)]
    format: BundleFormat,

    /// Pack everything twice and name the first byte that differs
    #[arg(long)]
    check: bool,

    /// The khimg program that goes into bundles, for an architecture other than this machine's (may be repeated)
    #[arg(long = "program", value_name = "ARCH=FILE", value_parser = parse_program)]
    programs: Vec<(Arch, PathBuf)>,

    #[command(flatten)]
    project: ProjectArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BundleFormat {
    #[value(name = "tar.zst")]
    TarZst,
    #[value(name = "tar.gz")]
    TarGz,
}

impl BuildArgs {
    /// What `khimg build` does without options, but for these.
    pub fn plain(project: ProjectArgs, out: PathBuf) -> Self {
        let (roles, format) = (RoleArgs::default(), BundleFormat::TarZst);
        Self { roles, out, locked: false, format, check: false, programs: Vec::new(), project }
    }
}

pub fn parse_program(text: &str) -> Result<(Arch, PathBuf), String> {
    let (arch, path) = text.split_once('=').ok_or("expected ARCH=FILE, such as arm64=./khimg-arm64")?;
    let arch = Arch::ALL.into_iter().find(|known| known.name() == arch);
    Ok((arch.ok_or("the architecture is amd64 or arm64")?, PathBuf::from(path)))
}

pub fn run(args: &BuildArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let options = BuildOptions {
        roles: args.roles.chosen().map(<[_]>::to_vec),
        out: args.out.clone(),
        locked: args.locked,
        format: match args.format {
            BundleFormat::TarZst => Format::TarZst,
            BundleFormat::TarGz => Format::TarGz,
        },
        check: args.check,
        programs: programs(&args.programs)?,
    };
    let delivery = wait(output, async { Ok(pipeline::build(&project, &options).await?) })?;
    if output.json() {
        output.data(&delivery.public);
        return Ok(());
    }
    for (path, record) in &delivery.public.files {
        if path.starts_with("bundles/") {
            output.text(&args.out.join("public").join(path).display().to_string());
            output.note(&format!("  {}, {}", HumanBytes(record.size), record.sha256));
        }
    }
    output.note(&match delivery.seeded_nodes() {
        0 => "no seeds: the cluster has no node of these roles".to_owned(),
        nodes => format!("seeds of {nodes} nodes below {}", args.out.join("secret").display()),
    });
    Ok(())
}

/// The programs named, and the running one for its own architecture.
pub fn programs(named: &[(Arch, PathBuf)]) -> Result<BTreeMap<Arch, PathBuf>, Failure> {
    let mut programs: BTreeMap<Arch, PathBuf> = named.iter().cloned().collect();
    let own = Arch::ALL.into_iter().find(|arch| arch.machine() == std::env::consts::ARCH);
    if let Some(own) = own.filter(|own| !programs.contains_key(own)) {
        programs.insert(own, std::env::current_exe().map_err(CommandError::Program)?);
    }
    Ok(programs)
}
