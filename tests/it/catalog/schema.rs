//! The committed JSON Schemas are those of the types.

use khimg::schema::{self, Kind};

use crate::support::golden::assert_golden;

#[test]
fn are_committed() {
    for kind in Kind::ALL {
        let text = serde_json::to_string_pretty(&schema::of(kind)).expect("serialises") + "\n";
        assert_golden(&format!("profiles/schema/{}.json", kind.name()), &text);
    }
}

#[test]
fn describe_what_is_built_in() {
    for (file, bytes) in khimg::shipped::catalog().into_iter().chain(khimg::shipped::profiles()) {
        let Some(stem) = file.strip_suffix(".yaml") else { continue };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == stem).unwrap_or(Kind::Profile);
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        let value: serde_json::Value = serde_saphyr::from_str(text).expect("YAML");
        let schema = schema::of(kind);
        jsonschema::meta::validate(&schema).expect("a good schema");
        if kind != Kind::Kubernetes {
            jsonschema::validate(&schema, &value).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
    }
}
