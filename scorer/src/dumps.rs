//! No core dumps: the memory of a scorer holds what it is asked about, and the keys of its receipts.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

/// Forbids core dumps of this process, for good.
///
/// The limit alone would not do: a kernel that hands dumps to a program does not ask for it. Programs that this one starts
/// inherit the limit only.
///
/// # Errors
/// What the system said. Where a sandbox refuses, the process can still serve.
pub fn forbid() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}
