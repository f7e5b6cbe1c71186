//! Credentials that are files: named by path, or given to the node by systemd.

use std::{
    fs::File,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
    process::geteuid,
};

use super::{
    error::{Unavailable, cannot},
    secret::Secret,
};

/// Permissions that anybody but the owner has.
const OTHERS: u32 = 0o077;
/// All permissions.
const PERMISSIONS: u32 = 0o7777;
/// A pipe or a device is not waited for, and what is opened is no descriptor of a run.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// `file:PATH`
pub(super) fn named_by_path(path: &str) -> Result<Secret, Unavailable> {
    let file = open_no_link(Path::new(path))?;
    let metadata = file.metadata().map_err(cannot("look at the file"))?;
    let mode = metadata.mode() & PERMISSIONS;
    if mode & OTHERS != 0 {
        return Err(Unavailable::Exposed { mode });
    }
    if ![geteuid().as_raw(), 0].contains(&metadata.uid()) {
        return Err(Unavailable::ForeignOwner);
    }
    Secret::read(file)
}

/// `systemd-cred:NAME`, in the folder that systemd named to the node.
///
/// Permissions are systemd's own, which shows them through an access list as group-readable.
pub(super) fn of_unit(folder: Option<&PathBuf>, name: &str) -> Result<Secret, Unavailable> {
    let folder = folder.ok_or(Unavailable::NoUnitCredentials)?;
    match open_no_link(&folder.join(name)) {
        Ok(file) => Secret::read(file),
        Err(Unavailable::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Unavailable::NotInUnit)
        }
        Err(error) => Err(error),
    }
}

fn open_no_link(path: &Path) -> Result<File, Unavailable> {
    let opened = openat(CWD, path, OPEN | OFlags::NOFOLLOW, Mode::empty());
    regular(opened.map(File::from))
}

/// Opens a file below a folder; links are followed, but not out of it.
pub(super) fn open_below(folder: &File, path: &Path) -> Result<File, Unavailable> {
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    regular(openat2(folder, path, OPEN, Mode::empty(), stay).map(File::from))
}

fn regular(opened: Result<File, Errno>) -> Result<File, Unavailable> {
    let file = match opened {
        Ok(file) => file,
        Err(Errno::LOOP) => return Err(Unavailable::NotRegular),
        Err(error) => return Err(cannot("open the file")(error)),
    };
    let metadata = file.metadata().map_err(cannot("look at the file"))?;
    if metadata.is_file() { Ok(file) } else { Err(Unavailable::NotRegular) }
}
