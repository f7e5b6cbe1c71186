//! What a broker of a test is configured with, and the file that nats-server reads.

use std::path::Path;

/// Disk that JetStream may set aside: room for the limits of all streams, little of which is used.
const MAX_FILE_STORE: &str = "32GB";
/// Memory for streams that a test keeps in memory.
const MAX_MEMORY_STORE: &str = "256MB";

/// A name and password that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As given to `connect_as`.
    pub name: String,
    /// In the clear: these brokers listen on the loopback only.
    pub password: String,
    /// The inside of nats-server's `permissions { }`, such as `publish: "a.>"`; all is allowed without.
    pub permissions: Option<String>,
}

impl User {
    /// A user who may do anything in its account.
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), permissions: None }
    }

    /// The same user with nats-server's `permissions { }` set to `inside`.
    #[must_use]
    pub fn limited_to(self, inside: &str) -> Self {
        Self { permissions: Some(inside.to_owned()), ..self }
    }
}

/// How a test's broker differs from the plain one: JetStream on disk, every write synced, no login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// Users of account `APP`, which has JetStream. The first one is who `connect` connects as.
    pub users: Vec<User>,
    /// Users of the system account `SYS`.
    pub system_users: Vec<User>,
    /// Lines put at the end of the configuration file as they are.
    pub extra: String,
    /// Lines put at the end of the `jetstream { }` block as they are.
    pub jetstream_extra: String,
}

/// One server's place in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) name: String,
    pub(super) port: u16,
    /// The cluster ports of all nodes; a route to itself is ignored by the server.
    pub(super) all_ports: Vec<u16>,
}

/// The configuration file. `port` is the client port; `None` lets the system choose.
pub(super) fn render(
    options: &ServerOptions,
    store: &Path,
    port: Option<u16>,
    seat: Option<&Seat>,
) -> String {
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let ServerOptions { extra, jetstream_extra, .. } = options;
    let mut text = format!(
        "host: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:-1\"\n\
         jetstream {{\n  store_dir: {store:?}\n  sync_interval: always\n  \
         max_file_store: {MAX_FILE_STORE}\n  max_memory_store: {MAX_MEMORY_STORE}\n{jetstream_extra}\n}}\n"
    );
    if let Some(seat) = seat {
        text.push_str(&cluster(seat));
    }
    if !(options.users.is_empty() && options.system_users.is_empty()) {
        text.push_str(&accounts(options));
    }
    text + extra
}

fn cluster(seat: &Seat) -> String {
    let routes: Vec<_> =
        seat.all_ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    format!(
        "server_name: {}\ncluster {{\n  name: cortex\n  listen: \"127.0.0.1:{}\"\n  routes: [{}]\n}}\n",
        seat.name,
        seat.port,
        routes.join(", ")
    )
}

fn accounts(options: &ServerOptions) -> String {
    format!(
        "accounts {{\n  APP {{ jetstream: enabled, users: [{}] }}\n  SYS {{ users: [{}] }}\n}}\nsystem_account: SYS\n",
        users(&options.users),
        users(&options.system_users)
    )
}

fn users(users: &[User]) -> String {
    let user = |User { name, password, permissions }: &User| match permissions {
        Some(inside) => {
            format!("{{ user: {name:?}, password: {password:?}, permissions {{ {inside} }} }}")
        }
        None => format!("{{ user: {name:?}, password: {password:?} }}"),
    };
    users.iter().map(user).collect::<Vec<_>>().join(", ")
}
