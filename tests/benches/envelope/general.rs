//! The same with general libraries: `coset` for the envelope, `ciborium` for the claims.

use coset::{
    CoseSign1, TaggedCborSerializable as _,
    cbor::{self, value::Value},
};
use ed25519_dalek::Signature;
use schemas::task::TaskSpec;

use crate::stage::Stage;

/// Parses, verifies strictly, and reads the claims and the specification, checking none of them.
pub(crate) fn verify(stage: &Stage, envelope: &[u8]) -> Result<(Value, TaskSpec), ()> {
    let parsed = CoseSign1::from_tagged_slice(envelope).map_err(drop)?;
    parsed
        .verify_signature(&Stage::context(), |signature, signed| {
            let signature = Signature::from_slice(signature)?;
            stage.bare_public.verify_strict(signed, &signature)
        })
        .map_err(drop)?;
    let payload = parsed.payload.ok_or(())?;
    let claims: Value = cbor::from_reader(payload.as_slice()).map_err(drop)?;
    let spec = claims.as_map().and_then(|map| {
        let (_, spec) = map.iter().find(|(key, _)| *key == Value::from(-65537))?;
        serde_json::from_str(spec.as_text()?).ok()
    });
    spec.map(|spec| (claims, spec)).ok_or(())
}
