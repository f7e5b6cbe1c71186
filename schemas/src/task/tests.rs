//! What a specification may ask for, and how a task is shown.

use super::*;

#[test]
fn a_specification_is_checked() {
    check(|_| (), None);
    check(|it| it.time_limit_ms = Some(0), Some("time_limit_ms must be 1 to 86400000"));
    check(|it| it.time_limit_ms = Some(TIME_LIMIT_MS_MAX), None);
    check(
        |it| it.time_limit_ms = Some(TIME_LIMIT_MS_MAX + 1),
        Some("time_limit_ms must be 1 to 86400000"),
    );
    check(
        |it| it.output_limit_bytes = Some(OUTPUT_BYTES_MAX + 1),
        Some("output_limit_bytes must be at most 1 GiB"),
    );
}

#[test]
fn a_command_names_a_program_and_holds_no_nul() {
    check(|it| it.work = command(&[]), Some("argv names no program"));
    check(|it| it.work = command(&[""]), Some("argv names no program"));
    let nul = Some("argv, cwd and env must not hold NUL");
    check(|it| it.work = command(&["a\0b"]), nul);
    check(|it| it.work = with_env("KEY", "a\0b"), nul);
    let name = Some("a name in env is empty or holds =");
    check(|it| it.work = with_env("", "x"), name);
    check(|it| it.work = with_env("A=B", "x"), name);
    check(|it| it.work = with_env("KEY", "a=b"), None);
}

#[test]
fn credentials_are_asked_for_by_name_each_once_and_for_a_command() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let sixteen: Vec<String> = (0..16).map(|number| format!("c{number}")).collect();
    check(|it| it.credentials = names(&["token", "db.password"]), None);
    check(|it| it.credentials = sixteen.clone(), None);
    let seventeen = [sixteen.clone(), names(&["more"])].concat();
    check(|it| it.credentials = seventeen, Some("credentials must be at most 16"));
    check(|it| it.credentials = names(&["a", "a"]), Some("credentials names one twice"));
    check(|it| it.credentials = names(&[""]), Some("a name in credentials is empty"));
    let problem = "must be letters, digits, dots, - and _, and not begin with a dot";
    let problem = format!("a name in credentials {problem}");
    check(|it| it.credentials = names(&["../x"]), Some(&problem));
    let echo = |it: &mut TaskSpec| {
        it.work = Work::Echo { text: String::new() };
        it.credentials = names(&["token"]);
    };
    check(echo, Some("an echo runs nothing that could use credentials"));
}

#[test]
fn where_credentials_are_is_not_for_a_task_to_say() {
    let both = |it: &mut TaskSpec| {
        it.work = with_env("CREDENTIALS_DIRECTORY", "/elsewhere");
        it.credentials = vec!["token".to_owned()];
    };
    check(both, Some("env must not name CREDENTIALS_DIRECTORY beside credentials"));
    check(|it| it.work = with_env("CREDENTIALS_DIRECTORY", "/elsewhere"), None);
}

#[test]
fn a_summary_is_one_printable_line() {
    assert_eq!(command(&["echo", "a\nb", "\u{1b}[31m"]).summary(), "echo a\\nb \\u{1b}[31m");
    assert_eq!(command(&["x".repeat(1000).as_str()]).summary().len(), 200);
    assert_eq!(Work::Echo { text: "hello".to_owned() }.summary(), "echo hello");
}

#[test]
fn what_a_node_reports_decides_the_state() {
    for (verdict, state, is_final) in [
        (Verdict::Succeeded, TaskState::Succeeded, true),
        (Verdict::Failed, TaskState::Failed, true),
        (Verdict::TimedOut, TaskState::TimedOut, true),
        (Verdict::Cancelled, TaskState::Cancelled, true),
        (Verdict::Lost, TaskState::Lost, false),
    ] {
        assert_eq!((verdict.state(), verdict.state().is_final()), (state, is_final));
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut TaskSpec), problem: Option<&str>) {
    let mut spec = TaskSpec::new(command(&["true"]));
    change(&mut spec);
    let fault = spec.validate().err();
    assert_eq!(fault.as_ref().map(|fault| fault.message.as_str()), problem);
    assert!(fault.is_none_or(|fault| fault.code == ErrorCode::SpecInvalid));
}

fn command(argv: &[&str]) -> Work {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Work::Command { argv, cwd: None, env: BTreeMap::new(), stdin: None }
}

fn with_env(name: &str, value: &str) -> Work {
    let env = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    Work::Command { argv: vec!["true".to_owned()], cwd: None, env, stdin: None }
}
