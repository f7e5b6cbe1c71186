//! What a manifest may say, and what follows from it.

use super::*;

#[test]
fn a_plain_manifest_is_valid() {
    check(|_| (), None);
}

#[test]
fn texts_are_bounded_and_printable() {
    check(|it| it.name = String::new(), Some("name is empty"));
    check(|it| it.name = "x".repeat(257), Some("name is longer than 256 bytes"));
    check(|it| it.name = "a\u{7}b".to_owned(), Some("name holds a control character"));
    check(|it| it.location = Some("a\nb".to_owned()), Some("location holds a control character"));
    check(|it| it.endpoint = Some(String::new()), Some("endpoint is empty"));
}

#[test]
fn a_role_is_one_word() {
    check(|it| it.role = "night-shift_2".to_owned(), None);
    check(|it| it.role = "two words".to_owned(), Some("role must be one word"));
    check(|it| it.role = "a.b".to_owned(), Some("role must be one word"));
}

#[test]
fn counts_are_bounded() {
    let tool = |n: usize| Capability::parse(&format!("tool-{n}")).unwrap();
    let tools = |count: usize| -> Vec<_> { (0..count).map(tool).collect() };
    check(|it| it.capabilities.tools = tools(512), None);
    let many = Some("capabilities has 513 entries, the limit is 512");
    check(|it| it.capabilities.tools = tools(513), many);
    check(|it| (it.capabilities.tools, it.capabilities.system) = (tools(256), tools(257)), many);
    let relations =
        Some("can_task, accepts_tasks_from and reports_to has 129 entries, the limit is 128");
    check(|it| it.reports_to = vec![id("boss"); 129], relations);
    let table: BTreeMap<_, _> = (0..129).map(|n| (n.to_string(), "x".to_owned())).collect();
    check(|it| it.labels = table, Some("labels has 129 entries, the limit is 128"));
}

#[test]
fn labels_are_texts() {
    let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    check(|it| it.labels = label("gpu", "h100"), None);
    check(|it| it.labels = label("", "x"), Some("labels is empty"));
    check(|it| it.labels = label("gpu", ""), Some("labels.gpu is empty"));
}

#[test]
fn credentials_are_references_and_a_secret_is_never_repeated() {
    let secret = BTreeMap::from([("proxmox".to_owned(), "hunter2".to_owned())]);
    let mut manifest = manifest();
    manifest.credentials = secret;
    let fault = manifest.validate().unwrap_err();
    assert!(fault.message.starts_with("credentials.proxmox must be a reference"), "{fault}");
    assert!(!fault.to_string().contains("hunter2"), "{fault}");
    let named =
        |name: &str, reference: &str| BTreeMap::from([(name.to_owned(), reference.to_owned())]);
    let reference = "k8s-secret:cortex/proxmox-creds#token";
    check(|it| it.credentials = named("proxmox", reference), None);
    let problem = "credentials.proxmox must be a reference of the form file:PATH: \
                   the path is not absolute";
    check(|it| it.credentials = named("proxmox", "file:token"), Some(problem));
    let problem = "credentials has a name that must be letters, digits, dots, - and _, \
                   and not begin with a dot";
    check(|it| it.credentials = named("a/b", reference), Some(problem));
}

#[test]
fn limits_make_sense() {
    check(|it| it.limits.max_tasks = Some(0), Some("limits.max_tasks must be at least 1"));
    check(|it| it.limits.cpu_percent = Some(100), None);
    check(|it| it.limits.cpu_percent = Some(0), Some("limits.cpu_percent must be 1 to 100"));
    check(
        |it| it.limits.memory_percent = Some(101),
        Some("limits.memory_percent must be 1 to 100"),
    );
    let interval = Some("heartbeat_interval must be 1 to 3600 seconds");
    check(|it| it.heartbeat_interval = Some(0), interval);
    check(|it| it.heartbeat_interval = Some(3601), interval);
    check(|it| it.heartbeat_interval = Some(3600), None);
}

#[test]
fn patterns_of_principals_are_ids_prefixes_or_everybody() {
    for (raw, valid) in [
        ("cortex-desktop", true),
        ("cortex-*", true),
        ("cortex*", true),
        ("*", true),
        ("", false),
        ("**", false),
        ("*-x", false),
        ("a*b", false),
        ("-*", false),
        ("a.b", false),
        ("A*", false),
    ] {
        assert_eq!(PrincipalPattern::parse(raw).is_ok(), valid, "{raw:?}");
    }
}

#[test]
fn a_pattern_covers_whom_it_names() {
    for (raw, who, covers) in [
        ("cortex-desktop", "cortex-desktop", true),
        ("cortex-desktop", "cortex-desktop-2", false),
        ("cortex-*", "cortex-desktop", true),
        ("cortex-*", "cortex", false),
        ("*", "anybody", true),
    ] {
        let pattern = PrincipalPattern::parse(raw).unwrap();
        assert_eq!(pattern.covers(&id(who)), covers, "{raw} covers {who}");
    }
}

#[test]
fn the_first_entry_that_grants_is_named_and_servers_stand_for_all_they_offer() {
    let mut manifest = manifest();
    manifest.capabilities.mcp_servers = vec![can("proxmox")];
    manifest.capabilities.system = vec![can("kubernetes_access")];
    manifest.capabilities.tools = vec![can("shell.exec@v1"), can("shell.*")];
    for (wanted, granted_by) in [
        ("shell.exec", Some("shell.exec@v1")),
        ("shell.exec@v2", Some("shell.*")),
        ("shell.*", Some("shell.exec@v1")),
        ("proxmox", Some("proxmox")),
        ("proxmox.create_vm", Some("proxmox")),
        ("proxmox.*", Some("proxmox")),
        ("kubernetes_access", Some("kubernetes_access")),
        ("kubernetes_access.x", None),
        ("docker.run", None),
    ] {
        let found = manifest.grants(&can(wanted)).map(Capability::as_str);
        assert_eq!(found, granted_by, "{wanted}");
    }
}

/// Validates a plain manifest with one thing changed.
#[track_caller]
fn check(change: impl FnOnce(&mut Manifest), problem: Option<&str>) {
    let mut manifest = manifest();
    change(&mut manifest);
    let fault = manifest.validate().err();
    assert_eq!(fault.as_ref().map(|fault| fault.message.as_str()), problem);
    assert!(fault.is_none_or(|fault| fault.code == ErrorCode::InvalidManifest));
}

fn manifest() -> Manifest {
    Manifest {
        id: id("web"),
        name: "Web".to_owned(),
        role: "worker".to_owned(),
        location: None,
        endpoint: None,
        capabilities: Capabilities::default(),
        can_task: Vec::new(),
        accepts_tasks_from: Vec::new(),
        reports_to: Vec::new(),
        credentials: BTreeMap::new(),
        labels: BTreeMap::new(),
        limits: Limits::default(),
        heartbeat_interval: None,
    }
}

fn id(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn can(name: &str) -> Capability {
    Capability::parse(name).unwrap()
}
