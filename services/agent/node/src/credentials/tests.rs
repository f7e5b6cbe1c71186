//! Each form of reference with its limits, what is granted, and the folders of runs.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use keyring_core::api::CredentialStoreApi as _;
use schemas::{CredentialReference, ErrorCode};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{
    CredentialSources, Credentials,
    error::{Unavailable, chain},
    folder::Folders,
    keychain::{KernelKeychain, Keychain},
    resolver::Resolver,
    secret::{SECRET_BYTES_MAX, Secret},
};

/// Has one entry.
struct OneEntry;

impl Keychain for OneEntry {
    fn read(&self, service: &str, account: &str) -> Result<Secret, Unavailable> {
        let is_known = (service, account) == ("github.com", "me");
        let value = is_known.then(|| Zeroizing::new(b"from the keychain".to_vec()));
        Secret::new(value.ok_or(Unavailable::NotInKeychain)?)
    }
}

/// A place where credentials are.
struct Place {
    folder: TempDir,
    sources: CredentialSources,
    unit: Option<PathBuf>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, sources: CredentialSources::default(), unit: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, value: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, value).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn file(&self, name: &str) -> String {
        format!("file:{}", self.path(name).display())
    }

    fn resolve(&self, reference: &str) -> Result<Secret, Unavailable> {
        let reference = parse(reference);
        let keychain = Arc::new(OneEntry);
        let resolver = Resolver::with_unit(self.sources.clone(), keychain, self.unit.clone());
        block_on(resolver.resolve(&reference))
    }

    #[track_caller]
    fn check(&self, reference: &str, expected: &str) {
        let secret = self.resolve(reference).unwrap();
        assert_eq!(String::from_utf8_lossy(secret.bytes()), expected);
    }

    #[track_caller]
    fn refused(&self, reference: &str, expected: &str) {
        let error = chain(&self.resolve(reference).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

fn parse(reference: &str) -> CredentialReference {
    CredentialReference::parse(reference).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn a_private_file_is_read_as_it_is() {
    let place = Place::new();
    place.write("token", "a value\n", 0o600);
    place.check(&place.file("token"), "a value\n");
    place.write("read-only", "another", 0o400);
    place.check(&place.file("read-only"), "another");
}

#[test]
fn a_file_that_others_have_access_to_is_refused() {
    let place = Place::new();
    for mode in [0o640, 0o604, 0o620, 0o644, 0o601] {
        place.write("token", "value", mode);
        place.refused(&place.file("token"), &format!("(mode {mode:04o}); use `chmod 600`"));
    }
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let place = Place::new();
    place.write("token", "value", 0o600);
    symlink(place.path("token"), place.path("link")).unwrap();
    place.refused(&place.file("link"), "no regular file");
    fs::create_dir(place.path("folder")).unwrap();
    place.refused(&place.file("folder"), "no regular file");
    let fifo = place.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    place.refused(&place.file("fifo"), "no regular file");
    place.refused("file:/dev/null", "no regular file");
    place.refused(&place.file("missing"), "cannot open the file: No such file");
}

#[test]
fn a_value_has_a_size() {
    let place = Place::new();
    place.write("empty", "", 0o600);
    place.refused(&place.file("empty"), "the value is empty");
    place.write("full", vec![b'x'; SECRET_BYTES_MAX], 0o600);
    place.check(&place.file("full"), &"x".repeat(SECRET_BYTES_MAX));
    place.write("more", vec![b'x'; SECRET_BYTES_MAX + 1], 0o600);
    place.refused(&place.file("more"), "longer than 65536 bytes");
}

#[test]
fn a_file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a file to somebody else");
        return;
    }
    let place = Place::new();
    let path = place.write("token", "value", 0o600);
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    place.refused(&place.file("token"), "neither the node's user nor root");
}

#[test]
fn a_variable_is_that_of_the_node() {
    let place = Place::new();
    place.check("env:PATH", &std::env::var("PATH").unwrap());
    place.refused("env:CORTEX_TEST_NEVER_SET", "the variable is not set");
}

#[test]
fn systemd_gives_the_node_what_its_unit_names() {
    let mut place = Place::new();
    place.refused("systemd-cred:token", "the node has no $CREDENTIALS_DIRECTORY");
    place.unit = Some(place.path("unit"));
    place.write("unit/token", "from systemd", 0o440);
    place.check("systemd-cred:token", "from systemd");
    place.refused("systemd-cred:other", "the node's systemd unit has no credential of that name");
    symlink("/etc/hostname", place.path("unit/link")).unwrap();
    place.refused("systemd-cred:link", "no regular file");
}

#[test]
fn a_keychain_is_asked_by_service_and_account() {
    let place = Place::new();
    place.check("keychain:github.com/me", "from the keychain");
    place.refused("keychain:github.com/you", "the keychain has no such entry");
}

#[test]
fn the_kernels_key_rings_are_a_keychain() {
    let service = format!("cortex-test-{:x}", rand::random::<u64>());
    let store = linux_keyutils_keyring_store::Store::new().unwrap();
    let entry = store.build(&service, "me", None).and_then(|entry| {
        entry.set_secret(b"in the kernel")?;
        Ok(entry)
    });
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            println!("skipped: the kernel's key rings cannot be used here: {error}");
            return;
        }
    };
    let found = KernelKeychain.read(&service, "me");
    let other = KernelKeychain.read(&service, "you");
    entry.delete_credential().unwrap();
    assert_eq!(found.unwrap().bytes(), b"in the kernel");
    assert!(matches!(other, Err(Unavailable::NotInKeychain)), "{other:?}");
    let unclear = KernelKeychain.read("a@b", "me");
    assert!(matches!(unclear, Err(Unavailable::Keychain { .. })), "{unclear:?}");
}

/// As the kubelet mounts a secret: links into a folder that a link names.
fn mount(place: &Place, secret: &str, keys: &[(&str, &str)]) {
    let folder = place.path(secret);
    fs::create_dir_all(folder.join("..2026_11_20")).unwrap();
    symlink("..2026_11_20", folder.join("..data")).unwrap();
    for (key, value) in keys {
        fs::write(folder.join("..2026_11_20").join(key), value).unwrap();
        symlink(Path::new("..data").join(key), folder.join(key)).unwrap();
    }
}

#[test]
fn a_mounted_secret_is_read_by_its_key() {
    let mut place = Place::new();
    place.sources.kubernetes_secrets_dir = Some(place.path("secrets"));
    mount(&place, "secrets/creds", &[("token", "mounted"), ("user", "me")]);
    mount(&place, "secrets/cortex/one", &[("only", "the only one")]);
    place.check("k8s-secret:creds#token", "mounted");
    place.check("k8s-secret:cortex/one", "the only one");
    place.check("k8s-secret:cortex/one#only", "the only one");
    place.refused("k8s-secret:creds", "the secret has 2 keys: name one with #KEY");
    place.refused("k8s-secret:creds#other", "the secret has no such key");
}

#[test]
fn a_mounted_secret_leads_nowhere_else() {
    let mut place = Place::new();
    place.sources.kubernetes_secrets_dir = Some(place.path("secrets"));
    place.write("outside", "not a secret", 0o600);
    mount(&place, "secrets/creds", &[("token", "mounted")]);
    symlink("../../outside", place.path("secrets/creds/relative")).unwrap();
    symlink("/etc/hostname", place.path("secrets/creds/absolute")).unwrap();
    place.refused("k8s-secret:creds#relative", "cannot open the file");
    place.refused("k8s-secret:creds#absolute", "cannot open the file");
}

#[test]
fn without_kubernetes_there_is_nobody_to_ask() {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        println!("skipped: this is a pod");
        return;
    }
    Place::new().refused("k8s-secret:cortex/creds#token", "there is no Kubernetes to ask");
}

fn credentials(place: &Place, names: &[(&str, &str)]) -> Credentials {
    let entry = |(name, reference): &(&str, &str)| ((*name).to_owned(), parse(reference));
    Credentials {
        references: names.iter().map(entry).collect(),
        resolver: Resolver::with_unit(place.sources.clone(), Arc::new(OneEntry), None),
        folders: Folders::open(&[memory()], place.folder.path()),
    }
}

fn memory() -> PathBuf {
    PathBuf::from("/dev/shm")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_name_that_the_manifest_lacks_is_unknown_and_nothing_is_looked_for() {
    let place = Place::new();
    let missing = place.file("missing");
    let credentials = credentials(&place, &[("known", &missing)]);
    let asked = names(&["known", "foreign", "other"]);
    let fault = block_on(credentials.hand_over(&asked, "t-1")).err().unwrap();
    assert_eq!(fault.code, ErrorCode::CredentialUnknown);
    assert_eq!(fault.message, "this node's manifest names no credential foreign, other");
}

#[test]
fn what_cannot_be_had_is_named_with_its_form_and_the_cause() {
    let place = Place::new();
    place.write("open", "hunter22", 0o644);
    let open = place.file("open");
    let credentials = credentials(&place, &[("token", &open)]);
    let fault = block_on(credentials.hand_over(&names(&["token"]), "t-1")).err().unwrap();
    assert_eq!(fault.code, ErrorCode::CredentialUnavailable);
    let expected = "credential token (file:PATH): others than its owner have access to the file";
    assert!(fault.message.starts_with(expected), "{fault}");
    assert!(!format!("{fault:?}").contains("hunter22"));
}

#[test]
fn a_run_gets_a_private_folder_in_memory_with_what_it_asked_for_and_no_more() {
    let place = Place::new();
    place.write("token", "hunter22", 0o600);
    let token = place.file("token");
    let credentials = credentials(
        &place,
        &[("token", &token), ("other", &token), ("key", "keychain:github.com/me")],
    );
    let given = block_on(credentials.hand_over(&names(&["key", "token"]), "t-1")).unwrap();
    let path = PathBuf::from(given.folder.text());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
    assert_eq!((mode(&path.join("key")), mode(&path.join("token"))), (0o400, 0o400));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
    assert_eq!(fs::read(path.join("token")).unwrap(), b"hunter22");
    drop(given);
    assert!(!path.exists());
    let parent = path.parent().unwrap().to_owned();
    assert!(parent.exists());
    drop(credentials);
    assert!(!parent.exists());
}

#[test]
fn all_credentials_of_a_run_have_a_size_together() {
    let place = Place::new();
    place.write("large", vec![b'x'; SECRET_BYTES_MAX], 0o600);
    let large = place.file("large");
    let all: Vec<String> = (0..5).map(|number| format!("c{number}")).collect();
    let entries: Vec<(&str, &str)> = all.iter().map(|name| (name.as_str(), &*large)).collect();
    let credentials = credentials(&place, &entries);
    assert!(block_on(credentials.hand_over(&all[..4], "t-1")).is_ok());
    let fault = block_on(credentials.hand_over(&all, "t-2")).err().unwrap();
    assert!(fault.message.contains("together longer than 262144 bytes"), "{fault}");
}

#[test]
fn a_folder_on_a_disk_is_never_used() {
    let place = Place::new();
    let disk = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = Folders::open(&[disk.clone(), "/nowhere".into()], place.folder.path());
    let error = chain(&folders.base().unwrap_err());
    assert!(error.contains("neither $XDG_RUNTIME_DIR nor /dev/shm"), "{error}");
    assert!(folders.make("t-1", &[]).is_err());
    let folders = Folders::open(&[disk, memory()], place.folder.path());
    assert_eq!(folders.base().unwrap(), memory());
}

/// The folder of a run whose node was killed.
fn left_behind(state: &Path) -> PathBuf {
    let folders = Folders::open(&[memory()], state);
    let secret = Secret::new(Zeroizing::new(b"left behind".to_vec())).unwrap();
    let folder = folders.make("t-1", &[("token".to_owned(), secret)]).unwrap();
    let path = PathBuf::from(folder.text());
    std::mem::forget((folders, folder));
    path
}

#[test]
fn what_a_killed_node_left_goes_when_the_next_one_starts_and_nothing_else() {
    let (place, other) = (Place::new(), Place::new());
    let (ours, theirs) = (left_behind(place.folder.path()), left_behind(other.folder.path()));
    assert!(ours.join("token").exists() && theirs.join("token").exists());
    drop(Folders::open(&[memory()], place.folder.path()));
    assert!(!ours.parent().unwrap().exists());
    assert!(theirs.join("token").exists());
    drop(Folders::open(&[memory()], other.folder.path()));
    assert!(!theirs.parent().unwrap().exists());
}

#[test]
fn a_folder_that_somebody_else_prepared_is_refused() {
    let place = Place::new();
    let folders = Folders::open(&[memory()], place.folder.path());
    let first = folders.make("t-1", &[]).unwrap();
    let parent = Path::new(first.text()).parent().unwrap().to_owned();
    fs::set_permissions(&parent, Permissions::from_mode(0o755)).unwrap();
    let error = folders.make("t-2", &[]).unwrap_err();
    assert!(matches!(error, Unavailable::ForeignFolder), "{error}");
    drop(first);
    fs::remove_dir(&parent).unwrap();
    symlink(place.folder.path(), &parent).unwrap();
    let error = folders.make("t-3", &[]).unwrap_err();
    assert!(matches!(error, Unavailable::ForeignFolder), "{error}");
    fs::remove_file(&parent).unwrap();
}
