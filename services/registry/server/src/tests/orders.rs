//! Orders and redemptions, from bytes to what the core understands, and through it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use decider::{Decider, Moment, Recorded};
use registry_core::{
    Answer, Command, Deed, Facts, Observation, PutOut, Registry, SignedOrder, State,
};
use runtime::{Caller, Request};
use schemas::{
    ErrorCode, Fault,
    claims::CertificateClaims,
    enrolment::{KeySet, Membership, NewToken, Order, OrderRequest},
    grants::Grants,
    principal::UserRole,
    registry::verb,
};
use serde::Serialize;
use trust::{Possession, Purpose, SecretKey, certify, seal_token, sign};

use super::house::{House, INVITE, Member, cluster, id, invite, offered, secret};
use crate::{Issuing, complete::complete, requests};

const NOW_S: u64 = 1_800_000_000;
const TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// The house, what it issues with, and an admin.
struct World {
    house: House,
    issuing: Issuing,
    root: Member,
    now_s: u64,
}

impl World {
    fn new() -> Self {
        let house = House::new(NOW_S);
        let path = house.write(&house.settings());
        let issuing = Issuing::load(&path, house.anchors(), house.now()).unwrap();
        Self { house, issuing, root: Member::new("root", 1), now_s: NOW_S }
    }

    fn read(&self, verb: &str, caller: &str, body: &impl Serialize) -> Result<Command, Fault> {
        let body = json(body);
        let caller = Caller { principal: id(caller), trace: None, now_ms: self.now_s * 1000 };
        let request = requests::read(Some(&self.issuing), verb, &body, &caller)?;
        let Request::Unrepeatable(command) = request else {
            panic!("{verb} is no command that is decided anew");
        };
        Ok(command)
    }

    fn order(&self, order: &Order) -> Result<SignedOrder, Fault> {
        self.ordered(&self.root.order(&self.house, order))
    }

    fn ordered(&self, request: &OrderRequest) -> Result<SignedOrder, Fault> {
        let command = self.read(verb::ORDER, "root", request)?;
        let Command::Order(order) = command else { panic!("{command:?} is no order") };
        Ok(*order)
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap()
}

fn evict() -> Order {
    Order::Evict { principal: id("bob"), reason: "left".to_owned() }
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, Fault>, code: ErrorCode) {
    assert_eq!(result.map_err(|fault| fault.code).unwrap_err(), code);
}

#[test]
fn an_order_reaches_the_core_with_its_signer() {
    let world = World::new();
    let order = world.order(&evict()).unwrap();
    assert_eq!((order.signer, order.key), (id("root"), world.root.issuer.public().id()));
    let (principal, reason) = (id("bob"), "left".to_owned());
    assert_eq!(order.deed, Deed::PutOut { principal, reason, how: PutOut::Evict });
    assert_eq!(order.expires_at.seconds(), NOW_S + 300);
}

#[test]
fn an_order_that_proves_nothing_is_refused() {
    let mut world = World::new();
    let good = || world.root.order(&world.house, &evict());
    refused(world.ordered(&OrderRequest { envelope: None, ..good() }), ErrorCode::Unsigned);
    let uncertified = OrderRequest { certificates: Vec::new(), ..good() };
    refused(world.ordered(&uncertified), ErrorCode::KeyUnknown);
    let halfway = OrderRequest { certificates: good().certificates.split_off(1), ..good() };
    assert!(world.ordered(&halfway).is_ok(), "the registry knows its own key");
    let others = Member::new("bob", 1).certificates(&world.house);
    refused(world.ordered(&OrderRequest { certificates: others, ..good() }), ErrorCode::KeyUnknown);
    let garbage = OrderRequest { envelope: Some("%".to_owned()), ..good() };
    refused(world.ordered(&garbage), ErrorCode::EnvelopeMalformed);
    let mut changed = STANDARD.decode(good().envelope.unwrap()).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let changed = OrderRequest { envelope: Some(STANDARD.encode(changed)), ..good() };
    refused(world.ordered(&changed), ErrorCode::SignatureInvalid);
    let many = OrderRequest { certificates: vec![good().certificates.remove(0); 25], ..good() };
    refused(world.ordered(&many), ErrorCode::CertificateInvalid);
    let good = good();
    world.now_s += 300 + trust::CLOCK_SKEW_S + 1;
    refused(world.ordered(&good), ErrorCode::Expired);
}

#[test]
fn an_order_for_another_service_or_cluster_is_refused() {
    let world = World::new();
    let certificates = world.root.certificates(&world.house);
    let mut claims = world.root.claims(&world.house, &evict());
    let sealed = |claims: &_, cluster: &_| {
        let envelope = sign::<trust::Order>(claims, cluster, &world.root.issuer).unwrap();
        let envelope = Some(STANDARD.encode(envelope));
        OrderRequest { envelope, certificates: certificates.clone() }
    };
    let elsewhere = trust::ClusterName::parse("elsewhere").unwrap();
    refused(world.ordered(&sealed(&claims, &elsewhere)), ErrorCode::SignatureInvalid);
    claims.service = id("scheduler");
    refused(world.ordered(&sealed(&claims, &cluster())), ErrorCode::WrongAudience);
    claims.service = id("registry");
    claims.issuer = id("bob");
    refused(world.ordered(&sealed(&claims, &cluster())), ErrorCode::KeyNotValid);
}

#[test]
fn an_invite_names_a_login_that_can_redeem_it() {
    let world = World::new();
    let invite = schemas::enrolment::Invite { redeemer: "nobody".to_owned(), ..invite("new") };
    refused(world.order(&Order::Invite(invite)), ErrorCode::InvalidValue);
}

#[test]
fn keys_count_only_with_the_proof_that_their_owner_has_them() {
    let world = World::new();
    let rotate = |keys: KeySet| world.order(&Order::RotateKeys { keys });
    let (new, me, bob) = (Member::new("root", 2), id("root"), id("bob"));
    let own = new.key_set(&Possession::Rotation { principal: &me });
    let Deed::RotateKeys(offer) = rotate(own.clone()).unwrap().deed else { panic!("no rotation") };
    assert_eq!(offer.login, new.login.public().as_str());
    assert_eq!(offer.keys[0].id, new.issuer.public().id());
    let others = new.key_set(&Possession::Rotation { principal: &bob });
    refused(rotate(others), ErrorCode::PossessionUnproven);
    let login = Member::new("root", 3).login.public().to_string();
    refused(rotate(KeySet { login, ..own }), ErrorCode::PossessionUnproven);
}

#[test]
fn a_redemption_shows_its_secret_to_nobody_and_proves_its_keys() {
    let world = World::new();
    let new = Member::new("new", 1);
    let caller = format!("invite-{INVITE}");
    let redeem = |request: &_| world.read(verb::REDEEM, &caller, request);
    let Command::Redeem(redemption) = redeem(&new.redemption()).unwrap() else {
        panic!("no redemption");
    };
    assert_eq!(redemption.secret_hash, invite("new").secret_hash);
    assert_eq!(redemption.caller, id(&caller));
    assert!(!format!("{redemption:?}").contains(&new.redemption().secret));
    let mut wrong = new.redemption();
    wrong.keys.proofs.swap_remove(0);
    refused(redeem(&wrong), ErrorCode::PossessionUnproven);
    let mut other_secret = new.redemption();
    other_secret.secret = STANDARD.encode("guessed");
    refused(redeem(&other_secret), ErrorCode::PossessionUnproven);
    let mut garbage = new.redemption();
    garbage.secret = "%%secret%%".to_owned();
    let fault = redeem(&garbage).unwrap_err();
    assert!(!fault.message.contains("%%"), "{fault}");
}

/// A token of root with a certificate like this.
fn token(world: &World, claims: &CertificateClaims, voucher: &SecretKey) -> Order {
    let key = secret(Purpose::TaskIssuer, "token");
    Order::CreateToken(NewToken {
        token: TOKEN.to_owned(),
        name: "ci".to_owned(),
        certificate: match certify(claims, world.issuing.anchors.cluster(), voucher) {
            Ok(certificate) => STANDARD.encode(certificate),
            Err(error) => panic!("{error}"),
        },
        sealed: seal_token(TOKEN, &[1; 32], &key),
    })
}

#[test]
fn a_token_is_vouched_for_by_the_key_that_signs_the_order() {
    let world = World::new();
    let key = secret(Purpose::TaskIssuer, "token");
    let claims = CertificateClaims {
        issuer: id("root"),
        subject: id("root"),
        key: offered(&key),
        issued_at_s: NOW_S,
        not_before_s: NOW_S,
        not_after_s: NOW_S + 3600,
        bounds: Some(Grants { tasks_max: 3, ..Grants::default() }),
    };
    let order = world.order(&token(&world, &claims, &world.root.issuer)).unwrap();
    let Deed::CreateToken(terms) = order.deed else { panic!("no token") };
    assert_eq!((terms.key, terms.voucher), (key.public().id(), order.key));
    assert_eq!((terms.grants.tasks_max, terms.expires_at.seconds()), (3, NOW_S + 3600));
    let other = Member::new("root", 2);
    let foreign = token(&world, &claims, &other.issuer);
    refused(world.order(&foreign), ErrorCode::CertificateInvalid);
    let registry = secret(Purpose::Enrolment, "enrolment");
    let unbounded = CertificateClaims { issuer: id("registry"), bounds: None, ..claims.clone() };
    let by_registry = token(&world, &unbounded, &registry);
    refused(world.order(&by_registry), ErrorCode::CertificateInvalid);
    let Order::CreateToken(good) = token(&world, &claims, &world.root.issuer) else {
        panic!("no token");
    };
    let garbage = Order::CreateToken(NewToken { sealed: "%".to_owned(), ..good });
    refused(world.order(&garbage), ErrorCode::EnvelopeMalformed);
}

/// A registry without a broker: what is read is decided and completed.
struct Live<'a> {
    world: &'a World,
    state: State,
    facts: Facts,
}

impl<'a> Live<'a> {
    fn new(world: &'a World) -> Self {
        let (mut facts, now_ms) = (Facts::default(), world.now_s * 1000);
        Registry::tell(&mut facts, Moment { now_ms, ..Moment::default() });
        let state = State::default();
        let seat = world.root.seat(&world.house, Some(UserRole::Admin));
        Registry::observe(&state, &mut facts, Observation::Founders(vec![seat]));
        let mut live = Self { world, state, facts };
        for command in Registry::due(&live.state, &live.facts) {
            live.carry_out(&command).unwrap();
        }
        live
    }

    fn carry_out(&mut self, command: &Command) -> Result<Answer, Fault> {
        let decided = Registry::decide(&self.state, command, &self.facts).map_err(Fault::from)?;
        for event in &decided.events {
            let recorded = Recorded { at_ms: self.facts.now_ms, term: 1 };
            Registry::evolve(&mut self.state, event, &recorded);
        }
        complete(Some(&self.world.issuing), decided.answer)
    }

    fn ask(&mut self, verb: &str, caller: &str, body: &impl Serialize) -> Result<Answer, Fault> {
        let command = self.world.read(verb, caller, body)?;
        self.carry_out(&command)
    }
}

fn member(answer: Answer) -> Membership {
    let Answer::Membership(membership) = answer else { panic!("{answer:?} is no membership") };
    *membership
}

#[test]
fn who_was_invited_comes_in_and_orders_with_the_certificates_it_got() {
    let world = World::new();
    let (mut live, new) = (Live::new(&world), Member::new("new", 1));
    let caller = format!("invite-{INVITE}");
    live.ask(verb::ORDER, "root", &world.root.order(&world.house, &Order::Invite(invite("new"))))
        .unwrap();
    let first = member(live.ask(verb::REDEEM, &caller, &new.redemption()).unwrap());
    let again = member(live.ask(verb::REDEEM, &caller, &new.redemption()).unwrap());
    assert_eq!(first, again);
    let renewed = member(live.ask(verb::RENEW, "new", &serde_json::json!({})).unwrap());
    assert_eq!(first.certificates, renewed.certificates);
    let thief = Member::new("new", 2);
    refused(live.ask(verb::REDEEM, &caller, &thief.redemption()), ErrorCode::InviteUsed);

    let rotated = Member::new("new", 3);
    let keys = rotated.key_set(&Possession::Rotation { principal: &id("new") });
    let order = OrderRequest {
        envelope: Some(new.signed(&world.house, &Order::RotateKeys { keys })),
        certificates: first.certificates,
    };
    let first = live.ask(verb::ORDER, "new", &order).unwrap();
    assert_eq!(live.ask(verb::ORDER, "new", &order).unwrap(), first);
    live.ask(
        verb::ORDER,
        "root",
        &world
            .root
            .order(&world.house, &Order::Ban { principal: id("new"), reason: String::new() }),
    )
    .unwrap();
    refused(live.ask(verb::RENEW, "new", &serde_json::json!({})), ErrorCode::PrincipalOut);
}
