//! Into a registry.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::document::{BUNDLE, Descriptor, FILE, FILES, INDEX, Index, MANIFEST, Manifest, NOTHING, PIECE, json};
use super::{ArtifactError, Reference};
use crate::deliver::manifest::{MANIFEST as LIST, PUBLIC, SUMS};
use crate::digest::Digest;
use crate::inspect;
use crate::registry::{Content, Registry, RegistryError, Sent};
use crate::report::{Event, Reporter, next_task};

/// Blobs on their way at once.
const AT_ONCE: usize = 4;

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the index: the name of this depot.
    pub digest: Digest,
    /// Blobs that were sent, and their bytes.
    pub sent: (usize, u64),
    /// Blobs that the registry had.
    pub there: usize,
}

struct Blob {
    size: u64,
    title: String,
    content: Content,
}

/// Sends the public half of the delivery at `dist` to `reference`. Blobs that are there are not sent again.
///
/// # Errors
/// A delivery that cannot be read or was changed, and whatever the registry refuses.
pub async fn push(
    dist: &Path,
    reference: &Reference,
    registry: &Registry<'_>,
    reporter: &dyn Reporter,
) -> Result<Pushed, ArtifactError> {
    let public = if dist.join(PUBLIC).is_dir() { dist.join(PUBLIC) } else { dist.to_path_buf() };
    let delivered = inspect::read_manifest(&public)?;
    let mut blobs = BTreeMap::from([(Digest::of(NOTHING), bytes("nothing", NOTHING.to_vec()))]);
    let (mut manifests, mut files) = (Vec::new(), Vec::new());
    for (path, record) in &delivered.files {
        let place = public.join(path);
        if record.pieces.is_empty() {
            let content = Content::File { path: place, offset: 0 };
            blobs.insert(record.sha256, Blob { size: record.size, title: path.clone(), content });
            files.push(Descriptor::new(FILE, record.sha256, record.size, Some(path)));
            continue;
        }
        let mut layers = Vec::new();
        for piece in &record.pieces {
            let (title, content) = (piece.name.clone(), Content::File { path: place.clone(), offset: piece.offset });
            layers.push(Descriptor::new(PIECE, piece.sha256, piece.size, Some(&title)));
            blobs.insert(piece.sha256, Blob { size: piece.size, title, content });
        }
        manifests.push((path.clone(), json(&Manifest::new(BUNDLE, layers))));
    }
    for name in [LIST, SUMS] {
        let unread = |source| inspect::InspectError::Io { path: public.join(name), source };
        let text = crate::input::read(&public.join(name), 64 << 20).map_err(unread)?;
        let (digest, size) = (Digest::of(&text), text.len() as u64);
        files.push(Descriptor::new(FILE, digest, size, Some(name)));
        blobs.insert(digest, bytes(name, text));
    }
    manifests.push((FILES.to_owned(), json(&Manifest::new(FILES, files))));
    let mut pushed = send(&blobs, reference, registry, reporter).await?;
    let mut entries = Vec::new();
    for (title, text) in &manifests {
        let digest = Digest::of(text);
        registry.push_manifest(&reference.place, &digest.to_string(), MANIFEST, text).await?;
        entries.push(Descriptor::new(MANIFEST, digest, text.len() as u64, Some(title)));
    }
    let index = json(&Index::new(entries));
    pushed.digest = Digest::of(&index);
    // The tag comes last: until then it names the former depot, whole.
    registry.push_manifest(&reference.place, &pushed.digest.to_string(), INDEX, &index).await?;
    if reference.tag != pushed.digest.to_string() {
        registry.push_manifest(&reference.place, &reference.tag, INDEX, &index).await?;
    }
    Ok(pushed)
}

fn bytes(title: &str, bytes: Vec<u8>) -> Blob {
    Blob { size: bytes.len() as u64, title: title.to_owned(), content: Content::Bytes(bytes) }
}

async fn send(
    blobs: &BTreeMap<Digest, Blob>,
    reference: &Reference,
    registry: &Registry<'_>,
    reporter: &dyn Reporter,
) -> Result<Pushed, ArtifactError> {
    let one = async |(digest, blob): (&Digest, &Blob)| {
        let task = next_task();
        let label = format!("push {} {}", blob.title, digest.short());
        reporter.report(Event::Started { task, label: label.clone(), total: Some(blob.size) });
        let sent = registry.push_blob(&reference.place, digest, blob.size, &blob.content).await;
        reporter.report(Event::Finished { task });
        match sent {
            Ok(Sent::There) => {
                reporter.report(Event::Skipped { label, reason: "the registry has it".to_owned() });
                Ok((0, 0))
            }
            Ok(Sent::New) => Ok((1, blob.size)),
            // The registry proves digests: what it refuses as wrong was changed here.
            Err(RegistryError::Status { status: 400, .. }) => Err(ArtifactError::Changed { path: blob.title.clone() }),
            Err(error) => Err(error.into()),
        }
    };
    let counts: Vec<(usize, u64)> = stream::iter(blobs).map(one).buffer_unordered(AT_ONCE).try_collect().await?;
    let sent = counts.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    Ok(Pushed { digest: Digest::of(&[]), sent, there: blobs.len() - sent.0 })
}
