//! The lines that the documentation promises.

use crate::support::Cortex;

#[test]
fn the_documented_lines_work() {
    let cortex = Cortex::up();
    let agents = cortex.run(&["agent", "ls"]);
    assert_eq!(agents.code, Some(0), "{agents:?}");
    assert!(
        agents.stdout.starts_with("ID ") && agents.stdout.contains("local  online"),
        "{agents:?}"
    );

    let uname = cortex.run(&["run", "--on", "local", "--", "uname", "-a"]);
    let here = std::process::Command::new("uname").arg("-a").output().unwrap();
    assert_eq!((uname.code, uname.stderr.as_str()), (Some(0), ""));
    assert_eq!(uname.stdout.as_bytes(), here.stdout);

    let line = ["run", "--can", "shell.exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7"];
    let both = cortex.run(&line);
    assert_eq!(
        (both.code, both.stdout.as_str(), both.stderr.as_str()),
        (Some(7), "out\n", "err\n")
    );

    let tasks = cortex.json(&["task", "ls"]);
    let states: Vec<_> = tasks.as_array().unwrap().iter().map(|task| &task["state"]).collect();
    assert_eq!(states, ["failed", "succeeded", "succeeded"]);

    let able = cortex.json(&["who-can", "shell.exec"]);
    assert_eq!(able["agents"][0]["id"], "local");
    assert_eq!(able["agents"][0]["granted_by"], "shell.exec");
}

#[test]
fn status_names_addresses_processes_and_writers() {
    let cortex = Cortex::up();
    let status = cortex.json(&["status"]);
    assert!(status["url"].as_str().unwrap().starts_with("nats://127.0.0.1:"));
    let processes = status["up"]["processes"].as_array().unwrap();
    let names: Vec<_> = processes.iter().map(|process| &process["name"]).collect();
    assert_eq!(names, ["nats", "registry", "scheduler", "node"]);
    assert!(processes.iter().all(|process| process["pid"].is_u64()));
    for service in status["services"].as_array().unwrap() {
        let name = service["name"].as_str().unwrap();
        assert!(service["instance"].as_str().unwrap().starts_with(name), "{service}");
        assert!(1 <= service["term"].as_u64().unwrap(), "{service}");
        assert!(service["version"].is_string(), "{service}");
    }
}

#[test]
fn every_form_of_output_shows_the_same_agents() {
    let cortex = Cortex::up();
    let show = |format: &str| cortex.run(&["agent", "ls", "-o", format]).stdout;
    assert_eq!(show("name"), "local\n");
    assert!(show("yaml").contains("\n    id: local\n"));
    assert!(show("wide").contains("CAPABILITIES"));
    assert!(show("json").contains("\"id\": \"local\""));
    assert!(!show("table").contains('\x1b'), "colours without a terminal");
}

#[test]
fn the_doctor_finds_a_healthy_cortex_healthy_and_says_what_an_absent_one_lacks() {
    let cortex = Cortex::up();
    let findings = cortex.json(&["doctor"]);
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{findings}");

    let absent = Cortex::absent().run(&["doctor", "-o", "json"]);
    assert_eq!(absent.code, Some(1));
    assert!(
        absent.stdout.contains("NOT_RUNNING") && absent.stdout.contains("cortex up"),
        "{absent:?}"
    );
}

#[test]
fn a_rebuilt_bucket_does_not_differ() {
    let cortex = Cortex::up();
    assert_eq!(cortex.run(&["run", "--on", "local", "--", "true"]).code, Some(0));
    for bucket in ["cortex_agents", "cortex_tasks", "cortex_envelopes"] {
        let answer = cortex.json(&["rebuild", bucket, "--check"]);
        assert_eq!(answer["differing"], 0, "{answer}");
    }
}

#[test]
fn events_are_shown_from_the_beginning_and_as_they_come() {
    let cortex = Cortex::up();
    let all = cortex.run(&["events", "scheduler", "-o", "json"]);
    let first: serde_json::Value =
        serde_json::from_str(all.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["event"]["type"], "task-submitted");
    let after = first["cursor"].as_str().unwrap();
    let line = ["events", "scheduler", "--follow", "--after", after, "--limit", "1", "-o", "json"];
    let next = cortex.run(&line);
    assert!(next.stdout.contains("task-assigned"), "{next:?}");
}
