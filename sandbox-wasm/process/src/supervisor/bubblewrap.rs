//! Namespaces and a root by the system's bubblewrap, where this program may not make its own: some
//! systems allow user namespaces to programs by their name.
//!
//! Bubblewrap executes this very program again as the first process of the namespaces, which then
//! goes on as if it had made them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{FdFlags, fcntl_setfd},
    process::{Signal, geteuid, set_parent_process_death_signal},
    thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use sandbox_policy::{Access, Mount};

use super::{MARK, start::Begun};
use crate::{
    gate,
    inner::{
        DEVICES, Inside, PROGRAMS, SETTINGS, SHARED_MEMORY, TEMPORARY, first_of_others,
        own_settings,
    },
    sys::{self, Forked, Image},
    wire::{OrRefuse, Order, Refusal, Stage, Walls},
};

/// Where the run's root shows this program.
const SELF_INSIDE: &str = "/.cortex-launcher";
/// Begins the mark of a process that bubblewrap starts.
const INSIDE: &str = "inside";

/// Numbers of the descriptors that the inside inherits: order, gate, channel and three streams.
pub(super) struct Inherited([RawFd; 6]);

impl Inherited {
    /// Reads what [`Inherited::text`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next() != Some(INSIDE) {
            return None;
        }
        let numbers: Vec<RawFd> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self(numbers.try_into().ok()?))
    }

    fn text(&self) -> String {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("{INSIDE} {}", numbers.join(" "))
    }
}

/// Lets bubblewrap start the inside.
pub(super) fn bubblewrap(order: Order, streams: [OwnedFd; 3]) -> Result<Begun, Refusal> {
    let (gate, gate_inside) = gate::pair().or_refuse(Stage::Prepare, "make a socket")?;
    let (channel, channel_inside) = gate::pair().or_refuse(Stage::Prepare, "make a socket")?;
    let walls = &order.walls;
    let text = serde_json::to_vec(&order).map_err(io::Error::other);
    let told =
        text.and_then(|text| in_memory(&text)).or_refuse(Stage::Prepare, "tell the order")?;
    let settings = own_settings(walls).map(|(path, text)| Ok((path, in_memory(text.as_bytes())?)));
    let settings: Vec<(&str, OwnedFd)> =
        settings.into_iter().collect::<io::Result<_>>().or_refuse(Stage::Prepare, "make /etc")?;
    let [stdin, stdout, stderr] = &streams;
    let handed = [&told, &gate_inside, &channel_inside, stdin, stdout, stderr];
    let inherited = Inherited(handed.map(AsRawFd::as_raw_fd));
    let argv = arguments(walls, &settings, &inherited).or_refuse(Stage::Prepare, "find itself")?;
    let program = walls.bubblewrap.clone().unwrap_or_default();
    let image = Image::new(&program, &argv, &BTreeMap::new())
        .or_refuse(Stage::Prepare, "prepare bubblewrap's arguments")?;
    match sys::fork().or_refuse(Stage::Prepare, "fork")? {
        Forked::Parent(child) => Ok(Begun { child, gate, channel: Some(channel) }),
        Forked::Child => {
            let kept = handed.into_iter().chain(settings.iter().map(|(_, file)| file));
            let error = become_bubblewrap(walls, kept, &image);
            let refusal = Refusal::of(Stage::Confine, "execute bubblewrap", &error);
            drop(gate::send(&gate_inside, &gate::FromInside::Failed(refusal), None));
            sys::exit(1)
        }
    }
}

/// Returns only the reason why not.
fn become_bubblewrap<'a>(
    walls: &Walls,
    kept: impl Iterator<Item = &'a OwnedFd>,
    image: &Image,
) -> io::Error {
    let become_user = || -> io::Result<()> {
        if geteuid().is_root() {
            let (uid, gid) = (Uid::from_raw(walls.uid), Gid::from_raw(walls.gid));
            set_thread_groups(&[gid])?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)?;
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        for descriptor in kept {
            fcntl_setfd(descriptor.as_fd(), FdFlags::empty())?;
        }
        Ok(())
    };
    match become_user() {
        Ok(()) => image.execute_by_path(),
        Err(error) => error,
    }
}

fn in_memory(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("sandbox", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

fn arguments(
    walls: &Walls,
    settings: &[(&str, OwnedFd)],
    inherited: &Inherited,
) -> io::Result<Vec<String>> {
    let (uid, gid) = (walls.uid.to_string(), walls.gid.to_string());
    let mut all = vec!["bwrap".to_owned()];
    let mut add = |words: &[&str]| all.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]);
    add(&["--unshare-cgroup", "--die-with-parent", "--as-pid-1", "--uid", &uid, "--gid", &gid]);
    for path in PROGRAMS.iter().chain(&SETTINGS) {
        match fs::read_link(path) {
            Ok(target) => add(&["--symlink", &target.to_string_lossy(), path]),
            Err(_) => add(&["--ro-bind-try", path, path]),
        }
    }
    for (path, file) in settings {
        add(&["--file", &file.as_raw_fd().to_string(), path]);
    }
    add(&["--proc", "/proc", "--dir", "/dev", "--symlink", "/proc/self/fd", "/dev/fd"]);
    add(&["--symlink", "../run/shm", "/dev/shm", "--symlink", "run/tmp", "/tmp"]);
    for name in DEVICES {
        let path = format!("/dev/{name}");
        add(&["--dev-bind", &path, &path]);
    }
    add(&["--size", &walls.quotas.disk_bytes.to_string(), "--tmpfs", "/run"]);
    add(&["--perms", "0700", "--dir", &walls.scratch]);
    for shared in [TEMPORARY, SHARED_MEMORY] {
        add(&["--perms", "1777", "--dir", shared]);
    }
    for Mount { source, target, access } in &walls.mounts {
        let bind = match access {
            Access::ReadOnly => "--ro-bind",
            Access::ReadWrite => "--bind",
        };
        add(&[bind, source, target]);
    }
    let program = std::env::current_exe()?;
    add(&["--ro-bind", &program.to_string_lossy(), SELF_INSIDE, "--remount-ro", "/"]);
    add(&["--clearenv", "--setenv", MARK, &inherited.text(), "--", SELF_INSIDE]);
    Ok(all)
}

/// The first process of bubblewrap's namespaces, from its first instruction on.
pub(super) fn inside(inherited: &Inherited) -> ! {
    match adopt(inherited) {
        Ok((inside, channel)) => first_of_others(inside, channel),
        // The closed gate tells the supervisor.
        Err(_) => sys::exit(1),
    }
}

fn adopt(inherited: &Inherited) -> io::Result<(Inside, OwnedFd)> {
    let [told, gate, channel, stdin, stdout, stderr] = inherited.0.map(sys::adopt);
    let mut text = Vec::new();
    File::from(told?).read_to_end(&mut text)?;
    let order = serde_json::from_slice(&text).map_err(io::Error::other)?;
    Ok((Inside { order, streams: [stdin?, stdout?, stderr?], gate: gate? }, channel?))
}
