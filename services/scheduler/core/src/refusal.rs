//! What a node's refusal means for the task and for the node.

use schemas::{ErrorCode, Fault, FaultClass};

/// How long a refusal will hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalSort {
    /// The node is full or about to stop: it is left alone, the task is as good as before.
    Busy,
    /// Asking the same node again later may help.
    Passing,
    /// The same node will say the same again.
    Lasting,
}

/// Sorts a refusal by its code.
pub(crate) fn sort(fault: &Fault) -> RefusalSort {
    if matches!(fault.code, ErrorCode::NodeBusy | ErrorCode::NodeDraining) {
        return RefusalSort::Busy;
    }
    // Clocks and journals are mended; a signature, an audience or a missing program is not.
    if fault.code == ErrorCode::NotYetValid {
        return RefusalSort::Passing;
    }
    match fault.code.class() {
        FaultClass::Invalid
        | FaultClass::NotFound
        | FaultClass::NotAllowed
        | FaultClass::Denied => RefusalSort::Lasting,
        FaultClass::Conflict
        | FaultClass::TimedOut
        | FaultClass::Unavailable
        | FaultClass::Broken => RefusalSort::Passing,
    }
}
