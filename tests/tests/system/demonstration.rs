//! What the documentation tells a person to type, typed.

use cortex_tests::Installation;
use schemas::scheduler::{SubmitAnswer, verb};
use schemas::subject::ServiceName::Scheduler;
use schemas::task::{TaskSpec, Work};
use schemas::{Audience, PrincipalId};

use crate::person;
use crate::signer::Signer;

#[tokio::test]
async fn a_program_submits_as_the_person() {
    let installation = Installation::start().await.unwrap();
    let client = person::client(&installation).await.unwrap();
    let node = Audience::Node(PrincipalId::parse("local").unwrap());
    let spec = TaskSpec::new(Work::Echo { text: "hello".to_owned() });
    let signed = Signer::of(&installation).unwrap().sign(node, &spec).unwrap();
    let answer: SubmitAnswer =
        client.request(Scheduler, verb::SUBMIT, &signed.request).await.unwrap();
    assert_eq!(answer.task, signed.task);
}
