//! Ends what an earlier supervisor left behind, and nothing else.
//!
//! Process ids are used again, so a process counts as left behind only if its command line names a
//! file of this very home.

use std::{fs, path::Path, process::Command, time::Duration};

use rustix::process::{Pid, Signal, test_kill_process};
use schemas::{ErrorCode, Fault};
use tokio::time::{Instant, sleep};

use super::{LOOK_INTERVAL, record::Record};
use crate::{
    files::read_if_there,
    home::Home,
    output::note,
    signals::{ORPHAN_GRACE, send_if_there},
};

/// How long a process may take after SIGTERM, and then after SIGKILL.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The file in which nats-server names itself.
pub(crate) fn broker_pid_file(home: &Home) -> std::path::PathBuf {
    home.run().join("nats.pid")
}

/// Ends every process that the record of an earlier supervisor names.
pub(crate) async fn end_all(home: &Home) -> Result<(), Fault> {
    let record = Record::read(home)?;
    let processes = record.iter().flat_map(|record| &record.processes);
    for process in processes.clone().rev() {
        if let Some(pid) = process.pid.and_then(as_pid) {
            // They have seen the end of their supervisor themselves and are about to stop.
            end(pid, &process.marker, ORPHAN_GRACE).await?;
        }
    }
    for process in processes.filter(|process| process.name == super::launch::BROKER) {
        end_broker(home, &process.marker).await?;
    }
    Ok(())
}

/// Ends a nats-server whose guard was killed.
pub(crate) async fn end_broker(home: &Home, marker: &str) -> Result<(), Fault> {
    let text = read_if_there(&broker_pid_file(home))?;
    match text.and_then(|text| text.trim().parse().ok()).and_then(as_pid) {
        Some(pid) => end(pid, marker, Duration::ZERO).await,
        None => Ok(()),
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

async fn end(pid: Pid, marker: &str, patience: Duration) -> Result<(), Fault> {
    if gone_within(pid, marker, patience).await {
        return Ok(());
    }
    note(&format!("ending pid {}, whose supervisor is gone", pid.as_raw_nonzero()));
    for signal in [Signal::TERM, Signal::KILL] {
        send_if_there(pid, signal);
        if gone_within(pid, marker, END_DEADLINE).await {
            return Ok(());
        }
    }
    let message = format!("pid {} of an earlier `cortex up` does not end", pid.as_raw_nonzero());
    Err(Fault::new(ErrorCode::AlreadyRunning, message).with_hint("end it by hand"))
}

async fn gone_within(pid: Pid, marker: &str, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        if !is_ours(pid, marker) {
            return true;
        }
        if until <= Instant::now() {
            return false;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn is_ours(pid: Pid, marker: &str) -> bool {
    test_kill_process(pid).is_ok() && command_line(pid).is_some_and(|line| line.contains(marker))
}

/// The arguments of a process; nothing for one that has ended and was not yet waited for.
fn command_line(pid: Pid) -> Option<String> {
    let number = pid.as_raw_nonzero();
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = fs::read(format!("/proc/{number}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output =
        Command::new("ps").args(["-o", "args=", "-p", &number.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[tokio::test]
    async fn only_a_process_that_names_our_file_is_ended() {
        let mut child =
            Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep exists");
        let pid = as_pid(child.id()).unwrap();
        // Between exec and its arguments a process has an empty command line.
        while !is_ours(pid, "sleep 600") {
            sleep(LOOK_INTERVAL).await;
        }
        end(pid, "/no/such/home/nats.conf", Duration::ZERO).await.unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        end(pid, "sleep 600", Duration::ZERO).await.unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[tokio::test]
    async fn a_process_that_is_gone_needs_no_ending() {
        let mut child = Command::new("true").spawn().expect("true exists");
        child.wait().unwrap();
        end(as_pid(child.id()).unwrap(), "true", Duration::ZERO).await.unwrap();
    }
}
