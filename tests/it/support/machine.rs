//! A virtual machine with Debian's own kernel and a Debian 12 that has cloud-init, emulated: it needs no rights and no /dev/kvm.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::base::{cache, fresh};
use super::daemon::available;

/// What a machine boots.
pub struct Parts {
    // Holds the files below.
    _directory: TempDir,
    kernel: PathBuf,
    initrd: PathBuf,
    /// One that looks at the network instead.
    network_initrd: PathBuf,
    /// One that looks at the disk that it came from.
    disk_initrd: PathBuf,
    root: PathBuf,
}

/// Modules that the emulated network card needs, in the order of their dependencies.
const NETWORK: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];

/// Modules that the emulated disks and discs need, in the order of their dependencies.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "cdrom",
    "isofs",
];

/// How long a machine may run, in seconds: it is emulated, perhaps on a busy machine.
const PATIENCE: &str = "900";

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The parts, made once. `None`, and a reason printed, where something to make them with is missing.
pub fn parts() -> Option<&'static Parts> {
    static PARTS: OnceLock<Option<Parts>> = OnceLock::new();
    let wanted = ["qemu-system-x86_64", "mmdebstrap", "mke2fs", "cpio", "busybox"];
    PARTS.get_or_init(|| available(&wanted).then(make)).as_ref()
}

fn make() -> Parts {
    let directory = tempfile::Builder::new().prefix("khimg-machine-").tempdir().expect("a directory");
    let kernel = directory.path().join("kernel");
    let tree = directory.path().join("tree");
    run(Command::new("dpkg-deb").arg("-x").arg(kernel_package()).arg(&tree));
    let boot = fs::read_dir(tree.join("boot")).expect("a kernel").map(|entry| entry.expect("readable").path());
    let image = boot.into_iter().find(|path| path.to_string_lossy().contains("/vmlinuz-")).expect("a kernel");
    fs::rename(image, &kernel).expect("the kernel");
    let initrd = initial(&directory.path().join("initrd"), &tree, &MODULES, include_str!("machine.sh"));
    let network_initrd = initial(&directory.path().join("network"), &tree, &NETWORK, include_str!("netboot.sh"));
    let disk_initrd = initial(&directory.path().join("disk"), &tree, &MODULES, include_str!("disk.sh"));
    let system = directory.path().join("system");
    fs::create_dir(&system).expect("a directory");
    run(Command::new("tar").arg("-xpf").arg(system_archive()).arg("-C").arg(&system));
    let root = directory.path().join("root.img");
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&system).arg(&root).arg("900M"));
    for done in [&tree, &system] {
        fs::remove_dir_all(done).expect("removed");
    }
    Parts { _directory: directory, kernel, initrd, network_initrd, disk_initrd, root }
}

/// The package of Debian's kernel for virtual machines, kept for a day: the archive moves on.
fn kernel_package() -> PathBuf {
    let kept = cache().join("linux-image-cloud-amd64.deb");
    if !fresh(&kept) {
        let depends = run(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]));
        let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).expect("a kernel").to_owned();
        let download = TempDir::new_in(cache()).expect("a directory");
        run(Command::new("apt-get").args(["-qq", "download", &name]).current_dir(download.path()));
        let found = fs::read_dir(download.path()).expect("readable").next().expect("a package").expect("readable");
        fs::rename(found.path(), &kept).expect("renamed");
    }
    kept
}

/// The smallest Debian 12 with cloud-init, kept for a day.
fn system_archive() -> PathBuf {
    let kept = cache().join("base-debian-12-cloud-init.tar");
    if !fresh(&kept) {
        let half = tempfile::Builder::new().suffix(".tar").tempfile_in(cache()).expect("a temporary file");
        let arguments = ["--quiet", "--variant=minbase", "--mode=root", "--format=tar", "--include=cloud-init"];
        run(Command::new("mmdebstrap").args(arguments).arg("bookworm").arg(half.path()));
        half.persist(&kept).expect("renamed");
    }
    kept
}

/// An initial file system in `tree` that loads `modules` of `kernel` and goes on with `script`; its archive.
fn initial(tree: &Path, kernel: &Path, modules: &[&str], script: &str) -> PathBuf {
    for name in ["bin", "modules", "proc", "sys", "dev", "root", "disc"] {
        fs::create_dir_all(tree.join(name)).expect("a directory");
    }
    let busybox = run(Command::new("sh").args(["-c", "command -v busybox"]));
    let busybox = Path::new(busybox.trim());
    fs::copy(busybox, tree.join("bin/busybox")).expect("busybox");
    let needed = Command::new("ldd").arg(busybox).output().map(|output| output.stdout).unwrap_or_default();
    for library in String::from_utf8_lossy(&needed).split_whitespace().filter(|word| word.starts_with('/')) {
        let place = tree.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a parent")).expect("directories");
        fs::copy(library, place).expect("a library");
    }
    for entry in walkdir::WalkDir::new(kernel).into_iter().map(|entry| entry.expect("readable")) {
        let stem = entry.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if modules.contains(&stem) && entry.path().extension().is_some_and(|end| end == "ko") {
            fs::copy(entry.path(), tree.join("modules").join(entry.file_name())).expect("a module");
        }
    }
    let mut init = "#!/bin/busybox sh\nb=/bin/busybox\n\
        $b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev\n"
        .to_owned();
    for module in modules {
        writeln!(init, "$b insmod /modules/{module}.ko").expect("in memory");
    }
    init += script;
    fs::write(tree.join("init"), init).expect("a script");
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let archive = tree.with_extension("cpio");
    let pack = "cd \"$1\" && find . | cpio --quiet -o -H newc >\"$2\"";
    run(Command::new("sh").args(["-c", pack, "sh"]).arg(tree).arg(&archive));
    archive
}

impl Parts {
    /// A kernel, and an initial file system that says what it finds on the disk that it came from, and ends.
    pub fn on_disk(&self) -> (&Path, &Path) {
        (&self.kernel, &self.disk_initrd)
    }

    /// Boots from `disk`, by its own boot loader, and gives back the lines of its console that begin with `KHIMG`.
    pub fn boot_disk(disk: &Path, firmware: Option<&Path>) -> Vec<String> {
        let mut command = Command::new("timeout");
        command.args([PATIENCE, "qemu-system-x86_64", "-machine", "accel=tcg", "-cpu", "max", "-m", "768"]);
        command.args(["-nographic", "-no-reboot", "-nic", "none", "-drive"]);
        command.arg(format!("file={},if=virtio,format=raw,snapshot=on", disk.display()));
        if let Some(firmware) = firmware {
            command.arg("-bios").arg(firmware);
        }
        let said = run(&mut command);
        println!("{said}");
        said.lines().filter_map(|line| Some(line.split_once("KHIMG ")?.1.trim().to_owned())).collect()
    }

    /// Puts into `directory` what a machine boots over the network: it looks for its seed, says what it finds, and ends.
    pub fn netboot(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("a directory");
        fs::copy(&self.kernel, directory.join("kernel")).expect("the kernel");
        fs::copy(&self.network_initrd, directory.join("initrd")).expect("the initial file system");
        fs::write(directory.join("cmdline"), "console=ttyS0 quiet panic=-1 ds=nocloud-net;s={seed}/").expect("written");
    }

    /// Boots with `disc` as the second disk and gives back what the machine says on its console, the lines that begin with `KHIMG`.
    pub fn boot(&self, disc: &Path) -> Vec<String> {
        let drive = |path: &Path, options: &str| format!("file={},if=virtio,format=raw,{options}", path.display());
        let mut command = Command::new("timeout");
        command
            .args([PATIENCE, "qemu-system-x86_64", "-machine", "accel=tcg", "-cpu", "max", "-m", "768"])
            .args(["-nographic", "-no-reboot", "-nic", "none", "-append", "console=ttyS0 quiet panic=-1"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initrd)
            .args(["-drive", &drive(&self.root, "snapshot=on"), "-drive", &drive(disc, "readonly=on")]);
        let said = run(&mut command);
        let told = said.lines().filter_map(|line| Some(line.split_once("KHIMG ")?.1.trim().to_owned())).collect();
        println!("{said}");
        told
    }
}
