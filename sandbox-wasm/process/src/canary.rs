//! Acts that a sandbox must prevent, tried behind its walls and, as a control, outside of them.
//!
//! **Invariant:** no act does harm where it succeeds.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::id,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::{
    net::{AddressFamily, SocketType, socket},
    process::{Pid, test_kill_process},
};
use sandbox_policy::{Property, Quotas};
use serde::{Deserialize, Serialize};

use crate::sys;

/// How long an act may wait for the network.
const NETWORK_LIMIT: Duration = Duration::from_millis(200);
/// What the sandbox of a trial may use; each act exceeds one of these.
pub(crate) const QUOTAS: Quotas =
    Quotas { memory_bytes: 256 << 20, pids: 16, cpu_s: 10, disk_bytes: 1 << 20, open_files: 1024 };

/// What the acts aim at: things of the host that exist as long as a trial takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// A folder that was not granted, with a file `secret` and a unix socket `socket`.
    folder: PathBuf,
    /// Name of an abstract unix socket.
    abstract_socket: String,
    /// Where somebody listens on 127.0.0.1.
    tcp_port: u16,
    /// Likewise.
    udp_port: u16,
    /// A process that is not the run's.
    victim: i32,
    /// Number of a descriptor that was open and not marked to be closed.
    descriptor: i32,
    /// Where the run may write.
    scratch: PathBuf,
}

/// Whether each act succeeded.
pub(crate) type Acts = BTreeMap<Property, bool>;

/// The targets of a trial, kept as long as this lives.
pub(crate) struct Targets {
    pub(crate) probe: Probe,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _path: UnixListener,
    _abstract: UnixListener,
    _descriptor: OwnedFd,
}

impl Targets {
    /// Makes them in a folder of their own below `base`.
    pub(crate) fn make(base: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("cortex-canary-{}-{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = base.join(&name);
        let scratch = folder.join("scratch");
        fs::create_dir_all(&scratch)?;
        fs::write(folder.join("secret"), "secret")?;
        let (tcp, udp) = ((Ipv4Addr::LOCALHOST, 0), (Ipv4Addr::LOCALHOST, 0));
        let (tcp, udp) = (TcpListener::bind(tcp)?, UdpSocket::bind(udp)?);
        let path = UnixListener::bind(folder.join("socket"))?;
        let address = SocketAddr::from_abstract_name(&name)?;
        let descriptor = rustix::io::dup(&tcp)?;
        let probe = Probe {
            tcp_port: tcp.local_addr()?.port(),
            udp_port: udp.local_addr()?.port(),
            victim: i32::try_from(id()).map_err(io::Error::other)?,
            descriptor: descriptor.as_raw_fd(),
            abstract_socket: name,
            scratch,
            folder,
        };
        let (_tcp, _udp, _path) = (tcp, udp, path);
        let _abstract = UnixListener::bind_addr(&address)?;
        Ok(Self { probe, _tcp, _udp, _path, _abstract, _descriptor: descriptor })
    }

    /// The acts as they go without walls.
    pub(crate) fn control(&self) -> Acts {
        acts(&self.probe)
    }

    /// Where the run of the trial may write.
    pub(crate) fn scratch(&self) -> &Path {
        &self.probe.scratch
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.probe.folder) {
            tracing::debug!(%error, "the folder of a sandbox's trial stays");
        }
    }
}

/// Tries everything from inside, tells it on standard output, and returns the exit status.
pub(crate) fn run(probe: &Probe) -> i32 {
    sys::survive_file_limits();
    let inside = std::env::current_dir().unwrap_or_default();
    let probe = Probe { scratch: inside, ..probe.clone() };
    let told = serde_json::to_vec(&acts(&probe)).map_err(io::Error::other);
    let told = told.and_then(|text| io::stdout().write_all(&text));
    if told.and_then(|()| io::stdout().flush()).is_ok() { 0 } else { 1 }
}

fn acts(probe: &Probe) -> Acts {
    let acts: [(Property, bool); 12] = [
        (Property::FsWriteConfined, fs::write(probe.folder.join("written"), "x").is_ok()),
        (Property::FsReadConfined, fs::read(probe.folder.join("secret")).is_ok()),
        (Property::NetDenied, reaches_network(probe)),
        (Property::HostSocketsBlocked, reaches_sockets(probe)),
        (Property::ProcHidden, fs::read(process(probe, "cmdline")).is_ok()),
        (Property::SignalsConfined, may_signal(probe)),
        (Property::SyscallsFiltered, may_netlink()),
        (Property::EnvScrubbed, fs::read(process(probe, "environ")).is_ok()),
        (Property::FdsClosed, fs::metadata(format!("/proc/self/fd/{}", probe.descriptor)).is_ok()),
        (Property::DiskLimited, exceeds_disk(probe)),
        (Property::MemoryLimited, exceeds_memory()),
        (Property::PidsLimited, exceeds_pids()),
    ];
    BTreeMap::from(acts)
}

fn process(probe: &Probe, file: &str) -> String {
    format!("/proc/{}/{file}", probe.victim)
}

fn reaches_network(probe: &Probe) -> bool {
    let tcp = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, probe.tcp_port));
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let udp = udp.and_then(|socket| socket.send_to(b"x", (Ipv4Addr::LOCALHOST, probe.udp_port)));
    TcpStream::connect_timeout(&tcp, NETWORK_LIMIT).is_ok() || udp.is_ok()
}

fn reaches_sockets(probe: &Probe) -> bool {
    let address = SocketAddr::from_abstract_name(&probe.abstract_socket);
    let by_name = address.and_then(|address| UnixStream::connect_addr(&address));
    UnixStream::connect(probe.folder.join("socket")).is_ok() || by_name.is_ok()
}

fn may_signal(probe: &Probe) -> bool {
    Pid::from_raw(probe.victim).is_some_and(|victim| test_kill_process(victim).is_ok())
}

fn may_netlink() -> bool {
    socket(AddressFamily::NETLINK, SocketType::RAW, None).is_ok()
}

fn exceeds_disk(probe: &Probe) -> bool {
    let excess = usize::try_from(QUOTAS.disk_bytes * 2).unwrap_or(usize::MAX);
    fs::write(probe.scratch.join("excess"), vec![1; excess]).is_ok()
}

/// Memory that is not touched costs nothing, but counts.
fn exceeds_memory() -> bool {
    let excess = usize::try_from(QUOTAS.memory_bytes * 2).unwrap_or(usize::MAX);
    Vec::<u8>::new().try_reserve_exact(excess).is_ok()
}

fn exceeds_pids() -> bool {
    let (keep, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let start = |_| {
        let wait = std::sync::Arc::clone(&wait);
        let until_dropped = move || drop(wait.lock().map(|wait| wait.recv()));
        std::thread::Builder::new().stack_size(64 << 10).spawn(until_dropped)
    };
    let threads: Vec<_> = (0..QUOTAS.pids * 2).map(start).collect();
    drop(keep);
    threads.into_iter().fold(true, |all, thread| all & thread.map(|it| it.join()).is_ok())
}
