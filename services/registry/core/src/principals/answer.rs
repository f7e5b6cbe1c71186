//! What those are answered who ask for principals, invites, tokens and the roster.

use schemas::{
    ErrorCode, Fault, PrincipalId, Timestamp,
    enrolment::{
        AgentAccess, GetInvitesAnswer, GetPrincipalsAnswer, GetPrincipalsRequest, GetTokensAnswer,
        InviteView, PrincipalView, TokenView,
    },
    key::KeyPurpose,
    principal::PrincipalKind,
};

use super::{
    GATEWAY, Key, ROSTER_KEYS_MAX, Refusal, RosterContent, SealedToken, Sight, Token,
    admission::active,
};
use crate::{Answer, Facts, MembershipQuestion, PAGE_MAX, Rejection, State, answer::page};

/// Answers a question about who may take part.
pub(crate) fn answer(
    state: &State,
    asker: &PrincipalId,
    question: &MembershipQuestion,
    facts: &Facts,
) -> Result<Answer, Rejection> {
    let (sight, now) = (Sight::of(state, asker), Timestamp(facts.now_ms));
    match question {
        MembershipQuestion::Principals(request) => principals(state, sight, request),
        MembershipQuestion::Invites => Ok(Answer::Invites(invites(state, sight, now))),
        MembershipQuestion::Tokens(after) => {
            Ok(Answer::Tokens(tokens(state, sight, after.as_deref())))
        }
        MembershipQuestion::Roster => roster(state, asker, now),
        MembershipQuestion::Unseal(token) => Ok(unseal(state, asker, token, now)?),
    }
}

fn principals(
    state: &State,
    sight: Sight<'_>,
    request: &GetPrincipalsRequest,
) -> Result<Answer, Rejection> {
    let limit = page(request.limit)?;
    let all = state.principals().after(request.after.as_ref());
    let mut seen = all.filter(|principal| {
        sight.principal(principal) && request.kind.is_none_or(|kind| kind == principal.kind)
    });
    let principals: Vec<PrincipalView> =
        seen.by_ref().take(limit).map(super::Principal::view).collect();
    let more = seen.next().is_some();
    let next = principals.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Answer::Principals(GetPrincipalsAnswer { principals, next }))
}

fn invites(state: &State, sight: Sight<'_>, now: Timestamp) -> GetInvitesAnswer {
    let principals = state.principals();
    let open = principals.invites().filter(|it| it.is_open(now) && sight.invitation(it));
    let views = open.map(|it| it.view(principals.get(&it.invite.principal)));
    let mut invites: Vec<InviteView> =
        views.filter(|view| view.state != schemas::enrolment::InviteState::Used).collect();
    invites.sort_by(|a, b| (&a.principal, &a.invite).cmp(&(&b.principal, &b.invite)));
    GetInvitesAnswer { invites }
}

fn tokens(state: &State, sight: Sight<'_>, after: Option<&str>) -> GetTokensAnswer {
    let mut seen = state.principals().tokens_after(after).filter(|token| sight.token(token));
    let limit = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
    let tokens: Vec<TokenView> =
        seen.by_ref().take(limit).map(|token| token.view.clone()).collect();
    let more = seen.next().is_some();
    let next = tokens.last().filter(|_| more).map(|last| last.token.clone());
    GetTokensAnswer { tokens, next }
}

fn roster(state: &State, asker: &PrincipalId, now: Timestamp) -> Result<Answer, Rejection> {
    let principals = state.principals();
    let revoked = principals.revoked(now);
    if ROSTER_KEYS_MAX < revoked.len() {
        // Leaving some out would bring them back into use.
        let count = revoked.len();
        let message = format!("{count} keys are out of use, and a roster holds {ROSTER_KEYS_MAX}");
        return Err(Fault::new(ErrorCode::EnvelopeTooLarge, message).into());
    }
    let access = principals.agent(asker).map(|agent| AgentAccess {
        agent: asker.clone(),
        owner: agent.owner.clone(),
        shared_with: state.agent(asker).map(|it| it.shared_with.clone()).unwrap_or_default(),
    });
    let (version, overseers) = (principals.version(), principals.overseers());
    Ok(Answer::Roster(Box::new(RosterContent { version, revoked, overseers, access, at: now })))
}

fn unseal(state: &State, asker: &PrincipalId, id: &str, now: Timestamp) -> Result<Answer, Refusal> {
    let principals = state.principals();
    let gateway = principals.active(asker).filter(|it| it.kind == PrincipalKind::Service);
    if gateway.is_none_or(|it| it.id.as_str() != GATEWAY) {
        let what = "have tokens unsealed: only a gateway may".to_owned();
        return Err(Refusal::Forbidden { who: asker.clone(), what });
    }
    let invalid = |problem| Refusal::TokenInvalid { token: id.to_owned(), problem };
    let token = principals.token(id).ok_or_else(|| invalid("is not known"))?;
    if !token.is_living(now) {
        return Err(invalid("was revoked or has run out"));
    }
    let Token { view, voucher, certificate, sealed } = token;
    let owner = active(principals, &view.owner)?;
    let voucher = owner.key(*voucher).filter(|key| vouches(key));
    let voucher = voucher.ok_or_else(|| invalid("was made with a key that is out of use"))?;
    Ok(Answer::Sealed(Box::new(SealedToken {
        token: view.clone(),
        sealed: sealed.clone(),
        voucher: voucher.certified.clone(),
        certificate: certificate.clone(),
    })))
}

/// A key that was replaced is good for the tokens that it made before.
fn vouches(key: &Key) -> bool {
    key.revoked_at.is_none() && key.certified.offer.purpose == KeyPurpose::TaskIssuer
}
