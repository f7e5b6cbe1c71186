//! A disk that is full: the node takes nothing that it cannot record, says so, and recovers.

use std::{fs, path::Path, process::Command};

use anyhow::Result;
use cortex_tests::eventually;
use schemas::{ErrorCode, TaskId, agent::Heartbeat, subject, task::Verdict};

use crate::{
    SOON,
    plane::Known,
    stage::{Stage, echo, shell},
};

/// Mounts a small disk at `$0`, frees it when `$1` appears, and runs the rest there. All of it ends
/// with the namespace.
const SMALL_DISK: &str = "mkdir -p $0 && mount -t tmpfs -o size=128k none $0 || exit 9; \
    free=$1; shift; (until [ -e $free ]; do sleep 0.05; done; rm $0/filler) & exec \"$@\"";
const NAMESPACE: [&str; 6] = ["unshare", "-rmp", "--fork", "--kill-child", "--mount-proc", "sh"];

fn can_mount(at: &Path) -> bool {
    let [program, args @ ..] = NAMESPACE;
    let at = at.to_str().unwrap();
    let probe = Command::new(program).args(args).args(["-c", SMALL_DISK, at, "/", "true"]).output();
    probe.is_ok_and(|output| output.status.success())
}

async fn refused_or_ended(stage: &Stage, task: &TaskId) -> Option<ErrorCode> {
    let look = |known: &Known| {
        let ended = known.reports.first().map(|_| None);
        ended.or(known.refused.first().map(|code| Some(*code)))
    };
    stage.plane.known_when(task, look).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_full_takes_nothing_until_there_is_room() -> Result<()> {
    let stage = Stage::set().await?;
    let (state, free) = (stage.folder.path().join("state"), stage.folder.path().join("free"));
    if !can_mount(&state) {
        println!("skipped: this machine lets nobody mount a small disk in a namespace");
        return Ok(());
    }
    let (at, freed) = (state.to_str().unwrap(), free.to_str().unwrap());
    let surroundings = [&NAMESPACE[..], &["-c", SMALL_DISK, at, freed]].concat();
    let mut beats = stage.plane.client().nats().subscribe(subject::HEARTBEATS).await?;
    let node = stage.node_process_in(&surroundings).await?;

    let fill = shell(&format!("cat /dev/zero > {at}/filler 2> /dev/null; exit 0"));
    let filler = stage.plane.submit(&fill).await?;
    assert_eq!(stage.plane.outcome(&filler).await?.verdict, Verdict::Succeeded);
    let full = || async {
        let task = stage.plane.submit(&echo("x")).await.unwrap();
        refused_or_ended(&stage, &task).await == Some(ErrorCode::JournalFailed)
    };
    eventually(SOON, full).await?;
    let complaint = async {
        use futures::StreamExt as _;
        while let Some(message) = beats.next().await {
            let beat: Heartbeat = serde_json::from_slice(&message.payload).unwrap();
            if let Some(complaint) = beat.complaint {
                return complaint;
            }
        }
        String::new()
    };
    let complaint = tokio::time::timeout(SOON, complaint).await?;
    assert!(complaint.contains("No space left"), "{complaint}");

    fs::write(&free, "")?;
    let heals = || async {
        let task = stage.plane.submit(&echo("x")).await.unwrap();
        refused_or_ended(&stage, &task).await.is_none()
    };
    eventually(SOON, heals).await?;
    drop(node);
    Ok(())
}
