//! What can go wrong with one append, each as it was seen on real servers.

/// A fault that one append meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered as refused, yet stored: an earlier copy by the client's own resend won.
    RefusedButStored,
    /// Answered as refused and not stored, though the fence was right: a leader that lost its seat.
    RefusedNotStored,
    /// Answered as refused; stored when this many further calls were made.
    RefusedThenStored {
        /// Calls of any kind, by anybody.
        after_calls: u32,
    },
    /// Stored, but the acknowledgement is lost.
    UnknownButStored,
    /// Lost on the way.
    UnknownAndLost,
    /// No acknowledgement; stored when this many further calls were made.
    UnknownThenStored {
        /// Calls of any kind, by anybody.
        after_calls: u32,
    },
    /// Answered as full.
    Full,
    /// Acknowledged at another place than fence + 1: somebody meddled with the stream.
    AckedElsewhere,
}

/// The largest delay that chance gives a frame, in calls.
const DELAY_CALLS_MAX: u64 = 12;

impl Fault {
    /// The fault's name, to count it under.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RefusedButStored => "refused-but-stored",
            Self::RefusedNotStored => "refused-not-stored",
            Self::RefusedThenStored { .. } => "refused-then-stored",
            Self::UnknownButStored => "unknown-but-stored",
            Self::UnknownAndLost => "unknown-and-lost",
            Self::UnknownThenStored { .. } => "unknown-then-stored",
            Self::Full => "full",
            Self::AckedElsewhere => "acked-elsewhere",
        }
    }
}

/// Chooses faults by a seed: SplitMix64, which needs no state but a counter.
#[derive(Debug, Default)]
pub(super) struct Chance {
    counter: u64,
    per_mille: u64,
}

impl Chance {
    pub(super) fn new(seed: u64, per_mille: u32) -> Self {
        Self { counter: seed, per_mille: per_mille.into() }
    }

    /// The fault that the next append meets, if it meets one. Never one that ends a writer.
    pub(super) fn next_fault(&mut self) -> Option<Fault> {
        if self.per_mille <= self.below(1000) {
            return None;
        }
        let after_calls = u32::try_from(self.below(DELAY_CALLS_MAX)).unwrap_or_default();
        let faults = [
            Fault::RefusedButStored,
            Fault::RefusedNotStored,
            Fault::RefusedThenStored { after_calls },
            Fault::UnknownButStored,
            Fault::UnknownAndLost,
            Fault::UnknownThenStored { after_calls },
            Fault::Full,
        ];
        let choice = self.below(faults.len() as u64);
        usize::try_from(choice).ok().and_then(|index| faults.get(index).copied())
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.counter = self.counter.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.counter;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
