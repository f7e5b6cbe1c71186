//! Sets up a tier in full, once, and tries what it must prevent.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::fd::AsFd,
    time::Duration,
};

use sandbox_policy::Tier;
use schemas::sandbox::RunProof;

use crate::{
    LaunchError,
    canary::{Acts, QUOTAS, Targets},
    gate,
    handshake::{Handover, hand_over, host},
    run::{problem, refused},
    wire::{GO, Order, Report, Walls},
};

/// How long one trial may take.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of the first report.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// What a trial showed.
pub(crate) struct Trial {
    /// What surrounded the acts.
    pub(crate) proof: RunProof,
    /// The acts behind the walls: whether they succeeded.
    pub(crate) acts: Acts,
    /// The same acts without walls.
    pub(crate) control: Acts,
}

/// Tries the tier that `walls` name; blocks for some milliseconds.
pub(crate) fn attempt(walls: &Walls) -> Result<Trial, LaunchError> {
    let targets = Targets::make(&std::env::temp_dir()).map_err(host("prepare a trial"))?;
    let control = targets.control();
    let inside = match walls.tier {
        Tier::T0 | Tier::T1 => targets.scratch().display().to_string(),
        Tier::T2 | Tier::T3 => walls.scratch.clone(),
    };
    let order = Order {
        argv: vec!["sh".to_owned()],
        cwd: inside.clone(),
        env: BTreeMap::new(),
        wall_time: TRIAL_LIMIT,
        grace: Duration::ZERO,
        walls: Walls {
            scratch: inside,
            mounts: Vec::new(),
            quotas: QUOTAS,
            probe: Some(targets.probe.clone()),
            ..walls.clone()
        },
    };
    let handover = hand_over(&order, &[])?;
    let (proof, acts) = follow(handover)?;
    Ok(Trial { proof, acts, control })
}

fn follow(handover: Handover) -> Result<(RunProof, Acts), LaunchError> {
    let Handover { supervisor, control, stdout, stderr } = handover;
    control.set_read_timeout(Some(TRIAL_LIMIT)).map_err(host("wait for a trial"))?;
    let mut first = vec![0; REPORT_BYTES_MAX];
    // The first byte comes alone, for the descriptor rides with it.
    let (length, _) = gate::receive_bytes(control.as_fd(), &mut first)
        .map_err(host("hear the supervisor of a trial"))?;
    let mut line = first.get(..length).unwrap_or_default().to_vec();
    let mut reports = BufReader::new(&control);
    if line.last() != Some(&b'\n') {
        reports.read_until(b'\n', &mut line).map_err(host("hear the supervisor of a trial"))?;
    }
    let proof = match serde_json::from_slice(&line) {
        Ok(Report::Ready(proof)) => *proof,
        Ok(Report::Refused(refusal)) => return Err(refused(refusal, &[])),
        Ok(Report::Started { .. } | Report::Ended(_)) | Err(_) => {
            return Err(problem("ended before its trial"));
        }
    };
    (&control).write_all(&[GO]).map_err(host("start a trial"))?;
    let mut told = Vec::new();
    File::from(stdout).read_to_end(&mut told).map_err(host("hear a trial"))?;
    drop((supervisor, stderr));
    let acts = serde_json::from_slice(&told).map_err(|_| problem("told nothing of its trial"))?;
    Ok((proof, acts))
}
