//! Counters of the scorer: one shard of atomics for each serving thread, merged when somebody scrapes.
//!
//! Other modules keep counters of their own and register them as `Collect`.

mod answered;
mod count;
mod current;
mod exemplar;
mod exposition;
mod families;
mod histogram;
mod negotiate;
mod process;
mod shard;

use std::{
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use answered::{Answered, Imputation, ModelFailure, Scored, Source};
pub use count::Count;
pub use current::Current;
pub use exemplar::Exemplar;
pub use exposition::{Buckets, Collect, Counter, Exposition, Format, Gauge, Histograms, Labels, Number};
pub use histogram::{DURATION_BOUNDS, Histogram, SCORE_BOUNDS, Totals as HistogramTotals};
pub use shard::{RequestError, Shard};

/// What is known about the served model: its version goes on every series, the rest into `fraud_model_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLabels {
    /// Version as the manifest says it.
    pub version: String,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Algorithm as the metadata says it.
    pub algorithm: String,
}

/// All counters of the process. Every series exists from the start, at zero.
pub struct Metrics {
    shards: Vec<Arc<Shard>>,
    open: AtomicUsize,
    name: RwLock<Option<String>>,
    model: RwLock<Option<(ModelLabels, Duration)>>,
    features: OnceLock<Vec<String>>,
    others: RwLock<Vec<Arc<dyn Collect>>>,
    /// Changed model files that took over, and those that were refused.
    reloads: [AtomicU64; 2],
    started: SystemTime,
}

impl Metrics {
    /// One shard for each of `workers` threads.
    pub fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| Arc::default()).collect(),
            open: AtomicUsize::new(0),
            name: RwLock::default(),
            model: RwLock::default(),
            features: OnceLock::new(),
            others: RwLock::default(),
            reloads: Default::default(),
            started: SystemTime::now(),
        }
    }

    /// The shard of a serving thread.
    pub fn shard(&self, worker: usize) -> Arc<Shard> {
        Arc::clone(&self.shards[worker % self.shards.len()])
    }

    /// Shows the families of another module too, after ours.
    pub fn register(&self, other: Arc<dyn Collect>) {
        self.others
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(other);
    }

    /// What people call the model: label `model` of every series but those of the process.
    pub fn set_model_name(&self, name: &str) {
        *self.name.write().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
    }

    /// Says which model is served, and how long it took to load.
    pub fn set_model(&self, model: ModelLabels, load_time: Duration) {
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = Some((model, load_time));
    }

    /// Says what the model's features are, by column: there is one counter for each. The first call counts: a model
    /// that takes the place of another has the same features.
    pub fn set_features(&self, features: Vec<String>) {
        let features = self.features.get_or_init(|| features);
        for shard in &self.shards {
            shard.make_room(features.len());
        }
    }

    /// Counts a changed model file: whether it took the place of the one before.
    pub fn reloaded(&self, taken: bool) {
        self.reloads[usize::from(!taken)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection in, unless `limit` are open already.
    pub fn try_open(&self, limit: usize) -> bool {
        let step = |open: usize| (open < limit).then_some(open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .is_ok()
    }

    /// Counts a connection out.
    pub fn close(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections that are open on the serving port.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Everything, merged over the threads.
    pub fn expose(&self, format: Format, ready: bool) -> String {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Milliseconds are what the formats' readers keep.
        let started = started.as_millis() as f64 / 1e3;
        let mut out = Exposition::new(format, started);
        process::collect(&mut out, started);
        let help = "Version of this program.";
        out.info("fraud_build", help, &[("version", env!("CARGO_PKG_VERSION"))]);
        self.expose_reloads(&mut out);
        self.expose_shards(&mut out, ready);
        for other in &*self.others.read().unwrap_or_else(PoisonError::into_inner) {
            other.collect(&mut out);
        }
        out.finish()
    }

    /// Of the process, not of a version: what counts the changes of a label must not change its own.
    fn expose_reloads(&self, out: &mut Exposition) {
        let [ok, failed] = self.reloads.each_ref().map(|count| count.load(Ordering::Relaxed));
        let help = "Changed model files, by whether they took the place of the one before.";
        out.counter("fraud_model_reloads", help)
            .sample(&[("result", "ok")], ok)
            .sample(&[("result", "failed")], failed);
        if ok > 0 {
            // The version is another one, and its counters go on from those of the version before.
            out.leave_out_creation();
        }
    }

    fn expose_shards(&self, out: &mut Exposition, ready: bool) {
        let mut total = shard::Totals::default();
        for shard in &self.shards {
            total.add(shard);
        }
        let name = self.name.read().unwrap_or_else(PoisonError::into_inner);
        let model = self.model.read().unwrap_or_else(PoisonError::into_inner);
        let mut labels = Vec::new();
        labels.extend(name.as_deref().map(|name| ("model", name)));
        labels.extend(
            model
                .as_ref()
                .map(|(model, _)| ("version", model.version.as_str())),
        );
        out.label_all(&labels);
        let scrape = families::Scrape {
            total: &total,
            ready,
            open: self.open(),
            model: model.as_ref().map(|(labels, _)| labels),
            load_seconds: model.as_ref().map(|(_, took)| took.as_secs_f64()),
            features: self.features.get().map_or(&[], Vec::as_slice),
        };
        families::collect(out, &scrape);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
