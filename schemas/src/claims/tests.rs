//! Whom a request may be for.

use super::*;

#[test]
fn an_audience_is_a_node_or_a_capability() {
    for text in ["node:web-1", "can:proxmox.*", "can:shell.exec@v1", "can:*"] {
        assert_eq!(text.parse::<Audience>().unwrap().to_string(), text);
    }
    for text in ["", "node:", "node:a.b", "node:*", "can:", "can:a b", "group:x", "web-1", "NODE:a"]
    {
        assert_eq!(text.parse::<Audience>(), Err(InvalidAudience(text.to_owned())));
    }
}
