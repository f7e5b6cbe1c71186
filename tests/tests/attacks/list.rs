//! The attacks on envelopes and on enrolment, by their numbers in the design.
//!
//! **Invariant:** a number keeps its meaning; 54 to 88 are attacks on the log and stand elsewhere.

use std::fmt;

/// Numbers whose tests are still to come; whoever writes one takes its number off.
pub(crate) const AWAITED: &[u8] = &[];

/// One attack.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) number: u8,
    /// What is attempted.
    what: &'static str,
    /// The name of a test of it has one of these words.
    pub(crate) words: &'static [&'static str],
}

impl Attack {
    /// Whether a test of this name can be about it.
    pub(crate) fn fits(&self, name: &str) -> bool {
        self.words.iter().any(|word| name.contains(word))
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>2}  {}", self.number, self.what)
    }
}

const fn attack(number: u8, what: &'static str, words: &'static [&'static str]) -> Attack {
    Attack { number, what, words }
}

/// All of them.
pub(crate) const ATTACKS: &[Attack] = &[
    attack(1, "every single bit flipped", &["bit"]),
    attack(2, "truncated at every byte", &["truncat"]),
    attack(3, "a trailing byte or a second object", &["trailing"]),
    attack(4, "a signature of zeros, of ones, of 63 or 65 bytes", &["signature"]),
    attack(5, "the order added to S", &["malleat"]),
    attack(6, "R or A in a second spelling", &["spelling", "canonical"]),
    attack(7, "a key of small order, with R the identity and S zero", &["small_order", "weak_key"]),
    attack(8, "a key of mixed order", &["part_of_small_order", "mixed", "weak_key"]),
    attack(9, "the issuer's key swapped for another under its id", &["attackers_key"]),
    attack(10, "a key id that collides when it is cut short", &["key_id"]),
    attack(11, "another algorithm, none, or one in the unprotected header", &["algorithm"]),
    attack(12, "an unprotected header that is not empty", &["unprotected"]),
    attack(13, "a critical header that is unknown", &["critical"]),
    attack(14, "a null payload for an empty one", &["null_payload"]),
    attack(15, "a detached payload", &["detached"]),
    attack(16, "another COSE message, untagged, tagged twice", &["tag"]),
    attack(17, "indefinite arrays, maps and strings", &["indefinite"]),
    attack(
        18,
        "integers and lengths not in their shortest form",
        &["longer", "greater_length", "inserted"],
    ),
    attack(19, "a map key that occurs twice", &["twice"]),
    attack(20, "map keys out of order", &["order"]),
    attack(21, "an unknown claim", &["unknown"]),
    attack(22, "times and numbers of another type or beyond their range", &["type", "range"]),
    attack(23, "text that is no UTF-8, has a NUL, or looks like another", &["utf8", "looks_like"]),
    attack(24, "bombs of depth and of tags", &["bomb"]),
    attack(25, "declared lengths beyond the input", &["declared_length"]),
    attack(26, "a byte over the size limit, a gigabyte declared", &["size"]),
    attack(27, "expired", &["expired"]),
    attack(28, "before its time", &["before_its_time"]),
    attack(29, "issued in the future", &["future"]),
    attack(30, "a life over the cap", &["cap"]),
    attack(31, "a second before, at and after the clock's skew", &["skew"]),
    attack(32, "the clock set back or forward, across a restart", &["clock"]),
    attack(33, "time zero, a leap second, the end of time", &["time_zero", "leap"]),
    attack(34, "another audience, several, or part of one", &["audience", "somebody_else"]),
    attack(35, "another cluster with the same keys", &["cluster"]),
    attack(36, "a key of another purpose", &["purpose", "another_type", "key_that_makes_others"]),
    attack(
        37,
        "a signature of another protocol, and the reverse",
        &["protocol", "oracle", "nonce", "checkpoint"],
    ),
    attack(38, "replayed on the same node", &["replay"]),
    attack(39, "replayed on another node", &["another_node"]),
    attack(40, "replayed after a crash between record and run", &["crash", "restart"]),
    attack(41, "replayed after the record of it was evicted", &["evict"]),
    attack(
        42,
        "replayed after a machine was rolled back to a snapshot",
        &["snapshot", "rolled_back"],
    ),
    attack(43, "delivered many times at once", &["duplicate"]),
    attack(44, "the same nonce with another body", &["nonce"]),
    attack(45, "the body swapped, with an equal beginning, empty", &["body"]),
    attack(46, "the user binding stripped or swapped", &["user"]),
    attack(
        47,
        "a revoked key or user, a revocation list rolled back",
        &["revo", "roster", "rolled_back", "banned"],
    ),
    attack(
        48,
        "a retired key for a new task, an old task under a rotated key",
        &["retired", "rotat", "renewed"],
    ),
    attack(49, "an epoch or attempt that is used again", &["epoch", "attempt"]),
    attack(50, "JSON and CBOR read in two ways", &["json"]),
    attack(51, "parsed again after it was verified", &["verified"]),
    attack(52, "error codes or timing as an oracle", &["oracle"]),
    attack(53, "floods of garbage that cost signature checks", &["garbage", "flood"]),
    attack(
        89,
        "an invite redeemed twice, at once, on two servers",
        &["twice", "two", "once", "invite", "token"],
    ),
    attack(90, "an invite after its expiry", &["expir", "late", "run_out"]),
    attack(
        91,
        "enrolment interrupted at each step",
        &["interrupt", "kill", "crash", "step", "stopped"],
    ),
    attack(92, "another key after an invite was begun with one", &["key"]),
    attack(93, "an id taken again with a new key", &["id", "name", "taken", "certified"]),
    attack(
        94,
        "a revoked node's key and its live connection",
        &["revo", "live", "connection", "banned", "evict"],
    ),
    attack(95, "a hostile server's nonce that is a checkpoint's text", &["nonce", "checkpoint"]),
    attack(96, "a secret or token in what is logged", &["log", "clear", "secret", "written"]),
    attack(
        97,
        "a stale credential in a race with its refresh",
        &["stale", "race", "refresh", "renew"],
    ),
    attack(98, "a node's data copied to two hosts", &["clone", "cop", "two_hosts"]),
];
