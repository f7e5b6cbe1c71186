//! `cortex rebuild`: makes a bucket anew from the log, or only compares.

use std::process::ExitCode;

use clap::Args;
use schemas::{
    ErrorCode, Fault,
    projection::{REBUILD_VERB, RebuildAnswer, RebuildRequest},
    subject::Bucket,
};
use std::time::Duration;

use super::{Outcome, Session};
use crate::{cli::Globals, output::Listing};

/// A log of a million events is read in seconds; this is for much larger ones.
const DEADLINE: Duration = Duration::from_secs(300);

/// Which bucket.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// cortex_agents, cortex_tasks or cortex_envelopes.
    bucket: String,
    /// Count rows that differ and change nothing; exit status 1 when there are any.
    #[arg(long)]
    check: bool,
}

pub(super) async fn rebuild(globals: &Globals, args: RebuildArgs) -> Outcome {
    let session = Session::open(globals)?;
    let service = Bucket::parse(&args.bucket).and_then(Bucket::projected_by).ok_or_else(|| {
        let made: Vec<_> = Bucket::ALL.into_iter().filter(|b| b.projected_by().is_some()).collect();
        let names: Vec<_> = made.iter().map(|bucket| bucket.as_str()).collect();
        let message = format!("no bucket {:?} is made from a log", args.bucket);
        Fault::new(ErrorCode::InvalidValue, message)
            .with_hint(format!("there are {}", names.join(", ")))
    })?;
    let client = session.connect().await?;
    let request = RebuildRequest { bucket: args.bucket, check_only: args.check };
    let call = client.call(service, REBUILD_VERB).deadline(DEADLINE);
    let answer: RebuildAnswer = call.send(&request).await?;
    let properties = vec![
        ("bucket", answer.bucket.clone()),
        ("rows", answer.rows.to_string()),
        ("differing", answer.differing.to_string()),
        ("mended", answer.mended.to_string()),
        ("examples", answer.examples.join(", ")),
        ("up to", answer.cursor.to_string()),
    ];
    session.printer.show(&answer, &Listing::of_one(&answer.bucket, properties))?;
    let differs = args.check && 0 < answer.differing;
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
