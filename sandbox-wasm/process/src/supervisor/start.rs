//! From an order to a process that waits behind its walls.

use std::{fs, os::fd::OwnedFd};

use rustix::{
    process::{Pid, Signal, getpid, kill_process},
    thread::{Gid, set_thread_groups},
};
use sandbox_policy::Tier;

use super::bubblewrap::bubblewrap;
use crate::{
    gate::{self, FromInside, FromOutside},
    inner::{self, Inside},
    sys::{self, Forked},
    tree::descendants,
    wire::{OrRefuse, Order, Refusal, Stage, Walls},
};

/// A process that waits for its supervisor's word.
pub(super) struct Waiting {
    /// The supervisor's own child: the program to be, or the first process of its namespaces.
    pub(super) child: Pid,
    /// The program to be.
    pub(super) leader: Pid,
    /// To the program to be.
    pub(super) gate: OwnedFd,
    /// To the first process of the namespaces, where there are any.
    pub(super) channel: Option<OwnedFd>,
    /// The executable.
    pub(super) file: OwnedFd,
    /// Its name, as the run sees it.
    pub(super) program: String,
    /// What the inside says of Landlock.
    pub(super) landlock_abi: Option<u32>,
}

/// A child that has begun to put up its walls.
pub(super) struct Begun {
    pub(super) child: Pid,
    pub(super) gate: OwnedFd,
    pub(super) channel: Option<OwnedFd>,
}

/// Starts the inside and waits until it is ready. When it fails, its processes are gone or dying.
pub(super) fn start(order: Order, streams: [OwnedFd; 3]) -> Result<Waiting, Refusal> {
    let walls = order.walls.clone();
    let begun = match walls.tier {
        Tier::T0 | Tier::T1 => plain(order, streams),
        Tier::T2 => bubblewrap(order, streams),
        Tier::T3 => namespaces(order, streams),
    }?;
    let child = begun.child;
    let waiting = open_gate(begun, &walls);
    if waiting.is_err() {
        kill(child);
    }
    waiting
}

/// Who is gone already needs no signal.
pub(super) fn kill(child: Pid) {
    if let Err(error) = kill_process(child, Signal::KILL) {
        tracing::debug!(%error, "a run that is refused is gone already");
    }
}

fn plain(order: Order, streams: [OwnedFd; 3]) -> Result<Begun, Refusal> {
    let (gate, theirs) = gate::pair().or_refuse(Stage::Prepare, "make a socket")?;
    let supervisor = getpid();
    match sys::fork().or_refuse(Stage::Prepare, "fork")? {
        Forked::Child => {
            drop(gate);
            inner::lead(Inside { order, streams, gate: theirs }, Some(supervisor))
        }
        Forked::Parent(child) => Ok(Begun { child, gate, channel: None }),
    }
}

fn namespaces(order: Order, streams: [OwnedFd; 3]) -> Result<Begun, Refusal> {
    let (gate, gate_inside) = gate::pair().or_refuse(Stage::Prepare, "make a socket")?;
    let (channel, channel_inside) = gate::pair().or_refuse(Stage::Prepare, "make a socket")?;
    let trees = inner::open_as_root(&order.walls)?;
    if rustix::process::geteuid().is_root() {
        set_thread_groups(&[Gid::from_raw(order.walls.gid)])
            .or_refuse(Stage::Prepare, "leave the node's groups")?;
    }
    let walls = order.walls.clone();
    let forked = sys::fork_into(sys::NAMESPACES);
    match forked.or_refuse(Stage::Confine, "make namespaces (clone)")? {
        Forked::Child => {
            drop((gate, channel));
            inner::first(Inside { order, streams, gate: gate_inside }, channel_inside, trees)
        }
        Forked::Parent(child) => {
            if let Err(refusal) = map_user(child, &walls) {
                kill(child);
                return Err(refusal);
            }
            gate::send(&channel, &FromOutside::Mapped, None)
                .or_refuse(Stage::Prepare, "speak to the inside")?;
            Ok(Begun { child, gate, channel: Some(channel) })
        }
    }
}

/// Lets the run's user exist in the namespace, and no other.
fn map_user(child: Pid, walls: &Walls) -> Result<(), Refusal> {
    let write = |file: &str, text: String| {
        let attempt = format!("write {file} of the user namespace");
        fs::write(format!("/proc/{child}/{file}"), text)
            .map_err(|error| Refusal::of(Stage::Confine, &attempt, &error))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{0} {0} 1", walls.uid))?;
    write("gid_map", format!("{0} {0} 1", walls.gid))
}

fn open_gate(begun: Begun, walls: &Walls) -> Result<Waiting, Refusal> {
    let lost = || Refusal::of(Stage::Prepare, "hear the inside", &rustix::io::Errno::PIPE.into());
    let Begun { child, gate, channel } = begun;
    let heard = gate::receive(&gate).or_refuse(Stage::Prepare, "hear the inside")?;
    match heard.ok_or_else(lost)? {
        (FromInside::Ready { program, landlock_abi }, Some(file)) => {
            let leader = match walls.tier {
                Tier::T0 | Tier::T1 => child,
                // Nobody else descends from the supervisor yet, and the leader is the youngest.
                Tier::T2 | Tier::T3 => *descendants(getpid()).last().ok_or_else(lost)?,
            };
            Ok(Waiting { child, leader, gate, channel, file, program, landlock_abi })
        }
        (FromInside::Failed(refusal), _) => Err(refusal),
        (FromInside::Ready { .. } | FromInside::Ended(_), _) => Err(lost()),
    }
}
