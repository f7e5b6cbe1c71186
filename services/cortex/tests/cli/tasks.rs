//! Tasks: signed here, handed in anywhere, watched, ended.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Cortex, Ran, eventually};

#[test]
fn output_appears_while_the_task_runs_and_long_output_is_whole() {
    let cortex = Cortex::up();
    let fifo = cortex.shared().join("go");
    let line = format!("mkfifo {0}; echo first; cat {0}; echo last", fifo.display());
    let mut child = cortex
        .command(&["run", "--on", "local", "--", "sh", "-c", &line])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The task goes on only after its first line has been seen here.
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    eventually("the pipe is there", || fifo.exists());
    std::fs::write(&fifo, "between\n").unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest, ["between", "last"]);
    assert!(child.wait().unwrap().success());

    let long = cortex.run(&["run", "--on", "local", "--", "seq", "1", "100000"]);
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(long.stdout == expected, "{} of {} bytes", long.stdout.len(), expected.len());
}

#[test]
fn a_detached_task_can_be_waited_for_and_its_output_read_later() {
    let cortex = Cortex::up();
    let line = ["run", "--detach", "--on", "local", "--", "sh", "-c", "echo kept; echo bad >&2"];
    let id = cortex.run(&line).stdout.trim().to_owned();
    assert_eq!(cortex.run(&["task", "wait", &id]).code, Some(0));
    let logs = cortex.run(&["task", "logs", &id[..12]]);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("kept\n", "bad\n"));
    let part = cortex.run(&["task", "logs", &id, "--stream", "stdout", "--offset", "2"]);
    assert_eq!((part.stdout.as_str(), part.stderr.as_str()), ("pt\n", ""));
    assert!(cortex.run(&["task", "why", &id]).stderr.contains("succeeded"));
}

#[test]
fn a_request_that_was_signed_once_is_one_task_however_often_it_is_handed_in() {
    let cortex = Cortex::up();
    let signed = cortex.run(&["task", "sign", "--on", "local", "--", "true"]);
    let file = cortex.home.path().join("request.json");
    std::fs::write(&file, &signed.stdout).unwrap();
    let file = file.display().to_string();
    let [first, second] = [(), ()].map(|()| cortex.json(&["task", "submit", &file]));
    assert_eq!(first["task"], second["task"]);
    let id = first["task"].as_str().unwrap();
    assert!(signed.stderr.contains(id), "signing names the task: {signed:?}");
    assert_eq!(cortex.run(&["task", "wait", id]).code, Some(0));
}

#[test]
fn ctrl_c_ends_the_task_and_leaves_with_130() {
    let cortex = Cortex::up();
    let child = cortex
        .command(&["run", "--on", "local", "--", "sh", "-c", "echo begun; exec sleep 600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the task runs", || {
        cortex.json(&["task", "ls", "--limit", "1"])[0]["state"] == "started"
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert_eq!(cortex.json(&["task", "ls", "--limit", "1"])[0]["state"], "cancelled");
}

#[test]
fn a_task_can_be_given_its_surroundings_and_a_time_limit() {
    let cortex = Cortex::up();
    let line = ["run", "--on", "local", "--env", "A=b c", "--cwd", "/", "--stdin", "--"];
    let file = cortex.home.path().join("stdin");
    std::fs::write(&file, "typed").unwrap();
    let output = cortex
        .command(&[&line[..], &["sh", "-c", "echo $A; pwd; cat"]].concat())
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(Ran::from(output).stdout, "b c\n/\ntyped");
    let late = cortex.run(&["run", "--on", "local", "--timeout", "200ms", "--", "sleep", "600"]);
    assert_eq!(late.code, Some(7), "{late:?}");
    assert!(late.stderr.contains("error TIMED_OUT"), "{late:?}");
}
