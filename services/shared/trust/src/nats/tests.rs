//! What the broker will be told, and what it will not.

use std::collections::BTreeMap;

use schemas::{
    PrincipalId, TaskId,
    agent::NodeChannel,
    subject::{self, LogName, ServiceName},
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::*;
use crate::text::from_base64url;

fn key(kind: NkeyKind, seed: u8) -> Nkey {
    Nkey::from_entropy(kind, &Zeroizing::new([seed; 32]))
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn user(principal: &str, role: Role) -> UserClaims {
    UserClaims {
        principal: id(principal),
        role,
        key: key(NkeyKind::User, 5).public(),
        account: key(NkeyKind::Account, 3).public(),
        issued_at_s: 1_000,
        expires_at_s: Some(4_600),
    }
}

fn claims(jwt: &Jwt) -> Value {
    let part = jwt.as_str().split('.').nth(1).unwrap();
    serde_json::from_slice(&from_base64url(part).unwrap()).unwrap()
}

#[test]
fn a_jwt_says_who_vouches_for_whom_and_can_be_verified() {
    let scope = key(NkeyKind::Account, 4);
    let jwt = user("web", Role::Node).sign(&scope).unwrap();
    let (read, summary) = Jwt::parse(jwt.as_str()).unwrap();
    assert_eq!(read, jwt);
    assert_eq!(summary.issuer, scope.public().as_str());
    assert_eq!(summary.subject, key(NkeyKind::User, 5).public().as_str());
    assert_eq!((summary.name.as_str(), summary.issued_at_s), ("web", 1_000));
    assert_eq!(summary.expires_at_s, Some(4_600));
    assert_eq!(claims(&jwt)["jti"].as_str().unwrap().len(), 52);
}

#[test]
fn a_changed_jwt_is_not_believed() {
    let jwt = user("web", Role::Node).sign(&key(NkeyKind::Account, 4)).unwrap();
    let other = user("eve", Role::Node).sign(&key(NkeyKind::Account, 4)).unwrap();
    let (signed, _) = jwt.as_str().rsplit_once('.').unwrap();
    let (_, signature) = other.as_str().rsplit_once('.').unwrap();
    assert_eq!(Jwt::parse(&format!("{signed}.{signature}")), Err(JwtError::Signature));
    for text in ["", "a.b", "a.b.c", signed, &format!("{}=", jwt.as_str())] {
        assert_eq!(Jwt::parse(text), Err(JwtError::Malformed), "{text}");
    }
}

#[test]
fn a_users_jwt_holds_no_permission_at_all() {
    let jwt = user("web", Role::Node).sign(&key(NkeyKind::Account, 4)).unwrap();
    let body = &claims(&jwt)["nats"];
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["issuer_account", "type", "version"]);
}

/// What the broker replaces by the name in the user's JWT.
const NAME: &str = "{{name()}}";
/// The name of somebody who holds an invite and has no other yet.
const INVITED: &str = "invite-0123456789abcdef0123456789abcdef";

#[test]
fn a_services_name_is_that_services_and_nobody_elses() {
    let scope = key(NkeyKind::Account, 4);
    for role in Role::ALL {
        for name in ["registry", "scheduler", "ann", INVITED] {
            let fits = match role {
                Role::Service(service) => service.as_str() == name,
                Role::Node | Role::Person | Role::Auditor | Role::Admin | Role::Gateway => {
                    name == "ann"
                }
                Role::Enroller => name == INVITED,
                Role::Renewer => name != INVITED,
            };
            assert_eq!(user(name, role).sign(&scope).is_ok(), fits, "{name} as {role}");
        }
    }
}

#[test]
fn only_the_right_kind_of_key_vouches() {
    let (operator, account) = (key(NkeyKind::Operator, 1), key(NkeyKind::Account, 3));
    let about_operator = OperatorClaims {
        name: "test".to_owned(),
        signing_keys: vec![operator.public()],
        system_account: account.public(),
    };
    assert!(about_operator.sign(&account, 1).is_err());
    assert!(about_operator.sign(&operator, 1).is_ok());
    let about_account = AccountClaims {
        account: account.public(),
        name: "test".to_owned(),
        kind: AccountKind::System { signing_keys: Vec::new() },
        revocations: BTreeMap::new(),
    };
    assert!(about_account.sign(&account, 1).is_err());
    assert!(about_account.sign(&operator, 1).is_ok());
    assert!(matches!(user("web", Role::Node).sign(&operator), Err(UserError::Key(_))));
}

#[test]
fn an_account_names_every_role_with_its_template_and_whoever_is_out() {
    let out = key(NkeyKind::User, 9).public();
    let scopes = Role::ALL.into_iter().zip(10..);
    let scopes =
        scopes.map(|(role, seed)| Scope { role, key: key(NkeyKind::Account, seed).public() });
    let jwt = AccountClaims {
        account: key(NkeyKind::Account, 3).public(),
        name: "test".to_owned(),
        kind: AccountKind::Cortex {
            system: key(NkeyKind::Account, 2).public(),
            scopes: scopes.collect(),
        },
        revocations: BTreeMap::from([(out.clone(), 77)]),
    };
    let body = claims(&jwt.sign(&key(NkeyKind::Operator, 1), 1).unwrap())["nats"].clone();
    assert_eq!(body["revocations"][out.as_str()], 77);
    let keys = body["signing_keys"].as_array().unwrap();
    let roles: Vec<_> = keys.iter().map(|key| key["role"].as_str().unwrap()).collect();
    assert_eq!(
        roles,
        [
            "node",
            "person",
            "auditor",
            "admin",
            "gateway",
            "enroller",
            "renewer",
            "registry",
            "scheduler"
        ]
    );
    let node = &keys[0]["template"];
    assert_eq!(node["pub"]["allow"][0], "cortex.cmd.{{name()}}.>");
    assert_eq!(node["resp"]["ttl"], 5_000_000_000_u64);
}

#[test]
fn seeds_and_public_keys_are_read_back_and_only_as_what_they_are() {
    for kind in [NkeyKind::Operator, NkeyKind::Account, NkeyKind::User] {
        let made = key(kind, 7);
        assert_eq!(Nkey::from_seed(kind, &made.seed()).unwrap().public(), made.public());
        assert_eq!(PublicNkey::parse(kind, made.public().as_str()), Ok(made.public()));
        for other in [NkeyKind::Operator, NkeyKind::Account, NkeyKind::User] {
            let same = kind == other;
            assert_eq!(Nkey::from_seed(other, &made.seed()).is_ok(), same);
            assert_eq!(PublicNkey::parse(other, made.public().as_str()).is_ok(), same);
        }
    }
    assert!(Nkey::from_seed(NkeyKind::User, "SUAC").is_err());
}

fn creds() -> Creds {
    let jwt = user("web", Role::Node).sign(&key(NkeyKind::Account, 4)).unwrap();
    Creds::new(&jwt, key(NkeyKind::User, 5)).unwrap()
}

#[test]
fn a_credentials_file_is_read_back_also_with_the_comments_of_other_tools() {
    let creds = creds();
    let text = creds.to_file();
    for text in [text.to_string(), text.replace('\n', "\r\n"), format!("# mine\n\n{}", *text)] {
        let read = Creds::from_file(&text).unwrap();
        assert_eq!((read.jwt(), read.summary()), (creds.jwt(), creds.summary()));
    }
}

#[test]
fn a_broken_credentials_file_is_refused_without_its_secret() {
    let text = creds().to_file().to_string();
    let other = Creds::new(
        &UserClaims { key: key(NkeyKind::User, 6).public(), ..user("web", Role::Node) }
            .sign(&key(NkeyKind::Account, 4))
            .unwrap(),
        key(NkeyKind::User, 6),
    );
    let other = other.unwrap().to_file().to_string();
    let (jwt, _) = text.split_once("***").unwrap();
    let (_, seed) = other.split_once("***").unwrap();
    let check = |text: &str, expected: &str| {
        let error = Creds::from_file(text).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("SUA"));
    };
    check("", "it has not exactly one JWT between its lines of dashes");
    check(jwt, "it has not exactly one seed between its lines of dashes");
    check(&format!("{text}{text}"), "it has not exactly one JWT between its lines of dashes");
    check(&format!("{jwt}{seed}"), "its seed is not that of the user whom its JWT is about");
    check(&text.replace("-----\nS", "-----\nA"), "its seed cannot be used");
    check(&text.replace("-----\ne", "-----\ne."), "its JWT cannot be used");
    assert!(!format!("{:?}", creds()).contains("SUA"));
}

#[test]
fn nothing_is_signed_but_a_nonce_as_nats_server_makes_it() {
    let creds = creds();
    assert_eq!(creds.sign_nonce(b"PXoWU7zWAMt75FY").unwrap().len(), 64);
    let checkpoint = b"cortex/test/node/web/1\n7\nqINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=\n";
    let (short, long) = (b"PXoWU7zWAMt75F", b"PXoWU7zWAMt75FYa");
    for text in [&b""[..], short, long, b"PXoWU7zWAMt75F=", b"PXoWU7zWAMt75F\n", checkpoint] {
        assert!(creds.sign_nonce(text).is_err(), "{text:?}");
    }
}

/// Whether a pattern for `principal` covers a subject, or a pattern, as the broker sees it.
fn covers(pattern: &str, principal: &str, subject: &str) -> bool {
    let pattern = pattern.replace("{{name()}}", principal);
    let (mut wanted, mut given) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => (),
            (Some(wanted), Some(token)) if wanted == token => (),
            _ => return false,
        }
    }
}

fn may_publish(role: Role, principal: &str, subject: &str) -> bool {
    role.permissions().publish.iter().any(|pattern| covers(pattern, principal, subject))
}

fn may_subscribe(role: Role, principal: &str, subject: &str) -> bool {
    role.permissions().subscribe.iter().any(|pattern| covers(pattern, principal, subject))
}

const SERVICES: [(Role, &str); 2] = [
    (Role::Service(ServiceName::Registry), "registry"),
    (Role::Service(ServiceName::Scheduler), "scheduler"),
];

#[test]
fn everybody_asks_under_their_own_name_and_nobody_under_anothers() {
    for role in Role::ALL {
        let (own, other) = match role {
            Role::Service(service) => (service.as_str(), "ann"),
            Role::Node | Role::Person | Role::Auditor | Role::Admin | Role::Gateway => {
                ("ann", "bob")
            }
            Role::Enroller | Role::Renewer => continue,
        };
        for service in ServiceName::ALL {
            let subject = |who| subject::command(&id(who), service, "get-task");
            assert!(may_publish(role, own, &subject(own)), "{role}");
            assert!(!may_publish(role, own, &subject(other)), "{role}");
        }
        assert!(!may_publish(role, own, "cortex.cmd.*.registry.register"));
        assert!(may_subscribe(role, own, &format!("_INBOX.{own}.7f.*")), "{role}");
        assert!(!may_subscribe(role, own, &format!("_INBOX.{other}.7f.*")), "{role}");
        for all in [">", "cortex.>", "cortex.*.>", "_INBOX.>", "_INBOX.*.>", "*.>"] {
            assert!(!may_subscribe(role, own, all), "{role} {all}");
        }
    }
}

#[test]
fn a_node_says_and_hears_what_a_node_does() {
    let (node, task) = (id("web"), TaskId::parse("t1").unwrap());
    assert!(may_publish(Role::Node, "web", &subject::heartbeat(&node)));
    assert!(may_publish(Role::Node, "web", &subject::output(&node, &task)));
    assert!(may_subscribe(Role::Node, "web", &subject::node_all(&node)));
    assert!(!may_publish(Role::Node, "eve", &subject::heartbeat(&node)));
    assert!(!may_publish(Role::Node, "eve", &subject::output(&node, &task)));
    assert!(!may_subscribe(Role::Node, "eve", &subject::node_all(&node)));
}

#[test]
fn nodes_people_and_the_gateway_have_no_part_in_jetstream() {
    for role in [Role::Node, Role::Person, Role::Gateway] {
        let Permissions { publish, subscribe, .. } = role.permissions();
        for subject in publish.iter().chain(&subscribe) {
            assert!(!subject.starts_with("$JS") && !subject.starts_with("$KV"), "{role} {subject}");
            assert!(!subject.starts_with("$SYS") && !subject.starts_with("cortex.evt"));
        }
    }
}

#[test]
fn a_service_has_what_it_works_with_and_nothing_of_another_service() {
    for (role, name) in SERVICES {
        let service = ServiceName::parse(name).unwrap();
        let log = LogName::first(service);
        assert!(may_publish(role, name, &log.subject()));
        assert!(may_publish(role, name, &format!("$JS.API.STREAM.INFO.{}", log.stream())));
        assert!(may_publish(role, name, &format!("$JS.API.DIRECT.GET.{}", log.stream())));
        assert!(may_publish(role, name, &subject::feed(service, "task", "t1")));
        assert!(may_publish(role, name, &subject::writer_beat(service, 0)));
        assert!(may_subscribe(role, name, &subject::writer_beat(service, 0)));
        assert!(may_subscribe(role, name, &subject::writer(service, 0)));
        assert!(may_subscribe(role, name, &subject::command_endpoint(service, ">")));
        assert!(may_subscribe(role, name, subject::HEARTBEATS));
        for other in ServiceName::ALL.into_iter().filter(|other| *other != service) {
            let log = LogName::first(other);
            assert!(!may_publish(role, name, &log.subject()));
            assert!(!may_publish(role, name, &format!("$JS.API.STREAM.MSG.GET.{}", log.stream())));
            assert!(!may_publish(role, name, &subject::feed(other, "task", "t1")));
            assert!(!may_publish(role, name, &subject::writer_beat(other, 0)));
            assert!(!may_subscribe(role, name, &subject::command_endpoint(other, ">")));
        }
        for verb in ["CREATE", "UPDATE", "DELETE"] {
            let subject = format!("$JS.API.STREAM.{verb}.{}", log.stream());
            assert!(!may_publish(role, name, &subject), "{subject}");
        }
    }
}

#[test]
fn only_the_scheduler_gives_nodes_work() {
    let subject = subject::node(&id("web"), NodeChannel::Task);
    for role in Role::ALL {
        let allowed = role == Role::Service(ServiceName::Scheduler);
        assert_eq!(may_publish(role, "ann", &subject), allowed, "{role}");
    }
}

#[test]
fn an_auditor_changes_no_stream() {
    for verb in [
        "STREAM.CREATE.A",
        "STREAM.UPDATE.A",
        "STREAM.DELETE.A",
        "STREAM.PURGE.A",
        "STREAM.MSG.DELETE.A",
        "STREAM.RESTORE.A",
        "STREAM.SNAPSHOT.A",
    ] {
        assert!(!may_publish(Role::Auditor, "ann", &format!("$JS.API.{verb}")), "{verb}");
    }
    assert!(may_publish(Role::Auditor, "ann", "$JS.API.STREAM.MSG.GET.A"));
}

#[test]
fn who_is_on_an_errand_may_say_one_thing_and_hear_the_answer() {
    for (role, own, verb) in [(Role::Enroller, INVITED, "redeem"), (Role::Renewer, "ann", "renew")]
    {
        let Permissions { publish, subscribe, responses, subscriptions_max } = role.permissions();
        let wanted = subject::command(&id(own), ServiceName::Registry, verb);
        let named = publish.iter().map(|subject| subject.replace(NAME, own));
        assert_eq!(named.collect::<Vec<_>>(), [wanted]);
        assert_eq!(subscribe, [format!("_INBOX.{NAME}.>")]);
        assert_eq!((responses, subscriptions_max), (None, 4));
    }
}

#[test]
fn everybody_hears_of_a_new_roster_and_only_the_registry_tells_of_it() {
    for role in Role::ALL {
        let hears = !matches!(role, Role::Enroller | Role::Renewer);
        assert_eq!(may_subscribe(role, "ann", subject::ROSTER), hears, "{role}");
        let tells = role == Role::Service(ServiceName::Registry);
        assert_eq!(may_publish(role, "ann", subject::ROSTER), tells, "{role}");
    }
}

#[test]
fn a_role_is_read_as_it_is_written() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.as_str()), Some(role));
    }
    assert_eq!(Role::parse("Node"), None);
}

type Seeds = BTreeMap<String, Zeroizing<String>>;

fn seeds() -> Seeds {
    let seed = |(role, at): (Role, u8)| (role.to_string(), key(NkeyKind::Account, at).seed());
    Role::ALL.into_iter().zip(10..).map(seed).collect()
}

fn issuer(roles: &Seeds) -> Result<Issuer, IssuerError> {
    let [account, system] = [3, 2].map(|at| key(NkeyKind::Account, at).public());
    Issuer::from_seeds(IssuerSeeds {
        name: "test",
        operator_signing_seed: &key(NkeyKind::Operator, 1).seed(),
        account: account.as_str(),
        system_account: system.as_str(),
        roles,
    })
}

#[test]
fn an_issuer_signs_each_login_with_the_key_of_its_role() {
    let issuer = issuer(&seeds()).unwrap();
    let login = key(NkeyKind::User, 5).public();
    for (role, at) in Role::ALL.into_iter().zip(10..) {
        let name = match role {
            Role::Service(service) => service.as_str(),
            Role::Enroller => INVITED,
            Role::Node
            | Role::Person
            | Role::Auditor
            | Role::Admin
            | Role::Gateway
            | Role::Renewer => "ann",
        };
        let jwt = issuer.user_jwt(&id(name), role, &login, 1_000, 3_600).unwrap();
        let (_, summary) = Jwt::parse(jwt.as_str()).unwrap();
        assert_eq!(summary.issuer, key(NkeyKind::Account, at).public().as_str(), "{role}");
        assert_eq!((summary.subject.as_str(), summary.name.as_str()), (login.as_str(), name));
        assert_eq!((summary.issued_at_s, summary.expires_at_s), (1_000, Some(4_600)));
    }
    let stolen = issuer.user_jwt(&id("scheduler"), Role::Node, &login, 1_000, 3_600);
    assert!(matches!(stolen, Err(UserError::Name(_))));
}

#[test]
fn an_issuers_account_names_whoever_is_out_and_every_role() {
    let issuer = issuer(&seeds()).unwrap();
    let out = key(NkeyKind::User, 7).public();
    let jwt = issuer.account_jwt(&BTreeMap::from([(out.clone(), 77)]), 1_000);
    let (_, summary) = Jwt::parse(jwt.as_str()).unwrap();
    assert_eq!(summary.issuer, key(NkeyKind::Operator, 1).public().as_str());
    assert_eq!(summary.subject, issuer.account().as_str());
    assert_eq!(claims(&jwt)["nats"]["revocations"][out.as_str()], 77);
    assert_eq!(claims(&jwt)["nats"]["signing_keys"].as_array().unwrap().len(), Role::ALL.len());
}

#[test]
fn an_issuer_needs_the_key_of_every_role_and_shows_none() {
    let check = |change: &dyn Fn(&mut Seeds), expected: &str| {
        let mut seeds = seeds();
        change(&mut seeds);
        let error = issuer(&seeds).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("SAA"));
    };
    let wrong = |seeds: &mut Seeds| {
        seeds.insert("node".to_owned(), key(NkeyKind::User, 1).seed());
    };
    check(
        &|seeds| drop(seeds.remove("renewer")),
        "there is no key that makes users of role renewer",
    );
    check(&wrong, "the key that makes users of role node cannot be used");
    let unknown = |seeds: &mut Seeds| {
        seeds.insert("god".to_owned(), key(NkeyKind::Account, 1).seed());
    };
    check(&unknown, "\"god\" is no role");
}
