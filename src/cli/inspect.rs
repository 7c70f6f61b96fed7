//! `khimg inspect`.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;
use khimg::inspect::{self, BundleReport, DistReport, Report};
use khimg::lock::Proof;
use serde_json::{Value, json};

use super::{Failure, Global, Output};

/// Prove a bundle or a delivered directory, and say what is in it
///
/// Every digest is checked; the exit code is 6 where one does not hold.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A bundle file or a delivered directory
    #[arg(default_value = "dist")]
    path: PathBuf,
}

pub fn run(args: &InspectArgs, _: &Global, output: &Output) -> Result<(), Failure> {
    match inspect::inspect(&args.path)? {
        Report::Bundle(report) if output.json() => output.data(&bundle_json(&report)),
        Report::Bundle(report) => output.text(&bundle_text(&report)),
        Report::Dist(report) => {
            if output.json() {
                output.data(&dist_json(&report));
            } else {
                output.text(&dist_text(&report));
            }
            let mut problems = report.problems;
            if !problems.is_empty() {
                return Err(problems.swap_remove(0).into());
            }
        }
    }
    output.note("every digest holds");
    Ok(())
}

fn bundle_json(report: &BundleReport) -> Value {
    json!({"format": report.format.name(), "size": report.size, "sha256": report.sha256, "pieces": report.pieces, "contents": report.contents})
}

fn dist_json(report: &DistReport) -> Value {
    let bundles: Vec<Value> =
        report.bundles.iter().map(|(path, bundle)| json!({"path": path, "bundle": bundle_json(bundle)})).collect();
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    json!({"path": report.path, "manifest": report.public, "bundles": bundles, "problems": problems})
}

fn dist_text(report: &DistReport) -> String {
    let mut text = format!("{}: {} public files\n", report.path.display(), report.public.files.len());
    for (path, bundle) in &report.bundles {
        text += &format!("\n{path}\n{}", bundle_text(bundle));
    }
    for problem in &report.problems {
        text += &format!("PROBLEM  {problem}\n");
    }
    text
}

fn bundle_text(report: &BundleReport) -> String {
    let contents = &report.contents;
    let kubernetes = contents.kubernetes.map(|version| format!(", Kubernetes {version}")).unwrap_or_default();
    let mut text = format!(
        "role {} on {}{kubernetes}\n{}, {}\n\nlayers\n",
        contents.role,
        contents.target,
        HumanBytes(report.size),
        report.sha256
    );
    let width = report.pieces.iter().map(|piece| piece.name.len()).max().unwrap_or_default();
    for piece in &report.pieces {
        text +=
            &format!("  {:<width$} {:>12}  {}\n", piece.name, HumanBytes(piece.size).to_string(), piece.sha256.short());
    }
    text += &format!("\npackages ({})\n", contents.packages.len());
    for package in &contents.packages {
        text += &format!("  {:<32} {:<32} {}\n", package.name, package.version, proof(&package.proof));
    }
    if !contents.images.is_empty() {
        text += &format!("\nimages ({})\n", contents.images.len());
        for image in &contents.images {
            text += &format!("  {:<65} {}\n", image.name, proof(&image.proof));
        }
    }
    if !contents.files.is_empty() {
        text += &format!("\nplain files ({})\n", contents.files.len());
        for file in &contents.files {
            text += &format!("  {:<32} {:<32} {}\n", file.name, file.version, proof(&file.proof));
        }
    }
    text += &format!("\nunits  {}\n", contents.units.enable.join(", "));
    for source in &contents.unsigned {
        text += &format!("UNSIGNED source: {source}\n");
    }
    text
}

fn proof(proof: &Proof) -> String {
    match proof {
        Proof::Signature(fingerprint) => {
            format!("signed by …{}", fingerprint.get(fingerprint.len().saturating_sub(16)..).unwrap_or(fingerprint))
        }
        Proof::Package(fingerprints) => format!("each signed by {}", fingerprints.join(" or ")),
        Proof::Catalogue => "digest in the catalogue".to_owned(),
        Proof::Publisher(_) => "publisher's checksum file".to_owned(),
        Proof::Tag => "tag, pinned at locking".to_owned(),
        Proof::Unsigned => "UNSIGNED".to_owned(),
    }
}
