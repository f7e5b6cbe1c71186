//! Looks for values in everything that an installation wrote, whatever their encoding.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_nats::jetstream::{self, stream::Stream};
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use cortex_tests::Installation;
use futures::TryStreamExt as _;

/// For one request of the many.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// Values by name, each with everything that it may look like.
pub(crate) struct Secrets {
    values: BTreeMap<String, String>,
    needles: Vec<Needle>,
    /// The needles that begin with each two bytes.
    by_beginning: Vec<Vec<usize>>,
}

struct Needle {
    /// Whose, and how it is encoded.
    what: String,
    bytes: Vec<u8>,
}

/// What was looked through, and what was found in it.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) files: usize,
    pub(crate) messages: usize,
    /// Name, encoding and place.
    pub(crate) found: Vec<String>,
}

impl Secrets {
    /// New values that are nowhere yet.
    pub(crate) fn invent(names: &[&str]) -> Self {
        let invent = |name: &&str| {
            let value =
                format!("{:032x}-{name}~{:016x}", rand::random::<u128>(), rand::random::<u64>());
            ((*name).to_owned(), value)
        };
        Self::of(names.iter().map(invent).collect())
    }

    /// Values that are there already.
    pub(crate) fn of(values: BTreeMap<String, String>) -> Self {
        let needles: Vec<_> =
            values.iter().flat_map(|(name, value)| needles(name, value)).collect();
        let mut by_beginning = vec![Vec::new(); 1 << 16];
        for (index, needle) in needles.iter().enumerate() {
            by_beginning[beginning(&needle.bytes)].push(index);
        }
        Self { values, needles, by_beginning }
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        &self.values[name]
    }

    /// Fails when any of the values is in the bytes.
    pub(crate) fn check(&self, place: &str, bytes: &[u8]) -> Result<()> {
        let found = self.find(place, bytes);
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    }

    fn find(&self, place: &str, bytes: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            for index in &self.by_beginning[beginning(pair)] {
                let needle = &self.needles[*index];
                if bytes[at..].starts_with(&needle.bytes) {
                    found.insert(format!("{} in {place}", needle.what));
                }
            }
        }
        found
    }
}

fn beginning(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn needles(name: &str, value: &str) -> Vec<Needle> {
    let bytes = value.as_bytes();
    let needle =
        |encoding: &str, bytes: Vec<u8>| Needle { what: format!("{name} as {encoding}"), bytes };
    let hex = schemas::hex(bytes);
    // Half of a value is too much already.
    let half = bytes.len() / 2;
    let mut all = vec![
        needle("it is", bytes[..half].to_vec()),
        needle("it is", bytes[half..].to_vec()),
        needle("hex", hex.to_uppercase().into_bytes()),
        needle("hex", hex.into_bytes()),
        needle("reversed", bytes.iter().rev().copied().collect()),
    ];
    for shift in 0..3 {
        all.push(needle("base64", inner_base64(bytes, shift, &STANDARD)));
        all.push(needle("base64", inner_base64(bytes, shift, &URL_SAFE)));
    }
    all
}

/// What base64 makes of the value after so many other bytes, without the letters that depend on
/// what stands around it.
fn inner_base64(value: &[u8], shift: usize, engine: &impl base64::Engine) -> Vec<u8> {
    let padded = [&vec![0; shift][..], value].concat();
    let text = engine.encode(&padded);
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    text.as_bytes()[first..last].to_vec()
}

impl Traces {
    /// Looks through all streams and buckets, as an admin reads them, and all files of the home and
    /// of the folders that credentials are handed over in.
    pub(crate) async fn collect(cortex: &Installation, secrets: &Secrets) -> Result<Self> {
        let mut traces = Self { files: 0, messages: 0, found: Vec::new() };
        traces.search_streams(cortex, secrets).await?;
        let runtime = std::env::var("XDG_RUNTIME_DIR").ok();
        let folders = [Some("/dev/shm".to_owned()), runtime].into_iter().flatten();
        let folders = folders.map(PathBuf::from).chain([cortex.home().to_owned()]);
        for path in folders.flat_map(|folder| files_below(&folder)) {
            // What others make and remove meanwhile is none of this installation's.
            let Ok(bytes) = fs::read(&path) else { continue };
            traces.files += 1;
            traces.found.extend(secrets.find(&path.display().to_string(), &bytes));
        }
        Ok(traces)
    }

    async fn search_streams(&mut self, cortex: &Installation, secrets: &Secrets) -> Result<()> {
        let creds = cortex.home().join("config/creds/admin.creds");
        let options = async_nats::ConnectOptions::with_credentials_file(creds);
        let options = options.await?.custom_inbox_prefix("_INBOX.admin");
        let client = options.request_timeout(Some(REQUEST_DEADLINE)).connect(cortex.url()?).await?;
        let context = jetstream::new(client);
        let names: Vec<String> = context.stream_names().try_collect().await?;
        ensure!(4 < names.len(), "only {names:?} were found");
        for name in names {
            let stream = context.get_stream(&name).await?;
            self.search_stream(&name, &stream, secrets).await?;
        }
        Ok(())
    }

    async fn search_stream(
        &mut self,
        name: &str,
        stream: &Stream,
        secrets: &Secrets,
    ) -> Result<()> {
        let state = stream.get_info().await?.state;
        for sequence in state.first_sequence..=state.last_sequence {
            // What was replaced or deleted is in the store's files, which are searched as well.
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            self.messages += 1;
            let head = format!("{} {:?}", message.subject, message.headers);
            let place = format!("stream {name}, {} {sequence}", message.subject);
            self.found.extend(secrets.find(&place, head.as_bytes()));
            self.found.extend(secrets.find(&place, &message.payload));
        }
        Ok(())
    }
}

/// What others make and remove meanwhile may be missing.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                Ok(_) | Err(_) => (),
            }
        }
    }
    files
}

/// The arguments of every process of this machine.
pub(crate) fn argument_lists() -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path().join("cmdline");
        all.extend(fs::read(path).unwrap_or_default());
        all.push(b'\n');
    }
    Ok(all)
}
