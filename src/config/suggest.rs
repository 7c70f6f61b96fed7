//! "Did you mean …".

use super::describe::listing;

/// The candidate that `word` is most likely a slip of, if any is near enough.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    // Long foreign text is no slip, and comparing it costs its square.
    let bound = (word.chars().count() / 3).max(1);
    let near = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(word.len()) <= 8);
    near.map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The remedy for an unknown `word`: the near candidate, or all there are; `what` names them in the plural.
pub fn known<'a>(word: &str, what: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match closest(word, candidates.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<&str> = candidates.into_iter().collect();
            if all.is_empty() {
                format!("there are no {what}")
            } else {
                format!("known {what}: {}", listing(&all, "and"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_only() {
        let keys = ["name", "nodes", "network", "podSubnet"];
        assert_eq!(closest("nmae", keys), Some("name"));
        assert_eq!(closest("podsubnet", keys), Some("podSubnet"));
        assert_eq!(closest("node", keys), Some("nodes"));
        assert_eq!(closest("entirely-other", keys), None);
        assert_eq!(closest("", keys), None);
    }
}
