//! Limits and rights of one process and all that descend from it.

use std::io;

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_capabilities_secure_bits, set_no_new_privs,
    },
};
use sandbox_policy::Tier;

use crate::wire::Walls;

/// Kernels know of no more capabilities than a set has bits.
const CAPABILITIES_MAX: u32 = 63;
/// The first process of the namespaces counts as one of its user's.
const PROCESSES_OF_THE_SANDBOX: u64 = 1;

/// Sets the limits that each process has for itself, never above what it has already.
pub(super) fn limit(walls: &Walls) -> io::Result<()> {
    let quotas = &walls.quotas;
    lower(Resource::Core, 0)?;
    lower(Resource::Data, quotas.memory_bytes)?;
    lower(Resource::Cpu, quotas.cpu_s)?;
    lower(Resource::Nofile, quotas.open_files)?;
    match walls.tier {
        // Without a user namespace the kernel counts whatever else the user runs.
        Tier::T0 => (),
        Tier::T1 => lower(Resource::Fsize, quotas.disk_bytes)?,
        Tier::T2 | Tier::T3 => {
            lower(Resource::Nproc, quotas.pids.saturating_add(PROCESSES_OF_THE_SANDBOX))?;
        }
    }
    Ok(())
}

fn lower(resource: Resource, limit: u64) -> io::Result<()> {
    let held = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Some(held.min(limit));
    Ok(setrlimit(resource, Rlimit { current: limit, maximum: limit })?)
}

/// Gives up every capability in every set, for ever.
pub(super) fn give_up_rights() -> io::Result<()> {
    for number in 0..CAPABILITIES_MAX {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => drop_from_bounding_set(capability)?,
            Ok(false) => (),
            // Beyond the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => (),
        Err(error) => return Err(error.into()),
    }
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED;
    match set_capabilities_secure_bits(locked) {
        // Who holds no capability to begin with may not, and has nothing that they could give.
        Ok(()) | Err(Errno::PERM) => (),
        Err(error) => return Err(error.into()),
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(set_no_new_privs(true)?)
}

fn drop_from_bounding_set(capability: CapabilitySet) -> io::Result<()> {
    match remove_capability_from_bounding_set(capability) {
        // Without CAP_SETPCAP the set stays, and no new privileges makes it mean nothing.
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
