//! Requests, offers, rows and pages, without a broker.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use decider::Decider as _;
use runtime::{Caller, EffectContext, Request, Service as _};
use scheduler_core::{
    Answer, CancelTarget, Command, Dispatch, PageKey, Query, Question, Scheduler, State, TaskPage,
};
use schemas::{
    Audience, Cursor, ErrorCode, Fault, PrincipalId, Sha256Hash, TaskId, Timestamp,
    claims::RequestClaims,
    scheduler::{EnvelopeRow, GetTasksAnswer, SchedulerEvent, verb},
    subject::Bucket,
    task::{TaskSpec, TaskView, Work},
};
use serde_json::json;
use trust::{
    Anchor, AssignmentFacts, ClusterName, Purpose, Recipient, SecretKey, Trust, TrustAnchors,
    Unverified,
};
use zeroize::Zeroizing;

use crate::{
    ConfigError, SchedulerService, SchedulerTrust, chain::Chain, effects, pages, project, requests,
    verifier::Verifier,
};

mod trusting;

const NOW_MS: u64 = 1_800_000_000_000;

#[test]
fn a_signed_request_becomes_a_submission_of_what_was_signed() {
    let envelope = sign(&claims());
    match read(verb::SUBMIT, &json!({ "envelope": envelope }).to_string()) {
        Ok(Request::Unrepeatable(Command::Submit(submission))) => {
            assert_eq!(submission.task, trust::task_id(&id("ann"), &[7; 16]));
            assert_eq!(submission.issuer, id("ann"));
            assert_eq!(submission.audience, Audience::Node(id("web")));
            assert_eq!(submission.spec, TaskSpec::new(Work::Echo { text: "hello".to_owned() }));
            assert_eq!(submission.expires_at, Timestamp(NOW_MS + 60_000));
            let bytes = STANDARD.decode(&envelope).unwrap();
            assert_eq!(submission.envelope_hash, trust::envelope_hash(&bytes));
            assert_eq!(submission.envelope, envelope);
        }
        _ => panic!("no submission"),
    }
}

#[test]
fn what_is_not_signed_as_it_should_be_is_refused_by_name() {
    let mut tampered = STANDARD.decode(sign(&claims())).unwrap();
    *tampered.last_mut().unwrap() ^= 1;
    let changed = |change: fn(&mut RequestClaims)| {
        let mut claims = claims();
        change(&mut claims);
        sign(&claims)
    };
    let cases = [
        (json!({}), ErrorCode::Unsigned),
        (json!({ "rendering": {} }), ErrorCode::Unsigned),
        (json!({ "envelope": "" }), ErrorCode::Unsigned),
        (json!({ "envelope": "not base64!" }), ErrorCode::EnvelopeMalformed),
        (json!({ "envelope": "aGVsbG8=" }), ErrorCode::EnvelopeMalformed),
        (json!({ "envelope": "A".repeat(40_000) }), ErrorCode::EnvelopeTooLarge),
        (json!({ "envelope": STANDARD.encode(tampered) }), ErrorCode::SignatureInvalid),
        (json!({ "envelope": changed(|it| it.partition = 1) }), ErrorCode::WrongAudience),
        (json!({ "envelope": changed(|it| it.subject = id("bob")) }), ErrorCode::NotAllowed),
        (
            json!({ "envelope": changed(|it| {
            it.issued_at_s -= 600;
            it.not_before_s -= 600;
            it.expires_at_s -= 600;
        }) }),
            ErrorCode::Expired,
        ),
        (json!({ "envelope": "x", "signature": "y" }), ErrorCode::UnknownField),
    ];
    for (body, code) in cases {
        check(verb::SUBMIT, &body.to_string(), code);
    }
}

#[test]
fn a_node_speaks_in_the_name_that_the_broker_let_through() {
    let run = json!({ "task": "t1", "epoch": 1, "instance": "web-1" });
    let mut start = run.clone();
    start["ask"] = json!(3);
    match read(verb::START, &start.to_string()) {
        Ok(Request::Unrepeatable(Command::Start { run, ask: 3 })) => {
            assert_eq!(run.node, id("web"));
        }
        _ => panic!("no start, or one that could be answered from the record"),
    }
    let mut refuse = run;
    refuse["fault"] = serde_json::to_value(Fault::new(ErrorCode::NodeBusy, "full")).unwrap();
    match read(verb::REFUSE, &refuse.to_string()) {
        Ok(Request::Unrepeatable(Command::Refuse { run, fault })) => {
            assert_eq!((run.node, fault.code), (id("web"), ErrorCode::NodeBusy));
        }
        _ => panic!("no refusal"),
    }
}

#[test]
fn a_cancel_names_one_task_or_a_selection_and_never_both() {
    match read(verb::CANCEL, r#"{"id":"t1"}"#) {
        Ok(Request::Command(Command::Cancel { by, target: CancelTarget::One(task) })) => {
            assert_eq!((by, task), (id("web"), TaskId::parse("t1").unwrap()));
        }
        _ => panic!("no cancel"),
    }
    check(verb::CANCEL, "{}", ErrorCode::InvalidValue);
    check(verb::CANCEL, r#"{"id":"t1","select":{}}"#, ErrorCode::InvalidValue);
    check(verb::CANCEL, r#"{"select":{"status":"lost"}}"#, ErrorCode::UnknownField);
}

#[test]
fn bad_requests_are_refused_by_name() {
    for (verb, body, code) in [
        (verb::GET_TASK, r#"{"id":"a.b"}"#, ErrorCode::InvalidId),
        (verb::GET_TASK, r#"{"id":"*"}"#, ErrorCode::InvalidId),
        (verb::GET_TASKS, r#"{"limit":0}"#, ErrorCode::InvalidValue),
        (verb::GET_TASKS, r#"{"limit":1001}"#, ErrorCode::InvalidValue),
        (verb::GET_TASKS, r#"{"after":"yesterday"}"#, ErrorCode::InvalidValue),
        (verb::GET_TASKS, r#"{"select":{"state":"gone"}}"#, ErrorCode::InvalidValue),
        (verb::WHY, "{", ErrorCode::MalformedJson),
        (verb::FORCE_LOST, r#"{"id":"t1","sure":true}"#, ErrorCode::UnknownField),
        (verb::START, r#"{"task":"t1","epoch":-1}"#, ErrorCode::InvalidValue),
        ("run", "{}", ErrorCode::UnknownVerb),
    ] {
        check(verb, body, code);
    }
}

#[test]
fn an_empty_body_lists_the_newest_tasks() {
    match read(verb::GET_TASKS, "") {
        Ok(Request::Query(Query {
            by,
            question: Question::GetTasks { after: None, limit: 100, .. },
        })) => assert_eq!(by, id("web")),
        _ => panic!("no list"),
    }
}

#[test]
fn a_heartbeat_counts_only_over_its_own_subject() {
    let heard = |subject: &str| requests::hear(subject, br#"{"node":"web"}"#);
    assert!(heard("cortex.hb.web").is_ok());
    for subject in ["cortex.hb.other", "cortex.hb.web.x", "cortex.hb."] {
        assert_eq!(heard(subject).unwrap_err().code, ErrorCode::NotAllowed, "{subject}");
    }
}

#[test]
fn an_offer_holds_what_its_node_will_believe() {
    let trust = scheduler_trust();
    let envelope = sign(&claims());
    let bytes = STANDARD.decode(&envelope).unwrap();
    let task = trust::task_id(&id("ann"), &[7; 16]);
    let dispatch = Dispatch {
        task: task.clone(),
        node: id("web"),
        epoch: 2,
        attempt: 1,
        request: envelope.clone(),
        request_hash: trust::envelope_hash(&bytes),
        certificates: vec!["enrolment".to_owned(), "ann".to_owned()],
        ancestors: Vec::new(),
    };
    let own = ["enrolment", "scheduler"].map(str::to_owned).to_vec();
    let trust = trust.with_certificates(own);
    let context = EffectContext { term: 5, cursor: Cursor::default(), now_ms: NOW_MS };
    let offer = effects::offer(&trust, dispatch, (Chain::default(), &context)).unwrap();
    assert_eq!((&offer.task, offer.epoch, &offer.request), (&task, 2, &envelope));
    assert_eq!(offer.certificates, ["enrolment", "ann", "scheduler"]);

    let by = Trust { anchors: trust.anchors(), now: Timestamp(NOW_MS) };
    let node = id("web");
    let recipient = Recipient::Node { id: &node, capabilities: &[] };
    let request = Unverified::new(&bytes).verify::<trust::Request>(by, &recipient).unwrap();
    let facts = AssignmentFacts { node: &node, request: &request };
    let signed = STANDARD.decode(&offer.assignment).unwrap();
    let assignment = Unverified::new(&signed).verify::<trust::Assignment>(by, &facts).unwrap();
    let claims = assignment.claims();
    assert_eq!((claims.epoch, claims.attempt, claims.term), (2, 1, 5));
    assert_eq!(claims.issuer, id("scheduler"));
}

#[test]
fn a_submission_leaves_a_task_and_its_envelope_and_later_events_the_task_alone() {
    let mut state = State::default();
    let submitted = submitted("t1");
    Scheduler::evolve(&mut state, &submitted, &decider::Recorded { at_ms: 1, term: 1 });
    let rows = project::project(&state, &submitted);
    let [task, envelope] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((task.bucket, task.key.as_str()), (Bucket::Tasks, "t1"));
    let view: TaskView = serde_json::from_str(task.body.as_ref().unwrap().get()).unwrap();
    assert_eq!(view, state.task(&view.id).unwrap().view);
    assert_eq!((envelope.bucket, envelope.key.as_str()), (Bucket::Envelopes, "t1"));
    let row: EnvelopeRow = serde_json::from_str(envelope.body.as_ref().unwrap().get()).unwrap();
    assert_eq!((row.envelope.as_str(), row.envelope_hash), ("e", Sha256Hash([1; 32])));

    let ended = finished("t1");
    Scheduler::evolve(&mut state, &ended, &decider::Recorded { at_ms: 2, term: 1 });
    assert_eq!(project::project(&state, &ended).len(), 1);
    assert_eq!(project::about(&ended), ("task", "t1"));
}

#[test]
fn a_task_that_leaves_the_history_leaves_both_buckets() {
    let mut state = State::default();
    let week_ms = scheduler_core::limits::HISTORY_KEPT_MS;
    let events = [(submitted("t1"), 1), (finished("t1"), 2), (submitted("t2"), week_ms + 2)];
    let mut deleted = Vec::new();
    for (event, at_ms) in events {
        Scheduler::evolve(&mut state, &event, &decider::Recorded { at_ms, term: 1 });
        let rows = project::project(&state, &event);
        deleted.extend(rows.into_iter().filter(|row| row.body.is_none()));
    }
    let deleted: Vec<_> = deleted.iter().map(|row| (row.bucket, row.key.as_str())).collect();
    assert_eq!(deleted, [(Bucket::Tasks, "t1"), (Bucket::Envelopes, "t1")]);
}

#[test]
fn records_from_the_bucket_stand_where_they_belong() {
    let mut tasks = vec![view("t1", 0), view("t4", 0)];
    pages::insert(&mut tasks, vec![(1, view("t2", 0)), (2, view("t3", 0)), (4, view("t5", 0))]);
    let ids: Vec<_> = tasks.iter().map(|view| view.id.as_str()).collect();
    assert_eq!(ids, ["t1", "t2", "t3", "t4", "t5"]);
}

#[test]
fn a_list_that_fits_is_sent_whole_and_a_heavy_one_goes_on_later() {
    let page = |bytes: usize| {
        let tasks = (0..200).map(|n| view(&format!("t{n}"), bytes)).collect();
        let answer = GetTasksAnswer { tasks, next: None, cursor: Cursor::default() };
        TaskPage { answer, missing: Vec::new() }
    };
    let mut light = page(10);
    pages::fit(&mut light);
    assert_eq!((light.answer.tasks.len(), &light.answer.next), (200, &None));

    let mut heavy = page(15_000);
    pages::fit(&mut heavy);
    let last = heavy.answer.tasks.last().unwrap();
    assert!((2..100).contains(&heavy.answer.tasks.len()));
    let key = PageKey { submitted_at: last.submitted_at, task: last.id.clone() };
    assert_eq!(heavy.answer.next, Some(key.to_string()));
    assert!(serde_json::to_vec(&heavy).unwrap().len() < 1024 * 1024);
}

#[test]
fn a_list_names_the_place_in_the_log_that_it_stands_for() {
    let head = Cursor { partition: 0, generation: 1, sequence: 9, index: 2 };
    let answer = GetTasksAnswer { tasks: Vec::new(), next: None, cursor: Cursor::default() };
    let mut answer = Answer::Tasks(TaskPage { answer, missing: Vec::new() });
    SchedulerService::stamp(&mut answer, head);
    let encoded = serde_json::to_value(&answer).unwrap();
    assert_eq!(encoded, json!({ "tasks": [], "cursor": head.to_string() }));
}

#[test]
fn a_scheduler_needs_a_scheduler_key_that_is_trusted() {
    let other = key(Purpose::TaskIssuer, 1);
    let refused = SchedulerTrust::new(anchors(), other).unwrap_err();
    assert_eq!(refused, ConfigError::Purpose(Purpose::TaskIssuer));
    let unknown = key(Purpose::Scheduler, 9);
    let refused = SchedulerTrust::new(anchors(), unknown).unwrap_err();
    assert!(matches!(refused, ConfigError::KeyNotTrusted(_)));
    assert_eq!(refused.to_fault().code, ErrorCode::ConfigInvalid);
}

/// The one way in which a refusal is stated: this body of this verb, that code.
#[track_caller]
fn check(verb: &str, body: &str, code: ErrorCode) {
    let refused = read(verb, body).err();
    assert_eq!(refused.as_ref().map(|fault| fault.code), Some(code), "{verb} {body}: {refused:?}");
}

fn read(verb: &str, body: &str) -> Result<Request<Scheduler>, Fault> {
    let caller = Caller { principal: id("web"), trace: None, now_ms: NOW_MS };
    requests::read(&Verifier::new(anchors()), verb, body.as_bytes(), &caller)
}

fn claims() -> RequestClaims {
    let spec = TaskSpec::new(Work::Echo { text: "hello".to_owned() });
    RequestClaims {
        issuer: id("ann"),
        subject: id("ann"),
        audience: Audience::Node(id("web")),
        expires_at_s: NOW_MS / 1000 + 60,
        not_before_s: NOW_MS / 1000,
        issued_at_s: NOW_MS / 1000,
        nonce: [7; 16],
        spec_json: serde_json::to_string(&spec).unwrap(),
        grants: schemas::grants::Grants::default(),
        parent: None,
        trace: None,
        partition: 0,
    }
}

fn sign(claims: &RequestClaims) -> String {
    let key = key(Purpose::TaskIssuer, 1);
    STANDARD.encode(trust::sign::<trust::Request>(claims, &cluster(), &key).unwrap())
}

fn scheduler_trust() -> SchedulerTrust {
    SchedulerTrust::new(anchors(), key(Purpose::Scheduler, 2)).unwrap()
}

fn anchors() -> TrustAnchors {
    let mut anchors = TrustAnchors::new(cluster());
    let pairs = [(key(Purpose::TaskIssuer, 1), "ann"), (key(Purpose::Scheduler, 2), "scheduler")];
    for (key, principal) in pairs {
        let anchor = Anchor {
            key: key.public().clone(),
            principal: id(principal),
            not_before_s: 0,
            not_after_s: u64::MAX,
            revoked_at_s: None,
            acts_for: std::collections::BTreeSet::new(),
        };
        anchors.add(anchor).unwrap();
    }
    anchors
}

fn key(purpose: Purpose, seed: u8) -> SecretKey {
    SecretKey::from_entropy(purpose, &Zeroizing::new([seed; 32]))
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

fn submitted(task: &str) -> SchedulerEvent {
    SchedulerEvent::TaskSubmitted {
        task: TaskId::parse(task).unwrap(),
        envelope: "e".to_owned(),
        envelope_hash: Sha256Hash([1; 32]),
        issuer: id("ann"),
        subject: id("ann"),
        audience: Audience::Node(id("web")),
        spec: Box::new(TaskSpec::new(Work::Echo { text: String::new() })),
        certificates: Vec::new(),
        grants: Box::default(),
        parent: None,
        key: None,
        expires_at: Timestamp(3),
    }
}

fn finished(task: &str) -> SchedulerEvent {
    SchedulerEvent::TaskFinished {
        task: TaskId::parse(task).unwrap(),
        epoch: 0,
        state: schemas::task::TaskState::Cancelled,
        outcome: None,
        by: Some(id("ann")),
    }
}

fn view(task: &str, text_bytes: usize) -> TaskView {
    let mut state = State::default();
    Scheduler::evolve(&mut state, &submitted(task), &decider::Recorded { at_ms: 1, term: 1 });
    let mut view = state.task(&TaskId::parse(task).unwrap()).unwrap().view.clone();
    view.spec.work = Work::Echo { text: "x".repeat(text_bytes) };
    view
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}
