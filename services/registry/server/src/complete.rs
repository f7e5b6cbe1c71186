//! Answers, from what the core granted to what is sent.

use registry_core::Answer;
use schemas::{ErrorCode, Fault, enrolment::OrderAnswer};

use crate::{Issuing, pages};

/// Completes an answer with what only this process can sign.
pub(crate) fn complete(issuing: Option<&Issuing>, answer: Answer) -> Result<Answer, Fault> {
    let issuing = || issuing.ok_or_else(issues_nothing);
    Ok(match answer {
        Answer::Agents(mut page) => {
            pages::fit(&mut page);
            Answer::Agents(page)
        }
        Answer::Principals(mut page) => {
            pages::fit_principals(&mut page);
            Answer::Principals(page)
        }
        Answer::Tokens(mut page) => {
            pages::fit_tokens(&mut page);
            Answer::Tokens(page)
        }
        Answer::Granted(grant) => Answer::Membership(Box::new(issuing()?.membership(&grant)?)),
        Answer::Rotated(grant) => {
            let membership = issuing()?.membership(&grant)?;
            Answer::Ordered(Box::new(OrderAnswer::Rotated { membership }))
        }
        Answer::Invited(grant) => Answer::Ordered(Box::new(issuing()?.invited(&grant)?)),
        Answer::Roster(content) => Answer::SignedRoster(Box::new(issuing()?.roster(*content)?)),
        Answer::Sealed(sealed) => Answer::Unsealed(Box::new(issuing()?.unsealed(*sealed)?)),
        Answer::Refused(fault) => return Err(*fault),
        Answer::Registered(_)
        | Answer::Heartbeat(_)
        | Answer::Agent(_)
        | Answer::WhoCan(_)
        | Answer::Capabilities(_)
        | Answer::CanTask(_)
        | Answer::Relationships(_)
        | Answer::Deregistered(_)
        | Answer::Invites(_)
        | Answer::Membership(_)
        | Answer::Ordered(_)
        | Answer::SignedRoster(_)
        | Answer::Unsealed(_)
        | Answer::DenialsReported(_)
        | Answer::Nothing => answer,
    })
}

/// There are no keys to let anybody in with.
pub(crate) fn issues_nothing() -> Fault {
    let message = "this registry was started without what it lets others in with";
    Fault::new(ErrorCode::ConfigInvalid, message)
        .with_hint("name the file in the setting `issuing`; `cortex up` writes it")
}
