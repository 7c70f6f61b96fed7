use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const ROOT: &str = "97d9621f-e1e0-8ddc-bfb7-10d523aefa26";

fn disk(path: &str, size: u64) -> Device {
    Device {
        path: path.into(),
        kind: "disk".to_owned(),
        size,
        mountpoints: vec![None],
        blank: true,
        ..Device::default()
    }
}

fn part(path: &str, start: u64, size: u64) -> Device {
    Device { kind: "part".to_owned(), start: Some(start / 512), blank: false, ..disk(path, size) }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A disk that an image was written to.
fn imaged(size: u64) -> Device {
    let root = Device {
        partuuid: text(&ROOT.to_uppercase()),
        fstype: text("squashfs"),
        ..part("/dev/vda3", 72 << 20, 400 << 20)
    };
    Device { pttype: text("gpt"), blank: false, children: vec![root], ..disk("/dev/vda", size) }
}

fn ours(path: &str, fstype: Option<&str>, label: Option<&str>) -> Device {
    let (fstype, label) = (fstype.map(str::to_owned), label.map(str::to_owned));
    Device { parttype: text(KIND), fstype, label, ..part(path, 500 << 20, 3 << 30) }
}

fn choose(devices: &[Device]) -> Result<Choice, DataError> {
    super::choose(devices, Some(ROOT))
}

#[test]
fn what_is_labelled_is_used_wherever_it_is() {
    let labelled = Device { fstype: text("ext4"), label: text(LABEL), ..disk("/dev/sdb", 1 << 20) };
    let usb = Device { hotplug: true, tran: text("usb"), ..labelled.clone() };
    assert_eq!(choose(&[imaged(9 << 30), usb.clone()]).expect("used"), Choice::Use("/dev/sdb".into()));
    assert!(matches!(choose(&[labelled, usb]), Err(DataError::Several { .. })));
    // Another file system with that label is not khimg's.
    let other = Device { fstype: text("xfs"), label: text(LABEL), ..disk("/dev/sdb", 9 << 30) };
    assert!(matches!(choose(&[other]).expect("a choice"), Choice::Memory(_)));
}

#[test]
fn what_was_begun_is_finished_unless_something_else_is_there() {
    for (fstype, label) in [(None, None), (Some("ext4"), Some(UNFINISHED))] {
        let devices = [Device { children: vec![ours("/dev/vda4", fstype, label)], ..imaged(9 << 30) }];
        assert_eq!(choose(&devices).expect("finished"), Choice::Finish("/dev/vda4".into()));
    }
    for (fstype, label) in
        [(Some("ext4"), None), (Some("xfs"), None), (Some("crypto_LUKS"), None), (Some("ext4"), Some("mine"))]
    {
        let devices = [Device { children: vec![ours("/dev/vda4", fstype, label)], ..imaged(9 << 30) }];
        assert!(matches!(choose(&devices), Err(DataError::Foreign { .. })), "{fstype:?} {label:?}");
    }
    let two = [disk("/dev/sda", 9 << 30), disk("/dev/sdb", 9 << 30)]
        .map(|disk| Device { children: vec![ours("/dev/x1", None, None)], ..disk });
    assert!(matches!(choose(&two), Err(DataError::Several { .. })));
}

#[test]
fn the_rest_of_the_roots_disk_comes_before_an_empty_one() {
    let empty = disk("/dev/vdb", 9 << 30);
    assert_eq!(choose(&[imaged(9 << 30), empty.clone()]).expect("appended"), Choice::Append("/dev/vda".into()));
    // No room there; removable; another disk's root.
    assert_eq!(choose(&[imaged(1 << 30), empty.clone()]).expect("taken"), Choice::Take("/dev/vdb".into()));
    let stick = Device { hotplug: true, ..imaged(9 << 30) };
    assert_eq!(choose(&[stick, empty.clone()]).expect("taken"), Choice::Take("/dev/vdb".into()));
    let taken = super::choose(&[imaged(9 << 30), empty], None).expect("taken");
    assert_eq!(taken, Choice::Take("/dev/vdb".into()));
}

#[test]
fn only_one_empty_disk_is_taken_and_never_one_that_is_not() {
    let empty = disk("/dev/vdb", 9 << 30);
    let refused = |devices: &[Device]| match choose(devices) {
        Ok(Choice::Memory(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(refused(&[empty.clone(), disk("/dev/vdc", 9 << 30)]).contains("/dev/vdb and /dev/vdc are all empty"));
    for full in [
        Device { blank: false, ..empty.clone() },
        Device { fstype: text("LVM2_member"), ..empty.clone() },
        Device { pttype: text("dos"), ..empty.clone() },
        Device { label: text("x"), ..empty.clone() },
        Device { children: vec![part("/dev/vdb1", 1 << 20, 1 << 30)], ..empty.clone() },
        Device { mountpoints: vec![text("/srv")], ..empty.clone() },
        Device { rm: true, ..empty.clone() },
        Device { ro: true, ..empty.clone() },
        Device { tran: text("iscsi"), ..empty.clone() },
        Device { kind: "loop".to_owned(), ..empty.clone() },
        Device { size: 1 << 29, ..empty.clone() },
    ] {
        refused(&[full]);
    }
}

#[test]
fn the_kernels_words() {
    assert_eq!(root_of("quiet khimg.root=PARTUUID=ab-c gpt"), Some("ab-c"));
    assert_eq!(root_of("khimg.root=http://x/root.squashfs"), None);
    assert!(is_required("a khimg.data=required") && !is_required("xkhimg.data=required khimg.data=memory"));
}

fn some(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    option::of(prop::sample::select(words).prop_map(str::to_owned))
}

fn device(
    kind: &'static [&'static str],
    children: impl Strategy<Value = Vec<Device>>,
) -> impl Strategy<Value = Device> {
    let names = (0..1000_u32).prop_map(|name| PathBuf::from(format!("/dev/x{name}")));
    let identity = (names, prop::sample::select(kind), 0..(20_u64 << 30), option::of(0..(40_u64 << 21)));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), some(&["usb", "sata", "iscsi", "nvme"]));
    let content = (
        some(&["ext4", "xfs", "squashfs", "crypto_LUKS"]),
        some(&[LABEL, UNFINISHED, "home"]),
        some(&[KIND, "0fc63daf-8483-4772-8e79-3d69d8477de4"]),
        some(&[ROOT, "another"]),
        some(&["gpt", "dos"]),
        vec(some(&["/", "/home"]), 0..3),
    );
    (identity, flags, content, children).prop_map(|(identity, (ro, rm, hotplug, blank, tran), content, children)| {
        let (path, kind, size, start) = identity;
        let (fstype, label, parttype, partuuid, pttype, mountpoints) = content;
        let kind = kind.to_owned();
        Device {
            path,
            kind,
            size,
            start,
            ro,
            rm,
            hotplug,
            tran,
            fstype,
            label,
            parttype,
            partuuid,
            pttype,
            mountpoints,
            children,
            blank,
        }
    })
}

fn machine() -> impl Strategy<Value = Vec<Device>> {
    let part = device(&["part"], vec(device(&["crypt", "lvm"], Just(Vec::new())), 0..2));
    vec(device(&["disk", "loop", "rom"], vec(part, 0..4)), 0..5)
}

/// Whether the device at `path` is such as is written to or used for this.
fn holds(devices: &[Device], path: &PathBuf, is_such: impl Fn(&Device) -> bool) -> bool {
    devices.iter().flat_map(Device::all).filter(|device| device.path == *path).any(is_such)
}

fn is_named(device: &&Device) -> bool {
    device.label.as_deref() == Some(LABEL) && device.fstype.as_deref() == Some("ext4")
}

fn is_idle(device: &Device) -> bool {
    device.children.is_empty() && device.mountpoints.iter().all(Option::is_none)
}

fn bears_nothing(disk: &Device) -> bool {
    let known = [&disk.fstype, &disk.label, &disk.pttype];
    disk.blank && disk.kind == "disk" && is_idle(disk) && known.into_iter().all(Option::is_none)
}

fn stays(disk: &Device) -> bool {
    !(disk.ro || disk.rm || disk.hotplug)
}

fn has_room_behind_its_root(disk: &Device) -> bool {
    let end = |part: &Device| part.start.unwrap_or(u64::MAX / 512).saturating_mul(512).saturating_add(part.size);
    let last = disk.children.iter().map(end).max().unwrap_or(u64::MAX);
    disk.children.iter().any(|part| part.partuuid.as_deref() == Some(ROOT)) && disk.size.saturating_sub(last) >= LEAST
}

fn was_begun(part: &Device) -> bool {
    let half = part.fstype.is_none() || part.label.as_deref() == Some(UNFINISHED);
    half && part.parttype.as_deref() == Some(KIND) && is_idle(part)
}

proptest! {
    /// Whatever a machine's disks are: what is written to holds nothing.
    #[test]
    fn nothing_that_holds_anything_is_written_to(devices in machine()) {
        let choice = choose(&devices);
        let sound = match &choice {
            Ok(Choice::Take(path)) => {
                let empty = devices.iter().filter(|disk| disk.size >= LEAST && bears_nothing(disk) && disk.is_fixed());
                empty.count() == 1 && holds(&devices, path, |disk| bears_nothing(disk) && stays(disk))
            }
            Ok(Choice::Append(path)) => holds(&devices, path, |disk| has_room_behind_its_root(disk) && stays(disk)),
            Ok(Choice::Finish(path)) => holds(&devices, path, was_begun),
            Ok(Choice::Use(path)) => holds(&devices, path, |device| is_named(&device)),
            Ok(Choice::Memory(_)) | Err(_) => true,
        };
        prop_assert!(sound, "{choice:?}");
        let named = devices.iter().flat_map(Device::all).filter(is_named).count();
        prop_assert_eq!(matches!(choice, Ok(Choice::Use(_))), named == 1);
    }
}
