//! Packages of images: names that a package can have.

use super::{Check, Refusal};
use crate::cluster::ImageChoice;
use crate::cluster::file::ClusterFile;

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) -> Option<ImageChoice> {
    let mut sound = true;
    for (index, name) in file.image.packages.iter().enumerate() {
        sound &= check.accept(&format!("/image/packages/{index}"), package(name)).is_some();
    }
    sound.then(|| file.image.clone())
}

/// Debian Policy §5.6.7.
fn package(text: &str) -> Result<(), Refusal> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if begins && (2..=100).contains(&text.len()) && text.bytes().all(fine) {
        return Ok(());
    }
    let help = "use the name alone, such as `firmware-linux-free`: the lock pins its version";
    Err(Refusal::new(format!("{text:?} is not the name of a package"), help))
}
