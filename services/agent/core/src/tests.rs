//! Cases of the node's rules: given a past, when something happens, then exactly this is done.

mod admission;
mod attacks;
mod delegation;
mod endings;
mod fixture;
mod offers;
mod restarts;
mod roster;
mod simulation;
mod starts;
