//! Attributes of mounts, for which there is no safe wrapper yet.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use rustix::mount::MountAttrFlags;

/// Sets attributes on a whole tree of mounts.
pub(crate) fn set_attributes(tree: BorrowedFd<'_>, flags: MountAttrFlags) -> io::Result<()> {
    mount_setattr(tree, libc::AT_RECURSIVE, &attributes(flags, None))
}

/// Sets attributes on one mount.
pub(crate) fn set_attributes_of_one(
    mount: BorrowedFd<'_>,
    flags: MountAttrFlags,
) -> io::Result<()> {
    mount_setattr(mount, 0, &attributes(flags, None))
}

/// Shows a detached tree's owners as the users of a namespace that map to them.
pub(crate) fn map_owners(tree: BorrowedFd<'_>, users: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MountAttrFlags::MOUNT_ATTR_IDMAP;
    mount_setattr(tree, libc::AT_RECURSIVE, &attributes(flags, Some(users)))
}

fn attributes(set: MountAttrFlags, users: Option<BorrowedFd<'_>>) -> libc::mount_attr {
    let users = users.map_or(0, |users| u64::from(users.as_raw_fd().unsigned_abs()));
    libc::mount_attr {
        attr_set: u64::from(set.bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: users,
    }
}

fn mount_setattr(
    tree: BorrowedFd<'_>,
    flags: libc::c_int,
    attributes: &libc::mount_attr,
) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | flags;
    // SAFETY: the path is an empty text with its NUL; the structure has the size that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
