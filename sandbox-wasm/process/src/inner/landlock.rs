//! Which files a process may open, in addition to what it can see.

use std::{io, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};
use sandbox_policy::{Access, Tier};

use super::root::{DEVICES, PROGRAMS, SETTINGS};
use crate::wire::Walls;

/// The newest rules that are asked for; an older kernel keeps those that it knows.
const NEWEST: ABI = ABI::V7;
/// What a program may read of /proc where the host's is all there is.
const OF_PROC: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
];
/// How many processors there are, which the C library asks for.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// Restricts this process and tells which version of the rules is in force; none where the kernel
/// has no Landlock and namespaces do the work.
pub(super) fn restrict(walls: &Walls) -> io::Result<Option<u32>> {
    let status = rules(walls).and_then(RulesetCreated::restrict_self).map_err(io::Error::other)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) | (_, LandlockStatus::NotEnabled) => without(walls.tier),
        (_, LandlockStatus::NotImplemented) => without(walls.tier),
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            // The enumeration counts as the kernel does.
            Ok(Some((effective_abi as u32).min(NEWEST as u32)))
        }
    }
}

fn without(tier: Tier) -> io::Result<Option<u32>> {
    match tier {
        Tier::T0 | Tier::T2 | Tier::T3 => Ok(None),
        Tier::T1 => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
    }
}

fn rules(walls: &Walls) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let read = AccessFs::from_read(NEWEST);
    let device = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    // A device made by a run would be a door to the host's.
    let write = AccessFs::from_all(NEWEST) & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    match walls.tier {
        Tier::T2 | Tier::T3 => {
            rules = allow(rules, "/", read)?;
            for path in ["/run", &walls.scratch, super::TEMPORARY, super::SHARED_MEMORY] {
                rules = allow(rules, path, write)?;
            }
        }
        Tier::T0 | Tier::T1 => {
            for path in PROGRAMS.iter().chain(&SETTINGS).chain(&OF_PROC).chain([&PROCESSORS]) {
                rules = allow(rules, path, read)?;
            }
            for path in ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"] {
                rules = allow(rules, path, read)?;
            }
            rules = allow(rules, &walls.scratch, write)?;
        }
    }
    for name in DEVICES {
        rules = allow(rules, &format!("/dev/{name}"), device)?;
    }
    for mount in &walls.mounts {
        let access = match mount.access {
            Access::ReadOnly => read,
            Access::ReadWrite => write,
        };
        rules = allow(rules, &mount.target, access)?;
    }
    Ok(rules)
}

/// What does not exist needs no rule.
fn allow(
    rules: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(file) = PathFd::new(path) else { return Ok(rules) };
    let access =
        if Path::new(path).is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(file, access))
}
