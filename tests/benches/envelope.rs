//! What an envelope costs: to scan, to verify as a whole, to sign, and to refuse garbage before any
//! cryptography; beside the bare signature library and beside `coset` with `ciborium`.
//!
//! Processor time of one thread, so that what else runs on the machine counts as little as it can;
//! what is compared takes turns, so that a busy moment is not one side's alone.

#[path = "envelope/garbage.rs"]
mod garbage;
#[path = "envelope/general.rs"]
mod general;
#[path = "envelope/stage.rs"]
mod stage;

use std::{hint::black_box, time::Duration};

use anyhow::{Result, ensure};
use cortex_tests::{Better, Measurement, Report};
use rustix::time::{ClockId, clock_gettime};
use stage::{Stage, spec_of};

/// How long each run of one call lasts.
const RUN: Duration = Duration::from_millis(60);
/// Runs of each measurement.
const RUNS: usize = 21;
/// Calls between two looks at the clock.
const BATCH: u32 = 64;
/// Scan, signature and claims may take this long, in microseconds.
const VERIFY_US: f64 = 45.0;
/// A refusal before any cryptography may take this long, in microseconds.
const REFUSE_US: f64 = 1.0;
/// Sizes of the task's specification, in bytes.
const SPEC_BYTES: [usize; 3] = [64, 1024, 16 * 1024];

fn main() -> Result<()> {
    let mut report = Report::new("envelope");
    for bytes in SPEC_BYTES {
        add_size(&mut report, &Stage::with_spec(&spec_of(bytes))?)?;
    }
    let stage = Stage::with_spec(&spec_of(SPEC_BYTES[0]))?;
    add_assignment(&mut report, &stage)?;
    add_garbage(&mut report, &stage)?;
    report.finish().map(drop)
}

/// Everything that is done with requests of one size.
fn add_size(report: &mut Report, stage: &Stage) -> Result<()> {
    let size = format!("request of {} bytes", stage.envelope.len());
    let stranger = stage.by_a_stranger();
    ensure!(stage.verify(&stage.envelope).is_ok() && stage.verify(&stranger).is_err());
    ensure!(general::verify(stage, &stage.envelope).is_ok());
    let [bare_verify, bare_sign, general, scan, verify, sign] = taking_turns([
        &mut || keep(stage.verify_bare(black_box(&stage.message))),
        &mut || keep(stage.sign_bare(black_box(&stage.message))),
        &mut || keep(general::verify(stage, black_box(&stage.envelope))),
        &mut || keep(stage.verify(black_box(&stranger))),
        &mut || keep(stage.verify(black_box(&stage.envelope))),
        &mut || keep(stage.sign()),
    ]);
    let bare_verify = us(&format!("{size}: bare strict verification"), &bare_verify)?;
    let bare_sign = us(&format!("{size}: bare signing"), &bare_sign)?;
    let (verify_floor, sign_floor) = (bare_verify.value(), bare_sign.value());
    let scan = us(&format!("{size}: scan, header and a key that is unknown"), &scan)?;
    report.add(if stage.is_small { scan.target(REFUSE_US) } else { scan });
    report.add(bare_verify);
    report.add(us(&format!("{size}: coset and ciborium"), &general)?.baseline(verify_floor));
    let rate = rate(&format!("{size}: verify"), "verified/s", &verify)?;
    let verify = us(&format!("{size}: verify as a whole"), &verify)?.baseline(verify_floor);
    report.add(if stage.is_small { verify.target(VERIFY_US) } else { verify });
    report.add(rate);
    report.add(bare_sign);
    let rate = self::rate(&format!("{size}: sign"), "signed/s", &sign)?;
    report.add(us(&format!("{size}: sign as a whole"), &sign)?.baseline(sign_floor));
    report.add(rate);
    Ok(())
}

fn add_assignment(report: &mut Report, stage: &Stage) -> Result<()> {
    let request = stage.verified()?;
    let assigned = stage.assign()?;
    ensure!(stage.verify_assignment(&assigned, &request));
    let [bare, verify] =
        taking_turns([&mut || keep(stage.verify_bare(black_box(&stage.message))), &mut || {
            keep(stage.verify_assignment(black_box(&assigned), &request));
        }]);
    let bare = us("", &bare)?.value();
    let name = format!("assignment of {} bytes: verify as a whole", assigned.len());
    report.add(us(&name, &verify)?.baseline(bare).target(VERIFY_US));
    Ok(())
}

fn add_garbage(report: &mut Report, stage: &Stage) -> Result<()> {
    for sort in garbage::sorts(stage) {
        ensure!(stage.verify(&sort.bytes) == Err(sort.code), "{} is not refused so", sort.name);
        let [refusing] = taking_turns([&mut || keep(stage.verify(black_box(&sort.bytes)))]);
        let row = us(&format!("refuse {}", sort.name), &refusing)?;
        report.add(if sort.is_before_cryptography { row.target(REFUSE_US) } else { row });
    }
    Ok(())
}

/// Microseconds of each call in each run; the first round, which warms up, is not counted.
fn taking_turns<const N: usize>(mut calls: [&mut dyn FnMut(); N]) -> [Vec<f64>; N] {
    let mut micros = [const { Vec::new() }; N];
    for round in 0..=RUNS {
        for (call, micros) in calls.iter_mut().zip(&mut micros) {
            let taken = one_run(call);
            if 0 < round {
                micros.push(taken);
            }
        }
    }
    micros
}

fn one_run(call: &mut dyn FnMut()) -> f64 {
    let (begin, mut calls) = (processor_time(), 0_u32);
    loop {
        (0..BATCH).for_each(|_| call());
        calls += BATCH;
        let taken = processor_time() - begin;
        if RUN <= taken {
            return taken.as_secs_f64() * 1e6 / f64::from(calls);
        }
    }
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("time that has passed is not negative")
}

/// The optimiser must think that somebody wants the result.
fn keep<T>(result: T) {
    drop(black_box(result));
}

fn us(metric: &str, micros: &[f64]) -> Result<Measurement> {
    Measurement::new(metric, "us", Better::Lower, micros)
}

fn rate(metric: &str, unit: &str, micros: &[f64]) -> Result<Measurement> {
    let rates: Vec<f64> = micros.iter().map(|micros| 1e6 / micros).collect();
    Measurement::new(metric, unit, Better::Higher, &rates)
}
