//! Whatever is killed comes back, and nothing that was acknowledged is lost.

use std::fs::File;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Cortex, eventually, is_alive};

#[test]
fn a_killed_process_is_started_again() {
    let cortex = Cortex::up();
    for name in ["node", "scheduler", "registry", "nats"] {
        check_back(&cortex, name, cortex.pid(name));
    }
    check_back(&cortex, "nats", cortex.server_pid());
}

fn check_back(cortex: &Cortex, name: &str, pid: Pid) {
    let before = cortex.pid(name);
    kill_process(pid, Signal::KILL).unwrap();
    eventually("another process took its place", || {
        let record = cortex.record();
        let all = record["processes"].as_array().unwrap().iter();
        let now = all.filter(|process| process["name"] == name).find_map(|p| p["pid"].as_i64());
        now.is_some_and(|now| now != i64::from(before.as_raw_nonzero().get()))
    });
    eventually("tasks run again", || {
        cortex.run(&["run", "--on", "local", "--", "true"]).code == Some(0)
    });
}

#[test]
fn when_the_supervisor_is_killed_its_children_end_and_the_next_goes_on() {
    let mut cortex = Cortex::up();
    let id = cortex.run(&["run", "--detach", "--on", "local", "--", "echo", "kept"]).stdout;
    cortex.run(&["task", "wait", id.trim()]);
    let children = cortex.pids().split_off(1);
    cortex.end(Signal::KILL);
    eventually("the children are gone", || !children.iter().copied().any(is_alive));
    cortex.start();
    let logs = cortex.run(&["task", "logs", "-f", id.trim()]);
    assert_eq!(logs.stdout, "kept\n", "{logs:?}");
}

#[test]
fn when_all_are_killed_at_once_every_task_still_ends_once() {
    let mut cortex = Cortex::up();
    let effects = cortex.shared().join("effects");
    File::create(&effects).unwrap();
    let submit = |n: usize| {
        let line = format!("echo {n} >> {}", effects.display());
        let ran = cortex.run(&["run", "--detach", "--on", "local", "--", "sh", "-c", &line]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.trim().to_owned()
    };
    let tasks: Vec<String> = (0..20).map(submit).collect();
    for pid in cortex.pids() {
        kill_process(pid, Signal::KILL).unwrap();
    }
    cortex.end(Signal::KILL);
    cortex.start();
    for task in &tasks {
        cortex.run(&["task", "wait", task]);
    }
    let ran = std::fs::read_to_string(&effects).unwrap();
    for (n, task) in tasks.iter().enumerate() {
        let view = cortex.json(&["task", "show", task]);
        let times = ran.lines().filter(|line| **line == n.to_string()).count();
        let state = view["state"].as_str().unwrap();
        // What was begun when everything died may have left its mark or not; nobody can know.
        let expected = if state == "lost" { 0..=1 } else { 1..=1 };
        assert!(expected.contains(&times), "{task} {state} ran {times} times");
        assert!(["succeeded", "lost"].contains(&state), "{view}");
    }
    assert_eq!(cortex.json(&["rebuild", "cortex_tasks", "--check"])["differing"], 0);
}
