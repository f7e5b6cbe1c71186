//! Cases: given what has happened, when something is asked, then these events or this refusal.

mod attacks;
mod cancel;
mod delegation;
mod directory;
mod fleet;
mod harness;
mod histories;
mod leases;
mod life;
mod placement;
mod protocol;
mod queries;
mod reminders;
mod retention;
mod speed;
mod start;
mod visibility;
