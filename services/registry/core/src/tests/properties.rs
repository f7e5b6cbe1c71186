//! What must hold for any history, with histories drawn at random.

use std::collections::BTreeMap;

use decider::Recorded;
use proptest::prelude::*;
use schemas::{
    permission::sees,
    registry::{UpdateStatusRequest, WhoCanRequest},
};

use super::*;

/// Agents, two people, and a name that nobody has.
const NAMES: [&str; 5] = ["a", "a-b", "ab", "b", "b-c"];
const CAPABILITIES: [&str; 14] = [
    "*",
    "a",
    "a.*",
    "a.b",
    "a.b.*",
    "a.b.c",
    "a.b@v1",
    "a.b@v2",
    "a.*@v1",
    "b",
    "b.*",
    "b.c",
    "a-b.c",
    "a.b.c.d@v2",
];
const PATTERNS: [&str; 8] = ["*", "a", "a*", "a-b", "a-*", "b", "b*", "ab"];

proptest! {
    #[test]
    fn a_replayed_state_is_the_live_one(steps in steps()) {
        let (live, history) = run(&steps);
        prop_assert_eq!(decider::replay::<Registry>(&history), live);
    }

    #[test]
    fn a_snapshot_and_its_tail_make_the_whole(steps in steps(), cut in 0_usize..64) {
        let (live, history) = run(&steps);
        let cut = cut.min(history.len());
        let mut state = restored(&decider::replay::<Registry>(&history[..cut]));
        for (event, recorded) in &history[cut..] {
            Registry::evolve(&mut state, event, recorded);
        }
        prop_assert_eq!(&state, &live);
        prop_assert_eq!(every_answer(&state), every_answer(&live));
    }

    #[test]
    fn the_index_finds_what_a_scan_finds(steps in steps()) {
        let (state, _) = run(&steps);
        for wanted in CAPABILITIES {
            for from in NAMES.iter().map(Some).chain([None]) {
                let (wanted, from) = (can(wanted), from.map(|name| id(name)));
                prop_assert_eq!(
                    indexed(&state, &wanted, from.as_ref()),
                    scanned(&state, &wanted, from.as_ref()),
                    "{} for {:?}", wanted, from
                );
            }
        }
    }

    #[test]
    fn everybody_finds_what_they_may_see(steps in steps(), shared in prop::collection::vec((0..NAMES.len(), 0..PATTERNS.len()), 0..6)) {
        let (mut state, _) = run(&steps);
        for (agent, pattern) in shared {
            let with = patterns(&[PATTERNS[pattern]]).remove(0);
            let event = RegistryEvent::AgentShared { agent: id(NAMES[agent]), with, by: id("root") };
            Registry::evolve(&mut state, &event, &Recorded { at_ms: NOW_MS, term: 1 });
        }
        for asker in NAMES {
            let asker = id(asker);
            let listed = state.agents().filter(|agent| agent.is_listed());
            let seen = listed.filter(|agent| sees(state.asker(&asker), agent.as_target()));
            let able = seen.filter(|agent| agent.manifest.grants(&can("*")).is_some());
            let able: Vec<_> = able.map(|agent| agent.id().clone()).collect();
            let found = found_by(&asker, &state, (&can("*"), None));
            let found: Vec<_> = found.into_iter().map(|(id, _)| id).collect();
            prop_assert_eq!(found, able, "{}", asker);
        }
    }

    #[test]
    fn deciding_twice_changes_no_more_than_deciding_once(steps in steps(), last in step()) {
        let (mut state, _) = run(&steps);
        let (command, facts) = (command(&last), at(1_000));
        if let Ok(decided) = Registry::decide(&state, &command, &facts) {
            for event in &decided.events {
                Registry::evolve(&mut state, event, &Recorded { at_ms: NOW_MS, term: 1 });
            }
            let again = Registry::decide(&state, &command, &facts).unwrap();
            prop_assert_eq!(again.events, Vec::new());
        }
    }
}

/// Something that a principal asks for.
#[derive(Clone, Debug)]
enum Step {
    Register {
        caller: usize,
        agent: usize,
        tools: Vec<usize>,
        servers: Vec<usize>,
        can_task: Vec<usize>,
        accepts: Vec<usize>,
    },
    Set {
        caller: usize,
        agent: usize,
        status: AgentStatus,
    },
    Deregister {
        caller: usize,
        agent: usize,
    },
    Silence,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let some = |max: usize| prop::collection::vec(0..max, 0..4);
    let register = (
        name.clone(),
        any::<bool>(),
        name.clone(),
        some(CAPABILITIES.len()),
        some(CAPABILITIES.len()),
        (some(PATTERNS.len()), some(PATTERNS.len())),
    )
        .prop_map(|(caller, own, other, tools, servers, (can_task, accepts))| {
            let agent = if own { caller } else { other };
            Step::Register { caller, agent, tools, servers, can_task, accepts }
        });
    let status = prop_oneof![
        Just(AgentStatus::Online),
        Just(AgentStatus::Maintenance),
        Just(AgentStatus::Degraded)
    ];
    prop_oneof![
        6 => register,
        1 => (name.clone(), name.clone(), status)
            .prop_map(|(caller, agent, status)| Step::Set { caller, agent, status }),
        1 => (name.clone(), name).prop_map(|(caller, agent)| Step::Deregister { caller, agent }),
        1 => Just(Step::Silence),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..24)
}

fn command(step: &Step) -> Command {
    let of = |index: &usize| id(NAMES[*index]);
    match step {
        Step::Register { caller, agent, tools, servers, can_task, accepts } => {
            let mut manifest = manifest(NAMES[*agent]);
            manifest.capabilities.tools = tools.iter().map(|i| can(CAPABILITIES[*i])).collect();
            manifest.capabilities.mcp_servers =
                servers.iter().map(|i| can(CAPABILITIES[*i])).collect();
            let chosen =
                |which: &[usize]| patterns(&which.iter().map(|i| PATTERNS[*i]).collect::<Vec<_>>());
            (manifest.can_task, manifest.accepts_tasks_from) = (chosen(can_task), chosen(accepts));
            let request = RegisterRequest { manifest, owner: None, node: None };
            Command::Register { caller: of(caller), request: Box::new(request) }
        }
        Step::Set { caller, agent, status } => {
            let request =
                UpdateStatusRequest { id: of(agent), status: *status, details: BTreeMap::new() };
            Command::UpdateStatus { caller: of(caller), request }
        }
        Step::Deregister { caller, agent } => {
            Command::Deregister { caller: of(caller), agent: of(agent) }
        }
        Step::Silence => Command::Review { agent: id(NAMES[0]) },
    }
}

/// Decides the steps one after another, as a live registry would.
fn run(steps: &[Step]) -> (State, Vec<(RegistryEvent, Recorded)>) {
    let recorded = Recorded { at_ms: LONG_AGO_MS, term: 1 };
    let mut history: Vec<_> = cast().into_iter().map(|event| (event, recorded)).collect();
    let mut state = decider::replay::<Registry>(&history);
    for (step, at_ms) in steps.iter().zip(NOW_MS..) {
        let facts = if matches!(step, Step::Silence) { at(100_000) } else { at(1_000) };
        let Ok(decided) = Registry::decide(&state, &command(step), &facts) else { continue };
        for event in decided.events {
            let recorded = Recorded { at_ms, term: 1 };
            Registry::evolve(&mut state, &event, &recorded);
            history.push((event, recorded));
        }
    }
    (state, history)
}

/// The state as a snapshot brings it back.
fn restored(state: &State) -> State {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

fn every_answer(state: &State) -> Vec<Vec<(PrincipalId, Capability)>> {
    CAPABILITIES.iter().map(|wanted| indexed(state, &can(wanted), None)).collect()
}

fn indexed(
    state: &State,
    wanted: &Capability,
    from: Option<&PrincipalId>,
) -> Vec<(PrincipalId, Capability)> {
    found_by(&id("root"), state, (wanted, from))
}

fn found_by(
    asker: &PrincipalId,
    state: &State,
    (wanted, from): (&Capability, Option<&PrincipalId>),
) -> Vec<(PrincipalId, Capability)> {
    let request = WhoCanRequest { capability: wanted.clone(), from: from.cloned(), limit: None };
    let query = Query { asker: asker.clone(), question: Question::WhoCan(request) };
    let Ok(Answer::WhoCan(answer)) = Registry::answer(state, &query, &now()) else {
        panic!("no answer to who-can");
    };
    answer.agents.into_iter().map(|able| (able.id, able.granted_by)).collect()
}

fn scanned(
    state: &State,
    wanted: &Capability,
    from: Option<&PrincipalId>,
) -> Vec<(PrincipalId, Capability)> {
    let permitted =
        |agent: &crate::Agent| from.is_none_or(|from| state.denials(from, agent).is_empty());
    let listed = state.agents().filter(|agent| agent.is_listed());
    listed
        .filter(|agent| permitted(agent))
        .filter_map(|agent| Some((agent.id().clone(), agent.manifest.grants(wanted)?.clone())))
        .collect()
}
