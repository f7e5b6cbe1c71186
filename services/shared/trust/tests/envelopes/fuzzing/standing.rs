//! Envelopes that say whom to trust: orders, rosters and certificates, from any payload at all.

use std::sync::LazyLock;

use schemas::{
    Timestamp,
    claims::{
        CERTIFICATE_TYPE, CertificateClaims, ORDER_TYPE, OrderClaims, ROSTER_TYPE, RosterClaims,
    },
    key::{KeyOffer, PublicKeyBytes},
};
use trust::{Order, Purpose, Roster, SecretKey, Trust, TrustAnchors, Unverified, certify, sign};

use crate::{
    cbor,
    forge::{self, Draft},
    support::{NOW_S, anchor, cluster, principal, secret_key},
};

/// What the root vouches for, in order of the seeds of their keys.
const ALICE: u8 = 1;
const REGISTRY: u8 = 11;
const ROOT: u8 = 12;
const NEWCOMER: u8 = 13;

struct Stage {
    anchors: TrustAnchors,
    alice: SecretKey,
    registry: SecretKey,
    order: Draft,
    roster: Draft,
    certificate: Draft,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let alice = secret_key(Purpose::TaskIssuer, ALICE);
    let registry = secret_key(Purpose::Enrolment, REGISTRY);
    let root = secret_key(Purpose::Root, ROOT);
    let mut anchors = TrustAnchors::new(cluster());
    for (key, name) in [(&alice, "alice"), (&registry, "registry"), (&root, "root")] {
        anchors.add(anchor(key.public().clone(), name)).unwrap();
    }
    let order = sign::<Order>(&order(), &cluster(), &alice).unwrap();
    let roster = sign::<Roster>(&roster(), &cluster(), &registry).unwrap();
    let certificate = certify(&certificate(), &cluster(), &registry).unwrap();
    Stage {
        anchors,
        order: draft(&order, ORDER_TYPE, ALICE),
        roster: draft(&roster, ROSTER_TYPE, REGISTRY),
        certificate: draft(&certificate, CERTIFICATE_TYPE, REGISTRY),
        alice,
        registry,
    }
});

/// A good envelope taken apart, to be signed again with another payload.
fn draft(envelope: &[u8], content_type: &str, seed: u8) -> Draft {
    let content = |part: usize| {
        let head = cbor::heads(envelope, 0)[part];
        let begin = head.offset + 1 + head.width;
        envelope[begin..begin + usize::try_from(head.argument).unwrap()].to_vec()
    };
    // The tag, the array and the empty map are heads too.
    let (protected, payload) = (content(2), content(4));
    Draft { protected, payload, external: forge::external(content_type, "test"), seed }
}

fn order() -> OrderClaims {
    OrderClaims {
        issuer: principal("alice"),
        service: principal("registry"),
        issued_at_s: NOW_S,
        expires_at_s: NOW_S + 60,
        nonce: [7; 16],
        order_json: r#"{"do":"evict","principal":"node-1","reason":"lost"}"#.to_owned(),
    }
}

fn roster() -> RosterClaims {
    RosterClaims {
        issuer: principal("registry"),
        issued_at_s: NOW_S,
        version: 3,
        revoked: vec![secret_key(Purpose::TaskIssuer, NEWCOMER).public().id()],
        overseers: vec![principal("alice"), principal("bob")],
        access: None,
    }
}

fn certificate() -> CertificateClaims {
    let newcomer = secret_key(Purpose::TaskIssuer, NEWCOMER);
    CertificateClaims {
        issuer: principal("registry"),
        subject: principal("carol"),
        key: KeyOffer {
            purpose: Purpose::TaskIssuer,
            key: PublicKeyBytes(*newcomer.public().as_bytes()),
        },
        issued_at_s: NOW_S,
        not_before_s: NOW_S,
        not_after_s: NOW_S + 1000,
        bounds: None,
    }
}

/// The payloads of a good order, a good roster and a good certificate.
pub(super) fn good_payloads() -> [Vec<u8>; 3] {
    let stage = &*STAGE;
    [&stage.order, &stage.roster, &stage.certificate].map(|draft| draft.payload.clone())
}

fn trust() -> Trust<'static> {
    Trust { anchors: &STAGE.anchors, now: Timestamp::from_seconds(NOW_S) }
}

/// Whether it is an order, once it is signed; what is one is written again as the same bytes.
pub(super) fn an_order(payload: &[u8]) -> bool {
    let envelope = STAGE.order.clone().payload(payload.to_vec()).seal();
    let verified = Unverified::new(&envelope).verify::<Order>(trust(), &&principal("registry"));
    let Ok(verified) = verified else { return false };
    let again = sign::<Order>(verified.claims(), &cluster(), &STAGE.alice).unwrap();
    assert_eq!(again, envelope, "another encoding was accepted");
    true
}

/// The same of a roster.
pub(super) fn a_roster(payload: &[u8]) -> bool {
    let envelope = STAGE.roster.clone().payload(payload.to_vec()).seal();
    let Ok(verified) = Unverified::new(&envelope).verify::<Roster>(trust(), &()) else {
        return false;
    };
    let again = sign::<Roster>(verified.claims(), &cluster(), &STAGE.registry).unwrap();
    assert_eq!(again, envelope, "another encoding was accepted");
    true
}

/// The same of a certificate.
pub(super) fn a_certificate(payload: &[u8]) -> bool {
    let envelope = STAGE.certificate.clone().payload(payload.to_vec()).seal();
    let Ok(claims) = STAGE.anchors.examine(&envelope, trust().now) else { return false };
    let again = certify(&claims, &cluster(), &STAGE.registry).unwrap();
    assert_eq!(again, envelope, "another encoding was accepted");
    true
}
