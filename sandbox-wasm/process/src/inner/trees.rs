//! The parts of the host's files that a run is given, as mounts that are not mounted yet.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

use rustix::{
    fs::CWD,
    io::Errno,
    mount::{MountAttrFlags, OpenTreeFlags, open_tree},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};
use sandbox_policy::{Access, Mount};

use crate::{
    gate,
    sys::{self, Forked},
    wire::{Refusal, Stage, Walls},
};

/// What every mount that a run is given refuses: devices, and rights by execution.
pub(super) const SAFE: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// A part of the host's files that waits to be mounted.
pub(crate) struct Tree {
    /// Where it goes.
    pub(super) target: String,
    /// What it is.
    pub(super) mount: OwnedFd,
    /// Folder or file.
    pub(super) is_dir: bool,
}

/// Opens them before the namespaces are made, if this process may: then it may also show what
/// belongs to the owner of a folder as belonging to the run.
pub(crate) fn open_as_root(walls: &Walls) -> Result<Option<Vec<Tree>>, Refusal> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let open = |mount: &Mount| {
        let tree = open_one(mount)?;
        let owner = fs::metadata(&mount.source).map_err(refuse(mount))?;
        if (owner.uid(), owner.gid()) != (walls.uid, walls.gid) {
            show_as_own(&tree, &owner, walls).map_err(refuse(mount))?;
        }
        Ok(tree)
    };
    walls.mounts.iter().map(open).collect::<Result<Vec<_>, _>>().map(Some)
}

/// Opens them inside the namespaces.
pub(super) fn open(mounts: &[Mount]) -> Result<Vec<Tree>, Refusal> {
    mounts.iter().map(open_one).collect()
}

fn open_one(mount: &Mount) -> Result<Tree, Refusal> {
    let is_dir = fs::metadata(&mount.source).map_err(refuse(mount))?.is_dir();
    let access = match mount.access {
        Access::ReadOnly => MountAttrFlags::MOUNT_ATTR_RDONLY,
        Access::ReadWrite => MountAttrFlags::empty(),
    };
    let tree = clone_tree(&mount.source, access).map_err(refuse(mount))?;
    Ok(Tree { target: mount.target.clone(), mount: tree, is_dir })
}

/// A detached copy of what is mounted at a path, with whatever is mounted below.
pub(super) fn clone_tree(path: &str, attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags)?;
    sys::set_attributes(tree.as_fd(), SAFE | attributes)?;
    Ok(tree)
}

fn refuse(mount: &Mount) -> impl Fn(io::Error) -> Refusal {
    let attempt = format!("mount {}", mount.source);
    move |error| Refusal::of(Stage::Confine, &attempt, &error)
}

/// A file system that cannot show other owners shows the real ones.
fn show_as_own(tree: &Tree, owner: &fs::Metadata, walls: &Walls) -> io::Result<()> {
    let users = owner_map(owner.uid(), walls.uid);
    let groups = owner_map(owner.gid(), walls.gid);
    let namespace = user_namespace(&users, &groups)?;
    match sys::map_owners(tree.mount.as_fd(), namespace.as_fd()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        mapped => mapped,
    }
}

/// Every id as itself, but the owner's as the run's, and the run's as nobody's.
pub(super) fn owner_map(owner: u32, run: u32) -> String {
    if owner == run {
        return format!("0 0 {}", u32::MAX);
    }
    let (low, high) = (owner.min(run), owner.max(run));
    let parts = [(0, low), (low + 1, high), (high + 1, u32::MAX)];
    let mut map = format!("{owner} {run} 1\n");
    for (from, to) in parts.into_iter().filter(|(from, to)| from < to) {
        map.push_str(&format!("{from} {from} {}\n", to - from));
    }
    map
}

/// A user namespace with these maps and nobody in it.
fn user_namespace(users: &str, groups: &str) -> io::Result<OwnedFd> {
    let (ours, theirs) = gate::pair()?;
    let Forked::Parent(holder) = sys::fork_into(libc::CLONE_NEWUSER)? else {
        drop(ours);
        // Waits until it is killed, or until whoever forked it is gone.
        drop(gate::receive::<gate::FromOutside>(&theirs));
        sys::exit(0)
    };
    let namespace = map_and_open(holder, users, groups);
    drop(theirs);
    kill_process(holder, Signal::KILL)?;
    while matches!(waitpid(Some(holder), WaitOptions::empty()), Err(Errno::INTR)) {}
    namespace
}

fn map_and_open(holder: Pid, users: &str, groups: &str) -> io::Result<OwnedFd> {
    fs::write(format!("/proc/{holder}/uid_map"), users)?;
    fs::write(format!("/proc/{holder}/gid_map"), groups)?;
    Ok(fs::File::open(format!("/proc/{holder}/ns/user"))?.into())
}

#[cfg(test)]
mod tests;
