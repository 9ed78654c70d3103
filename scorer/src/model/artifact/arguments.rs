//! The part of `fetch`'s command line that is about stores, signatures and the node's cache.

use std::path::PathBuf;

use clap::Args;

/// Credentials, signature check and cache.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// Directory with one file for each credential, such as AWS_ACCESS_KEY_ID; the environment counts where it has none.
    #[arg(
        long,
        env = "FRAUDOPS_CREDENTIALS",
        default_value = "/etc/fraudops/credentials"
    )]
    pub credentials: PathBuf,
    /// Ask the cloud's metadata service for credentials when there are no others.
    #[arg(long, env = "FRAUDOPS_INSTANCE_METADATA")]
    pub instance_metadata: bool,
    /// PEM file with the public keys (ECDSA P-256, at most 8) one of which must have signed the OCI artifact with cosign.
    #[arg(long, env = "FRAUDOPS_VERIFY_KEY")]
    pub verify_key: Option<PathBuf>,
    /// Directory that pods of a node share; files in it are named by their SHA-256 and checked at each use.
    #[arg(long, env = "FRAUDOPS_CACHE")]
    pub cache: Option<PathBuf>,
    /// Size of the cache; the files that were not used for longest give way.
    #[arg(long, env = "FRAUDOPS_CACHE_MAX_BYTES", default_value_t = 2 << 30)]
    pub cache_max_bytes: u64,
}
