//! What an envelope costs: to scan, to verify as a whole, to sign, and to refuse garbage before any
//! cryptography; beside the bare signature library and beside `coset` with `ciborium`.

#[path = "envelope/garbage.rs"]
mod garbage;
#[path = "envelope/general.rs"]
mod general;
#[path = "envelope/stage.rs"]
mod stage;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use cortex_tests::{Better, Measurement, Report};
use stage::{Stage, spec_of};

/// How long each run lasts.
const RUN: Duration = Duration::from_millis(300);
/// Runs of each measurement.
const RUNS: usize = 7;
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
    for sort in garbage::sorts(&stage) {
        ensure!(stage.verify(&sort.bytes) == Err(sort.code), "{} is not refused so", sort.name);
        let refusing = micros(|| stage.verify(black_box(&sort.bytes)));
        let row = us(&format!("refuse {}", sort.name), &refusing)?;
        report.add(if sort.is_before_cryptography { row.target(REFUSE_US) } else { row });
    }
    report.finish().map(drop)
}

/// Everything that is done with requests of one size.
fn add_size(report: &mut Report, stage: &Stage) -> Result<()> {
    let size = format!("request of {} bytes", stage.envelope.len());
    let stranger = stage.by_a_stranger();
    ensure!(stage.verify(&stage.envelope).is_ok() && stage.verify(&stranger).is_err());
    ensure!(general::verify(stage, &stage.envelope).is_ok());
    let bare_verify = micros(|| stage.verify_bare(black_box(&stage.message)));
    let bare_sign = micros(|| stage.sign_bare(black_box(&stage.message)));
    let general = micros(|| general::verify(stage, black_box(&stage.envelope)));
    let scan = micros(|| stage.verify(black_box(&stranger)));
    let verify = micros(|| stage.verify(black_box(&stage.envelope)));
    let sign = micros(|| stage.sign());
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
    let bare = micros(|| stage.verify_bare(black_box(&stage.message)));
    let verify = micros(|| stage.verify_assignment(black_box(&assigned), &request));
    let bare = us("", &bare)?.value();
    let name = format!("assignment of {} bytes: verify as a whole", assigned.len());
    report.add(us(&name, &verify)?.baseline(bare).target(VERIFY_US));
    Ok(())
}

/// Microseconds of one call, in each run.
fn micros<T>(mut call: impl FnMut() -> T) -> Vec<f64> {
    let mut runs = Vec::new();
    // The first run warms up.
    for _ in 0..=RUNS {
        let (begin, mut calls) = (Instant::now(), 0_u32);
        while begin.elapsed() < RUN {
            for _ in 0..BATCH {
                black_box(call());
            }
            calls += BATCH;
        }
        runs.push(begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
    }
    runs.split_off(1)
}

fn us(metric: &str, micros: &[f64]) -> Result<Measurement> {
    Measurement::new(metric, "us", Better::Lower, micros)
}

fn rate(metric: &str, unit: &str, micros: &[f64]) -> Result<Measurement> {
    let rates: Vec<f64> = micros.iter().map(|micros| 1e6 / micros).collect();
    Measurement::new(metric, unit, Better::Higher, &rates)
}
