//! Which system calls are refused, and how.
//!
//! **Invariant:** a number of the x32 interface is never taken for one of the native interface;
//! programs of other architectures are killed at their first call.

use std::{collections::BTreeMap, io};

use libc::c_long;
use sandbox_policy::Tier;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

/// Rules by system call; a call without rules matches always.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// How many filters [`apply`] puts in force.
pub(crate) const FILTERS: u32 = 4;

/// What reaches into other processes, other namespaces or the kernel itself.
const DENIED: [c_long; 59] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_set_mempolicy,
    libc::SYS_memfd_secret,
    libc::SYS_remap_file_pages,
    libc::SYS_vmsplice,
    libc::SYS_mlockall,
    libc::SYS_get_mempolicy,
];
/// Newer than the constants of the C library's crate; the same number everywhere.
const OPEN_TREE_ATTR: c_long = 467;
/// What only this architecture has.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: [c_long; 6] = [
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: [c_long; 0] = [];

/// What programs do without when the kernel is old, so they do without it here: filters cannot
/// look into what these are given.
const UNKNOWN: [c_long; 5] = [
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_openat2,
];

/// Bits of a mode that give a file the rights of its owner or group.
const RIGHTS_BY_MODE: [libc::mode_t; 2] = [libc::S_ISUID, libc::S_ISGID];

/// Namespaces that `clone` can make; its lowest byte is a signal, so CLONE_NEWTIME is none here.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Puts all filters in force for this process and whatever descends from it.
pub(super) fn apply(tier: Tier) -> io::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let compile = |rules, errno: libc::c_int| {
        let action = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, action, architecture)
            .and_then(BpfProgram::try_from)
            .map_err(io::Error::other)
    };
    let programs = [
        guard(),
        compile(denied()?, libc::EPERM)?,
        compile(sockets(tier)?, libc::EAFNOSUPPORT)?,
        compile(always(&UNKNOWN), libc::ENOSYS)?,
    ];
    programs.iter().try_for_each(|program| apply_filter(program)).map_err(io::Error::other)
}

/// Kills whoever uses a number of the x32 interface, which has the native architecture's name.
fn guard() -> BpfProgram {
    const LOAD_NUMBER: sock_filter = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    const IF_X32: sock_filter = sock_filter { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 };
    let answer = |k| sock_filter { code: 0x06, jt: 0, jf: 0, k };
    vec![
        LOAD_NUMBER,
        IF_X32,
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        answer(libc::SECCOMP_RET_ALLOW),
    ]
}

fn always(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn denied() -> io::Result<Rules> {
    let mut rules = always(&DENIED);
    rules.extend(always(&DENIED_HERE));
    // Characters put into a terminal's input, and the console's own tricks.
    for request in [libc::TIOCSTI, libc::TIOCCONS, 0x541c] {
        add(&mut rules, libc::SYS_ioctl, &[equal(1, request)])?;
    }
    for namespace in NAMESPACES {
        add(&mut rules, libc::SYS_clone, &[has(0, u64::from(namespace.unsigned_abs()))])?;
    }
    // What is asked for stays allowed: the present personality, and the plain one.
    add(&mut rules, libc::SYS_personality, &[unequal(0, 0), unequal(0, 0xffff_ffff)])?;
    rights_by_mode(&mut rules)?;
    Ok(rules)
}

/// A file that gives its owner's rights would give them to whoever finds it on the host.
fn rights_by_mode(rules: &mut Rules) -> io::Result<()> {
    for bit in RIGHTS_BY_MODE.map(u64::from) {
        add(rules, libc::SYS_fchmod, &[has(1, bit)])?;
        add(rules, libc::SYS_fchmodat, &[has(2, bit)])?;
        add(rules, libc::SYS_fchmodat2, &[has(2, bit)])?;
        add(rules, libc::SYS_mknodat, &[has(2, bit)])?;
        add(rules, libc::SYS_mkdirat, &[has(2, bit)])?;
        for flag in [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY] {
            let flag = u64::from(flag.unsigned_abs());
            add(rules, libc::SYS_openat, &[has(2, flag), has(3, bit)])?;
            #[cfg(target_arch = "x86_64")]
            add(rules, libc::SYS_open, &[has(1, flag), has(2, bit)])?;
        }
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_chmod, libc::SYS_creat, libc::SYS_mknod, libc::SYS_mkdir] {
            add(rules, call, &[has(1, bit)])?;
        }
    }
    Ok(())
}

/// With a network namespace of its own a run may have unix sockets, which reach only what it sees;
/// without one it has none but pairs.
fn sockets(tier: Tier) -> io::Result<Rules> {
    let unix = u64::from(libc::AF_UNIX.unsigned_abs());
    let mut rules = Rules::new();
    match tier {
        Tier::T0 | Tier::T1 => rules.extend(always(&[libc::SYS_socket])),
        Tier::T2 | Tier::T3 => add(&mut rules, libc::SYS_socket, &[unequal(0, unix)])?,
    }
    add(&mut rules, libc::SYS_socketpair, &[unequal(0, unix)])?;
    Ok(rules)
}

/// What one argument of a call must be.
struct Condition {
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
}

fn has(argument: u8, bits: u64) -> Condition {
    Condition { argument, operator: SeccompCmpOp::MaskedEq(bits), value: bits }
}

fn equal(argument: u8, value: u64) -> Condition {
    Condition { argument, operator: SeccompCmpOp::Eq, value }
}

fn unequal(argument: u8, value: u64) -> Condition {
    Condition { argument, operator: SeccompCmpOp::Ne, value }
}

/// Adds a rule that matches when all conditions hold. The kernel takes all of these arguments as
/// 32 bits, so the upper half is not looked at.
fn add(rules: &mut Rules, call: c_long, conditions: &[Condition]) -> io::Result<()> {
    let length = SeccompCmpArgLen::Dword;
    let conditions = conditions.iter().map(|Condition { argument, operator, value }| {
        SeccompCondition::new(*argument, length.clone(), operator.clone(), *value)
    });
    let rule = conditions.collect::<Result<Vec<_>, _>>().and_then(SeccompRule::new);
    rules.entry(call).or_default().push(rule.map_err(io::Error::other)?);
    Ok(())
}
