//! The root of a run: empty but for what a program needs, and read-only.
//!
//! **Invariant:** nothing of the host is in it that is not named here or among the run's mounts.
//! **Invariant:** links made here are relative, for an absolute one leads to the host's root until
//! the roots are exchanged.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    },
    path::Path,
};

use rustix::{
    fs::CWD,
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
        UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change,
        move_mount, unmount,
    },
    process::{fchdir, pivot_root},
};

use super::trees::{SAFE, Tree, clone_tree};
use crate::{
    sys,
    wire::{OrRefuse, Refusal, Stage, Walls},
};

/// What /tmp leads to.
pub(crate) const TEMPORARY: &str = "/run/tmp";
/// What /dev/shm leads to.
pub(crate) const SHARED_MEMORY: &str = "/run/shm";

/// Where programs and their libraries are.
pub(crate) const PROGRAMS: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];
/// What programs need to know of the host, none of it secret.
pub(crate) const SETTINGS: [&str; 7] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];
/// Devices that give nothing of the host away.
pub(crate) const DEVICES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];

/// Covered by the new root until the roots are exchanged; every host with processes has it.
const BUILDING_SITE: &str = "/proc";
/// Most bytes that the skeleton of the root takes.
const ROOT_BYTES: &str = "4m";
/// One file for so many bytes of scratch, or files would cost more memory than what is in them.
const BYTES_PER_FILE: u64 = 4096;

/// Makes the root and moves into it.
pub(super) fn build(walls: &Walls, trees: Vec<Tree>) -> Result<(), Refusal> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .or_refuse(Stage::Confine, "keep mounts to itself")?;
    let root = tmpfs(&[("mode", "755"), ("size", ROOT_BYTES)])
        .or_refuse(Stage::Confine, "make an empty root (tmpfs)")?;
    attach(&root, BUILDING_SITE).or_refuse(Stage::Confine, "mount the root")?;
    fchdir(&root).or_refuse(Stage::Confine, "enter the root")?;

    programs().or_refuse(Stage::Confine, "mount programs")?;
    settings(walls).or_refuse(Stage::Confine, "make /etc")?;
    own_space(walls).or_refuse(Stage::Confine, "mount the run's own space (tmpfs)")?;
    devices().or_refuse(Stage::Confine, "make /dev")?;
    processes().or_refuse(Stage::Confine, "mount /proc")?;
    for tree in trees {
        let named = format!("mount {}", tree.target);
        workspace(tree).map_err(|error| Refusal::of(Stage::Confine, &named, &error))?;
    }
    let read_only = SAFE | MountAttrFlags::MOUNT_ATTR_RDONLY;
    sys::set_attributes_of_one(root.as_fd(), read_only)
        .or_refuse(Stage::Confine, "protect the root")?;
    exchange().or_refuse(Stage::Confine, "exchange the roots")
}

fn tmpfs(settings: &[(&str, &str)]) -> io::Result<OwnedFd> {
    file_system("tmpfs", settings, SAFE)
}

fn file_system(
    kind: &str,
    settings: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in settings {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn attach(mount: &OwnedFd, target: &str) -> Result<(), Errno> {
    move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// `path` of the host, seen from the new root.
fn here(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// Shows a path of the host at the same place: a link as a link, anything else read-only.
fn show(path: &str) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    make_parents(here(path))?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(path)?, here(path));
    }
    let tree = clone_tree(path, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    make_place(here(path), metadata.is_dir())?;
    Ok(attach(&tree, here(path))?)
}

fn make_parents(path: &str) -> io::Result<()> {
    let parent = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), fs::create_dir_all)
}

fn make_place(path: &str, is_dir: bool) -> io::Result<()> {
    make_parents(path)?;
    if is_dir {
        fs::create_dir_all(path)
    } else {
        fs::File::options().append(true).create(true).open(path).map(drop)
    }
}

fn programs() -> io::Result<()> {
    PROGRAMS.iter().try_for_each(|path| show(path))
}

fn settings(walls: &Walls) -> io::Result<()> {
    fs::create_dir("etc")?;
    SETTINGS.iter().try_for_each(|path| show(path))?;
    own_settings(walls).iter().try_for_each(|(path, text)| fs::write(here(path), text))
}

/// Files that are made for the run, so that they say nothing of the host's users and names.
pub(crate) fn own_settings(walls: &Walls) -> [(&'static str, String); 4] {
    let Walls { uid, gid, scratch, .. } = walls;
    let users = format!("root:x:0:0:root:/:/bin/false\nrun:x:{uid}:{gid}:run:{scratch}:/bin/sh\n");
    [
        ("/etc/passwd", users),
        ("/etc/group", format!("root:x:0:\nrun:x:{gid}:\n")),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n".to_owned()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
    ]
}

/// One tmpfs for all that a run may write, so that one limit holds for all of it.
fn own_space(walls: &Walls) -> io::Result<()> {
    let bytes = walls.quotas.disk_bytes;
    let (size, files) = (bytes.to_string(), (bytes / BYTES_PER_FILE).max(16).to_string());
    let space = tmpfs(&[("mode", "755"), ("size", &size), ("nr_inodes", &files)])?;
    fs::create_dir("run")?;
    attach(&space, "run")?;
    fs::DirBuilder::new().mode(0o700).create(here(&walls.scratch))?;
    for shared in [TEMPORARY, SHARED_MEMORY] {
        fs::create_dir(here(shared))?;
        fs::set_permissions(here(shared), fs::Permissions::from_mode(0o1777))?;
    }
    symlink("run/tmp", "tmp")
}

fn devices() -> io::Result<()> {
    fs::create_dir("dev")?;
    symlink("../run/shm", "dev/shm")?;
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        symlink(format!("/proc/self/fd/{number}"), format!("dev/{name}"))?;
    }
    symlink("/proc/self/fd", "dev/fd")?;
    for name in DEVICES {
        let place = format!("dev/{name}");
        let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
            | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let device = rustix::mount::open_tree(CWD, format!("/{place}"), flags)?;
        make_place(&place, false)?;
        attach(&device, &place)?;
    }
    Ok(())
}

/// The processes of the namespace; where the kernel allows no view of them, nothing. Never the
/// host's.
fn processes() -> io::Result<()> {
    let attributes = SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let hidden = file_system("proc", &[("hidepid", "invisible")], attributes);
    let view = hidden.or_else(|_| file_system("proc", &[], attributes));
    let view = view.or_else(|_| tmpfs(&[("mode", "555"), ("size", "4k")]))?;
    fs::create_dir("proc")?;
    Ok(attach(&view, "proc")?)
}

fn workspace(tree: Tree) -> io::Result<()> {
    let Tree { target, mount, is_dir } = tree;
    make_place(here(&target), is_dir)?;
    Ok(attach(&mount, here(&target))?)
}

/// Makes the new root the only one: the old one is stacked upon it, and taken away.
fn exchange() -> io::Result<()> {
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")
}
