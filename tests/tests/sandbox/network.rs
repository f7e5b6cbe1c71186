//! Attacks on the network and on other ways between processes.

use std::{
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
};

use crate::{
    attack::{Attack, check, not_run},
    stage::Stage,
};

/// No such family of sockets.
const NO_FAMILY: &[&str] = &["blocked EAFNOSUPPORT"];

#[tokio::test]
async fn attack_a50_reach_a_socket_of_the_host() {
    let stage = Stage::new();
    let (stream, datagram) = (stage.path("stream"), stage.path("datagram"));
    let _listener = UnixListener::bind(&stream).unwrap();
    let _receiver = UnixDatagram::bind(&datagram).unwrap();
    for path in [&stream, &datagram] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    check(&stage, Attack::new("A50", &["unix-stream", &stream], &["blocked ENOENT"])).await;
    check(&stage, Attack::new("A50", &["unix-datagram", &datagram], &["blocked ENOENT"])).await;
}

#[tokio::test]
async fn attack_a51_reach_an_abstract_socket_of_the_host() {
    let stage = Stage::new();
    let name = format!("cortex-attack-{}", std::process::id());
    let datagram = format!("{name}-datagram");
    let _listener =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let _receiver =
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&datagram).unwrap()).unwrap();
    let away = &["blocked ECONNREFUSED", "blocked EPERM"];
    check(&stage, Attack::new("A51", &["unix-stream", &format!("@{name}")], away)).await;
    check(&stage, Attack::new("A51", &["unix-datagram", &format!("@{datagram}")], away)).await;
}

#[tokio::test]
async fn attack_a53_reach_a_service_of_the_host() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    check(&stage, Attack::new("A53", &["tcp", &port], NO_FAMILY)).await;
    check(&stage, Attack::new("A53", &["bind"], NO_FAMILY)).await;
    check(&stage, Attack::new("A53", &["listen"], NO_FAMILY)).await;
    match TcpListener::bind("[::1]:0") {
        Ok(listener) => {
            let port = listener.local_addr().unwrap().port().to_string();
            check(&stage, Attack::new("A53", &["tcp6", &port], NO_FAMILY)).await;
        }
        Err(error) => not_run("A53", "tcp6", &error.to_string()),
    }
}

#[tokio::test]
async fn attack_a54_use_other_families_of_sockets() {
    let stage = Stage::new();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = receiver.local_addr().unwrap().port().to_string();
    check(&stage, Attack::new("A54", &["udp", &port], NO_FAMILY)).await;
    // Netlink, vsock and multipath TCP; then what only root may have: raw and packet sockets.
    for socket in [["16", "3", "0"], ["40", "1", "0"], ["2", "1", "262"]] {
        let [family, kind, protocol] = socket;
        let act = ["socket", family, kind, protocol];
        if stage.outside(&act) == "did" {
            check(&stage, Attack::new("A54", &act, NO_FAMILY)).await;
        } else {
            not_run("A54", &format!("socket {family} {protocol}"), "this kernel has none");
        }
    }
    for socket in [["2", "3", "1"], ["17", "3", "0"]] {
        let [family, kind, protocol] = socket;
        let act = ["socket", family, kind, protocol];
        check(&stage, Attack::of_root("A54", &act, NO_FAMILY)).await;
    }
}

#[tokio::test]
async fn attack_a55_reach_the_network_by_a_shell() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = format!("echo x > /dev/tcp/127.0.0.1/{port} && echo did");
    let outside = std::process::Command::new("bash").args(["-c", &line]).output();
    let outside = outside.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if outside.as_deref().unwrap_or_default() != "did" {
        not_run("A55", "bash", "there is no bash that can");
        return;
    }
    let (_, inside) = stage.run(&["bash", "-c", &line]).await;
    crate::attack::told("A55", "bash /dev/tcp", &format!("{inside:?}"), "did");
    assert_eq!(inside, "");
}

#[tokio::test]
async fn attack_a58_use_shared_memory_of_the_host() {
    let stage = Stage::new();
    let key = format!("0x{:x}", 0x4370_0000 + std::process::id());
    assert_eq!(stage.outside(&["make-shared-memory", &key]), "did");
    check(&stage, Attack::new("A58", &["shared-memory", &key], &["blocked ENOENT"])).await;
    assert_eq!(stage.outside(&["remove-shared-memory", &key]), "did");
}

#[tokio::test]
async fn attack_a56_get_around_an_allow_list() {
    not_run("A52", "descriptors", "a run shares no socket with anybody outside");
    for id in ["A56", "A57", "A59"] {
        not_run(id, "allow-list", "there is no proxy yet: a run has no network at all");
    }
}
