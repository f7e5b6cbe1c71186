//! Signed orders to the registry: whatever changes whom others trust.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use client::Client;
use schemas::{
    ErrorCode, Fault, PrincipalId,
    claims::OrderClaims,
    enrolment::{Order, OrderAnswer, OrderRequest},
    registry::verb,
    subject::ServiceName::Registry,
};
use trust::sign;

use super::{Outcome, Session, session::now, sign::Signer};
use crate::output::Listing;

/// How long an order may be carried out; long enough for a broker that is just restarting.
const ORDER_LIVES: Duration = Duration::from_secs(120);

/// Signs an order as the context's principal and hands it in.
///
/// # Errors
///
/// Why the registry does not carry it out.
pub(super) async fn give(
    session: &Session,
    client: &Client,
    order: &Order,
) -> Result<OrderAnswer, Fault> {
    let Signer { key, cluster, certificates } = Signer::of(&session.context)?;
    let issued_at_s = now().seconds();
    let claims = OrderClaims {
        issuer: session.context.principal.clone(),
        service: registry(),
        issued_at_s,
        expires_at_s: issued_at_s.saturating_add(ORDER_LIVES.as_secs()),
        nonce: rand::random(),
        order_json: serde_json::to_string(order)
            .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?,
    };
    let envelope =
        sign::<trust::Order>(&claims, &cluster, &key).map_err(|error| error.to_fault())?;
    let request = OrderRequest { envelope: Some(STANDARD.encode(envelope)), certificates };
    client.request(Registry, verb::ORDER, &request).await
}

/// Gives an order whose answer says nothing but that it is done.
pub(super) async fn carry(session: &Session, order: Order, said: &[(&str, String)]) -> Outcome {
    let client = session.connect().await?;
    let answer = give(session, &client, &order).await?;
    let name = said.first().map_or("done", |(_, value)| value.as_str());
    session.printer.show(&answer, &Listing::of_one(name, said.to_vec()))?;
    client.close().await;
    Ok(std::process::ExitCode::SUCCESS)
}

fn registry() -> PrincipalId {
    PrincipalId::parse(Registry.as_str()).expect("service names are ids")
}
