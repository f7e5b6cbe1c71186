//! What a credential is called, and where a node finds it.
//!
//! **Invariant:** no error repeats any of the text: somebody may have put the secret itself there.

/// Most credentials that one task may ask for.
pub const CREDENTIALS_MAX: usize = 16;
/// Longest name of a credential, in bytes.
pub const CREDENTIAL_NAME_BYTES_MAX: usize = 64;
/// Longest name of a file, a Kubernetes object or a key in it, in bytes.
const NAME_BYTES_MAX: usize = 253;
/// Longest name of a Kubernetes namespace, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Where a node finds a credential: a place, never the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialReference {
    /// `file:PATH`: a file that nobody but its owner may read.
    File {
        /// Absolute.
        path: String,
    },
    /// `env:NAME`: a variable of the node's own environment.
    Env {
        /// The variable.
        name: String,
    },
    /// `systemd-cred:NAME`: a credential of the node's systemd unit.
    SystemdCred {
        /// As in `LoadCredential=`.
        name: String,
    },
    /// `keychain:SERVICE/ACCOUNT`: an entry of the keychain of the node's user.
    Keychain {
        /// What it is for.
        service: String,
        /// As whom.
        account: String,
    },
    /// `k8s-secret:[NAMESPACE/]NAME[#KEY]`: a key of a Kubernetes secret.
    KubernetesSecret {
        /// The node's own namespace when absent.
        namespace: Option<String>,
        /// The secret.
        name: String,
        /// The only key when absent.
        key: Option<String>,
    },
}

/// The text is no reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It begins with no known form.
    #[error("must be a reference: keychain:, k8s-secret:, systemd-cred:, file: or env:")]
    Unknown,
    /// It does not go on as its beginning promises.
    #[error("must be a reference of the form {form}: {problem}")]
    Malformed {
        /// As people write it.
        form: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
}

const FILE: &str = "file:PATH";
const ENV: &str = "env:NAME";
const SYSTEMD: &str = "systemd-cred:NAME";
const KEYCHAIN: &str = "keychain:SERVICE/ACCOUNT";
const KUBERNETES: &str = "k8s-secret:[NAMESPACE/]NAME[#KEY]";

impl CredentialReference {
    /// Reads a reference.
    ///
    /// # Errors
    ///
    /// Names the form that the text should have and what is wrong with it, but not the text.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidReference::Unknown)?;
        match scheme {
            "file" => file(rest),
            "env" => env(rest),
            "systemd-cred" => systemd(rest),
            "keychain" => keychain(rest),
            "k8s-secret" => kubernetes(rest),
            _ => Err(InvalidReference::Unknown),
        }
    }

    /// The form that it has, as people write it.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self {
            Self::File { .. } => FILE,
            Self::Env { .. } => ENV,
            Self::SystemdCred { .. } => SYSTEMD,
            Self::Keychain { .. } => KEYCHAIN,
            Self::KubernetesSecret { .. } => KUBERNETES,
        }
    }
}

/// What is wrong with the name of a credential, if anything. It becomes the name of a file.
#[must_use]
pub fn name_problem(name: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() {
        return Some("is empty");
    }
    if CREDENTIAL_NAME_BYTES_MAX < name.len() {
        return Some("is longer than 64 bytes");
    }
    if name.starts_with('.') || !name.bytes().all(allowed) {
        return Some("must be letters, digits, dots, - and _, and not begin with a dot");
    }
    None
}

fn check(holds: bool, form: &'static str, problem: &'static str) -> Result<(), InvalidReference> {
    if holds { Ok(()) } else { Err(InvalidReference::Malformed { form, problem }) }
}

fn file(path: &str) -> Result<CredentialReference, InvalidReference> {
    check(path.starts_with('/'), FILE, "the path is not absolute")?;
    check(!path.ends_with('/'), FILE, "the path names a folder")?;
    check(!path.split('/').any(|part| part == ".."), FILE, "the path holds ..")?;
    check(!path.chars().any(char::is_control), FILE, "the path holds a control character")?;
    Ok(CredentialReference::File { path: path.to_owned() })
}

fn env(name: &str) -> Result<CredentialReference, InvalidReference> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    let is_name = begins_well && name.bytes().all(allowed);
    check(is_name, ENV, "the name must be letters, digits and _, not beginning with a digit")?;
    Ok(CredentialReference::Env { name: name.to_owned() })
}

fn systemd(name: &str) -> Result<CredentialReference, InvalidReference> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/:".contains(&byte);
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
    check(is_name && ![".", ".."].contains(&name), SYSTEMD, "the name is none of a file")?;
    Ok(CredentialReference::SystemdCred { name: name.to_owned() })
}

fn keychain(rest: &str) -> Result<CredentialReference, InvalidReference> {
    let missing = InvalidReference::Malformed { form: KEYCHAIN, problem: "there is no /" };
    let (service, account) = rest.split_once('/').ok_or(missing)?;
    check(!service.is_empty(), KEYCHAIN, "the service is empty")?;
    check(!account.is_empty(), KEYCHAIN, "the account is empty")?;
    check(!account.contains('/'), KEYCHAIN, "there is a second /")?;
    check(!rest.chars().any(char::is_control), KEYCHAIN, "it holds a control character")?;
    Ok(CredentialReference::Keychain { service: service.to_owned(), account: account.to_owned() })
}

fn kubernetes(rest: &str) -> Result<CredentialReference, InvalidReference> {
    let (object, key) = match rest.split_once('#') {
        Some((object, key)) => (object, Some(key)),
        None => (rest, None),
    };
    let (namespace, name) = match object.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, object),
    };
    let is_label = |text: &str| text.len() <= LABEL_BYTES_MAX && is_object_name(text, b"-");
    check(namespace.is_none_or(is_label), KUBERNETES, "the namespace is none of Kubernetes")?;
    check(is_object_name(name, b"-."), KUBERNETES, "the name is none of Kubernetes")?;
    check(key.is_none_or(is_key), KUBERNETES, "the key is none of a secret")?;
    Ok(CredentialReference::KubernetesSecret {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        key: key.map(str::to_owned),
    })
}

/// Small letters, digits and `marks`, with a letter or digit at both ends and beside each dot.
fn is_object_name(text: &str, marks: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_well = |part: &str| {
        part.bytes().next().is_some_and(plain) && part.bytes().next_back().is_some_and(plain)
    };
    let allowed = |byte: u8| plain(byte) || marks.contains(&byte);
    text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed) && text.split('.').all(ends_well)
}

fn is_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
    fits && text.bytes().all(allowed) && text != "." && !text.starts_with("..")
}

#[cfg(test)]
mod tests;
