//! A credential's value is in its source and in its run, and in nothing that anybody writes.

pub(crate) mod traces;

#[path = "../system/signer.rs"]
mod signer;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::{Client, ConnectOptions, Credentials};
use cortex_tests::{Guarded, Installation, Login, Signal, eventually, eventually_some};
use schemas::scheduler::{SubmitAnswer, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::task::{TaskSpec, Work};
use schemas::{Audience, ErrorCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::id;
use signer::Signer;
use traces::{Secrets, Traces};

const DEADLINE: Duration = Duration::from_secs(60);
/// Credentials that can be had, by name.
const GOOD: [&str; 5] = ["file", "variable", "unit", "mounted", "lines"];
/// Longest value that a node takes, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A Cortex with a node whose manifest names credentials, and where their values are.
struct Scene {
    node: Guarded,
    cortex: Installation,
    /// Outside of everything that is looked through.
    _sources: TempDir,
    /// Where the node hands credentials over.
    _memory: TempDir,
    secrets: Secrets,
}

impl Scene {
    async fn set() -> Result<Self> {
        let cortex = Installation::start_with(&["--no-node"]).await?;
        let sources = tempfile::tempdir()?;
        let secrets = Secrets::invent(&["file", "variable", "unit", "mounted", "open", "large"]);
        write_sources(sources.path(), &secrets)?;
        let settings = cortex.home().join("node.toml");
        fs::write(&settings, toml_settings(&cortex, sources.path())?)?;
        let memory = tempfile::tempdir_in("/dev/shm")?;
        let places = [sources.path(), cortex.home(), cortex.binary(), &settings, memory.path()];
        let node = start_node(places)?;
        let scene = Self { node, cortex, _sources: sources, _memory: memory, secrets };
        let online = || async { scene.is_online().await.unwrap_or(false) };
        eventually(DEADLINE, online).await.with_context(|| scene.node_log())?;
        Ok(scene)
    }

    async fn is_online(&self) -> Result<bool> {
        let shown = self.cortex.cortex(&["agent", "show", "local", "-o", "json"]).await?;
        Ok(shown.json::<Value>()?["status"] == "online")
    }

    fn node_log(&self) -> String {
        fs::read_to_string(self.cortex.home().join("node.log")).unwrap_or_default()
    }

    /// Hands in a shell line that asks for credentials; returns the task's id.
    async fn submit(&self, credentials: &[&str], line: &str) -> Result<String> {
        let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
        let work = Work::Command { argv, cwd: None, env: Default::default(), stdin: None };
        let credentials = credentials.iter().map(|name| (*name).to_owned()).collect();
        let spec = TaskSpec { credentials, ..TaskSpec::new(work) };
        let signed = Signer::of(&self.cortex)?.sign(Audience::Node(id("local")), &spec)?;
        let Login { url, principal, creds, .. } = self.cortex.login()?;
        let credentials = Credentials::CredsFile(creds);
        let options = ConnectOptions { credentials, ..ConnectOptions::new(url, id(&principal)) };
        let client = Client::connect(options).await?;
        let answer: SubmitAnswer = client.request(Scheduler, verb::SUBMIT, &signed.request).await?;
        ensure!(answer.task == signed.task, "{answer:?}");
        Ok(answer.task.to_string())
    }

    /// Waits for the task's end and returns it as `cortex task show` tells it.
    async fn end(&self, task: &str) -> Result<Value> {
        let waited = self.cortex.cortex(&["task", "wait", task, "--timeout", "60s"]).await?;
        let shown = self.cortex.cortex(&["task", "show", task, "-o", "json"]).await?;
        shown.json().with_context(|| format!("{waited:?} {}", self.node_log()))
    }

    /// Everything that was written, looked through for the values.
    async fn traces(&self) -> Result<Traces> {
        Traces::collect(&self.cortex, &self.secrets).await
    }
}

fn write_sources(folder: &Path, secrets: &Secrets) -> Result<()> {
    let write = |name: &str, value: &str, mode: u32| -> Result<()> {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().context("it is below the folder")?)?;
        fs::write(&path, value)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    write("file", secrets.value("file"), 0o600)?;
    write("variable", secrets.value("variable"), 0o600)?;
    write("unit/db", secrets.value("unit"), 0o600)?;
    write("mounts/creds/token", secrets.value("mounted"), 0o600)?;
    write("open", secrets.value("open"), 0o644)?;
    write("large", &secrets.value("large").repeat(SECRET_BYTES_MAX / 8), 0o600)?;
    // Each line for itself must not leave either.
    let lines = [secrets.value("file"), secrets.value("unit")].join("\n");
    write("lines", &format!("-----BEGIN\n{lines}\n-----END\n"), 0o600)
}

fn toml_settings(cortex: &Installation, sources: &Path) -> Result<String> {
    let file = |name: &str| format!("file:{}", sources.join(name).display());
    let config = cortex.home().join("config");
    let settings = json!({
        "id": "local",
        "url": cortex.url()?,
        "state_dir": cortex.home().join("state/node"),
        "anchors": config.join("anchors.json"),
        "creds": config.join("creds/local.creds"),
        "owner": cortex.login()?.principal,
        "credential_sources": {
            "kubernetes_secrets_dir": sources.join("mounts"),
            // Nobody listens there.
            "kubernetes_api": "https://127.0.0.1:1",
            "kubernetes_account_dir": sources,
        },
        "manifest": {
            "id": "local", "name": "Local", "role": "worker",
            "capabilities": { "tools": ["shell.exec"] },
            "credentials": {
                "file": file("file"), "lines": file("lines"), "open": file("open"),
                "large": file("large"), "missing": file("missing"), "unset": "env:NEVER_SET",
                "variable": "env:CORTEX_TEST_SECRET", "unit": "systemd-cred:db",
                "mounted": "k8s-secret:creds#token", "asked": "k8s-secret:cortex/creds",
                "keychain": "keychain:cortex-test/nobody",
            },
        },
    });
    Ok(toml::to_string(&settings)?)
}

/// The variable is read by the shell from a file, so that it is in no argument list of the test.
fn start_node(places: [&Path; 5]) -> Result<Guarded> {
    let script = r#"
CORTEX_TEST_SECRET="$(cat "$1/variable")" CREDENTIALS_DIRECTORY="$1/unit" CORTEX_HOME="$2" \
  XDG_RUNTIME_DIR="$5" CORTEX_LOG=trace exec "$3" agent run --config "$4""#;
    let [sources, home, ..] = places;
    let words = ["-c", script, "node"].map(OsStr::new);
    let guard = sources.join("guard");
    fs::create_dir(&guard)?;
    let words = words.into_iter().chain(places.map(Path::as_os_str));
    Guarded::spawn(Path::new("sh"), words, &guard, &home.join("node.log"))
}

/// Prints what it was given on both streams, at once, slowly and in bulk, crashes a child that has
/// read it, and waits until it is cancelled.
const INDISCREET: &str = r#"cd "$CREDENTIALS_DIRECTORY" || exit 1
for name in *; do cat $name; echo; cat $name >&2; echo "<$(cat $name)>"; done
env
v=$(cat file); printf '%s' "${v%????????}"; sleep 0.2; printf '%s\n' "${v#"${v%????????}"}"
i=0; while [ $i -lt 400 ]; do cat mounted unit; i=$((i+1)); done
sh -c 'v=$(cat file); cd "$HOME"; kill -SEGV $$'
echo "cores: $(ls "$HOME" | wc -l)"
sleep 600"#;

#[tokio::test]
async fn no_value_is_in_anything_that_is_written() -> Result<()> {
    let scene = Scene::set().await?;
    let task = scene.submit(&GOOD, INDISCREET).await?;
    let prints = || async {
        let logs = scene.cortex.cortex(&["task", "logs", &task]).await;
        logs.is_ok_and(|logs| logs.stdout.contains("cores: "))
    };
    eventually(DEADLINE, prints).await.with_context(|| scene.node_log())?;
    let arguments = traces::argument_lists()?;
    scene.secrets.check("an argument list", &arguments)?;
    ensure!(
        String::from_utf8_lossy(&arguments).contains("CREDENTIALS_DIRECTORY"),
        "no run is seen"
    );
    scene.cortex.cortex(&["task", "cancel", &task]).await?;
    let end = scene.end(&task).await?;
    ensure!(end["state"] == "cancelled", "{end}");
    let logs = scene.cortex.cortex(&["task", "logs", &task]).await?;
    ensure!(logs.stdout.contains("cores: 0\n"), "{}", logs.stdout);
    ensure!(400 < logs.stdout.matches("[credential unit]").count(), "{}", logs.stdout);
    for name in GOOD {
        ensure!(logs.stdout.contains(&format!("[credential {name}]")), "{}", logs.stdout);
    }
    check_refused(&scene).await?;
    lose_a_run(&scene).await?;
    for words in [
        &["task", "ls", "-o", "json"][..],
        &["events", "scheduler", "-o", "json"],
        &["agent", "show", "local", "-o", "json"],
    ] {
        let said = scene.cortex.cortex(words).await?;
        scene.secrets.check(&words.join(" "), said.stdout.as_bytes())?;
    }
    let traces = scene.traces().await?;
    ensure!(30 < traces.files && 10 < traces.messages, "hardly anything was looked at: {traces:?}");
    ensure!(traces.found.is_empty(), "{:#?}", traces.found);
    Ok(())
}

/// Every way of not getting a credential says why, and nothing of it; and nothing runs.
async fn check_refused(scene: &Scene) -> Result<()> {
    for (name, code, cause) in [
        ("foreign", ErrorCode::CredentialUnknown, "names no credential foreign"),
        ("open", ErrorCode::CredentialUnavailable, "(mode 0644)"),
        ("large", ErrorCode::CredentialUnavailable, "longer than 65536 bytes"),
        ("missing", ErrorCode::CredentialUnavailable, "No such file"),
        ("unset", ErrorCode::CredentialUnavailable, "not set"),
        ("asked", ErrorCode::CredentialUnavailable, "credential asked (k8s-secret:"),
        ("keychain", ErrorCode::CredentialUnavailable, "the keychain"),
    ] {
        let task = scene.submit(&["file", name], "cat $CREDENTIALS_DIRECTORY/*").await?;
        let outcome = &scene.end(&task).await?["outcome"];
        let fault = &outcome["fault"];
        ensure!(fault["code"] == code.as_str(), "{name}: {fault}");
        ensure!(fault["message"].as_str().is_some_and(|it| it.contains(cause)), "{name}: {fault}");
        ensure!(outcome["stdout"]["bytes"] == 0 && outcome["exit_code"].is_null(), "{outcome}");
    }
    Ok(())
}

/// Kills the node in the middle of a run that has credentials, and starts it again.
async fn lose_a_run(scene: &Scene) -> Result<()> {
    let task = scene.submit(&["file"], "echo $CREDENTIALS_DIRECTORY; sleep 600").await?;
    let printed = || async {
        let logs = scene.cortex.cortex(&["task", "logs", &task]).await.ok()?;
        Some(PathBuf::from(logs.stdout.trim())).filter(|path| path.is_absolute())
    };
    let folder = eventually_some(DEADLINE, printed).await?;
    scene.node.signal(Signal::Kill)?;
    scene.node.wait()?;
    ensure!(folder.join("file").exists(), "it was gone too early");
    scene.node.start_again()?;
    let end = scene.end(&task).await?;
    ensure!(end["state"] == "lost", "{end}");
    ensure!(!folder.parent().is_some_and(Path::exists), "{folder:?} stays");
    Ok(())
}

/// Shows that the search above can fail: a value that no credential hides is found in the output
/// stream, in the events and in files, and in each of the encodings.
#[tokio::test]
async fn a_value_that_is_printed_on_purpose_is_found() -> Result<()> {
    let scene = Scene::set().await?;
    let line = format!("echo {}; seq 1 3000", scene.secrets.value("file"));
    let task = scene.submit(&[], &line).await?;
    ensure!(scene.end(&task).await?["state"] == "succeeded");
    let line = format!("printf xy; echo {}", scene.secrets.value("unit"));
    let task = scene.submit(&[], &line).await?;
    ensure!(scene.end(&task).await?["state"] == "succeeded");
    let hex = schemas::hex(scene.secrets.value("open").as_bytes());
    fs::write(scene.cortex.home().join("a-file"), hex)?;
    let found = scene.traces().await?.found;
    let has = |what: &str, place: &str| {
        found.iter().any(|trace| trace.starts_with(what) && trace.contains(place))
    };
    ensure!(has("file as base64", "stream CORTEX_OUTPUT"), "{found:#?}");
    ensure!(has("unit as base64", "stream CORTEX_EVENTS_scheduler"), "{found:#?}");
    ensure!(has("unit as it is", "stream KV_cortex_tasks"), "{found:#?}");
    ensure!(has("unit as base64", "/state/node/journal"), "{found:#?}");
    ensure!(has("file as base64", "/CORTEX_OUTPUT/msgs/"), "{found:#?}");
    ensure!(has("open as hex", "a-file"), "{found:#?}");
    ensure!(!found.iter().any(|trace| trace.starts_with("variable")), "{found:#?}");
    Ok(())
}
