//! Why a credential cannot be had.
//!
//! **Invariant:** no variant can hold a value, nor text that came from where a value was expected.

use std::io;

/// Why a credential cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// The operating system refused something.
    #[error("cannot {attempt}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder, a device, a pipe or a symbolic link.
    #[error("it is no regular file")]
    NotRegular,
    /// Others than the owner may do something with the file.
    #[error("others than its owner have access to the file (mode {mode:04o}); use `chmod 600`")]
    Exposed {
        /// Its permissions.
        mode: u32,
    },
    /// Whoever owns the file could read and replace it.
    #[error("the file belongs to neither the node's user nor root")]
    ForeignOwner,
    /// There is nothing in it.
    #[error("the value is empty")]
    Empty,
    /// There is too much in it.
    #[error("the value is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// There is too much in all of them.
    #[error("they are together longer than {max} bytes")]
    TooMuch {
        /// The limit.
        max: usize,
    },
    /// It took too long.
    #[error("no answer within {seconds} s")]
    TooSlow {
        /// The limit.
        seconds: u64,
    },
    /// The node's environment does not have it.
    #[error("the variable is not set in the node's environment")]
    NotSet,
    /// systemd gave the node nothing.
    #[error(
        "the node has no $CREDENTIALS_DIRECTORY: run it as a systemd unit with LoadCredential= \
         or LoadCredentialEncrypted="
    )]
    NoUnitCredentials,
    /// systemd gave the node others.
    #[error("the node's systemd unit has no credential of that name")]
    NotInUnit,
    /// The keychain does not have it.
    #[error("the keychain has no such entry for the node's user")]
    NotInKeychain,
    /// The keychain cannot be used.
    #[error("the keychain cannot be read: {problem}")]
    Keychain {
        /// Why not.
        problem: &'static str,
    },
    /// The secret's key must be named.
    #[error("the secret has {count} keys: name one with #KEY")]
    KeyUnclear {
        /// How many.
        count: usize,
    },
    /// The secret lacks the key.
    #[error("the secret has no such key")]
    NoSuchKey,
    /// There is neither a folder with secrets nor an API to ask.
    #[error(
        "there is no Kubernetes to ask: mount secrets below kubernetes_secrets_dir, or run the \
         node in a pod with a service account"
    )]
    NoKubernetes,
    /// Kubernetes says no, or something else.
    #[error("the Kubernetes API answered {status}{meaning}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it means here, after a colon.
        meaning: &'static str,
    },
    /// The API could not be asked.
    #[error("the Kubernetes API cannot be asked: {problem}")]
    NotAsked {
        /// Why not.
        problem: String,
    },
    /// What the API answered makes no sense.
    #[error("the Kubernetes API's answer is no secret")]
    Senseless,
    /// Nothing that is in memory alone can hold it.
    #[error(
        "neither $XDG_RUNTIME_DIR nor /dev/shm is a folder in memory (tmpfs) that this user may \
         write to"
    )]
    NoMemoryFolder,
    /// Somebody else made a folder of that name.
    #[error("the folder for credentials is not this node's own")]
    ForeignFolder,
    /// The node's own code panicked.
    #[error("the node's own code panicked")]
    Panicked,
}

/// For `map_err`: the operating system refused something.
pub(super) fn cannot<E: Into<io::Error>>(attempt: &'static str) -> impl Fn(E) -> Unavailable {
    move |error| Unavailable::Io { attempt, source: error.into() }
}

/// The error with its causes, on one line.
pub(super) fn chain(error: &Unavailable) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
