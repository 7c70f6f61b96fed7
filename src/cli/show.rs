//! `khimg profile`, `khimg catalog`, `khimg overlay`: see and change what is built in.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use khimg::shipped;
use serde_json::json;

use super::failure::CommandError;
use super::{Failure, Output};

/// What a role is made of
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the built-in profiles
    List,
    /// Print one
    Show {
        /// Its name, such as master
        name: String,
    },
    /// Write all of them out, to be changed; put them into profiles/ beside the cluster file
    Export {
        /// Where; made if need be
        #[arg(default_value = "profiles")]
        dir: PathBuf,
    },
}

/// Where each component comes from, signed by whom, with which digests
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// List the built-in catalogue's files
    List,
    /// Print one
    Show {
        /// Its name, such as sources
        name: String,
    },
    /// Write all of them out, to be changed; put them into catalog/ beside the cluster file
    Export {
        /// Where; made if need be
        #[arg(default_value = "catalog")]
        dir: PathBuf,
    },
}

/// The files that go onto a node
#[derive(Debug, Subcommand)]
pub enum OverlayCommand {
    /// List the built-in overlays' files
    List,
    /// Print one
    Show {
        /// Its name, such as base/layer.yaml
        name: String,
    },
    /// Write all of them out, to be changed; put them into overlays/ beside the cluster file
    Export {
        /// Where; made if need be
        #[arg(default_value = "overlays")]
        dir: PathBuf,
    },
}

/// Built-in files of one kind: what they are called, and each file by its name.
struct Shelf {
    what: &'static str,
    files: shipped::Files,
}

impl Shelf {
    fn profiles() -> Self {
        Self { what: "profile", files: shipped::profiles() }
    }

    fn catalog() -> Self {
        Self { what: "catalogue file", files: shipped::catalog() }
    }

    fn overlays() -> Self {
        Self { what: "overlay file", files: shipped::overlays() }
    }

    fn names(&self) -> Vec<&'static str> {
        self.files.keys().map(|path| path.strip_suffix(".yaml").unwrap_or(path)).collect()
    }

    fn list(&self, output: &Output) {
        let names: Vec<&str> = self.names();
        if output.json() {
            output.data(&names);
        } else {
            output.text(&names.join("\n"));
        }
    }

    fn show(&self, name: &str, output: &Output) -> Result<(), Failure> {
        let with_ending = format!("{name}.yaml");
        let found = self.files.get_key_value(name).or_else(|| self.files.get_key_value(with_ending.as_str()));
        let Some((path, content)) = found else {
            let known = self.names().into_iter().map(str::to_owned).collect();
            return Err(CommandError::Unknown { what: self.what, name: name.to_owned(), known }.into());
        };
        let text = String::from_utf8_lossy(content);
        if output.json() {
            output.data(&json!({"path": path, "content": text}));
        } else {
            output.text(&text);
        }
        Ok(())
    }

    fn export(&self, dir: &Path, output: &Output) -> Result<(), Failure> {
        // All or nothing: files of the user's stay, and no half set lies beside them.
        if let Some(path) = self.files.keys().map(|path| dir.join(path)).find(|path| path.exists()) {
            return Err(CommandError::Exists { path: path.display().to_string() }.into());
        }
        for (path, content) in &self.files {
            let to = dir.join(path);
            let failed = |source| CommandError::Write { path: to.display().to_string(), source };
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            std::fs::write(&to, content).map_err(failed)?;
            output.text(&to.display().to_string());
        }
        Ok(())
    }
}

pub fn profile(command: &ProfileCommand, output: &Output) -> Result<(), Failure> {
    let shelf = Shelf::profiles();
    match command {
        ProfileCommand::List => shelf.list(output),
        ProfileCommand::Show { name } => shelf.show(name, output)?,
        ProfileCommand::Export { dir } => shelf.export(dir, output)?,
    }
    Ok(())
}

pub fn catalog(command: &CatalogCommand, output: &Output) -> Result<(), Failure> {
    let shelf = Shelf::catalog();
    match command {
        CatalogCommand::List => shelf.list(output),
        CatalogCommand::Show { name } => shelf.show(name, output)?,
        CatalogCommand::Export { dir } => shelf.export(dir, output)?,
    }
    Ok(())
}

pub fn overlay(command: &OverlayCommand, output: &Output) -> Result<(), Failure> {
    let shelf = Shelf::overlays();
    match command {
        OverlayCommand::List => shelf.list(output),
        OverlayCommand::Show { name } => shelf.show(name, output)?,
        OverlayCommand::Export { dir } => shelf.export(dir, output)?,
    }
    Ok(())
}
