//! A way out of the lab, if it was asked for: slirp4netns carries packets of the lab's namespace as this machine's own user
//! processes would send them. Nothing of this machine's network is changed.

use std::time::{Duration, Instant};

use super::error::LabError;
use super::place::Place;
use super::{cgroup, network, program};

/// Programs that a way out takes, with Debian's packages that have them.
pub(super) const NEEDED: &[(&str, &str)] = &[("nft", "nftables"), ("slirp4netns", "slirp4netns")];

/// Where slirp4netns is accounted; no node has such a name.
const CGROUP: &str = "_outside";

/// Its interface in the lab's namespace.
const INTERFACE: &str = "outside";

/// How long it may take to appear.
const PATIENCE: Duration = Duration::from_secs(10);

/// slirp4netns knows one address of the namespace, its own.
const RULES: &str = "add table inet khimg; \
    add chain inet khimg out { type nat hook postrouting priority srcnat; }; \
    add rule inet khimg out oifname outside masquerade";

/// Opens the way out. It ends with the lab's processes.
pub(super) fn open(place: &Place) -> Result<(), LabError> {
    let entrances = cgroup::make(place, CGROUP)?;
    let namespace = network::path(&place.namespace());
    let mut command = cgroup::command_in(&entrances, "slirp4netns");
    // Services that this machine has for itself alone stay its own.
    command.args(["--configure", "--disable-host-loopback", "--netns-type=path"]).arg(&namespace).arg(INTERFACE);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut slirp = command.spawn().map_err(LabError::io("start", "slirp4netns".as_ref()))?;
    let begun = Instant::now();
    while !network::has_route(place, INTERFACE) {
        if slirp.try_wait().ok().flatten().is_some() || begun.elapsed() > PATIENCE {
            let what = "slirp4netns opens no way out of the lab".to_owned();
            return Err(LabError::Unsupported { what, remedy: Some("load the kernel's tun module".to_owned()) });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let inside = format!("--net={}", namespace.display());
    program::run("nsenter", &[&inside, "nft", RULES]).map(drop)
}
