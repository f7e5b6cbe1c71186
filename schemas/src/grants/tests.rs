//! Grants that fit, and those that go too far.

use super::*;

fn grants() -> Grants {
    Grants {
        capabilities: vec![Capability::parse("proxmox.*").unwrap()],
        agents: vec![PrincipalPattern::parse("build-*").unwrap()],
        credentials: vec!["proxmox".to_owned()],
        paths: vec![PathGrant { path: "/srv/job".to_owned(), access: PathAccess::Write }],
        network: vec!["example.org:443".to_owned()],
        tasks_max: 3,
        until_s: Some(1_000),
    }
}

fn check(change: impl FnOnce(&mut Grants), excess: Option<&str>) {
    let mut inner = grants();
    change(&mut inner);
    let found = grants().permit_grants(&inner).err().map(|excess| excess.to_string());
    assert_eq!(found.as_deref(), excess);
}

#[test]
fn grants_contain_themselves_and_less() {
    check(|_| (), None);
    check(|inner| *inner = Grants::default(), None);
    check(|inner| inner.capabilities = vec![Capability::parse("proxmox.start").unwrap()], None);
    check(|inner| inner.agents = vec![PrincipalPattern::parse("build-1").unwrap()], None);
    check(|inner| inner.paths[0].path.push_str("/deep"), None);
    check(|inner| inner.paths[0].access = PathAccess::Read, None);
}

#[test]
fn whatever_goes_too_far_is_named() {
    let wide = |text| vec![Capability::parse(text).unwrap()];
    check(|inner| inner.capabilities = wide("*"), Some("capability * is not granted"));
    check(
        |inner| inner.capabilities = wide("shell.exec"),
        Some("capability shell.exec is not granted"),
    );
    let agents = |text| vec![PrincipalPattern::parse(text).unwrap()];
    check(|inner| inner.agents = agents("*"), Some("agent * is not granted"));
    check(|inner| inner.agents = agents("bui*"), Some("agent bui* is not granted"));
    check(|inner| inner.credentials.push("aws".into()), Some("credential aws is not granted"));
    check(|inner| inner.paths[0].path = "/srv".into(), Some("path /srv is not granted"));
    check(|inner| inner.paths[0].path = "/srv/jobs".into(), Some("path /srv/jobs is not granted"));
    check(
        |inner| inner.paths[0].path = "/srv/job/../x".into(),
        Some("path /srv/job/../x is not granted"),
    );
    check(
        |inner| inner.network.push("example.org:80".into()),
        Some("network example.org:80 is not granted"),
    );
    check(|inner| inner.tasks_max = 4, Some("tasks_max 4 is not granted"));
    check(|inner| inner.until_s = Some(1_001), Some("until_s 1001 is not granted"));
}

#[test]
fn an_audience_must_be_named() {
    let audience = |text: &str| text.parse::<Audience>().unwrap();
    assert!(grants().permit_audience(&audience("node:build-7")).is_ok());
    assert!(grants().permit_audience(&audience("can:proxmox.start")).is_ok());
    assert!(grants().permit_audience(&audience("node:web")).is_err());
    assert!(grants().permit_audience(&audience("can:shell.exec")).is_err());
    assert!(Grants::default().permit_audience(&audience("node:build-7")).is_err());
}
