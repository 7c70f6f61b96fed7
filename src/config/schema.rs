//! Validation against the JSON Schema of the target type: every violation becomes a short sentence at its place.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::Location;
use jsonschema::{Draft, JsonType, ValidationError};
use serde_json::Value as Json;

use super::describe::{found, kind, listing};
use super::node::Value;
use super::{Document, Problem, segment, suggest};

/// More violations than this are not looked for: placing each takes time, and nobody reads them.
const MAX_FINDINGS: usize = 1000;

/// Checks `json`, the plain form of `document`, against `schema`. Numbers that stand where a text is wanted become the text that
/// the user wrote: YAML takes `1.30` for the number 1.3, but a version has no other spelling.
pub(super) fn check(schema: &Json, document: &Document, json: &mut Json) -> Vec<Finding> {
    let validator = match jsonschema::options().with_draft(Draft::Draft202012).build(schema) {
        Ok(validator) => validator,
        // The schema is ours: this is a defect, which the tests that decode every type would show.
        Err(error) => return vec![Finding::new("", format!("khimg's own schema is wrong: {error}"), None)],
    };
    let misread: BTreeSet<String> = validator.iter_errors(json).flat_map(|error| numbers_for_texts(&error)).collect();
    for pointer in &misread {
        let node = document.root.find(pointer).node;
        if let (Value::Number(_), Some(text)) = (node.value(), document.written(node))
            && let Some(place) = json.pointer_mut(pointer)
        {
            *place = Json::String(text.to_owned());
        }
    }
    let mut findings = Vec::new();
    for error in validator.iter_errors(json) {
        explain(schema, &error, &mut findings);
        if findings.len() >= MAX_FINDINGS {
            break;
        }
    }
    findings.truncate(MAX_FINDINGS);
    // A key that is only misspelt is not missing as well.
    let meant: BTreeSet<String> = findings.iter().filter_map(|finding| finding.meant.clone()).collect();
    findings.retain(|finding| finding.missing.as_ref().is_none_or(|missing| !meant.contains(missing)));
    findings
}

/// One violation, ready to be told.
pub(super) struct Finding {
    pub pointer: String,
    /// It is about an unknown key rather than about a value.
    about_key: bool,
    message: String,
    help: Option<String>,
    /// For an unknown key: the pointer of the key that it probably is.
    meant: Option<String>,
    /// For a missing key: its pointer.
    missing: Option<String>,
}

impl Finding {
    fn new(pointer: &str, message: String, help: Option<String>) -> Self {
        Self { pointer: pointer.to_owned(), about_key: false, message, help, meant: None, missing: None }
    }

    fn value(error: &ValidationError<'_>, message: String, help: Option<String>) -> Self {
        Self::new(error.instance_path().as_str(), message, help)
    }

    /// Whether nothing else changes its meaning if the misfit is taken out: a key that is unknown and no slip of another.
    pub fn stands_alone(&self) -> bool {
        self.about_key && self.meant.is_none()
    }

    pub fn to_problem(&self, document: &Document) -> Problem {
        let (message, help) = (self.message.as_str(), self.help.clone());
        if self.about_key {
            return document.key_problem(&self.pointer, message, help);
        }
        let empty = self.pointer.is_empty() && *document.root.value() == Value::Null;
        if empty {
            return document.problem(&self.pointer, "the file is empty", None);
        }
        document.problem(&self.pointer, message, help)
    }
}

/// Pointers to numbers that would be right as texts.
fn numbers_for_texts(error: &ValidationError<'_>) -> Vec<String> {
    let here = || error.instance().is_number().then(|| error.instance_path().as_str().to_owned()).into_iter().collect();
    match error.kind() {
        Kind::Type { kind } if expects(kind, JsonType::String) => here(),
        Kind::Enum { options } if options.as_array().is_some_and(|all| all.iter().any(Json::is_string)) => here(),
        Kind::Constant { expected_value } if expected_value.is_string() => here(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            context.iter().flatten().flat_map(numbers_for_texts).collect()
        }
        _ => Vec::new(),
    }
}

fn types(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(set) => set.iter().collect(),
    }
}

fn expects(kind: &TypeKind, wanted: JsonType) -> bool {
    types(kind).contains(&wanted)
}

fn explain(schema: &Json, error: &ValidationError<'_>, findings: &mut Vec<Finding>) {
    let instance = error.instance();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = properties(schema, error);
            findings.extend(unexpected.iter().take(MAX_FINDINGS).map(|key| unknown_key(schema, error, key, &known)));
        }
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let message = format!("the key `{key}` is missing");
            let missing = Some(format!("{}/{}", error.instance_path().as_str(), segment(key)));
            findings.push(Finding { missing, ..Finding::value(error, message, missing_help(schema, error, key)) });
        }
        Kind::Type { kind } => findings.push(wrong_type(error, &types(kind))),
        Kind::Enum { options } => {
            let options = options.as_array().map_or(&[][..], Vec::as_slice);
            findings.push(not_one_of(error, &words(options.iter())));
        }
        Kind::Constant { expected_value } => findings.push(not_one_of(error, &words([&**expected_value]))),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => choice(schema, error, context, findings),
        Kind::Minimum { limit } => {
            findings.push(Finding::value(
                error,
                format!("{instance} is too small"),
                Some(format!("the least is {limit}")),
            ));
        }
        Kind::Maximum { limit } => {
            findings.push(Finding::value(
                error,
                format!("{instance} is too large"),
                Some(format!("the most is {limit}")),
            ));
        }
        Kind::MinItems { .. } if instance.as_array().is_some_and(Vec::is_empty) => {
            findings.push(Finding::value(error, "the list is empty".to_owned(), Some("add an item".to_owned())));
        }
        Kind::MinItems { .. } => findings.push(Finding::value(error, "the list is too short".to_owned(), None)),
        Kind::MaxItems { limit } => {
            findings.push(Finding::value(
                error,
                "the list is too long".to_owned(),
                Some(format!("the most is {limit}")),
            ));
        }
        Kind::UniqueItems => findings.push(Finding::value(error, "the list has the same item twice".to_owned(), None)),
        Kind::MinLength { .. } => findings.push(Finding::value(error, "the text is too short".to_owned(), None)),
        Kind::Pattern { pattern } => {
            let message = format!("{} does not have the right form", found(instance));
            findings.push(Finding::value(error, message, Some(format!("its pattern is {pattern}"))));
        }
        _ => findings.push(Finding::value(error, error.masked_with("the value").to_string(), None)),
    }
}

fn unknown_key(schema: &Json, error: &ValidationError<'_>, key: &str, known: &[&str]) -> Finding {
    let parent = error.instance_path().as_str();
    let near = suggest::closest(key, known.iter().copied());
    let help = match (near, home(schema, error, key)) {
        (None, Some(home)) => format!("`{key}` belongs below `{home}`"),
        _ => suggest::known(key, "keys", known.iter().copied()),
    };
    let meant = near.map(|near| format!("{parent}/{}", segment(near)));
    let finding = Finding::new(&format!("{parent}/{}", segment(key)), format!("unknown key `{key}`"), Some(help));
    Finding { about_key: true, meant, ..finding }
}

/// The schema object whose keyword failed.
fn owner<'a>(schema: &'a Json, error: &ValidationError<'_>) -> Option<&'a Json> {
    let path = error.schema_path().as_str();
    schema.pointer(path.rsplit_once('/')?.0)
}

fn properties<'a>(schema: &'a Json, error: &ValidationError<'_>) -> Vec<&'a str> {
    let properties = owner(schema, error).and_then(|owner| owner.get("properties")).and_then(Json::as_object);
    properties.map(|all| all.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The sibling key below which `key` would be known, such as `endpoint` for a `vip` that is one level too high.
fn home<'a>(schema: &'a Json, error: &ValidationError<'_>, key: &str) -> Option<&'a str> {
    let siblings = owner(schema, error)?.get("properties")?.as_object()?;
    let holds = |property: &Json| {
        let target = property.get("$ref").and_then(Json::as_str).and_then(|at| schema.pointer(at.strip_prefix('#')?));
        target.unwrap_or(property).pointer(&format!("/properties/{}", segment(key))).is_some()
    };
    siblings.iter().find(|(_, property)| holds(property)).map(|(name, _)| name.as_str())
}

/// What a missing key is, from the schema's own description.
fn missing_help(schema: &Json, error: &ValidationError<'_>, key: &str) -> Option<String> {
    let property = owner(schema, error)?.pointer(&format!("/properties/{}", segment(key)))?;
    let about = property.get("description")?.as_str()?.split("\n\n").next()?.replace('\n', " ");
    let (first, rest) = about.split_at_checked(1)?;
    Some(format!("add `{key}`: {}{}", first.to_lowercase(), rest.trim_end_matches('.')))
}

fn wrong_type(error: &ValidationError<'_>, types: &[JsonType]) -> Finding {
    // An optional value may be null, but nobody should be told to write that.
    let names: Vec<&str> = types.iter().filter(|t| **t != JsonType::Null).map(|t| kind(t.as_str())).collect();
    let instance = error.instance();
    let help = match &**instance {
        Json::Null => Some("write a value, or remove the key".to_owned()),
        Json::Bool(value) if types.contains(&JsonType::String) => {
            Some(format!("for a text, put it in quotes: \"{value}\""))
        }
        Json::String(text) if types.contains(&JsonType::Integer) && text.parse::<u64>().is_ok() => {
            Some("remove the quotes".to_owned())
        }
        Json::String(text) if types.contains(&JsonType::Array) && !text.is_empty() && text.len() <= 60 => {
            Some(format!("for a list of one, write [{text}]"))
        }
        _ => None,
    };
    Finding::value(error, format!("expected {}, found {}", listing(&names, "or"), found(instance)), help)
}

fn words<'a>(options: impl IntoIterator<Item = &'a Json>) -> Vec<String> {
    options
        .into_iter()
        .filter(|option| !option.is_null())
        .map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned))
        .collect()
}

fn not_one_of(error: &ValidationError<'_>, words: &[String]) -> Finding {
    let instance = error.instance();
    let one_of = if words.len() > 1 { "one of " } else { "" };
    let near = instance.as_str().and_then(|text| suggest::closest(text, words.iter().map(String::as_str)));
    let help = near.map(|near| format!("did you mean `{near}`?"));
    Finding::value(error, format!("expected {one_of}{}, found {}", listing(words, "or"), found(instance)), help)
}

/// What the branches of a choice would have taken at the very place of the choice.
#[derive(Default)]
struct Offers {
    types: Vec<JsonType>,
    words: Vec<String>,
    keys: Vec<String>,
}

impl Offers {
    /// Notes what `branch` would have taken; true if the value has the branch's shape, so that only what is inside it is wrong.
    fn note(&mut self, place: &Location, branch: &[ValidationError<'_>]) -> bool {
        let mut fits = true;
        for error in branch.iter().filter(|error| error.instance_path() == place) {
            match error.kind() {
                Kind::Type { kind } => self.types.extend(types(kind)),
                Kind::Enum { options } => self.words.extend(words(options.as_array().into_iter().flatten())),
                Kind::Constant { expected_value } => self.words.extend(words([&**expected_value])),
                Kind::Required { property } => {
                    self.keys.extend(words([property]));
                    continue;
                }
                Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                    let shaped = context.iter().filter(|inner| self.note(place, inner)).count();
                    fits &= shaped > 0;
                    continue;
                }
                _ => continue,
            }
            fits = false;
        }
        fits
    }
}

/// None of several alternatives fits: tell what is wrong with the one that was meant, or what there is to choose from.
fn choice(
    schema: &Json,
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
    findings: &mut Vec<Finding>,
) {
    let place = error.instance_path();
    let mut offers = Offers::default();
    let shaped: Vec<_> = branches.iter().filter(|branch| offers.note(place, branch)).collect();
    let has_its_keys = |branch: &&&Vec<ValidationError<'static>>| {
        !branch.iter().any(|inner| inner.instance_path() == place && matches!(inner.kind(), Kind::Required { .. }))
    };
    let meant = match shaped.as_slice() {
        [only] => Some(*only),
        several => several.iter().filter(has_its_keys).min_by_key(|branch| branch.len()).copied(),
    };
    if let Some(branch) = meant {
        return branch.iter().for_each(|inner| explain(schema, inner, findings));
    }
    let scalar = error.instance().is_string() || offers.types.iter().all(|wanted| *wanted == JsonType::Null);
    findings.push(if !shaped.is_empty() {
        let message = format!("expected a mapping with one of the keys {}", listing(&offers.keys, "or"));
        Finding::value(error, message, None)
    } else if !offers.words.is_empty() && scalar {
        not_one_of(error, &offers.words)
    } else {
        offers.types.sort();
        offers.types.dedup();
        wrong_type(error, &offers.types)
    });
}
