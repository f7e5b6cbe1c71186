//! Which set of mechanisms a node uses: the strongest that works when it is tried in full.
//!
//! **Invariant:** doing without walls is never a fall-back; it must be asked for by its name.

use std::{io, path::Path};

use rustix::{
    process::{getgid, getuid},
    thread::capabilities,
};
use sandbox_policy::{
    Evidence, HostFacts, Mount, SandboxReport, Shown, Tier, plain_report, walls_report,
};
use schemas::sandbox::RunProof;

use crate::{
    LaunchError, LauncherConfig,
    handshake::host,
    trial::{Trial, attempt},
    wire::Walls,
};

/// From the strongest to the weakest that is taken unasked.
const TRIED: [Tier; 3] = [Tier::T3, Tier::T2, Tier::T1];
/// Where the system's bubblewrap is looked for.
const BUBBLEWRAP: [&str; 2] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"];

/// What else is beside a run's own directory.
const TAKEN: [&str; 2] = ["shm", "tmp"];

/// What every run of a launcher is surrounded by.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The walls, but for what differs from run to run.
    pub(crate) walls: Walls,
    /// What they enforce.
    pub(crate) report: SandboxReport,
}

/// Tries what the configuration allows, the strongest first.
pub(crate) fn choose(config: &LauncherConfig) -> Result<Choice, LaunchError> {
    let named = config.tier.as_slice();
    let mut reasons = Vec::new();
    for tier in if named.is_empty() { &TRIED } else { named } {
        match choose_one(config, *tier) {
            Ok(choice) => return Ok(choice),
            // A weaker set would not make the setting right.
            Err(error @ LaunchError::Mount { .. }) => return Err(error),
            Err(error) => reasons.push(format!("{tier:?}: {}", chain(&error))),
        }
    }
    Err(LaunchError::NoSandbox { reasons: reasons.join("; ") })
}

fn choose_one(config: &LauncherConfig, tier: Tier) -> Result<Choice, LaunchError> {
    let walls = walls(config, tier)?;
    if tier == Tier::T0 {
        let held = capabilities(None).map_err(io::Error::from);
        let permitted = held.map_err(host("read this process's capabilities"))?.permitted;
        let facts = HostFacts { uid: getuid().as_raw(), capabilities: permitted.bits() };
        return Ok(Choice { walls, report: plain_report(facts) });
    }
    let trial = attempt(&walls)?;
    check(&trial.proof)?;
    let report = walls_report(&evidence(&walls, &trial));
    Ok(Choice { walls, report })
}

fn walls(config: &LauncherConfig, tier: Tier) -> Result<Walls, LaunchError> {
    let (uid, gid) = match tier {
        Tier::T2 | Tier::T3 if getuid().is_root() => (config.run_uid, config.run_gid),
        Tier::T0 | Tier::T1 | Tier::T2 | Tier::T3 => (getuid().as_raw(), getgid().as_raw()),
    };
    let bubblewrap = match tier {
        Tier::T2 => Some(find_bubblewrap()?),
        Tier::T0 | Tier::T1 | Tier::T3 => None,
    };
    check_mounts(&config.mounts, tier)?;
    Ok(Walls {
        tier,
        uid,
        gid,
        scratch: inside(Path::new("task")),
        mounts: config.mounts.clone(),
        quotas: config.quotas,
        bubblewrap,
        probe: None,
    })
}

/// Where a run with a root of its own finds its own directory: called as on the host, and nothing
/// else of where that is.
pub(crate) fn inside(scratch: &Path) -> String {
    let name = scratch.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| !TAKEN.contains(name) && !name.contains([':', '\n']));
    format!("/run/{}", name.unwrap_or("task"))
}

fn find_bubblewrap() -> Result<String, LaunchError> {
    let found = BUBBLEWRAP.into_iter().find(|path| Path::new(path).exists());
    let missing = || LaunchError::NotConfined {
        attempt: "find bubblewrap (bwrap)".to_owned(),
        source: io::ErrorKind::NotFound.into(),
    };
    found.map(ToOwned::to_owned).ok_or_else(missing)
}

/// Whether a run can be given all of these.
pub(crate) fn check_mounts(mounts: &[Mount], tier: Tier) -> Result<(), LaunchError> {
    for mount in mounts {
        let refuse = |problem| Err(LaunchError::Mount { mount: mount.source.clone(), problem });
        if let Some(problem) = mount.problem() {
            return refuse(problem);
        }
        if matches!(tier, Tier::T0 | Tier::T1) && mount.source != mount.target {
            return refuse("without namespaces it cannot be shown at another place");
        }
        if !Path::new(&mount.source).exists() {
            return refuse("it does not exist");
        }
    }
    Ok(())
}

fn evidence(walls: &Walls, trial: &Trial) -> Evidence {
    let acts = trial.control.iter().map(|(property, outside)| {
        let inside = trial.acts.get(property).copied().unwrap_or(true);
        (*property, Shown { inside, outside: *outside })
    });
    Evidence {
        tier: walls.tier,
        uid: trial.proof.uid,
        capabilities: trial.proof.capabilities,
        landlock_abi: trial.proof.landlock_abi,
        acts: acts.collect(),
        mounts: walls.mounts.clone(),
    }
}

/// Whether what was read back is what the tier promises.
pub(crate) fn check(proof: &RunProof) -> Result<(), LaunchError> {
    let namespaces = match proof.tier {
        Tier::T0 | Tier::T1 => 0,
        Tier::T2 | Tier::T3 => crate::NAMESPACES_OF_A_RUN,
    };
    let missing = if !proof.no_new_privs {
        Some("no_new_privs is not set")
    } else if proof.namespaces.len() < namespaces {
        Some("it shares a namespace with the node")
    } else if proof.tier == Tier::T0 {
        None
    } else if proof.capabilities != 0 {
        Some("it holds capabilities")
    } else if 0 < namespaces && proof.capability_bounds != 0 {
        Some("its bounding set holds capabilities")
    } else if proof.seccomp_filters < crate::inner::FILTERS {
        Some("system calls are not filtered")
    } else if namespaces == 0 && proof.landlock_abi.is_none() {
        Some("files are not restricted")
    } else if proof.uid == 0 && 0 < namespaces {
        Some("its user is root")
    } else {
        None
    };
    missing.map_or(Ok(()), |missing| Err(LaunchError::NotAsPromised { missing }))
}

fn chain(error: &LaunchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
