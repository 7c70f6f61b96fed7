//! Variables in the catalogue's texts: `{minor}`, `{version}`, `{arch}`, `{machine}`, `{codename}`, `{kubernetes}`.

use std::collections::BTreeMap;

/// Values of variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vars(BTreeMap<&'static str, String>);

/// A text that names a variable which has no value here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} uses the unknown variable {{{name}}}")]
pub struct UnknownVariable {
    /// The whole text.
    pub text: String,
    /// The variable.
    pub name: String,
}

impl Vars {
    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.insert(name, value.to_string());
        self
    }

    /// `text` with every `{name}` replaced.
    ///
    /// # Errors
    /// A variable without a value. A `{` without a `}` stands for itself.
    pub fn fill(&self, text: &str) -> Result<String, UnknownVariable> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                filled.push('{');
                rest = after;
                continue;
            };
            let value =
                self.0.get(name).ok_or_else(|| UnknownVariable { text: text.to_owned(), name: name.to_owned() })?;
            filled.push_str(value);
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills() {
        let vars = Vars::default().with("minor", "1.34").with("arch", "amd64");
        assert_eq!(vars.fill("v{minor}/{arch}{"), Ok("v1.34/amd64{".to_owned()));
        assert_eq!(vars.fill("{nope}").map_err(|e| e.name), Err("nope".to_owned()));
    }
}
