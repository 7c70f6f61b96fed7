//! Several parts as one MIME message, the same bytes everywhere: the boundary is made of the content.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Kind, Part};
use crate::digest::Hasher;
use crate::secrets::Secret;

/// How cloud-init puts a later cloud-config together with an earlier one: lists grow, and what is there stays. Its own default would let a
/// later `write_files` stand in for the whole of an earlier one (cloud-init documentation, "Merging User-Data sections").
const MERGE: &str = "list(append)+dict(no_replace,recurse_list)+str()";

/// Letters of a line of base64 (RFC 2045 §6.8).
const LINE: usize = 76;

/// `first` followed by `others`. What `first` says cannot be unsaid by a cloud-config among the others.
pub fn multipart(first: &Part, others: &[Part]) -> Secret<String> {
    let mut hasher = Hasher::default();
    for part in [first].into_iter().chain(others) {
        hasher.update(part.text.expose().as_bytes());
        hasher.update(&[0]);
    }
    let boundary = format!("khimg-{}", hasher.digest().hex());
    let mut text = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for (number, part) in [first].into_iter().chain(others).enumerate() {
        let content = part.text.expose();
        let encoding = if content.is_ascii() { "7bit" } else { "base64" };
        let merge = match part.kind {
            Kind::CloudConfig | Kind::Jinja if number > 0 => format!("X-Merge-Type: {MERGE}\n"),
            _ => String::new(),
        };
        let (kind, name) = (part.kind.media_type(), &part.name);
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "--{boundary}\nContent-Type: {kind}; charset=\"utf-8\"\nMIME-Version: 1.0\n\
             Content-Transfer-Encoding: {encoding}\nContent-Disposition: attachment; filename=\"{name}\"\n{merge}\n"
        );
        if content.is_ascii() {
            text.push_str(content);
        } else {
            let encoded = STANDARD.encode(content);
            let mut rest = encoded.as_str();
            while let Some((line, after)) = rest.split_at_checked(LINE) {
                text.push_str(line);
                text.push('\n');
                rest = after;
            }
            text.push_str(rest);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "--{boundary}--");
    Secret::new(text)
}
