//! Waits for the end of a run, or brings it about.

use std::{
    collections::HashSet,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
    net::{RecvFlags, recv},
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, wait},
};

use super::{Beginning, KILL_LIMIT};
use crate::{
    Leftovers, Status, Verdict,
    gate::{self, FromInside},
    inner::status_of,
    sys,
    tree::{descendants, is_alive, signal_all},
    wire::{self, CANCEL, Ended},
};

/// How long the killed are waited for before /proc is looked at again.
const KILL_ROUND: Duration = Duration::from_millis(2);
/// How long the end of a first process may take before every process is killed by itself.
const KILL_FIRST: Duration = Duration::from_millis(500);
/// Above the size of what `signalfd` returns for one signal.
const SIGNAL_BYTES: usize = 128;

/// How far the end of a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The program runs.
    Running,
    /// SIGTERM was sent; SIGKILL follows at this time.
    Ending { kill_at: Duration },
    /// Everything is to be killed now.
    Killing,
}

/// The state of one run.
pub(super) struct Guard<'a> {
    control: &'a OwnedFd,
    beginning: Beginning,
    phase: Phase,
    verdict: Verdict,
    status: Status,
    /// Nobody is left in the namespaces who would speak.
    inside_is_silent: bool,
    killed: HashSet<Pid>,
}

impl<'a> Guard<'a> {
    pub(super) fn new(control: &'a OwnedFd, beginning: Beginning) -> Self {
        let (phase, verdict, status) = (Phase::Running, Verdict::Exited, Status::Unknown);
        let (inside_is_silent, killed) = (false, HashSet::new());
        Self { control, beginning, phase, verdict, status, inside_is_silent, killed }
    }

    /// Returns when nothing of the run is left, or nothing that SIGKILL can end.
    pub(super) fn run(mut self) -> Ended {
        let mut survived = 0;
        while self.reap() {
            let now = wire::now();
            self.advance(now);
            match self.phase {
                Phase::Running => self.rest(now, self.deadline()),
                Phase::Ending { kill_at } => self.rest(now, kill_at),
                Phase::Killing => {
                    survived = self.kill_tree();
                    break;
                }
            }
        }
        self.ended(survived)
    }

    /// Collects every child that has ended; false when there is no child at all.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.note(pid, status),
                Ok(None) | Err(Errno::INTR) => return true,
                Err(_) => return false,
            }
        }
    }

    fn note(&mut self, pid: Pid, status: WaitStatus) {
        if pid == self.beginning.leader {
            self.leader_ended(status_of(status));
        }
        if self.beginning.first.as_ref().is_some_and(|(first, _)| *first == pid) {
            // Its last words may still be unheard.
            while !self.inside_is_silent {
                self.listen_inside();
            }
        }
    }

    /// What the first process of the namespaces says of the program, whose parent it is.
    fn listen_inside(&mut self) {
        let Some((_, channel)) = &self.beginning.first else { return };
        match gate::receive(channel) {
            Ok(Some((FromInside::Ended(status), _))) => self.leader_ended(status),
            Ok(Some((FromInside::Ready { .. } | FromInside::Failed(_), _))) => (),
            // Its end is the end of everybody in there, and is noticed as a child's.
            Ok(None) | Err(_) => self.inside_is_silent = true,
        }
    }

    fn leader_ended(&mut self, status: Status) {
        self.status = status;
        // Its own end is the end of the run. After a SIGTERM the others have their grace period.
        if self.phase == Phase::Running {
            self.phase = Phase::Killing;
        }
    }

    fn deadline(&self) -> Duration {
        self.beginning.started_at.saturating_add(self.beginning.wall_time)
    }

    fn advance(&mut self, now: Duration) {
        match self.phase {
            Phase::Running if self.deadline() <= now => self.end(Verdict::TimedOut, now),
            Phase::Ending { kill_at } if kill_at <= now => self.phase = Phase::Killing,
            Phase::Running | Phase::Ending { .. } | Phase::Killing => (),
        }
    }

    /// Asks the whole tree to end; only the first reason counts.
    fn end(&mut self, verdict: Verdict, now: Duration) {
        if self.phase != Phase::Running {
            return;
        }
        self.verdict = verdict;
        if self.beginning.grace.is_zero() {
            self.phase = Phase::Killing;
            return;
        }
        self.phase = Phase::Ending { kill_at: now.saturating_add(self.beginning.grace) };
        let processes = descendants(getpid());
        signal_all(&processes, Signal::TERM);
        // A stopped process would sleep through its grace period.
        signal_all(&processes, Signal::CONT);
    }

    /// Waits for a child's end, a word of the launcher, or `until`.
    fn rest(&mut self, now: Duration, until: Duration) {
        let inside = self.beginning.first.as_ref().filter(|_| !self.inside_is_silent);
        let mut watched = vec![&self.beginning.children, self.control];
        watched.extend(inside.map(|(_, channel)| channel));
        let heard = wait_for(&watched, until.saturating_sub(now));
        self.clear_children();
        if heard.contains(&true) {
            self.listen();
        }
        if heard.get(2) == Some(&true) {
            self.listen_inside();
        }
    }

    fn listen(&mut self) {
        let mut word = [0];
        match recv(self.control, &mut word, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.kill_now(),
            Ok(_) if word == [CANCEL] => self.end(Verdict::Cancelled, wire::now()),
            Ok(_) => self.kill_now(),
            Err(Errno::AGAIN | Errno::INTR) => (),
            Err(_) => self.kill_now(),
        }
    }

    fn kill_now(&mut self) {
        if self.phase == Phase::Running {
            self.verdict = Verdict::Cancelled;
        }
        self.phase = Phase::Killing;
    }

    fn clear_children(&self) {
        let mut signals = [0; SIGNAL_BYTES];
        while read(&self.beginning.children, &mut signals).is_ok_and(|bytes| 0 < bytes) {}
    }

    /// Kills until no child is left and tells how many could not be killed.
    fn kill_tree(&mut self) -> u32 {
        let started = wire::now();
        if let Some((first, _)) = &self.beginning.first {
            // Its end is the end of all, and the kernel's own work; what is left below is for a
            // kernel that was too slow.
            self.killed.extend(descendants(getpid()));
            signal_all(&[*first], Signal::KILL);
            if !self.reap_for(KILL_FIRST) {
                return 0;
            }
        }
        loop {
            let round = wire::now();
            let processes = descendants(getpid());
            let fresh = processes.iter().filter(|process| !self.killed.contains(process));
            let alive: Vec<Pid> = fresh.copied().filter(|process| is_alive(*process)).collect();
            self.killed.extend(alive);
            signal_all(&processes, Signal::KILL);
            if started.saturating_add(KILL_LIMIT) <= round {
                return count(processes.iter().filter(|process| is_alive(**process)).count());
            }
            // At least as long as looking took: in a large tree that is better spent on dying.
            let pause = wire::now().saturating_sub(round).max(KILL_ROUND);
            if !self.reap_for(pause) {
                return 0;
            }
        }
    }

    /// Collects children for some time; false as soon as there is no child at all.
    fn reap_for(&mut self, time: Duration) -> bool {
        let until = wire::now().saturating_add(time);
        while self.reap() {
            let rest = until.saturating_sub(wire::now());
            if rest.is_zero() {
                return true;
            }
            wait_for(&[&self.beginning.children], rest);
            self.clear_children();
        }
        false
    }

    fn ended(mut self, survived: u32) -> Ended {
        let with_namespaces = self.beginning.first.is_some() && survived == 0;
        if self.phase == Phase::Killing && self.status == Status::Unknown && with_namespaces {
            // Whose parent was killed with it has nobody to tell how it ended.
            self.status = Status::Signal(Signal::KILL.as_raw());
        }
        let first = self.beginning.first.as_ref().map(|(first, _)| *first);
        let own = |process: &Pid| *process == self.beginning.leader || Some(*process) == first;
        let others = self.killed.iter().filter(|process| !own(process));
        let killed = count(others.count()).saturating_sub(survived);
        Ended {
            status: self.status,
            verdict: self.verdict,
            at: wire::now(),
            usage: sys::usage_of_children().unwrap_or_default(),
            leftovers: Leftovers { killed, survived },
        }
    }
}

/// Which of them became readable or closed within `time`.
fn wait_for(descriptors: &[&OwnedFd], time: Duration) -> Vec<bool> {
    let mut watched: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|descriptor| PollFd::from_borrowed_fd(borrow(descriptor), PollFlags::IN))
        .collect();
    // A time that the kernel cannot hold is longer than any run.
    let timeout = Timespec::try_from(time).ok();
    if poll(&mut watched, timeout.as_ref()).is_err() {
        return vec![false; descriptors.len()];
    }
    watched.iter().map(|entry| !entry.revents().is_empty()).collect()
}

fn borrow(descriptor: &OwnedFd) -> BorrowedFd<'_> {
    use std::os::fd::AsFd;
    descriptor.as_fd()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
