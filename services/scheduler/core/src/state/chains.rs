//! Certificates that came with requests, each chain once: most requests of an issuer bring the same.
//!
//! **Invariant:** a chain is kept exactly as long as a live task uses it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Chains of certificates by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u64, Chain>", into = "BTreeMap<u64, Chain>")]
pub(crate) struct Chains {
    by_number: BTreeMap<u64, Chain>,
    numbers: BTreeMap<Vec<String>, u64>,
}

/// A chain, and how many tasks use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    certificates: Vec<String>,
    uses: u64,
}

impl From<BTreeMap<u64, Chain>> for Chains {
    fn from(by_number: BTreeMap<u64, Chain>) -> Self {
        let number = |(number, chain): (&u64, &Chain)| (chain.certificates.clone(), *number);
        let numbers = by_number.iter().map(number).collect();
        Self { by_number, numbers }
    }
}

impl From<Chains> for BTreeMap<u64, Chain> {
    fn from(chains: Chains) -> Self {
        chains.by_number
    }
}

impl Chains {
    /// Keeps a chain for one more task; `fresh` is its number if it is a new one.
    pub(crate) fn keep(&mut self, certificates: &[String], fresh: u64) -> Option<u64> {
        if certificates.is_empty() {
            return None;
        }
        let known = self.numbers.get(certificates).copied();
        let number = known.unwrap_or(fresh);
        if known.is_none() {
            self.numbers.insert(certificates.to_vec(), number);
        }
        let new = || Chain { certificates: certificates.to_vec(), uses: 0 };
        self.by_number.entry(number).or_insert_with(new).uses += 1;
        Some(number)
    }

    /// One task less uses it.
    pub(crate) fn drop_one(&mut self, number: u64) {
        let Some(chain) = self.by_number.get_mut(&number) else { return };
        chain.uses -= 1;
        if chain.uses == 0
            && let Some(chain) = self.by_number.remove(&number)
        {
            self.numbers.remove(&chain.certificates);
        }
    }

    pub(crate) fn get(&self, number: u64) -> &[String] {
        self.by_number.get(&number).map_or(&[], |chain| &chain.certificates)
    }
}
