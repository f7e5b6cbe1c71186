//! The journal against torn writes, full disks, killed processes and rivals.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use agent_core::{Accepted, Delegation, Record, RecordKind, RunKey, Started};
use schemas::{
    InstanceId, PrincipalId, Sha256Hash, TaskId, Timestamp,
    grants::Grants,
    task::{TaskSpec, Work},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    History, Journal, JournalError, JournalEvent,
    folder::{Folder, Medium},
    frame,
    writer::{Order, Writer},
};

/// Where the child process of the kill test writes; unset in every other process.
const CHILD_FOLDER: &str = "CORTEX_TEST_JOURNAL_FOLDER";

fn task(number: u64) -> TaskId {
    TaskId::parse(&format!("{number:032x}")).unwrap()
}

fn accepted(number: u64) -> Record {
    let principal = |id: &str| PrincipalId::parse(id).unwrap();
    Record::Accepted(Box::new(Accepted {
        task: task(number),
        epoch: 1,
        attempt: 1,
        partition: 0,
        instance: InstanceId::parse("i1").unwrap(),
        at: Timestamp(1),
        assigned_until: Timestamp(2),
        issuer: principal("alice"),
        subject: principal("alice"),
        request_hash: Sha256Hash::ZERO,
        trace: None,
        delegation: Some(Delegation { grants: Grants::default(), until_s: 5 }),
        spec: TaskSpec::new(Work::Echo { text: "a\u{e4}\n\"".to_owned() }),
    }))
}

fn started(number: u64) -> Record {
    Record::Started(Started {
        task: task(number),
        epoch: 1,
        instance: InstanceId::parse("i1").unwrap(),
        partition: 0,
        term: 4,
        at: Timestamp(3),
    })
}

fn settled(number: u64) -> Record {
    Record::Settled { task: task(number), epoch: 1 }
}

fn key(number: u64) -> RunKey {
    RunKey { task: task(number), epoch: 1 }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> (Journal, History, UnboundedReceiver<JournalEvent>) {
    Journal::open(path).unwrap()
}

fn records(path: &Path) -> Vec<Record> {
    open(path).1.records
}

fn only_segment(path: &Path) -> PathBuf {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "journal")).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}

fn write(path: &Path, records: impl IntoIterator<Item = Record>) {
    let (journal, _, _) = open(path);
    for record in records {
        journal.append(record);
    }
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let folder = folder();
    let all = vec![accepted(1), started(1), settled(1), accepted(2)];
    write(folder.path(), all[..3].to_vec());
    write(folder.path(), all[3..].to_vec());
    assert_eq!(records(folder.path()), all);
}

#[test]
fn awaited_records_are_told_in_order_and_others_are_not() {
    let folder = folder();
    let (journal, _, mut events) = open(folder.path());
    for record in [accepted(1), settled(7), started(1), accepted(2)] {
        journal.append(record);
    }
    drop(journal);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        let JournalEvent::Synced(keys, _) = event else { panic!("{event:?}") };
        told.extend(keys);
    }
    let expected = [
        (key(1), RecordKind::Accepted),
        (key(1), RecordKind::Started),
        (key(2), RecordKind::Accepted),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_write_torn_at_any_byte_costs_the_torn_record_alone() {
    let whole = folder();
    write(whole.path(), [accepted(1), started(1), accepted(2)]);
    let content = fs::read(only_segment(whole.path())).unwrap();
    let mut last = Vec::new();
    frame::encode(&accepted(2), &mut last).unwrap();
    let start = content.len() - last.len();
    for cut in start..content.len() {
        let torn = folder();
        write(torn.path(), []);
        fs::write(only_segment(torn.path()), &content[..cut]).unwrap();
        let (journal, history, _) = open(torn.path());
        assert_eq!(history.records, [accepted(1), started(1)], "cut at {cut}");
        assert_eq!(history.trimmed.is_some(), cut != start, "cut at {cut}");
        journal.append(accepted(3));
        drop(journal);
        assert_eq!(records(torn.path()), [accepted(1), started(1), accepted(3)], "cut at {cut}");
    }
}

#[test]
fn a_changed_byte_anywhere_in_the_last_record_is_found() {
    let whole = folder();
    write(whole.path(), [accepted(1), accepted(2)]);
    let segment = only_segment(whole.path());
    let content = fs::read(&segment).unwrap();
    let mut last = Vec::new();
    frame::encode(&accepted(2), &mut last).unwrap();
    for index in content.len() - last.len()..content.len() {
        let mut changed = content.clone();
        changed[index] ^= 0x10;
        fs::write(&segment, &changed).unwrap();
        assert_eq!(records(whole.path()), [accepted(1)], "byte {index}");
    }
}

#[test]
fn what_is_no_journal_is_refused() {
    let folder = folder();
    write(folder.path(), [accepted(1)]);
    fs::write(only_segment(folder.path()), b"something else").unwrap();
    assert!(matches!(Journal::open(folder.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_record_of_a_newer_program_is_refused_and_not_forgotten() {
    let folder = folder();
    write(folder.path(), [accepted(1)]);
    let json = br#"{"type":"teleported"}"#;
    let length = u32::try_from(json.len()).unwrap();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), json);
    let mut file = OpenOptions::new().append(true).open(only_segment(folder.path())).unwrap();
    file.write_all(&[&length.to_le_bytes()[..], &sum.to_le_bytes(), json].concat()).unwrap();
    let Err(error) = Journal::open(folder.path()) else { panic!("it was opened") };
    assert!(error.to_string().contains("teleported"), "{error}");
}

#[test]
fn only_one_process_at_a_time_has_it() {
    let folder = folder();
    let held = open(folder.path());
    assert!(matches!(Journal::open(folder.path()), Err(JournalError::InUse { .. })));
    drop(held);
    assert!(Journal::open(folder.path()).is_ok());
}

#[test]
fn rolling_leaves_what_was_carried_over_and_what_came_after() {
    let folder = folder();
    let (journal, _, mut events) = open(folder.path());
    journal.append(accepted(1));
    journal.append(accepted(2));
    journal.roll(vec![accepted(2)]);
    journal.append(started(2));
    drop(journal);
    let mut all = Vec::new();
    while let Ok(event) = events.try_recv() {
        all.push(event);
    }
    assert!(all.iter().any(|event| matches!(event, JournalEvent::Rolled(_))), "{all:?}");
    assert_eq!(records(folder.path()), [accepted(2), started(2)]);
    only_segment(folder.path());
}

#[test]
fn a_crash_while_rolling_leaves_the_old_or_the_new_segment() {
    let folder = folder();
    write(folder.path(), [accepted(1)]);
    let old = only_segment(folder.path());
    fs::write(old.with_file_name("0000000002.new"), b"CORTEXJ1 half of").unwrap();
    assert_eq!(records(folder.path()), [accepted(1)]);
    assert!(!old.with_file_name("0000000002.new").exists());
    let newer = Folder::open(folder.path()).unwrap().0;
    drop(newer.begin(2, &[accepted(2)]).unwrap());
    drop(newer);
    assert!(old.exists());
    assert_eq!(records(folder.path()), [accepted(2)]);
    assert!(!old.exists());
}

/// Fails as a disk does, from a given call on.
struct Failing {
    file: File,
    calls_left: Arc<AtomicU32>,
}

impl Failing {
    fn call(&self) -> io::Result<()> {
        let take = |left: u32| left.checked_sub(1);
        let taken = self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.map(drop).map_err(|_| io::Error::from_raw_os_error(5))
    }
}

impl Medium for Failing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.call()?;
        Medium::append(&mut self.file, bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.call()?;
        Medium::sync(&mut self.file)
    }
}

/// Runs a writer over the medium and returns what it told.
fn told(path: &Path, medium: Box<dyn Medium>, orders: Vec<Order>) -> Vec<JournalEvent> {
    let (folder, mut opened) = Folder::open(path).unwrap();
    opened.segment.medium = medium;
    let (events, mut heard) = unbounded_channel();
    let mut writer = Some(Writer::new(folder, opened.segment, events));
    let (sender, queue) = std::sync::mpsc::channel();
    orders.into_iter().for_each(|order| sender.send(order).unwrap());
    drop(sender);
    writer.take().unwrap().run(&queue);
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

#[test]
fn a_full_disk_is_told_once_and_nothing_after_it_is_on_disk() {
    let folder = folder();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let orders = vec![Order::Append(accepted(1)), Order::Append(accepted(2))];
    let events = told(folder.path(), Box::new(full), orders);
    let [JournalEvent::Failed(text)] = events.as_slice() else { panic!("{events:?}") };
    assert!(text.contains("No space left"), "{text}");
}

#[test]
fn a_failed_sync_is_a_failed_write() {
    let folder = folder();
    let file = File::create(folder.path().join("medium")).unwrap();
    let failing = Failing { file, calls_left: Arc::new(AtomicU32::new(1)) };
    let events = told(folder.path(), Box::new(failing), vec![Order::Append(accepted(1))]);
    assert!(matches!(events.as_slice(), [JournalEvent::Failed(_)]), "{events:?}");
}

#[test]
fn a_failed_journal_heals_when_the_whole_state_was_written_anew() {
    let folder = folder();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let orders = vec![
        Order::Append(accepted(1)),
        Order::Append(accepted(2)),
        Order::Roll(vec![accepted(1), accepted(2)]),
        Order::Append(started(1)),
    ];
    // The first two are one group, so that the failure comes before the roll.
    let events = told(folder.path(), Box::new(full), orders);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| match event {
            JournalEvent::Synced(..) => "synced",
            JournalEvent::Rolled(_) => "rolled",
            JournalEvent::Failed(_) => "failed",
        })
        .collect();
    assert_eq!(kinds, ["failed", "rolled", "synced"]);
    assert_eq!(records(folder.path()), [accepted(1), accepted(2), started(1)]);
}

/// Not a case of its own: what the kill test below runs in a process that it kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else { return };
    let (journal, history, mut events) = open(Path::new(&path));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = u64::try_from(history.records.len()).unwrap();
    runtime.block_on(async {
        for number in first.. {
            journal.append(accepted(number));
            if number % 8 == 7 {
                continue;
            }
            while let Some(JournalEvent::Synced(keys, _)) = events.recv().await {
                if let Some((last, _)) = keys.last() {
                    println!("synced {}", last.task);
                    break;
                }
            }
        }
    });
}

#[test]
fn whatever_was_told_to_be_on_disk_survives_a_kill() {
    let folder = folder();
    for round in 0..5_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "journal::tests::child_that_writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut synced = None;
        let wanted = usize::try_from(20 + 13 * round).unwrap();
        for line in lines.filter(|line| line.starts_with("synced ")).take(wanted) {
            synced = line.strip_prefix("synced ").map(|task| TaskId::parse(task).unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let found = records(folder.path());
        let last = synced.expect("the child told nothing");
        let expected: Vec<Record> =
            (0..found.len()).map(|n| accepted(u64::try_from(n).unwrap())).collect();
        assert_eq!(found, expected);
        assert!(
            expected.iter().any(|record| matches!(record, Record::Accepted(a) if a.task == last))
        );
    }
}
