//! The first process of a run's namespaces: makes its root, starts the program, reaps orphans.
//!
//! **Invariant:** nobody in the namespaces can look into it or stop it, and its end is theirs.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, getuid, set_dumpable_behavior,
        set_parent_process_death_signal, wait,
    },
    thread::{Gid, Uid, set_thread_res_gid, set_thread_res_uid},
};

use super::{Inside, Tree, lead, lock, root, trees};
use crate::{
    Status,
    gate::{self, FromInside, FromOutside},
    sys::{self, Forked},
    wire::{OrRefuse, Refusal, Stage, Walls},
};

/// Never returns: leaves when nobody else is left in the namespaces.
pub(crate) fn first(inside: Inside, channel: OwnedFd, trees: Option<Vec<Tree>>) -> ! {
    let begun = begin(&inside.order.walls, &channel, trees);
    go_on(begun, inside, channel)
}

/// The same in namespaces and a root that another program made.
pub(crate) fn first_of_others(inside: Inside, channel: OwnedFd) -> ! {
    let begun = sys::fork().or_refuse(Stage::Confine, "fork");
    go_on(begun, inside, channel)
}

fn go_on(begun: Result<Forked, Refusal>, inside: Inside, channel: OwnedFd) -> ! {
    match begun {
        Ok(Forked::Child) => {
            drop(channel);
            lead(inside, None)
        }
        Ok(Forked::Parent(leader)) => {
            drop(inside);
            let confined = lock::give_up_rights().is_ok()
                && set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
            if !confined {
                // Taking the namespaces down is all that a first process can still promise.
                sys::exit(1);
            }
            watch(leader, &channel);
            sys::exit(0)
        }
        Err(refusal) => {
            // A supervisor that is gone hears nothing, and this process ends either way.
            drop(gate::send(&inside.gate, &FromInside::Failed(refusal), None));
            sys::exit(1)
        }
    }
}

fn begin(walls: &Walls, channel: &OwnedFd, trees: Option<Vec<Tree>>) -> Result<Forked, Refusal> {
    match gate::receive(channel).or_refuse(Stage::Confine, "hear the supervisor")? {
        Some((FromOutside::Mapped, _)) => (),
        Some((FromOutside::Go, _)) | None => sys::exit(1),
    }
    become_user(walls).or_refuse(Stage::Confine, "become the user of the run")?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .or_refuse(Stage::Confine, "follow the supervisor")?;
    // The supervisor may have died before the kernel was told to watch it.
    if is_closed(channel) {
        sys::exit(1);
    }
    let trees = trees.map_or_else(|| trees::open(&walls.mounts), Ok)?;
    root::build(walls, trees)?;
    sys::fork().or_refuse(Stage::Confine, "fork")
}

/// Changes the user only when it must: doing so makes a process unreadable even to its owner.
fn become_user(walls: &Walls) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(walls.uid), Gid::from_raw(walls.gid));
    set_thread_res_gid(gid, gid, gid)?;
    if getuid() != uid || walls.uid == u32::from(u16::MAX - 1) {
        // The overflow id is also what a user without a mapping reads as its own.
        set_thread_res_uid(uid, uid, uid)?;
    }
    Ok(())
}

fn is_closed(channel: &OwnedFd) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(channel.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok()
        && watched.iter().any(|entry| entry.revents().contains(PollFlags::HUP))
}

/// Reaps until nobody is left, and tells the supervisor how the program ended.
fn watch(leader: Pid, channel: &OwnedFd) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == leader => {
                // A supervisor that is gone takes this process along.
                drop(gate::send(channel, &FromInside::Ended(status_of(status)), None));
            }
            Ok(_) | Err(Errno::INTR) => (),
            Err(_) => return,
        }
    }
}

/// How a process ended.
pub(crate) fn status_of(status: WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Code(code),
        (None, Some(signal)) => Status::Signal(signal),
        (None, None) => Status::Unknown,
    }
}
