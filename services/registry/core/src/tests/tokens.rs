//! Tokens: bounded keys that others hold.

use schemas::{
    enrolment::{GetTokensAnswer, TOKEN_LIFETIME_S_MAX, TokenView},
    grants::Grants,
};

use super::{cast::*, *};
use crate::{
    Deed, MembershipQuestion, PAGE_MAX, TOKENS_LIVING_MAX, TokenTerms, principals::TOKENS_KEPT_MAX,
};

const TOKEN: &str = "0000000000000000000000000000000a";

fn terms(maker: &str) -> TokenTerms {
    TokenTerms {
        token: TOKEN.to_owned(),
        name: "ci".to_owned(),
        key: key_id("token", 1),
        voucher: key_id(maker, 0),
        grants: Grants::default(),
        expires_at: Timestamp(NOW_MS + 3_600_000),
        certificate: "Y2VydA==".to_owned(),
        sealed: "c2VhbGVk".to_owned(),
    }
}

fn create(terms: TokenTerms) -> Deed {
    Deed::CreateToken(Box::new(terms))
}

fn created_with(owner: &str, terms: TokenTerms) -> RegistryEvent {
    let token = TokenView {
        token: terms.token,
        name: terms.name,
        owner: id(owner),
        key: terms.key,
        grants: terms.grants,
        created_at: Timestamp(NOW_MS),
        expires_at: terms.expires_at,
        revoked_at: None,
    };
    let TokenTerms { voucher, certificate, sealed, .. } = terms;
    RegistryEvent::TokenCreated { token: Box::new(token), voucher, certificate, sealed }
}

fn created(owner: &str) -> RegistryEvent {
    created_with(owner, terms(owner))
}

fn revoke() -> Deed {
    Deed::RevokeToken { token: TOKEN.to_owned() }
}

fn unseal(asker: &str, given: &[RegistryEvent]) -> Result<Answer, ErrorCode> {
    let question = Question::Membership(MembershipQuestion::Unseal(TOKEN.to_owned()));
    ask_as(asker, given, question).map_err(|fault| fault.code)
}

#[test]
fn people_and_agents_make_tokens_of_their_own() {
    for maker in ["alice", "web"] {
        check_order(&[], maker, create(terms(maker)), Ok(vec![created(maker)]));
    }
    check_order(&[], "gateway", create(terms("gateway")), Err(ErrorCode::NotAllowed));
}

#[test]
fn a_token_that_makes_no_sense_is_refused() {
    let end = |at| TokenTerms { expires_at: Timestamp(at), ..terms("alice") };
    let latest = NOW_MS + TOKEN_LIFETIME_S_MAX * 1000;
    for (terms, code) in [
        (TokenTerms { voucher: key_id("bob", 0), ..terms("alice") }, ErrorCode::TokenInvalid),
        (end(NOW_MS), ErrorCode::TokenInvalid),
        (end(latest + 1), ErrorCode::TokenInvalid),
        (TokenTerms { key: key_id("bob", 0), ..terms("alice") }, ErrorCode::KeyNotValid),
        (TokenTerms { token: "x".to_owned(), ..terms("alice") }, ErrorCode::InvalidValue),
        (TokenTerms { name: "x".repeat(257), ..terms("alice") }, ErrorCode::InvalidValue),
        (TokenTerms { sealed: "x".repeat(2000), ..terms("alice") }, ErrorCode::TooLarge),
    ] {
        check_order(&[], "alice", create(terms), Err(code));
    }
    let given = [created("alice")];
    check_order(&given, "alice", create(terms("alice")), Err(ErrorCode::TokenInvalid));
    let same_key = TokenTerms { token: "b".repeat(32), ..terms("alice") };
    check_order(&given, "alice", create(same_key), Err(ErrorCode::KeyNotValid));
}

#[test]
fn one_principal_has_so_many_tokens_and_no_more() {
    let number = |n: usize| TokenTerms {
        token: format!("{n:032x}"),
        key: key_id("token", u8::try_from(n).unwrap()),
        ..terms("alice")
    };
    let given: Vec<_> = (1..=TOKENS_LIVING_MAX).map(|n| created_with("alice", number(n))).collect();
    let next = number(TOKENS_LIVING_MAX + 1);
    check_order(&given, "alice", create(next.clone()), Err(ErrorCode::NotAllowed));
    check_order(&given[1..], "alice", create(next.clone()), Ok(vec![created_with("alice", next)]));
}

#[test]
fn short_tokens_are_not_made_without_end() {
    let short = |n: usize| TokenTerms {
        token: format!("{n:032x}"),
        key: key_id("token", u8::try_from(n % 256).unwrap()),
        expires_at: Timestamp(NOW_MS - 1),
        ..terms("alice")
    };
    let given: Vec<_> = (1..=TOKENS_KEPT_MAX).map(|n| created_with("alice", short(n))).collect();
    let next = TokenTerms { key: key_id("next", 0), token: "f".repeat(32), ..terms("alice") };
    check_order(&given, "alice", create(next.clone()), Err(ErrorCode::NotAllowed));
    check_order(&given[1..], "alice", create(next.clone()), Ok(vec![created_with("alice", next)]));
}

#[test]
fn a_token_is_ended_by_its_owner_and_admins() {
    let given = [created("alice")];
    for signer in ["alice", "root"] {
        let (token, owner, by) = (TOKEN.to_owned(), id("alice"), id(signer));
        let then = RegistryEvent::TokenRevoked { token, owner, by };
        check_order(&given, signer, revoke(), Ok(vec![then.clone()]));
        let ended = [given.to_vec(), vec![then]].concat();
        check_order(&ended, signer, revoke(), Ok(Vec::new()));
        assert_eq!(unseal("gateway", &ended), Err(ErrorCode::TokenInvalid));
        assert_eq!(state(&ended).principals().revoked(Timestamp(NOW_MS)), [key_id("token", 1)]);
    }
    for signer in ["bob", "olga"] {
        check_order(&given, signer, revoke(), Err(ErrorCode::TokenInvalid));
    }
}

#[test]
fn only_the_gateway_has_tokens_unsealed() {
    let given = [created("alice")];
    let Ok(Answer::Sealed(sealed)) = unseal("gateway", &given) else { panic!("stays sealed") };
    assert_eq!((sealed.sealed.as_str(), sealed.voucher), ("c2VhbGVk", certified("alice", 0)));
    for asker in ["alice", "root", "scheduler", "registry", "web", "nobody"] {
        assert_eq!(unseal(asker, &given), Err(ErrorCode::NotAllowed), "{asker}");
    }
    assert_eq!(unseal("gateway", &[]), Err(ErrorCode::TokenInvalid));
}

#[test]
fn a_token_ends_with_its_owner_and_with_the_key_that_vouches_for_it() {
    let (principal, key, by) = (id("alice"), key_id("alice", 0), id("root"));
    let revoked = RegistryEvent::KeyRevoked { principal, key, by, reason: String::new() };
    for (end, code) in [
        (evicted("alice"), ErrorCode::TokenInvalid),
        (banned("alice"), ErrorCode::TokenInvalid),
        (revoked, ErrorCode::TokenInvalid),
    ] {
        assert_eq!(unseal("gateway", &[created("alice"), end]), Err(code));
    }
    let rotated = RegistryEvent::KeysRotated {
        principal: id("alice"),
        login: login("alice", 1),
        keys: vec![certified("alice", 1)],
    };
    assert!(unseal("gateway", &[created("alice"), rotated]).is_ok());
}

#[test]
fn tokens_are_listed_for_their_owners_and_never_what_is_sealed() {
    let listed = |asker: &str| {
        let question = Question::Membership(MembershipQuestion::Tokens(None));
        match ask_as(asker, &[created("alice")], question) {
            Ok(Answer::Tokens(answer)) => answer,
            other => panic!("{other:?} lists no tokens"),
        }
    };
    for asker in ["alice", "root", "audrey", "gateway"] {
        assert_eq!(listed(asker).tokens.len(), 1, "{asker}");
        assert!(!serde_json::to_string(&listed(asker)).unwrap().contains("c2VhbGVk"));
    }
    assert_eq!(listed("bob").tokens, []);
}

#[test]
fn tokens_are_listed_page_by_page() {
    let number = |n: usize| TokenTerms { token: format!("{n:032x}"), ..terms("alice") };
    let many = usize::try_from(PAGE_MAX).unwrap() + 1;
    let given: Vec<_> = (0..many).map(|n| created_with("alice", number(n))).collect();
    let page = |after: Option<String>| {
        let question = Question::Membership(MembershipQuestion::Tokens(after));
        match ask_as("scheduler", &given, question) {
            Ok(Answer::Tokens(GetTokensAnswer { tokens, next })) => (tokens, next),
            other => panic!("{other:?} lists no tokens"),
        }
    };
    let (first, next) = page(None);
    assert_eq!((first.len(), &next), (many - 1, &Some(first[many - 2].token.clone())));
    let (last, end) = page(next);
    assert_eq!((last.len(), end), (1, None));
    assert_eq!(last[0].token, number(many - 1).token);
}
