//! Data files as khimg finds them: built in, and in a directory of the user's that has the same shape.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::config::{Document, Problem, Problems, known, read_text};
use crate::shipped::Files;

/// Where files are looked up: the built-in ones, then the user's.
pub(crate) struct Shelf<'a> {
    pub built_in: Files,
    /// What the built-in directory is called in messages.
    pub name: &'static str,
    pub user: Option<&'a Path>,
}

/// A value and the document that it stands in, for problems that are found later.
pub(crate) struct Placed<T> {
    pub value: T,
    pub document: Rc<Document>,
}

impl Shelf<'_> {
    /// The texts of `file`: the built-in one, then the user's, each with its name for messages.
    pub fn texts(&self, file: &str, problems: &mut Vec<Problem>) -> Vec<(String, Cow<'static, str>)> {
        let mut texts = Vec::new();
        if let Some(text) = self.built_in.get(file).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            texts.push((format!("built-in {}/{file}", self.name), Cow::Borrowed(text)));
        }
        if let Some(path) = self.user.map(|directory| directory.join(file)).filter(|path| path.exists()) {
            match read_text(&path) {
                Ok(text) => texts.push((path.display().to_string(), Cow::Owned(text))),
                Err(problem) => problems.push(problem),
            }
        }
        texts
    }

    /// What the last of the texts of `file` says.
    pub fn last<T: DeserializeOwned + JsonSchema>(&self, file: &str, problems: &mut Vec<Problem>) -> Option<Placed<T>> {
        let (name, text) = self.texts(file, problems).pop()?;
        placed(&name, &text, problems)
    }

    /// The entries of all texts of `file` by their names; the user's stand in for built-in ones of the same name.
    pub fn entries<T: DeserializeOwned + JsonSchema>(
        &self,
        file: &str,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<String, Placed<T>> {
        let mut entries = BTreeMap::new();
        for (name, text) in self.texts(file, problems) {
            let Some(found) = placed::<BTreeMap<String, T>>(&name, &text, problems) else { continue };
            let Placed { value, document } = found;
            entries.extend(
                value.into_iter().map(|(name, value)| (name, Placed { value, document: Rc::clone(&document) })),
            );
        }
        entries
    }

    /// A directory that is not there, and data files in it that nobody would read: most likely a slip in a name.
    pub fn strangers(&self, files: &[&str], problems: &mut Vec<Problem>) {
        let Some(directory) = self.user else { return };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return problems.push(Problem::unreadable(directory, &error)),
        };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        for name in names.iter().filter(|name| !files.contains(&name.as_str()) && !name.starts_with('.')) {
            if [".yaml", ".yml", ".txt", ".json"].iter().any(|end| name.ends_with(end)) {
                let message = format!("nothing reads {}", directory.join(name).display());
                let help = known(name, "files", files.iter().copied());
                problems.push(Problem::new(message).with_help(Some(format!("{help} (or move it elsewhere)"))));
            }
        }
    }
}

fn placed<T: DeserializeOwned + JsonSchema>(name: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Placed<T>> {
    let read = || -> Result<Placed<T>, Problems> {
        let document = Rc::new(Document::parse(name, text)?);
        Ok(Placed { value: document.decode()?, document })
    };
    read().map_err(|found| problems.extend(found)).ok()
}

/// The values without their documents.
pub(crate) fn values<T>(entries: BTreeMap<String, Placed<T>>) -> BTreeMap<String, T> {
    entries.into_iter().map(|(name, entry)| (name, entry.value)).collect()
}
