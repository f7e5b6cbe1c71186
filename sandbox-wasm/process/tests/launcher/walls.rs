//! What the launcher promises behind walls, for whoever it runs as.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use sandbox_policy::{Access, Mount, Property};
use sandbox_process::{Exit, LaunchError, Launcher, Status, Tier, Verdict};
use sha2::{Digest, Sha256};

use crate::support::{Case, command, read_all, read_lines, script, within};

/// An id without rights, which every Linux has.
const NOBODY: u32 = 65534;

#[tokio::test]
async fn a_program_runs_as_it_would_without_walls() {
    check("echo out; echo err >&2; exit 7", "out\n", "err\n", Status::Code(7)).await;
    check("kill -9 $$", "", "", Status::Signal(9)).await;
    check("cat; [ $(pwd) = $HOME ]; dirname $HOME", "read\n/run\n", "", Status::Code(0)).await;
    check("(exit 3) & wait $!", "", "", Status::Code(3)).await;
    check("echo x > /tmp/a && cat /tmp/a < /dev/null > /dev/null", "", "", Status::Code(0)).await;
    check("id -un; ls -A ~; echo $$", "run\n2\n", "", Status::Code(0)).await;
}

#[tokio::test]
async fn the_walls_are_read_back_and_the_program_is_hashed() {
    let case = behind_walls(command(&["true"]));
    let run = launch(&case).await;
    let proof = run.proof().clone();
    within(run.wait()).await;
    assert_eq!((proof.tier, proof.program.as_str()), (Tier::T3, "/usr/bin/true"));
    assert!(proof.no_new_privs && proof.capabilities == 0 && 4 <= proof.seccomp_filters);
    assert_eq!(proof.namespaces.len(), 7, "{:?}", proof.namespaces);
    assert_eq!(proof.limits["pids"], 513);
    assert_ne!(proof.uid, 0);
    let content = fs::read("/usr/bin/true").unwrap();
    assert_eq!(proof.program_sha256.unwrap().0, <[u8; 32]>::from(Sha256::digest(content)));
}

#[tokio::test]
async fn a_cancelled_run_has_its_grace_and_then_nothing_is_left() {
    let mut case = behind_walls(script(
        "trap 'echo tidied' TERM; (setsid sh -c \"trap '' TERM; echo up; sleep 1000\" &); \
         while :; do sleep 0.01; done",
    ));
    case.request.limits.grace = Duration::from_millis(200);
    let mut run = launch(&case).await;
    read_lines(&mut run, 1).await;
    run.cancel();
    read_lines(&mut run, 1).await;
    let exit = within(run.wait()).await;
    assert_eq!((exit.verdict, exit.status), (Verdict::Cancelled, Status::Signal(9)));
    assert!(1 <= exit.leftovers.killed && exit.leftovers.survived == 0, "{:?}", exit.leftovers);
    case.assert_gone_within(Duration::ZERO).await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_on_time() {
    let mut case = behind_walls(command(&["sleep", "1000"]));
    case.request.limits.wall_time = Duration::from_millis(200);
    let exit = finish(&case).await.0;
    assert_eq!((exit.verdict, exit.status), (Verdict::TimedOut, Status::Signal(15)));
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let case = behind_walls(script(
        "(setsid sh -c \"trap '' TERM HUP; echo up; sleep 1000\" &); sleep 0.2; exit 6",
    ));
    let exit = finish(&case).await.0;
    assert_eq!((exit.verdict, exit.status), (Verdict::Exited, Status::Code(6)));
    assert!((1..=2).contains(&exit.leftovers.killed), "{:?}", exit.leftovers);
    case.assert_gone_within(Duration::ZERO).await;
}

#[tokio::test]
async fn a_killed_supervisor_takes_the_namespaces_along() {
    let case = behind_walls(script("(setsid sleep 1000 &); echo up; sleep 1000"));
    let mut run = launch(&case).await;
    read_lines(&mut run, 1).await;
    // The program's parent is the first process of the namespaces, and its parent the supervisor.
    let supervisor = parent_of(parent_of(run.pid()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(supervisor).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let exit = within(run.wait()).await;
    assert_eq!(exit.verdict, Verdict::SupervisorLost);
    case.assert_gone_within(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_folder_is_given_for_reading_or_for_writing() {
    let folder = shared_folder();
    let line = |folder: &Path| {
        let folder = folder.display();
        format!("cat {folder}/given; echo new > {folder}/made && echo wrote")
    };
    let mut case = behind_walls(script(&line(folder.path())));
    let path = folder.path().to_str().unwrap();
    case.config.mounts = vec![Mount::same(path, Access::ReadOnly)];
    let (exit, stdout, stderr) = finish(&case).await;
    assert_eq!((exit.status, stdout.as_str()), (Status::Code(2), "given"), "{stderr}");
    assert!(stderr.contains("Read-only"), "{stderr}");

    case.config.mounts = vec![Mount::same(path, Access::ReadWrite)];
    let (exit, stdout, stderr) = finish(&case).await;
    assert_eq!((exit.status, stdout.as_str()), (Status::Code(0), "givenwrote\n"), "{stderr}");
    assert_eq!(fs::read(folder.path().join("made")).unwrap(), b"new\n");

    let elsewhere =
        Mount { target: "/data/here".to_owned(), ..Mount::same(path, Access::ReadWrite) };
    let mut case = behind_walls(script("cat given; pwd"));
    case.config.mounts = vec![elsewhere];
    case.request.cwd = "/data/here".into();
    let (_, stdout, stderr) = finish(&case).await;
    assert_eq!(stdout, "given/data/here\n", "{stderr}");
}

#[tokio::test]
async fn a_script_in_a_given_folder_finds_itself_and_its_interpreter() {
    let folder = shared_folder();
    let tool = folder.path().join("tool");
    fs::write(&tool, "#!/bin/sh\necho \"$0 $1\"\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut case = behind_walls(command(&["./tool", "word"]));
    case.config.mounts = vec![Mount::same(folder.path().to_str().unwrap(), Access::ReadOnly)];
    case.request.cwd = folder.path().to_owned();
    let (exit, stdout, stderr) = finish(&case).await;
    assert_eq!(exit.status, Status::Code(0), "{stderr}");
    assert_eq!(stdout, format!("{}/./tool word\n", folder.path().display()));
}

#[tokio::test]
async fn what_is_not_there_behind_the_walls_is_named() {
    let folder = shared_folder();
    refuse(command(&["no-such-program"]), "COMMAND_NOT_FOUND", "no-such-program").await;
    let mut case = command(&["true"]);
    // It exists on the host, and was not given.
    case.request.cwd = folder.path().to_owned();
    refuse(case, "CWD_MISSING", folder.path().to_str().unwrap()).await;
    let mut case = command(&["true"]);
    case.config.mounts = vec![Mount::same("/no/such/folder", Access::ReadOnly)];
    refuse(case, "CONFIG_INVALID", "/no/such/folder").await;
    let mut case = command(&["true"]);
    case.config.mounts = vec![Mount::same("/etc", Access::ReadOnly)];
    refuse(case, "CONFIG_INVALID", "/etc").await;
}

#[tokio::test]
async fn without_namespaces_landlock_confines_what_was_not_given() {
    let folder = shared_folder();
    let line = format!(
        "echo mine > mine && cat mine; cat {0}/given; echo x > {0}/made; exit 0",
        folder.path().display()
    );
    let mut case = script(&line);
    case.config.tier = Some(Tier::T1);
    let (exit, stdout, stderr) = finish(&case).await;
    assert_eq!((exit.status, stdout.as_str()), (Status::Code(0), "mine\n"), "{stderr}");
    assert_eq!(stderr.matches("Permission denied").count(), 2, "{stderr}");
    assert!(!folder.path().join("made").exists());
}

#[tokio::test]
async fn bubblewrap_makes_namespaces_where_this_program_may_not() {
    let mut case = behind_walls(script("echo x > mine; cat mine; cat /proc/1/environ; exit 4"));
    case.config.tier = Some(Tier::T2);
    let launcher = match Launcher::new(case.config.clone()) {
        Ok(launcher) => launcher,
        Err(error) => {
            // Not installed, or the program stands where the run's user may not look.
            println!("not run: {error}");
            return;
        }
    };
    assert_eq!(launcher.report().tier, Tier::T2);
    assert!(launcher.report().enforces(Property::FsReadConfined), "{:?}", launcher.report());
    let (exit, stdout, stderr) = finish(&case).await;
    assert_eq!((exit.status, stdout.as_str()), (Status::Code(4), "x\n"), "{stderr}");
}

#[tokio::test]
async fn the_strongest_walls_are_taken_unasked_and_none_only_by_name() {
    let mut case = command(&["true"]);
    case.config.tier = None;
    let best = Launcher::new(case.config.clone()).unwrap();
    assert_eq!(best.report().tier, Tier::T3, "{:?}", best.report());
    for property in [Property::FsReadConfined, Property::NetDenied, Property::TreeKill] {
        assert!(best.report().enforces(property), "{:?}", best.report());
    }
    case.config.tier = Some(Tier::T1);
    let t1 = Launcher::new(case.config.clone()).unwrap();
    assert_eq!(t1.report().tier, Tier::T1);
    assert!(t1.report().enforces(Property::NetDenied), "{:?}", t1.report());
    assert!(!t1.report().enforces(Property::PidsLimited));
}

#[tokio::test]
async fn all_of_it_holds_for_a_user_without_rights() {
    // Everybody may enter the folder of this copy, which is not so for every checkout.
    let folder = shared_folder();
    let program = folder.path().join("launcher");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["walls::", "--skip", "all_of_it_holds_for_a_user_without_rights"]);
    command.current_dir(folder.path());
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !text.contains("running 0 tests"), "{text}");
}

fn behind_walls(mut case: Case) -> Case {
    case.config.tier = Some(Tier::T3);
    case.request.stdin = b"read\n".to_vec();
    case
}

async fn launch(case: &Case) -> sandbox_process::Run {
    static PLAIN: OnceLock<Launcher> = OnceLock::new();
    // Trying the walls anew is for those that differ.
    let launcher = if case.config.mounts.is_empty() && case.config.tier == Some(Tier::T3) {
        PLAIN.get_or_init(|| Launcher::new(case.config.clone()).unwrap()).clone()
    } else {
        Launcher::new(case.config.clone()).unwrap()
    };
    within(launcher.launch(case.request.clone())).await.unwrap()
}

async fn finish(case: &Case) -> (Exit, String, String) {
    let mut run = launch(case).await;
    let (stdout, stderr) = within(read_all(&mut run)).await;
    let exit = within(run.wait()).await;
    (exit, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

async fn check(text: &str, stdout: &str, stderr: &str, status: Status) {
    let case = behind_walls(script(text));
    let (exit, out, err) = finish(&case).await;
    assert_eq!((out.as_str(), err.as_str(), exit.status), (stdout, stderr, status), "{text}");
    assert_eq!(exit.verdict, Verdict::Exited);
    assert_eq!(exit.leftovers.killed, 0);
}

async fn refuse(case: Case, code: &str, word: &str) {
    let mut case = case;
    case.config.tier = Some(Tier::T3);
    let refused = async {
        let launcher = Launcher::new(case.config.clone())?;
        launcher.launch(case.request.clone()).await.map(drop)
    };
    let error: LaunchError = within(refused).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.code().as_str(), code, "{text}");
    assert!(text.contains(word), "{text}");
}

/// A folder that everybody may read and its owner may write, with one file.
fn shared_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("given"), "given").unwrap();
    folder
}

fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}
