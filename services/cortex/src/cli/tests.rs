//! What the documentation shows can be written, and nonsense is refused.

use super::*;

#[test]
fn the_definition_is_consistent() {
    definition().debug_assert();
}

#[test]
fn the_documented_lines_parse() {
    for line in [
        "cortex up --detach --ephemeral --nats-port 0 --no-node",
        "cortex down",
        "cortex status -o json",
        "cortex agent ls --role worker -o wide --watch",
        "cortex agent show local",
        "cortex agent status local --set maintenance --detail why=disk",
        "cortex agent run --config node.toml",
        "cortex run --on local -- uname -a",
        "cortex run --can shell.exec --timeout 5m --env A=b --cwd /tmp --detach --idempotent -- true",
        "cortex task ls -o json",
        "cortex task sign --on local -- true",
        "cortex task logs abc -f",
        "cortex task wait abc --for started --timeout 10s",
        "cortex task cancel --node local --state queued",
        "cortex who-can shell.exec",
        "cortex can-task ada local",
        "cortex rebuild cortex_agents --check",
        "cortex events scheduler --follow",
        "cortex serve registry",
        "cortex ctx add lab --url nats://lab:4222",
        "cortex ctx env lab",
        "cortex explain TASK_NOT_PERMITTED",
        "cortex completion bash",
        "cortex --context lab --as ada who-can shell.exec -o yaml",
    ] {
        check(line, true);
    }
}

#[test]
fn nonsense_is_refused() {
    for line in [
        "cortex",
        "cortex run -- true",
        "cortex run --on local",
        "cortex run --on local --can x -- true",
        "cortex run --on UPPER -- true",
        "cortex run --on local --timeout soon -- true",
        "cortex run --on local --env NOVALUE -- true",
        "cortex agent status local --set sleepy",
        "cortex task ls --state sleepy",
        "cortex serve nonsense",
        "cortex task cancel",
        "cortex task ls --limit 0",
        "cortex --as 'a b' down",
    ] {
        check(line, false);
    }
}

fn check(line: &str, accepted: bool) {
    let result = Cli::try_parse_from(line.split_whitespace());
    assert_eq!(result.is_ok(), accepted, "{line}: {:?}", result.err().map(|e| e.to_string()));
}
