//! Placement must not slow down with the fleet or with the queue.
//!
//! The numbers are printed; only a loss of the right order of magnitude fails, for tests run
//! unoptimised and on busy machines.

use std::time::{Duration, Instant};

use decider::{Decider, Recorded};
use schemas::task::Verdict;

use super::harness::{Scene, agent, report, run, task_id};
use crate::{Command, Scheduler};

const NODES: usize = 10_000;
const QUEUED: usize = 30_000;
const LIVES: usize = 5_000;

#[test]
#[expect(clippy::print_stdout, reason = "the measurement is for whoever runs it")]
fn placing_and_queueing_do_not_scan_the_fleet() {
    let mut scene = Scene::new();
    for n in 0..NODES {
        let view = agent(&format!("node-{n:05}"), 2);
        scene.observe(crate::Observation::Agent(Box::new(view)));
    }
    scene.tick();
    let placed = time(&mut scene, 0..NODES);
    let filled = time(&mut scene, NODES..2 * NODES);
    let queued = time(&mut scene, 2 * NODES..3 * NODES);
    println!("on {NODES} nodes of 2 slots each, {NODES} tasks were placed in {placed:?},");
    println!("{NODES} more until all were full in {filled:?}, and {NODES} queued in {queued:?}");
    for took in [placed, filled, queued] {
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the measurement is for whoever runs it")]
fn a_life_takes_as_long_with_a_long_queue_as_with_none() {
    let names: Vec<String> = (0..100).map(|n| format!("n{n:03}")).collect();
    let fleet: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut scene = Scene::with(&fleet);
    let short = lives(&mut scene, "s");
    time(&mut scene, 0..QUEUED);
    let long = lives(&mut scene, "l");
    println!("{LIVES} lives took {short:?} with no queue and {long:?} behind {QUEUED} tasks");
    assert!(long < short * 10 + Duration::from_secs(1), "{long:?} against {short:?}");
}

/// Submits, starts and ends tasks one after another; with a queue, ends what was placed instead.
fn lives(scene: &mut Scene, prefix: &str) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a measurement, not a rule")]
    let begin = Instant::now();
    for n in 0..LIVES {
        let command = scene.submission(&format!("{prefix}{n}"), "can:shell.exec");
        decide(scene, &command);
        let id = scene.state.index.steps.values().next().unwrap().to_string();
        let node = scene.state.task(&task_id(&id)).unwrap().view.node.clone().unwrap();
        let instance = format!("{node}-1");
        decide(scene, &Command::Start { run: run(&id, 1, &instance), ask: 1 });
        decide(scene, &report(&id, 1, &instance, Verdict::Succeeded));
    }
    begin.elapsed()
}

fn time(scene: &mut Scene, tasks: std::ops::Range<usize>) -> Duration {
    let commands: Vec<_> =
        tasks.map(|n| scene.submission(&format!("t{n:06}"), "can:shell.exec")).collect();
    #[expect(clippy::disallowed_methods, reason = "a measurement, not a rule")]
    let begin = Instant::now();
    for command in commands {
        decide(scene, &command);
    }
    begin.elapsed()
}

/// Decides and folds, without the checks that the harness makes.
fn decide(scene: &mut Scene, command: &Command) {
    let decided = Scheduler::decide(&scene.state, command, &scene.facts).unwrap();
    for event in &decided.events {
        let recorded = Recorded { at_ms: scene.moment.now_ms, term: 1 };
        Scheduler::evolve(&mut scene.state, event, &recorded);
    }
}
