//! The buckets that others read, as data files that the plain `nats` CLI takes too.
//!
//! **Invariant:** a bucket can be made anew, so that a single server need not sync every row.

use schemas::subject::Bucket;

use crate::streams::{Replicas, Role, Wanted};

fn file(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Principals => include_str!("../buckets/cortex_principals.json"),
        Bucket::Agents => include_str!("../buckets/cortex_agents.json"),
        Bucket::Tasks => include_str!("../buckets/cortex_tasks.json"),
        Bucket::Envelopes => include_str!("../buckets/cortex_envelopes.json"),
        Bucket::Presence => include_str!("../buckets/cortex_presence.json"),
    }
}

/// The stream behind `bucket`.
#[must_use]
pub fn bucket(bucket: Bucket, replicas: Replicas) -> Wanted {
    Wanted::of(file(bucket), Role::Disposable, replicas)
}

/// The streams behind all buckets.
#[must_use]
pub fn all(replicas: Replicas) -> Vec<Wanted> {
    Bucket::ALL.into_iter().map(|name| bucket(name, replicas)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_its_own_file() {
        for name in Bucket::ALL {
            let wanted = bucket(name, Replicas::One);
            assert_eq!(wanted.name(), format!("KV_{}", name.as_str()));
        }
    }
}
