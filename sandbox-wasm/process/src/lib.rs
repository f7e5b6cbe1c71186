//! The launcher: starts a run, bounds it, and kills its whole tree.

