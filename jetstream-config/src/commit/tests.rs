//! Every way in which a frame comes to a certain end.

use super::*;
use crate::twin::{Fault, TwinLog};

fn frame(id: &str) -> Bytes {
    Bytes::from(format!(r#"{{"v":1,"id":"{id}","decisions":[]}}"#))
}

fn ids(twin: &TwinLog) -> Vec<String> {
    twin.frames().iter().map(|frame| id_of(&frame.bytes).unwrap().into_owned()).collect()
}

async fn write(twin: &TwinLog, fence: u64, id: &str) -> Result<Commit, LogError> {
    commit(twin, fence, id, frame(id)).await
}

/// Commits frame `a` to an empty log under `faults`.
async fn check(faults: &[Fault], expected: Commit) {
    let twin = TwinLog::new();
    twin.script(faults.iter().copied());
    assert_eq!(write(&twin, 0, "a").await.unwrap(), expected, "{faults:?}");
    let stored = usize::from(expected == Commit::Committed { sequence: 1 });
    assert_eq!(twin.frames().len(), stored, "{faults:?}: stored once or not at all");
}

#[tokio::test(start_paused = true)]
async fn whatever_one_append_meets_the_frame_ends_stored_exactly_once() {
    let committed = Commit::Committed { sequence: 1 };
    for faults in [
        &[][..],
        &[Fault::RefusedButStored],
        &[Fault::RefusedNotStored],
        &[Fault::RefusedThenStored { after_calls: 0 }],
        &[Fault::RefusedThenStored { after_calls: 4 }],
        &[Fault::UnknownButStored],
        &[Fault::UnknownAndLost, Fault::UnknownAndLost],
        &[Fault::UnknownThenStored { after_calls: 1 }],
        &[Fault::UnknownThenStored { after_calls: 3 }, Fault::RefusedNotStored],
    ] {
        check(faults, committed.clone()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_log_keeps_the_writer_unless_a_copy_may_be_on_its_way() {
    check(&[Fault::Full], Commit::Full).await;
    let committed = Commit::Committed { sequence: 1 };
    check(&[Fault::UnknownThenStored { after_calls: 3 }, Fault::Full], committed.clone()).await;
    check(&[Fault::RefusedNotStored, Fault::Full, Fault::Full], committed.clone()).await;
    check(&[Fault::UnknownAndLost, Fault::Full], committed).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_in_the_place_by_another_is_handed_to_whoever_was_replaced() {
    let twin = TwinLog::new();
    write(&twin, 0, "a").await.unwrap();
    write(&twin, 1, "b").await.unwrap();
    let by = StoredFrame { sequence: 1, bytes: frame("a") };
    assert_eq!(write(&twin, 0, "late").await.unwrap(), Commit::Replaced { by });
    let by = StoredFrame { sequence: 2, bytes: frame("b") };
    twin.script([Fault::UnknownAndLost]);
    assert_eq!(write(&twin, 1, "later").await.unwrap(), Commit::Replaced { by });
    assert_eq!(ids(&twin), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_rival_that_wins_while_a_copy_is_unknown_replaces_it_and_the_ghost_stays_out() {
    let twin = TwinLog::new();
    twin.script([Fault::UnknownThenStored { after_calls: 50 }]);
    let rival = twin.another_connection();
    let (ours, theirs) = tokio::join!(write(&twin, 0, "ours"), async {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        write(&rival, 0, "theirs").await
    });
    assert!(matches!(ours.unwrap(), Commit::Replaced { .. }));
    assert_eq!(theirs.unwrap(), Commit::Committed { sequence: 1 });
    twin.land_ghosts();
    assert_eq!(ids(&twin), ["theirs"]);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_elsewhere_than_right_after_the_fence_halts() {
    let twin = TwinLog::new();
    twin.script([Fault::AckedElsewhere]);
    let halted = write(&twin, 0, "a").await.unwrap_err();
    assert!(matches!(halted, LogError::AckedElsewhere { fence: 0, sequence: 2 }));
    assert!(!halted.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_before_the_fence_halts_once_that_is_no_slip_of_a_leader() {
    let twin = TwinLog::new();
    write(&twin, 0, "a").await.unwrap();
    let began = tokio::time::Instant::now();
    let halted = write(&twin, 5, "beyond").await.unwrap_err();
    assert!(matches!(halted, LogError::Regressed { fence: 5, last: 1 }), "{halted}");
    assert!(Duration::from_secs(2) < began.elapsed());
    assert_eq!(ids(&twin), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn our_frame_with_other_bytes_is_damage() {
    let twin = TwinLog::new();
    twin.store_unguarded(Bytes::from_static(br#"{"id":"a","v":1}"#));
    let damaged = write(&twin, 0, "a").await.unwrap_err();
    assert!(matches!(damaged, LogError::Damaged { sequence: 1, .. }), "{damaged}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_frame_is_another_writers() {
    let twin = TwinLog::new();
    twin.store_unguarded(Bytes::from_static(b"\xff not a frame"));
    assert!(matches!(write(&twin, 0, "a").await.unwrap(), Commit::Replaced { .. }));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_disconnected() {
    let twin = TwinLog::new();
    let other = twin.another_connection();
    twin.disconnect();
    let (ours, ()) = tokio::join!(write(&twin, 0, "ours"), async {
        assert_eq!(other.last_sequence().await.unwrap(), 0);
        twin.reconnect();
    });
    assert_eq!(ours.unwrap(), Commit::Committed { sequence: 1 });
    assert_eq!(twin.sent_while_disconnected(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_no_reader_would_take_is_not_sent() {
    let twin = TwinLog::new();
    let large = Bytes::from(vec![b' '; FRAME_BYTES_MAX + 1]);
    let refused = commit(&twin, 0, "a", large).await.unwrap_err();
    assert!(matches!(refused, LogError::TooLarge { .. }));
    assert!(twin.frames().is_empty());
}

/// Frames of `writers` rivals on one log full of faults; each steps aside when it is replaced.
async fn duel(seed: u64, writers: usize, frames_each: usize) -> TwinLog {
    let twin = TwinLog::with_faults(seed, 300);
    let rivals = (0..writers).map(|writer| {
        let log = twin.another_connection();
        async move {
            let mut acknowledged = Vec::new();
            let mut fence = 0;
            for number in 0.. {
                if acknowledged.len() == frames_each {
                    break;
                }
                let id = format!("{writer}-{number}");
                match write(&log, fence, &id).await.unwrap() {
                    Commit::Committed { sequence } => {
                        acknowledged.push((sequence, id));
                        fence = sequence;
                    }
                    Commit::Replaced { by } => fence = by.sequence,
                    Commit::Full => {}
                }
            }
            acknowledged
        }
    });
    let acknowledged = futures::future::join_all(rivals).await;
    twin.land_ghosts();
    let mut acknowledged: Vec<_> = acknowledged.into_iter().flatten().collect();
    acknowledged.sort();
    let stored: Vec<_> = (1..).zip(ids(&twin)).collect();
    assert_eq!(acknowledged, stored, "seed {seed}: all that is stored was acknowledged, once");
    twin
}

#[tokio::test(start_paused = true)]
async fn rivals_under_faults_lose_nothing_double_nothing_and_acknowledge_all_that_is_stored() {
    for seed in 0..40 {
        let twin = duel(seed, 3, 10).await;
        assert!(5 <= twin.faults_met().len(), "seed {seed}: {:?}", twin.faults_met());
    }
}
