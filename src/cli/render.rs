//! `khimg render`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use khimg::pipeline;
use khimg::render::Rendered;
use khimg::render::tree::{Content, Entry, TargetPath};

use super::failure::CommandError;
use super::project::ProjectArgs;
use super::{Failure, Global, Output};

/// Lists what the last run wrote below the output directory, one path in each line, so that the next can remove what is gone.
const LIST: &str = ".khimg-render";

/// A longer list is not one of ours.
const MOST_LIST: u64 = 64 << 20;

/// Write every file that a node would get, at its path: the dry run
///
/// Nothing is fetched and no secret is needed; stand-ins are marked.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// Only this node (may be repeated) [default: all nodes]
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,

    /// Where to write, one directory per node
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    project: ProjectArgs,
}

pub fn run(args: &RenderArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let nodes = (!args.nodes.is_empty()).then_some(args.nodes.as_slice());
    let rendered = pipeline::render(&project, nodes)?;
    forget(&args.out, &rendered)?;
    let mut written = Vec::new();
    for node in &rendered.nodes {
        let dir = args.out.join(&node.name);
        for (path, entry) in files_of(&rendered, &node.name) {
            write(&dir, path, entry)?;
        }
        written.push(dir);
    }
    if output.json() {
        output.data(&written);
        return Ok(());
    }
    for dir in &written {
        output.text(&dir.display().to_string());
    }
    output.note("nothing was fetched, and the secrets among these files are stand-ins");
    Ok(())
}

/// The files of the node's role, then its own.
fn files_of<'a>(rendered: &'a Rendered, name: &str) -> Vec<(&'a TargetPath, &'a Entry)> {
    let Some(node) = rendered.nodes.iter().find(|node| node.name == name) else { return Vec::new() };
    let role = rendered.roles.iter().find(|role| role.role == node.role && role.target == node.target);
    let shared = role.into_iter().flat_map(|role| &role.layers).flat_map(|(_, tree)| &tree.0);
    shared.chain(&node.public.0).chain(&node.secret.0).collect()
}

/// Removes what an earlier run wrote for these nodes and this one does not write, and lists what it does write. Nothing that
/// khimg did not write is touched.
fn forget(out: &Path, rendered: &Rendered) -> Result<(), Failure> {
    let list = out.join(LIST);
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| CommandError::Write { path, source }
    };
    let mut listed: BTreeSet<String> = BTreeSet::new();
    match khimg::input::read(&list, MOST_LIST) {
        Ok(text) => listed.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(&list)(e).into()),
    }
    let of = |name: &str| format!("{name}/");
    let now: BTreeSet<String> = rendered
        .nodes
        .iter()
        .flat_map(|node| files_of(rendered, &node.name).into_iter().map(|(path, _)| of(&node.name) + path.relative()))
        .collect();
    let rendered_now = |path: &String| rendered.nodes.iter().any(|node| path.starts_with(&of(&node.name)));
    for stale in listed.difference(&now).filter(|path| rendered_now(path)) {
        // The list may have been edited: no path leads out of the directory.
        let Ok(place) = format!("/{stale}").parse::<TargetPath>() else { continue };
        let path = out.join(place.relative());
        match std::fs::remove_file(&path) {
            // Directories go with their last file; one that holds something else stays.
            Ok(()) => {
                let parents = path.ancestors().skip(1).take_while(|parent| *parent != out);
                let _ = parents.map(std::fs::remove_dir).take_while(Result::is_ok).count();
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(&path)(e).into()),
        }
    }
    let others = listed.into_iter().filter(|path| !rendered_now(path));
    let text: BTreeSet<String> = others.chain(now).map(|path| path + "\n").collect();
    std::fs::create_dir_all(out).map_err(failed(out))?;
    Ok(std::fs::write(&list, text.into_iter().collect::<String>()).map_err(failed(&list))?)
}

fn write(dir: &Path, path: &TargetPath, entry: &Entry) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let to = dir.join(path.relative());
    let failed = |source| CommandError::Write { path: to.display().to_string(), source };
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match &entry.content {
        Content::Bytes(bytes) => {
            std::fs::write(&to, bytes).map_err(failed)?;
            let mode = std::fs::Permissions::from_mode(entry.mode.bits());
            std::fs::set_permissions(&to, mode).map_err(failed)?;
        }
        Content::Link(target) => {
            if to.is_symlink() {
                std::fs::remove_file(&to).map_err(failed)?;
            }
            std::os::unix::fs::symlink(target, &to).map_err(failed)?;
        }
    }
    Ok(())
}
