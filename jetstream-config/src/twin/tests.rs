//! The log in memory fails as told, and only so.

use super::*;

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn texts(twin: &TwinLog) -> Vec<String> {
    twin.frames().iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
}

/// What a first append answers under `fault`, and what is stored at once and in the end.
async fn check(fault: Fault, answer: Append, at_once: &[&str], in_the_end: &[&str]) {
    let twin = TwinLog::new();
    twin.script([fault]);
    assert_eq!(twin.append(0, frame("a")).await, answer, "{fault:?}");
    assert_eq!(texts(&twin), at_once, "{fault:?}");
    twin.land_ghosts();
    assert_eq!(texts(&twin), in_the_end, "{fault:?}");
    assert_eq!(twin.faults_met(), BTreeMap::from([(fault.name(), 1)]));
}

#[tokio::test]
async fn each_fault_answers_and_stores_what_its_name_says() {
    let elsewhere = Append::Committed { sequence: 2 };
    check(Fault::RefusedButStored, Append::Refused, &["a"], &["a"]).await;
    check(Fault::RefusedNotStored, Append::Refused, &[], &[]).await;
    check(Fault::RefusedThenStored { after_calls: 3 }, Append::Refused, &[], &["a"]).await;
    check(Fault::UnknownButStored, Append::Unknown, &["a"], &["a"]).await;
    check(Fault::UnknownAndLost, Append::Unknown, &[], &[]).await;
    check(Fault::UnknownThenStored { after_calls: 3 }, Append::Unknown, &[], &["a"]).await;
    check(Fault::Full, Append::Full, &[], &[]).await;
    check(Fault::AckedElsewhere, elsewhere, &[], &[]).await;
}

#[tokio::test]
async fn a_ghost_lands_when_its_calls_were_made_unless_its_fence_was_passed() {
    let twin = TwinLog::new();
    twin.script([Fault::UnknownThenStored { after_calls: 1 }]);
    twin.append(0, frame("ghost")).await;
    assert_eq!(twin.last_sequence().await.unwrap(), 0);
    assert_eq!(twin.last_sequence().await.unwrap(), 1);

    twin.script([Fault::UnknownThenStored { after_calls: 2 }]);
    twin.append(1, frame("late")).await;
    assert_eq!(twin.append(1, frame("rival")).await, Append::Committed { sequence: 2 });
    twin.land_ghosts();
    assert_eq!(texts(&twin), ["ghost", "rival"]);
}

#[tokio::test]
async fn what_is_sent_while_disconnected_lands_at_the_reconnect_and_is_counted() {
    let twin = TwinLog::new();
    let other = twin.another_connection();
    twin.disconnect();
    assert_eq!(twin.append(0, frame("queued")).await, Append::Unknown);
    assert!(twin.next_after(0).await.unwrap_err().is_transient());
    assert!(other.connected());
    assert_eq!(other.last_sequence().await.unwrap(), 0);
    twin.reconnect();
    assert_eq!(texts(&twin), ["queued"]);
    assert_eq!(other.sent_while_disconnected(), 1);
}

#[tokio::test]
async fn reads_hold_at_least_one_frame_and_lag_behind_the_leader() {
    let twin = TwinLog::new();
    for text in ["one", "two", "three", "four"] {
        twin.store_unguarded(frame(text));
    }
    let sequences = async |after, bytes_max| {
        let frames = twin.read(after, bytes_max).await.unwrap();
        frames.iter().map(|frame| frame.sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences(0, 0).await, [1]);
    assert_eq!(sequences(1, 8).await, [2, 3]);
    assert!(sequences(4, 100).await.is_empty());
    twin.lag_reads(2);
    assert_eq!(sequences(0, 100).await, [1, 2]);
    assert_eq!(twin.next_after(3).await.unwrap().map(|frame| frame.sequence), Some(4));
}

#[tokio::test]
async fn a_full_log_takes_nothing_and_a_truncated_one_starts_where_it_was_cut() {
    let twin = TwinLog::new();
    twin.limit_bytes(Some(3));
    assert_eq!(twin.append(0, frame("one")).await, Append::Committed { sequence: 1 });
    assert_eq!(twin.append(1, frame("two")).await, Append::Full);
    twin.limit_bytes(None);
    assert_eq!(twin.append(1, frame("two")).await, Append::Committed { sequence: 2 });
    twin.truncate(1);
    assert_eq!(twin.append(2, frame("three")).await, Append::Refused);
    assert_eq!(texts(&twin), ["one"]);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_faults() {
    let run = async |seed| {
        let twin = TwinLog::with_faults(seed, 500);
        for _ in 0..100 {
            let fence = twin.last_sequence().await.unwrap();
            twin.append(fence, frame("x")).await;
        }
        (texts(&twin).len(), twin.faults_met())
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
    assert_eq!(run(7).await.1.len(), 7, "every fault of chance is met");
}
