//! The keychain of the node's user; on Linux the kernel's key rings.
//!
//! They need no desktop and no D-Bus: the key is of the type `user`, is called
//! `keyring:ACCOUNT@SERVICE`, and hangs on a ring that the node's session reaches.

use std::collections::HashMap;

use keyring_core::api::CredentialStoreApi as _;
use linux_keyutils_keyring_store::Store;
use zeroize::Zeroizing;

use super::{error::Unavailable, secret::Secret};

/// A keychain to read from.
pub(crate) trait Keychain: Send + Sync {
    /// Reads an entry; blocks.
    fn read(&self, service: &str, account: &str) -> Result<Secret, Unavailable>;
}

/// The kernel's key rings.
pub(crate) struct KernelKeychain;

impl Keychain for KernelKeychain {
    fn read(&self, service: &str, account: &str) -> Result<Secret, Unavailable> {
        // `a` for `b@c` and `a@b` for `c` would be the same key.
        let settings = HashMap::from([("service_no_divider", "true")]);
        let store = Store::new_with_configuration(&settings).map_err(|error| refused(&error))?;
        let entry = store.build(service, account, None).map_err(|error| refused(&error))?;
        let value = entry.get_secret().map_err(|error| refused(&error))?;
        Secret::new(Zeroizing::new(value))
    }
}

/// The library's errors may hold what was read, so none of their text is taken over.
fn refused(error: &keyring_core::Error) -> Unavailable {
    let problem = match error {
        keyring_core::Error::NoEntry => return Unavailable::NotInKeychain,
        keyring_core::Error::NoStorageAccess(_) => "this user may not use the kernel's key rings",
        keyring_core::Error::PlatformFailure(_) => "the kernel's key rings do not work here",
        keyring_core::Error::Invalid(..) => "a service must not hold @",
        keyring_core::Error::TooLong(..) => "the service or the account is too long",
        keyring_core::Error::BadEncoding(_)
        | keyring_core::Error::BadDataFormat(..)
        | keyring_core::Error::BadStoreFormat(_)
        | keyring_core::Error::Ambiguous(_)
        | keyring_core::Error::NoDefaultStore
        | keyring_core::Error::NotSupportedByStore(_)
        | _ => "the entry cannot be used",
    };
    Unavailable::Keychain { problem }
}
