//! What holds for all claims and all bytes, not only for those that somebody thought of.

use proptest::{collection::vec, option, prelude::*};
use schemas::{
    Capability, Sha256Hash,
    claims::{AssignmentClaims, RequestClaims},
    grants::Grants,
};
use trust::{Assignment, EnvelopeError, Request, Verified, sign};

use crate::support::{NOW_S, World, assignment, cluster, principal, request};

fn requests() -> impl Strategy<Value = RequestClaims> {
    let names = vec("[a-z]{1,8}(\\.[a-z]{1,8}){0,2}(@v[0-9])?", 0..20);
    let rest = (option::of("[!-~]{1,64}"), any::<[u8; 16]>());
    (names, rest, ".{0,200}", 1..3600_u64).prop_map(|(names, (trace, nonce), text, life_s)| {
        let work = serde_json::json!({ "kind": "echo", "text": text });
        RequestClaims {
            nonce,
            grants: Grants {
                capabilities: names.iter().map(|name| Capability::parse(name).unwrap()).collect(),
                ..Grants::default()
            },
            trace,
            spec_json: serde_json::json!({ "work": work }).to_string(),
            expires_at_s: NOW_S + life_s,
            ..request()
        }
    })
}

proptest! {
    #[test]
    fn every_request_that_is_signed_is_verified_to_the_same_claims(claims in requests()) {
        let world = World::new();
        let envelope = world.sign_request(&claims);
        let verified: Verified<Request> = world.verify(&envelope).unwrap();
        prop_assert_eq!(verified.claims(), &claims);
        let again = sign::<Request>(verified.claims(), &cluster(), &world.alice).unwrap();
        prop_assert_eq!(again, envelope);
    }

    #[test]
    fn every_assignment_that_is_signed_is_verified_to_the_same_claims(
        (epoch, attempt, term, life_s) in (any::<u64>(), any::<u32>(), any::<u64>(), 1..=120_u64),
    ) {
        let world = World::new();
        let envelope = world.sign_request(&request());
        let expires_at_s = NOW_S + life_s;
        let claims =
            AssignmentClaims { epoch, attempt, term, expires_at_s, ..assignment(&envelope) };
        let assigned = world.sign_assignment(&claims);
        let request = world.verify(&envelope).unwrap();
        let verified: Verified<Assignment> = world.verify_assignment(&assigned, &request).unwrap();
        prop_assert_eq!(verified.claims(), &claims);
    }

    #[test]
    fn an_assignment_of_any_other_hash_is_refused(hash in any::<[u8; 32]>()) {
        let world = World::new();
        let envelope = world.sign_request(&request());
        let request_hash = Sha256Hash(hash);
        let node = principal("node-1");
        let claims = AssignmentClaims { request_hash, node, ..assignment(&envelope) };
        let assigned = world.sign_assignment(&claims);
        let request = world.verify(&envelope).unwrap();
        let refused = world.verify_assignment(&assigned, &request);
        let mismatch = matches!(refused, Err(EnvelopeError::AssignmentMismatch { .. }));
        prop_assert!(mismatch);
    }

    #[test]
    fn no_bytes_make_the_verifier_panic(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(World::new().verify(&bytes).is_err());
    }

    #[test]
    fn no_change_of_some_bytes_goes_unnoticed(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let world = World::new();
        let envelope = world.sign_request(&request());
        let mut changed = envelope.clone();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        prop_assert_eq!(world.verify(&changed).is_ok(), changed == envelope);
    }
}
