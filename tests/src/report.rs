//! What a benchmark measured: a table for people, `target/bench/NAME.json` for programs.
//!
//! **Invariant:** a row says on what machine and with how much noise it was measured.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::machine::Machine;

/// Which way a value is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// As throughput is.
    Higher,
    /// As latency is.
    Lower,
}

/// One measured value: the median of some runs, beside its aim and its baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    metric: String,
    /// The median over the runs.
    value: f64,
    unit: String,
    better: Better,
    target: Option<f64>,
    met: Option<bool>,
    baseline: Option<f64>,
    /// Value over baseline.
    ratio: Option<f64>,
    min: f64,
    max: f64,
    runs: usize,
}

impl Measurement {
    /// `metric` in `unit`, from the values of all runs.
    ///
    /// Fails when there is no run, or a value is not a number.
    pub fn new(metric: &str, unit: &str, better: Better, runs: &[f64]) -> Result<Self> {
        ensure!(!runs.is_empty(), "{metric} was not measured");
        ensure!(runs.iter().all(|value| value.is_finite()), "{metric} is not a number: {runs:?}");
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        Ok(Self {
            metric: metric.to_owned(),
            value: median(&sorted),
            unit: unit.to_owned(),
            better,
            target: None,
            met: None,
            baseline: None,
            ratio: None,
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            runs: sorted.len(),
        })
    }

    /// Adds what was aimed for, and whether it was reached.
    #[must_use]
    pub fn target(self, target: f64) -> Self {
        let met = match self.better {
            Better::Higher => self.value >= target,
            Better::Lower => self.value <= target,
        };
        Self { target: Some(target), met: Some(met), ..self }
    }

    /// Adds what the plain alternative reached in the same run of the benchmark.
    #[must_use]
    pub fn baseline(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ratio: Some(self.value / baseline), ..self }
    }

    /// The median over the runs.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The sample below which `permille` of all samples lie: 500 is the median, 990 the 99th percentile.
///
/// Zero when there is no sample.
#[must_use]
pub fn percentile(samples: &[Duration], permille: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let index = sorted.len() * permille.min(1000) / 1000;
    sorted.get(index).or(sorted.last()).copied().unwrap_or_default()
}

/// All measurements of one benchmark.
#[derive(Debug)]
pub struct Report {
    name: String,
    machine: Machine,
    measurements: Vec<Measurement>,
}

/// A row of the file: a measurement, and where it was made.
#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    measurement: &'a Measurement,
    machine: &'a Machine,
}

impl Report {
    /// A report of benchmark `name`, made on this machine.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), machine: Machine::this(), measurements: Vec::new() }
    }

    /// Adds a row.
    pub fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    /// Prints the table and writes the file; returns the file's path.
    #[expect(clippy::print_stdout, reason = "the table is what a benchmark is run for")]
    pub fn finish(&self) -> Result<PathBuf> {
        println!("{}", self.table());
        let path = bench_dir().join(format!("{}.json", self.name));
        fs::create_dir_all(bench_dir()).context("making target/bench")?;
        fs::write(&path, self.json()?).with_context(|| format!("writing {}", path.display()))?;
        println!("written to {}", path.display());
        Ok(path)
    }

    /// The rows as a table that Markdown takes too.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{}, on {}\n\n| metric | median | min .. max (runs) | target | baseline | ratio |\n|---|---|---|---|---|---|\n",
            self.name, self.machine
        );
        for row in &self.measurements {
            let target = match (row.target, row.met) {
                (Some(target), Some(true)) => format!("{} (met)", number(target)),
                (Some(target), _) => format!("{} (NOT MET)", number(target)),
                (None, _) => String::new(),
            };
            writeln!(
                text,
                "| {} | {} {} | {} .. {} ({}) | {target} | {} | {} |",
                row.metric,
                number(row.value),
                row.unit,
                number(row.min),
                number(row.max),
                row.runs,
                row.baseline.map(number).unwrap_or_default(),
                row.ratio.map(|ratio| format!("{ratio:.2}x")).unwrap_or_default(),
            )
            .expect("a String takes anything");
        }
        text
    }

    /// The rows as a JSON array.
    pub fn json(&self) -> Result<String> {
        let row = |measurement| Row { measurement, machine: &self.machine };
        let rows: Vec<_> = self.measurements.iter().map(row).collect();
        serde_json::to_string_pretty(&rows).context("writing the report as JSON")
    }
}

/// Three digits that matter: 430700, 97.1, 0.26.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn bench_dir() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench"))
}

#[cfg(test)]
mod tests;
