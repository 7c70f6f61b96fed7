use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use khimg::arch::Arch;
use khimg::digest::Digest;
use khimg::disk::{self, Contents, DiskError, Loader, Piece};
use khimg::exit::{Exit, Explain};
use tempfile::TempDir;

use crate::support::base::{cache, fresh};
use crate::support::daemon::{available, run};
use crate::support::machine;

/// Debian's boot loader for UEFI in virtual machines.
const FIRMWARE: &str = "/usr/share/ovmf/OVMF.fd";

/// The packages of the boot loader, of `grub-mkimage` and of the libraries that it is linked with.
const PACKAGES: [&str; 10] = [
    "grub-common",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "libc6",
    "libdevmapper1.02.1",
    "liblzma5",
    "libpcre2-8-0",
    "libselinux1",
    "libudev1",
    "shim-signed",
];

/// They, kept for a day: the archive moves on.
fn packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(download)
}

fn download() -> PathBuf {
    let kept = cache().join("boot-loader");
    if !fresh(&kept) {
        let half = TempDir::new_in(cache()).expect("a directory");
        run(Command::new("apt-get").args(["-qq", "download"]).args(PACKAGES).current_dir(half.path()));
        if kept.exists() {
            fs::remove_dir_all(&kept).expect("removed");
        }
        fs::rename(half.keep(), &kept).expect("renamed");
    }
    kept
}

/// Unpacks them into `place`, and gives the program that puts GRUB together, with their own libraries.
fn unpack(place: &Path) -> Command {
    for package in fs::read_dir(packages()).expect("readable") {
        run(Command::new("dpkg-deb").arg("--extract").arg(package.expect("readable").path()).arg(place));
    }
    let mut maker = Command::new(place.join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
    let libraries = ["lib", "usr/lib"].map(|below| place.join(below).join("x86_64-linux-gnu").display().to_string());
    maker.arg("--library-path").arg(libraries.join(":")).arg(place.join("usr/bin/grub-mkimage"));
    maker
}

fn piece(path: PathBuf) -> Piece {
    let (sha256, size) = Digest::of_reader(File::open(&path).expect("there")).expect("readable");
    Piece { path, sha256, size }
}

/// What images are made of here: a loader from Debian's archive, and files in a directory.
struct Workshop {
    folder: TempDir,
    loader: Loader,
}

impl Workshop {
    /// `None`, and a reason printed, where a program is missing.
    fn new() -> Option<Self> {
        if !available(&["apt-get", "dpkg-deb", "sgdisk", "sfdisk", "fsck.vfat", "mcopy"]) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a directory");
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).expect("a directory");
        let loader = Loader::of(Arch::Amd64, &scratch, unpack(&scratch)).expect("a boot loader");
        for (name, size) in [("kernel", 3_000_001), ("initrd", 5_000_000), ("root", 7_654_321_usize)] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8 ^ name.len() as u8).collect();
            fs::write(folder.path().join(name), bytes).expect("written");
        }
        Some(Self { folder, loader })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn contents<'a>(&self, image: &'a Path, cmdline: &'a str) -> Contents<'a> {
        let piece = |name| piece(self.path(name));
        Contents { image, kernel: piece("kernel"), initrd: piece("initrd"), root: piece("root"), cmdline }
    }

    fn image(&self, name: &str) -> PathBuf {
        let image = self.path(name);
        let size = disk::write(&self.contents(&image, "console=ttyS0"), &self.loader).expect("an image");
        assert_eq!(size, fs::metadata(&image).expect("there").len());
        image
    }

    /// The boot partition of an image, as a file of its own.
    fn boot(&self, image: &Path) -> PathBuf {
        let [start, size] = extent(image, 2);
        let bytes = fs::read(image).expect("readable");
        let boot = self.path("boot.img");
        fs::write(&boot, &bytes[start..start + size]).expect("written");
        boot
    }
}

/// Where a partition begins and how many bytes it has, as sfdisk reads the table.
fn extent(image: &Path, number: usize) -> [usize; 2] {
    let table: serde_json::Value =
        serde_json::from_str(&run(Command::new("sfdisk").arg("--json").arg(image))).expect("JSON");
    ["start", "size"].map(|field| {
        table["partitiontable"]["partitions"][number - 1][field].as_u64().expect("a number") as usize * 512
    })
}

#[test]
fn an_image_is_what_other_programs_call_sound() {
    let Some(workshop) = Workshop::new() else { return };
    let image = workshop.image("image");
    let told = run(Command::new("sgdisk").arg("--verify").arg(&image));
    assert!(told.contains("No problems found"), "{told}");
    let told = run(Command::new("sfdisk").arg("--verify").arg(&image));
    assert!(told.contains("No errors detected"), "{told}");
    let boot = workshop.boot(&image);
    // Without a change: it ends with 0 only if there is nothing to repair.
    let told = run(Command::new("fsck.vfat").args(["-n", "-v"]).arg(&boot));
    assert!(told.contains("32 bit entries") && !told.contains("uninitialized"), "{told}");
    for (name, place) in [("kernel", "khimg/kernel"), ("initrd", "khimg/initrd")] {
        let out = workshop.path("out");
        run(Command::new("mcopy").arg("-n").arg("-o").arg("-i").arg(&boot).arg(format!("::{place}")).arg(&out));
        assert!(fs::read(&out).expect("there") == fs::read(workshop.path(name)).expect("there"), "{name}");
    }
    let listed = run(Command::new("mdir").args(["-b", "-/", "-i"]).arg(&boot).arg("::"));
    for place in ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/debian/grub.cfg"] {
        assert!(listed.contains(place), "{place}: {listed}");
    }
    let [start, _] = extent(&image, 3);
    let root = fs::read(workshop.path("root")).expect("there");
    assert!(fs::read(&image).expect("there")[start..start + root.len()] == root);
    let root = run(Command::new("sfdisk").args(["--part-uuid"]).arg(&image).arg("3")).trim().to_lowercase();
    let settings = run(Command::new("mtype").arg("-i").arg(&boot).arg("::EFI/debian/khimg.cfg"));
    assert!(settings.contains(&format!("khimg.root=PARTUUID={root} khimg.sha256=")), "{settings}");
}

#[test]
fn the_same_contents_give_the_same_bytes_and_others_another_identity() {
    let Some(workshop) = Workshop::new() else { return };
    let (first, second) = (workshop.image("first"), workshop.image("second"));
    assert!(fs::read(&first).expect("there") == fs::read(&second).expect("there"));
    fs::write(workshop.path("root"), "another").expect("written");
    let third = workshop.image("third");
    let identities = |image: &Path| {
        let own = run(Command::new("sfdisk").arg("--disk-id").arg(image));
        let parts =
            (1..=3).map(|part: u32| run(Command::new("sfdisk").arg("--part-uuid").arg(image).arg(part.to_string())));
        parts.chain([own]).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((identities(&first).len(), identities(&first).intersection(&identities(&third)).count()), (4, 0));
}

#[test]
fn what_cannot_be_on_a_disk_is_refused_and_nothing_is_left() {
    let Some(workshop) = Workshop::new() else { return };
    let image = workshop.path("image");
    let refused = |contents: &Contents<'_>| {
        let error = disk::write(contents, &workshop.loader).expect_err("refused");
        assert!(!image.exists(), "{error}");
        error
    };
    for cmdline in ["a='b'", "a$b", "a\nb", "a\\", "ä"] {
        let error = refused(&workshop.contents(&image, cmdline));
        assert!(matches!(error, DiskError::CommandLine { .. }), "{error}");
    }
    let large = workshop.path("large");
    File::create(&large).and_then(|file| file.set_len(disk::LARGEST_FILE + 1)).expect("a sparse file");
    let mut contents = workshop.contents(&image, "");
    contents.initrd = Piece { path: large, size: disk::LARGEST_FILE + 1, ..contents.initrd };
    let error = refused(&contents);
    assert_eq!(error.exit(), Exit::Unsupported);
    assert!(
        error.to_string().contains("has 4294967296 bytes, but a file on the boot partition has at most 4294967295")
    );
    // Changed since its digest was taken, grown, shrunk.
    for (name, bytes) in [("kernel", &b"short"[..]), ("root", &[0; 8_000_000])] {
        let contents = workshop.contents(&image, "");
        fs::write(workshop.path(name), bytes).expect("written");
        let error = refused(&contents);
        assert_eq!(error.exit(), Exit::Verification, "{error}");
    }
    let error =
        Loader::of(Arch::Amd64, &workshop.path("scratch"), Command::new("false")).expect_err("no GRUB for BIOS");
    assert!(matches!(error, DiskError::Maker { .. }), "{error}");
    let error = Loader::of(Arch::Arm64, &workshop.path("scratch"), Command::new("true")).expect_err("no such files");
    assert_eq!(error.exit(), Exit::LocalIo);
    // What is there already stays.
    fs::write(&image, "mine").expect("written");
    assert!(disk::write(&workshop.contents(&image, ""), &workshop.loader).is_err());
    assert_eq!(fs::read(&image).expect("there"), b"mine");
}

/// Real firmware, real GRUB, a real kernel; by BIOS and by UEFI.
#[test]
fn a_machine_boots_from_an_image() {
    let Some(workshop) = Workshop::new() else { return };
    let Some(parts) = machine::parts() else { return };
    let (kernel, initrd) = parts.on_disk();
    let image = workshop.path("image");
    let mut contents = workshop.contents(&image, "console=ttyS0 panic=-1 quiet");
    (contents.kernel, contents.initrd) = (piece(kernel.to_owned()), piece(initrd.to_owned()));
    disk::write(&contents, &workshop.loader).expect("an image");
    for firmware in [None, Some(Path::new(FIRMWARE))] {
        if firmware.is_some_and(|firmware| !firmware.exists()) {
            println!("skipped: no {FIRMWARE}");
            continue;
        }
        let began = std::time::Instant::now();
        let told = machine::Parts::boot_disk(&image, firmware);
        println!("booted from disk by {} in {:.0?}", if firmware.is_some() { "UEFI" } else { "BIOS" }, began.elapsed());
        let efi = if firmware.is_some() { "efi yes" } else { "efi no" };
        for line in [efi, "name khimg-root", &format!("root {}", contents.root.sha256.hex()), "end"] {
            assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
        }
    }
}
