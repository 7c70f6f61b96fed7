//! One image as one tar archive that containerd's importer and `docker load` both accept.
//!
//! ```text
//! oci-layout      containerd sees this and reads index.json
//! index.json      one descriptor; its annotations carry the image's name
//! manifest.json   docker's own format, pointing at the same blobs
//! blobs/sha256/…  manifest, configuration and layers, byte for byte as the registry served them
//! ```
//!
//! Nothing in it depends on the time, the machine or the mirror.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::Serialize;

use super::manifest::Config;
use crate::clock;
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::lock;
use crate::store::{StoreError, Verified};

const BLOCK: u64 = 512;

/// How much is read, hashed and written at once, in bytes.
const PIECE: usize = 256 << 10;

/// An image that is ready to be written.
pub struct ImageArchive<'a> {
    documents: [(&'static str, Vec<u8>); 3],
    blobs: BTreeMap<Digest, &'a Verified>,
}

/// Why an image cannot become an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A blob is not what the lock says.
    #[error("{what} of image {image} has {actual} bytes, but the lock says {expected}")]
    Size {
        /// The image.
        image: String,
        /// Which of its blobs.
        what: String,
        /// Size in the lock.
        expected: u64,
        /// Size in the store.
        actual: u64,
    },
    /// The configuration cannot be read.
    #[error("the configuration {config} of image {image} is not valid")]
    Config {
        /// The image.
        image: String,
        /// The configuration.
        config: Digest,
        /// Why not.
        source: serde_json::Error,
    },
    /// docker refuses such an image.
    #[error("image {image} has {layers} layers, but its configuration describes {described}")]
    Layers {
        /// The image.
        image: String,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        described: usize,
    },
    /// The lock's parts are not those of its manifest: the lock was changed by hand.
    #[error("the lock's configuration or layers of image {image} are not those that its manifest {manifest} names")]
    Parts {
        /// The image.
        image: String,
        /// Its manifest.
        manifest: Digest,
    },
    /// A blob cannot be read.
    #[error("cannot read {blob} from the store")]
    Store {
        /// The blob.
        blob: Digest,
        /// Why not.
        source: StoreError,
    },
    /// Reading or writing failed midway.
    #[error("cannot copy {blob} into the archive")]
    Copy {
        /// The blob.
        blob: Digest,
        /// Why not.
        source: io::Error,
    },
    /// Writing one of the archive's own documents failed.
    #[error("cannot write {path} into the archive")]
    Write {
        /// Path within the archive.
        path: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Explain for ArchiveError {
    fn exit(&self) -> Exit {
        match self {
            Self::Size { .. } | Self::Config { .. } | Self::Layers { .. } | Self::Parts { .. } => Exit::Verification,
            Self::Store { source, .. } => source.exit(),
            // The store's reader hashes along and reports a changed blob through the copy.
            Self::Copy { source, .. } => StoreError::within(source).map_or(Exit::LocalIo, Explain::exit),
            Self::Write { .. } => Exit::LocalIo,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Size { .. } | Self::Config { .. } | Self::Layers { .. } | Self::Parts { .. } => {
                Some("lock the image again: `khimg lock --upgrade`".to_owned())
            }
            Self::Store { source, .. } => source.hint(),
            Self::Copy { source, .. } => StoreError::within(source).and_then(Explain::hint),
            Self::Write { .. } => None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: [Entry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    annotations: BTreeMap<&'static str, &'a str>,
    platform: Platform,
}

#[derive(Serialize)]
struct Platform {
    architecture: &'static str,
    os: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage<'a> {
    config: String,
    repo_tags: [&'a str; 1],
    layers: Vec<String>,
}

impl<'a> ImageArchive<'a> {
    /// Gathers `image`'s blobs, each by asking `find`, and writes the three documents.
    ///
    /// # Errors
    /// Those of `find`, a blob of another size than locked, or layers that the configuration does not describe.
    pub fn new<E>(image: &lock::Image, mut find: impl FnMut(&Digest) -> Result<&'a Verified, E>) -> Result<Self, E>
    where
        E: From<ArchiveError>,
    {
        let mut blobs = BTreeMap::new();
        // The index stays outside: it names manifests of other platforms, which are not here.
        let layers = image.layers.iter().map(|layer| ("a layer", layer));
        for (what, blob) in
            [("the manifest", &image.manifest), ("the configuration", &image.config)].into_iter().chain(layers)
        {
            let verified = find(&blob.sha256)?;
            if verified.size() != blob.size {
                return Err(E::from(ArchiveError::Size {
                    image: image.name.clone(),
                    what: format!("{what} ({})", blob.sha256),
                    expected: blob.size,
                    actual: verified.size(),
                }));
            }
            // The same layer twice (an empty one, often) is one blob.
            blobs.insert(blob.sha256, verified);
        }
        let archive = Self { documents: documents(image), blobs };
        archive.check_parts(image)?;
        archive.check_layers(image)?;
        Ok(archive)
    }

    /// containerd goes by the manifest and docker by the lock's list: both must mean the same image.
    fn check_parts(&self, image: &lock::Image) -> Result<(), ArchiveError> {
        let blob = image.manifest.sha256;
        let Some(verified) = self.blobs.get(&blob) else { return Ok(()) };
        let text = verified.read(super::manifest::LIMIT).map_err(|source| ArchiveError::Store { blob, source })?;
        let named = super::manifest::digests(&text).unwrap_or_default();
        match named.iter().eq([&image.config].into_iter().chain(&image.layers).map(|part| &part.sha256)) {
            true => Ok(()),
            false => Err(ArchiveError::Parts { image: image.name.clone(), manifest: blob }),
        }
    }

    fn check_layers(&self, image: &lock::Image) -> Result<(), ArchiveError> {
        let blob = image.config.sha256;
        let Some(verified) = self.blobs.get(&blob) else { return Ok(()) };
        let text = verified.read(super::manifest::LIMIT).map_err(|source| ArchiveError::Store { blob, source })?;
        let config = Config::parse(&text).map_err(|source| ArchiveError::Config {
            image: image.name.clone(),
            config: blob,
            source,
        })?;
        if config.layers() == image.layers.len() {
            Ok(())
        } else {
            Err(ArchiveError::Layers {
                image: image.name.clone(),
                layers: image.layers.len(),
                described: config.layers(),
            })
        }
    }

    /// Exact size in bytes of what [`Self::write`] writes.
    pub fn size(&self) -> u64 {
        let documents = self.documents.iter().map(|(_, text)| text.len() as u64);
        let blobs = self.blobs.values().map(|blob| blob.size());
        let entries: u64 = documents.chain(blobs).map(|size| BLOCK + size.next_multiple_of(BLOCK)).sum();
        entries + 2 * BLOCK
    }

    /// Writes the archive, hashing every blob once more on its way.
    ///
    /// # Errors
    /// Reading or writing fails, or a blob is no longer what it was; then what was written must be thrown away.
    pub fn write(&self, out: &mut impl Write) -> Result<(), ArchiveError> {
        for (path, text) in &self.documents {
            let failed = |source| ArchiveError::Write { path, source };
            let header = header(path, text.len() as u64).map_err(failed)?;
            out.write_all(header.as_bytes()).and_then(|()| out.write_all(text)).map_err(failed)?;
            pad(text.len() as u64, out).map_err(failed)?;
        }
        let mut buffer = vec![0; PIECE];
        for (digest, verified) in &self.blobs {
            let blob = *digest;
            let copy = |source| ArchiveError::Copy { blob, source };
            let header = header(&path_of(digest), verified.size()).map_err(copy)?;
            out.write_all(header.as_bytes()).map_err(copy)?;
            // No more than the header says, so that even a file that grew leaves the archive's shape alone. The reader
            // proves the bytes and fails on others, shorter ones included.
            let reader = verified.open().map_err(|source| ArchiveError::Store { blob, source })?;
            let mut reader = reader.take(verified.size());
            loop {
                let read = reader.read(&mut buffer).map_err(copy)?;
                let Some(bytes @ [_, ..]) = buffer.get(..read) else { break };
                out.write_all(bytes).map_err(copy)?;
            }
            pad(verified.size(), out).map_err(copy)?;
        }
        out.write_all(&[0; 2 * BLOCK as usize]).map_err(|source| ArchiveError::Write { path: "the end", source })
    }
}

/// Fills the last block of an entry.
fn pad(size: u64, out: &mut impl Write) -> io::Result<()> {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    let missing = (size.next_multiple_of(BLOCK) - size) as usize;
    out.write_all(ZEROS.get(..missing).unwrap_or_default())
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn header(path: &str, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(clock::ARCHIVE_EPOCH);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

fn documents(image: &lock::Image) -> [(&'static str, Vec<u8>); 3] {
    let name = image.name.as_str();
    let index = Index {
        schema_version: 2,
        media_type: "application/vnd.oci.image.index.v1+json",
        manifests: [Entry {
            media_type: &image.manifest.media_type,
            digest: image.manifest.sha256,
            size: image.manifest.size,
            // containerd takes the first, older readers of OCI layouts the second.
            annotations: BTreeMap::from([
                ("io.containerd.image.name", name),
                ("org.opencontainers.image.ref.name", name),
            ]),
            platform: Platform { architecture: image.arch.name(), os: "linux" },
        }],
    };
    let docker = [DockerImage {
        config: path_of(&image.config.sha256),
        repo_tags: [name],
        layers: image.layers.iter().map(|layer| path_of(&layer.sha256)).collect(),
    }];
    [
        ("oci-layout", json(&Layout { image_layout_version: "1.0.0" })),
        ("index.json", json(&index)),
        ("manifest.json", json(&docker)),
    ]
}

fn json(document: &impl Serialize) -> Vec<u8> {
    // Structs of strings and numbers: serialisation to memory has no way to fail.
    serde_json::to_vec(document).unwrap_or_default()
}
