//! Deals the blows of a plan, and starts again what nobody else starts again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use cortex_tests::{Installation, Process, Signal, eventually_some};
use tokio::sync::watch;
use tokio::time::timeout;

use super::history::Progress;
use super::plan::{Blow, Plan};

/// How long a process may take to come back, with all its restarts in a row.
const BACK_DEADLINE: Duration = Duration::from_secs(120);
/// Lines of each log that a failure shows.
const LAST_LINES: usize = 25;

/// How often what was hit.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    hits: BTreeMap<Blow, usize>,
    /// Times that the supervisor ended because a process kept dying.
    gave_up: usize,
}

impl Toll {
    /// How often the process was hit that was hit least.
    pub(crate) fn rarest(&self) -> usize {
        let all = self.hits.get(&Blow::KillAll).copied().unwrap_or_default();
        let alone = |process| self.hits.get(&Blow::Kill(process)).copied().unwrap_or_default();
        Process::ALL.map(|process| all + alone(process)).into_iter().min().unwrap_or_default()
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hits: Vec<_> =
            self.hits.iter().map(|(blow, hits)| format!("{blow:?} {hits}x")).collect();
        write!(f, "{}; the supervisor gave up {} times", hits.join(", "), self.gave_up)
    }
}

/// Deals every blow, each in the middle of work or of the recovery from the one before.
pub(crate) async fn kill(
    installation: &Installation,
    plan: &Plan,
    mut progress: watch::Receiver<Progress>,
) -> Result<Toll> {
    let mut toll = Toll::default();
    for step in &plan.steps {
        let target = progress.borrow().ended + step.after_tasks;
        let work = progress.wait_for(|progress| target <= progress.ended);
        // Too late is as good a moment as any.
        if let Ok(ended) = timeout(step.after, work).await {
            ended.context("nobody follows the events any more")?;
        }
        strike(installation, step.blow, &mut toll).await?;
    }
    mend(installation, &mut toll)?;
    installation.wait_ready().await?;
    Ok(toll)
}

async fn strike(installation: &Installation, blow: Blow, toll: &mut Toll) -> Result<()> {
    mend(installation, toll)?;
    match blow {
        Blow::Kill(process) => {
            let hit = eventually_some(BACK_DEADLINE, || async {
                if installation.has_ended() {
                    return Some(Ok(false));
                }
                match installation.kill9(process).await {
                    Ok(false) => None,
                    hit => Some(hit),
                }
            });
            let hit = hit.await.with_context(|| format!("{process} does not come back"))??;
            if !hit {
                // It gave up while its process was waited for; the blow falls on what comes next.
                return Box::pin(strike(installation, blow, toll)).await;
            }
        }
        Blow::KillAll => installation.kill9_all().await?,
        Blow::Pause(process, pause_ms) => pause(installation, process, pause_ms).await?,
    }
    *toll.hits.entry(blow).or_default() += 1;
    mend(installation, toll)
}

/// Freezes a process. The time is the fault itself: nothing can be waited for instead.
async fn pause(installation: &Installation, process: Process, pause_ms: u64) -> Result<()> {
    installation.signal(process, Signal::Stop)?;
    let end = timeout(Duration::from_millis(pause_ms), std::future::pending::<()>()).await;
    drop(end);
    installation.signal(process, Signal::Continue)
}

/// Does what a person does who sees that `cortex up` has ended.
fn mend(installation: &Installation, toll: &mut Toll) -> Result<()> {
    if installation.pid(Process::Supervisor).is_none() {
        if installation.log().lines().last().is_some_and(|line| line.contains("start again")) {
            toll.gave_up += 1;
        }
        return installation.begin_again();
    }
    Ok(())
}

/// The ends of all logs.
pub(crate) fn last_words(installation: &Installation) -> String {
    let logs = [Process::Supervisor, Process::Scheduler, Process::Registry, Process::Node].map(
        |process| {
            let log = installation.log_of(process);
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            format!("--- {process}\n{end}")
        },
    );
    logs.join("\n")
}
