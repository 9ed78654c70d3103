//! The command line.

mod stream;
mod world;

use clap::{Args, Parser, Subcommand};
use fraudops_simulator::output::Target;

pub use stream::Stream;
pub use world::World;

/// Card transactions with fraud, generated from a seed.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Generate(Generate),
    Stream(Box<Stream>),
}

/// Write simulated transactions to a file.
///
/// Customers and terminals are points on a map of 100 by 100. A customer buys at terminals within the radius, at a
/// pace and for amounts of his own. Three kinds of fraud are laid over that: amounts above 220, terminals that are
/// compromised for 28 days, and cards that are stolen for 14. About 0.8 % of the rows are fraud.
///
/// The same seed and settings give the same rows, whatever the number of threads.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  The handbook's data set, 1.75 million rows, with the 15 inputs of the model:
    fraudops-simulator generate --features --out transactions.parquet
  A small one, to look at:
    fraudops-simulator generate --customers 50 --terminals 100 --days 30 --radius 20 --out - | head")]
pub struct Generate {
    #[command(flatten)]
    pub world: World,
    /// Add the model's inputs: what customer and terminal did in the last 1, 7 and 30 days
    #[arg(long)]
    pub features: bool,
    /// FILE.csv, FILE.parquet, or - for CSV on the standard output
    ///
    /// A file is written under a temporary name beside it and renamed when it is whole, so an earlier file of that
    /// name stays until then.
    #[arg(long, value_name = "FILE")]
    pub out: Target,
}
