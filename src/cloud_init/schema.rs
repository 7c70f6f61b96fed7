//! cloud-init's own schema of cloud-config: what it refuses would be skipped at boot, with a line in a log that nobody reads.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, JsonType, ValidationError, Validator};
use serde_json::Value;

use crate::shipped;

/// Keys at the top that cloud-init reads and its schema of 22.4 does not describe (schema of 25.1, `base_config` and `merge_defintion`).
const FURTHER: [&str; 14] = [
    "allow_userdata",
    "cloud_config_modules",
    "cloud_final_modules",
    "cloud_init_modules",
    "datasource",
    "datasource_list",
    "launch-index",
    "merge_how",
    "merge_type",
    "network",
    "output",
    "reporting",
    "system_info",
    "vendor_data2",
];

/// How often truth values may be read anew.
const ROUNDS: usize = 16;

/// One thing that is wrong. Its text names keys, never a value: that may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    UnknownKey(String),
    /// The schema's word that it offends, such as `type`.
    Offends(String),
    /// The schema that is built in cannot be used.
    NoSchema,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        match &self.what {
            What::UnknownKey(key) => write!(f, "cloud-init knows no key {key:?}"),
            What::Offends(word) => write!(f, "{pointer} is not what cloud-init's schema wants ({word})"),
            What::NoSchema => f.write_str("the built-in schema of cloud-init cannot be read"),
        }
    }
}

struct Schema {
    validator: Validator,
    keys: BTreeSet<String>,
}

/// Made once: building it takes longer than a hundred documents.
fn schema() -> Option<&'static Schema> {
    static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(load).as_ref()
}

fn load() -> Option<Schema> {
    let value: Value = serde_json::from_slice(shipped::cloud_config_schema()?).ok()?;
    let modules = value.get("$defs")?.as_object()?.iter().filter(|(name, _)| name.starts_with("cc_"));
    let properties = modules.filter_map(|(_, module)| module.get("properties")?.as_object());
    let keys = properties.flat_map(|keys| keys.keys().cloned()).chain(FURTHER.map(str::to_owned)).collect();
    let validator = jsonschema::options().with_draft(Draft::Draft4).build(&value).ok()?;
    Some(Schema { validator, keys })
}

/// What cloud-init would find wrong with a cloud-config, in the order of its keys; and keys that it would pass over.
pub fn check(config: &Value) -> Vec<Flaw> {
    let Some(Schema { validator, keys }) = schema() else {
        return vec![Flaw { pointer: String::new(), what: What::NoSchema }];
    };
    let mut config = config.clone();
    for _ in 0..ROUNDS {
        let misread: BTreeSet<String> = validator.iter_errors(&config).flat_map(|error| truths(&error)).collect();
        if misread.is_empty() {
            break;
        }
        for pointer in misread {
            if let Some(place) = config.pointer_mut(&pointer)
                && let Some(truth) = place.as_str().and_then(truth)
            {
                *place = Value::Bool(truth);
            }
        }
    }
    let mut flaws: Vec<Flaw> = Vec::new();
    for error in validator.iter_errors(&config) {
        let pointer = error.instance_path().as_str().to_owned();
        let what = What::Offends(error.kind().keyword().to_owned());
        if !flaws.iter().any(|known| known.pointer == pointer) {
            flaws.push(Flaw { pointer, what });
        }
    }
    let unknown = config.as_object().into_iter().flatten().filter(|(key, _)| !keys.contains(*key));
    flaws.extend(unknown.map(|(key, _)| {
        let pointer = format!("/{}", crate::config::segment(key));
        Flaw { pointer, what: What::UnknownKey(key.clone()) }
    }));
    flaws
}

/// Pointers to texts that stand where a truth value is wanted, and are one in YAML 1.1, which cloud-init reads.
fn truths(error: &ValidationError<'_>) -> Vec<String> {
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => *one == JsonType::Boolean,
                TypeKind::Multiple(set) => set.contains(JsonType::Boolean),
            };
            let misread = wanted && error.instance().as_str().and_then(truth).is_some();
            misread.then(|| error.instance_path().as_str().to_owned()).into_iter().collect()
        }
        ValidationErrorKind::Enum { options } => {
            let wanted = options.as_array().is_some_and(|all| all.iter().any(Value::is_boolean));
            let misread = wanted && error.instance().as_str().and_then(truth).is_some();
            misread.then(|| error.instance_path().as_str().to_owned()).into_iter().collect()
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().flat_map(truths).collect()
        }
        _ => Vec::new(),
    }
}

/// A truth value of YAML 1.1 that YAML 1.2 takes for a text (PyYAML's resolver).
fn truth(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}
