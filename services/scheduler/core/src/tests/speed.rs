//! Placement must not slow down with the fleet or with the queue.
//!
//! The numbers are printed; only a loss of the right order of magnitude fails, for tests run
//! unoptimised and on busy machines.

use std::time::{Duration, Instant};

use super::harness::{Scene, agent};
use crate::Scheduler;
use decider::{Decider, Recorded};

const NODES: usize = 10_000;

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

fn time(scene: &mut Scene, tasks: std::ops::Range<usize>) -> Duration {
    let commands: Vec<_> =
        tasks.map(|n| scene.submission(&format!("t{n:06}"), "can:shell.exec")).collect();
    #[expect(clippy::disallowed_methods, reason = "a measurement, not a rule")]
    let begin = Instant::now();
    for command in commands {
        let decided = Scheduler::decide(&scene.state, &command, &scene.facts).unwrap();
        for event in &decided.events {
            let recorded = Recorded { at_ms: scene.moment.now_ms, term: 1 };
            Scheduler::evolve(&mut scene.state, event, &recorded);
        }
    }
    begin.elapsed()
}
