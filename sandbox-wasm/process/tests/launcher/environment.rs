//! What a program finds around it when it starts.

use std::{collections::BTreeSet, fs, io::Read};

use sandbox_policy::{FIXED_PATH, Property};
use sandbox_process::Launcher;

use crate::support::{command, script};

/// Signals 32 and 33, which glibc ignores in whatever it spawns and lets nobody touch.
const OF_THE_C_LIBRARY: u64 = 0b11 << 31;

#[tokio::test]
async fn a_secret_in_the_environment_of_the_node_is_gone() {
    let secret = ("NODE_SECRET".to_owned(), "hunter2".to_owned());
    let mut case = command(&["env"]);
    case.config.environment.insert(secret.0, secret.1);
    case.config.environment.insert("TZ".to_owned(), "Europe/Berlin".to_owned());
    case.config.environment.insert("LANG".to_owned(), "C.UTF-8".to_owned());
    case.config.environment.remove("TERM");
    case.request.env.insert("NAMED".to_owned(), "by the task".to_owned());

    let (_, stdout, _) = case.finish().await;
    let expected = [
        format!("HOME={}", case.request.scratch.display()),
        "LANG=C.UTF-8".to_owned(),
        format!("LAUNCHER_TEST_MARK={}", case.mark),
        "NAMED=by the task".to_owned(),
        format!("PATH={FIXED_PATH}"),
        "TZ=Europe/Berlin".to_owned(),
    ];
    assert_eq!(lines(&stdout), BTreeSet::from(expected));
}

#[tokio::test]
async fn nothing_of_this_process_is_inherited_but_what_the_list_names() {
    // Cargo sets this for every test, so it stands for any variable of the node.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let (_, stdout, _) = command(&["env"]).finish().await;
    let allowed = ["HOME", "LANG", "LAUNCHER_TEST_MARK", "PATH", "TERM", "TZ"];
    for line in lines(&stdout) {
        let name = line.split('=').next().unwrap_or_default().to_owned();
        assert!(allowed.contains(&name.as_str()), "{line}");
    }
}

#[tokio::test]
async fn a_program_has_three_descriptors_and_no_other() {
    // A descriptor without close-on-exec, as a careless library of the node might have opened it.
    let file = fs::File::open("/dev/null").unwrap();
    let leaked = rustix::io::fcntl_dupfd_cloexec(&file, 200).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();

    let case = script("ls /proc/$$/fd; exit 0");
    let (_, stdout, _) = case.finish().await;
    let expected = ["0", "1", "2"].map(ToOwned::to_owned);
    assert_eq!(lines(&stdout), BTreeSet::from(expected));
}

#[tokio::test]
async fn a_program_starts_with_default_signals_and_no_new_privileges() {
    let case = command(&["cat", "/proc/self/status"]);
    let (_, stdout, _) = case.finish().await;
    let status = lines(&stdout);
    for (field, value) in
        [("SigBlk", "0000000000000000"), ("SigCgt", "0000000000000000"), ("NoNewPrivs", "1")]
    {
        assert!(status.contains(&format!("{field}:\t{value}")), "{field}: {status:?}");
    }
    let ignored = status.iter().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(ignored & !OF_THE_C_LIBRARY, 0, "{ignored:x}");
}

#[tokio::test]
async fn a_program_leads_a_session_without_a_terminal() {
    let case = script("cut -d' ' -f1,5,6,7 /proc/$$/stat");
    let mut run = case.start().await;
    let pid = run.pid();
    let (stdout, _) = crate::support::read_all(&mut run).await;
    run.wait().await;
    assert_eq!(String::from_utf8(stdout).unwrap(), format!("{pid} {pid} {pid} 0\n"));
}

#[tokio::test]
async fn a_program_runs_where_it_was_told_to() {
    let case = command(&["pwd", "-P"]);
    let (_, stdout, _) = case.finish().await;
    let expected = fs::canonicalize(&case.request.cwd).unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap().trim_end(), expected.to_str().unwrap());
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let words =
        ["printf", "%s|", "two words", "$HOME", "*", "", "a;b", "line\nbreak", "umlaut \u{e4}"];
    let (_, stdout, _) = command(&words).finish().await;
    assert_eq!(String::from_utf8(stdout).unwrap(), format!("{}|", words[2..].join("|")));
}

#[tokio::test]
async fn the_program_keeps_the_name_it_was_called_by() {
    let (_, stdout, _) = command(&["sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline"]).finish().await;
    assert!(stdout.starts_with(b"sh -c "), "{}", String::from_utf8_lossy(&stdout));
}

#[tokio::test]
async fn stdin_is_what_was_given_and_then_ends() {
    let mut case = command(&["cat"]);
    case.request.stdin = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    case.request.limits.output_bytes = u64::MAX;
    let (_, stdout, _) = case.finish().await;
    assert!(stdout == case.request.stdin, "{} bytes came back", stdout.len());
}

#[tokio::test]
async fn without_stdin_there_is_nothing_to_read() {
    let (exit, stdout, _) = command(&["cat"]).finish().await;
    assert_eq!((exit.stdout.bytes, stdout.len()), (0, 0));
}

#[tokio::test]
async fn stdin_that_nobody_reads_keeps_nobody_waiting() {
    let mut case = command(&["true"]);
    case.request.stdin = vec![0; 1 << 20];
    let (exit, ..) = case.finish().await;
    assert_eq!(exit.status, sandbox_process::Status::Code(0));
}

#[tokio::test]
async fn the_report_agrees_with_what_a_program_finds() {
    let report = Launcher::new(command(&["true"]).config).unwrap().report().clone();
    assert!(report.enforces(Property::NoNewPrivs) && report.enforces(Property::FdsClosed));
    let mut status = String::new();
    fs::File::open("/proc/self/status").unwrap().read_to_string(&mut status).unwrap();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    let is_root = uid.split_whitespace().next() == Some("0");
    assert_eq!(report.enforces(Property::UidUnprivileged), !is_root);
    assert!(!report.enforces(Property::NetDenied));
}

fn lines(stdout: &[u8]) -> BTreeSet<String> {
    String::from_utf8(stdout.to_vec()).unwrap().lines().map(ToOwned::to_owned).collect()
}
