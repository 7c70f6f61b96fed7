//! Discs: ISO 9660 images with Rock Ridge and Joliet names, the same bytes on every machine.
//!
//! ```text
//! sector 0    16 empty sectors                 (left to boot loaders, ECMA-119 §6.2.1)
//!        16   primary descriptor               names in capitals; Rock Ridge gives the real ones and modes
//!        17   Joliet descriptor                the same files again, names in UCS-2
//!        18   end of descriptors
//!        19   path tables, two for each tree   little and big endian
//!             both root directories, the Rock Ridge notice
//!             contents, each from a sector of its own
//! ```
//!
//! Sources: ECMA-119 (4th edition), the Joliet specification (1995), SUSP and RRIP 1.10. An image is flat: seeds need no directories.
//! Every date is [`ARCHIVE_EPOCH`](crate::clock::ARCHIVE_EPOCH); nothing else in an image comes from the machine that writes it.

mod descriptor;
mod directory;
mod error;
mod field;
mod name;

use std::collections::BTreeMap;
use std::io::{self, Write};

use directory::{Directory, Extent};
pub use error::IsoError;
pub use name::LONGEST_NAME;

/// Bytes of a logical sector.
pub const SECTOR: u64 = 2048;

/// A file's length is a 32-bit number (ECMA-119 §9.1.4).
pub const LARGEST_FILE: u64 = u32::MAX as u64;

/// Where the descriptors begin.
const DESCRIPTORS: u32 = 16;

/// Where the path tables begin: behind three descriptors.
const PATH_TABLES: u32 = DESCRIPTORS + 3;

/// Where the directories begin: behind four path tables of one sector each.
const DIRECTORIES: u32 = PATH_TABLES + 4;

/// Who may read a file, once the disc is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: 0444.
    Everybody,
    /// Root alone: 0400.
    Root,
}

impl Access {
    fn bits(self) -> u32 {
        match self {
            Self::Everybody => 0o444,
            Self::Root => 0o400,
        }
    }
}

/// What is to stand on a disc; the contents come when it is written.
#[derive(Debug, Clone)]
pub struct Image {
    label: String,
    files: BTreeMap<String, Planned>,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    access: Access,
    size: u32,
}

impl Image {
    /// An empty disc with this volume label: at most 16 letters, digits, `_` and `-`, so that it is the same in both trees.
    ///
    /// # Errors
    /// A label that is something else.
    pub fn new(label: &str) -> Result<Self, IsoError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if label.is_empty() || label.len() > 16 || !label.bytes().all(fits) {
            return Err(IsoError::Label { label: label.to_owned() });
        }
        Ok(Self { label: label.to_owned(), files: BTreeMap::new() })
    }

    /// Plans a file of exactly `size` bytes. The order of these calls has no effect.
    ///
    /// # Errors
    /// A name that is no plain file name or longer than [`LONGEST_NAME`], or that is there already; more than [`LARGEST_FILE`] bytes.
    pub fn file(&mut self, name: &str, access: Access, size: u64) -> Result<(), IsoError> {
        name::check(name)?;
        let planned = u32::try_from(size).map_err(|_| IsoError::TooLarge { name: name.to_owned(), size })?;
        if self.files.insert(name.to_owned(), Planned { access, size: planned }).is_some() {
            return Err(IsoError::Twice { name: name.to_owned() });
        }
        Ok(())
    }

    /// How many bytes the image will have.
    ///
    /// # Errors
    /// More sectors than the format can count.
    pub fn size(&self) -> Result<u64, IsoError> {
        Ok(u64::from(self.layout()?.end) * SECTOR)
    }

    /// Writes the image from beginning to end; `fill` writes the content of the file that it is given the name of, in the order of names.
    ///
    /// # Errors
    /// Those of the output and of `fill`; a content of another size than planned.
    pub fn write<E: From<io::Error> + From<IsoError>>(
        &self,
        out: &mut dyn Write,
        mut fill: impl FnMut(&str, &mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let layout = self.layout()?;
        for _ in 0..DESCRIPTORS {
            out.write_all(&[0; SECTOR as usize])?;
        }
        let Layout { primary, joliet, end, .. } = &layout;
        out.write_all(&descriptor::primary(&self.label, *end, PATH_TABLES, primary.extent()))?;
        out.write_all(&descriptor::joliet(&self.label, *end, PATH_TABLES + 2, joliet.extent()))?;
        out.write_all(&descriptor::terminator())?;
        for root in [primary.extent(), joliet.extent()] {
            out.write_all(&directory::path_table(root.sector.to_le_bytes(), 1u16.to_le_bytes()))?;
            out.write_all(&directory::path_table(root.sector.to_be_bytes(), 1u16.to_be_bytes()))?;
        }
        out.write_all(primary.bytes())?;
        out.write_all(joliet.bytes())?;
        out.write_all(&directory::notice())?;
        for (name, planned) in &self.files {
            let mut content = Counted { out, written: 0 };
            fill(name, &mut content)?;
            let written = content.written;
            if written != u64::from(planned.size) {
                return Err(IsoError::Changed { name: name.clone(), planned: planned.size.into(), written }.into());
            }
            let missing = (written.next_multiple_of(SECTOR) - written) as usize;
            out.write_all([0; SECTOR as usize].get(..missing).unwrap_or_default())?;
        }
        Ok(())
    }

    fn layout(&self) -> Result<Layout, IsoError> {
        let names = name::primary(self.files.keys().map(String::as_str));
        let count = |directory: &Directory| (directory.bytes().len() as u64 / SECTOR) as u32;
        // Sizes of directories do not depend on where things lie, so the first pass tells where everything goes.
        let at = |primary: u32, joliet: u32, notice: u32, first: u32| -> Result<Layout, IsoError> {
            let (mut next, mut extents) = (first, BTreeMap::new());
            for (name, planned) in &self.files {
                extents.insert(name.as_str(), Extent { sector: next, size: planned.size });
                let sectors = u64::from(planned.size).div_ceil(SECTOR) as u32;
                next = next.checked_add(sectors).ok_or(IsoError::Full)?;
            }
            let entry = |name: &'_ String, planned: &Planned| {
                let extent = extents.get(name.as_str()).copied().unwrap_or(Extent { sector: first, size: 0 });
                (extent, planned.access)
            };
            let mut rock_ridge = Vec::new();
            let mut ucs2 = Vec::new();
            for ((name, planned), short) in self.files.iter().zip(&names) {
                let (extent, access) = entry(name, planned);
                rock_ridge.push(directory::Entry::primary(short, name, access, extent));
                ucs2.push(directory::Entry::joliet(name, extent));
            }
            let primary = Directory::primary(primary, notice, rock_ridge);
            Ok(Layout { primary, joliet: Directory::joliet(joliet, ucs2), end: next })
        };
        let sketch = at(0, 0, 0, 0)?;
        let joliet = DIRECTORIES + count(&sketch.primary);
        let notice = joliet + count(&sketch.joliet);
        at(DIRECTORIES, joliet, notice, notice + 1)
    }
}

/// Where everything lies.
struct Layout {
    primary: Directory,
    joliet: Directory,
    /// The sector behind the last.
    end: u32,
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn Write,
    written: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(buf)?;
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
