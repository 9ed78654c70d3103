//! Lists that conditions look into: ids of customers or terminals, given in the manifest or as files that may change while
//! the process runs.

mod names;
mod read;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

pub use read::MAX_ENTRIES;
pub use watch::{POLL, Watch};

use read::{Signature, Unread};

/// Most lists of one model.
const MAX_LISTS: usize = 16;

/// 9 bytes an entry at best, 18 at worst; one probe. The hash needs no secret: who writes a list may block anybody anyway.
type Ids = HashSet<i64, FixedState>;

/// A list whose entries are in the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListConfig {
    /// Its entries.
    pub values: Vec<i64>,
}

/// A list that cannot be used at start; the text names it and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError(String);

impl std::fmt::Display for ListError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ListError {}

/// The lists of one model, by name.
#[derive(Debug, Default)]
pub struct Lists(BTreeMap<String, Arc<List>>);

/// One list: a set that is replaced as a whole.
#[derive(Debug)]
pub struct List {
    ids: ArcSwap<Ids>,
    files: Option<Mutex<Files>>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

/// Where the entries of a list come from.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    /// What was there when it was read last, with success or not.
    seen: Option<Signature>,
    problem: Option<String>,
}

impl List {
    /// Whether `id` is in the list at this moment.
    pub fn contains(&self, id: i64) -> bool {
        self.ids.load().contains(&id)
    }

    fn fixed(ids: Ids) -> Self {
        Self {
            ids: ArcSwap::from_pointee(ids),
            files: None,
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Reads the files again when they are others than before. Blocking. A problem leaves the entries as they were.
    fn refresh(&self) -> Refreshed {
        let Some(files) = &self.files else {
            return Refreshed::Unchanged;
        };
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        match read::changed(&files.directory, files.seen.as_ref()) {
            Ok(None) => Refreshed::Unchanged,
            Ok(Some((seen, ids))) => {
                let entries = ids.len();
                self.ids.store(Arc::new(ids));
                self.reloads.fetch_add(1, Relaxed);
                files.seen = Some(seen);
                files.problem = None;
                Refreshed::Loaded { entries }
            }
            Err(Unread { seen, problem }) => {
                // Absent files have no signature: the same problem again is not told again.
                let told = seen.is_none() && files.problem.as_ref() == Some(&problem);
                files.seen = seen;
                files.problem = Some(problem.clone());
                if told {
                    return Refreshed::Unchanged;
                }
                self.failures.fetch_add(1, Relaxed);
                Refreshed::Kept { problem }
            }
        }
    }
}

enum Refreshed {
    Unchanged,
    Loaded { entries: usize },
    Kept { problem: String },
}

impl Lists {
    /// The lists of the manifest, and one for each directory in `directory`, which need not exist. Blocking.
    ///
    /// # Errors
    /// When a list cannot be read, has no usable name, or is there twice.
    pub fn open(inline: &BTreeMap<String, ListConfig>, directory: &Path) -> Result<Self, ListError> {
        let mut lists = BTreeMap::new();
        for (name, config) in inline {
            lists.insert(name.clone(), List::fixed(config.values.iter().copied().collect()));
        }
        for (name, directory) in subdirectories(directory)? {
            let list = List::fixed(Ids::default());
            let files = Files {
                directory,
                seen: None,
                problem: None,
            };
            let list = List {
                files: Some(Mutex::new(files)),
                ..list
            };
            if let Refreshed::Kept { problem } = list.refresh() {
                return Err(ListError(format!("list {name}: {problem}")));
            }
            if lists.insert(name.clone(), list).is_some() {
                return Err(ListError(format!(
                    "list {name} has values and files: remove one of them"
                )));
            }
        }
        if lists.len() > MAX_LISTS {
            return Err(ListError(format!(
                "there are {} lists, at most {MAX_LISTS} are possible",
                lists.len()
            )));
        }
        if let Some(name) = lists.keys().find(|name| !names::is_usable(name)) {
            let advice = "a name begins with a letter and has at most 63 letters, digits and '_', so that a condition can say lists.<name>";
            return Err(ListError(format!("list {name}: {advice}")));
        }
        Ok(Self(
            lists
                .into_iter()
                .map(|(name, list)| (name, Arc::new(list)))
                .collect(),
        ))
    }

    /// A list, for a condition to keep.
    pub(super) fn get(&self, name: &str) -> Option<Arc<List>> {
        self.0.get(name).map(Arc::clone)
    }

    /// Names of the lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Why a list still has the entries of before, for whoever asks for the state of the process.
    pub fn problem(&self) -> Option<String> {
        self.0.iter().find_map(|(name, list)| {
            let files = list
                .files
                .as_ref()?
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let problem = files.problem.as_ref()?;
            Some(format!(
                "list {name} was not reloaded, its old entries stay: {problem}"
            ))
        })
    }

    /// Reads again what changed, and logs it. Blocking; `watch` calls it again and again.
    pub fn refresh(&self) {
        for (list, files) in &self.0 {
            match files.refresh() {
                Refreshed::Unchanged => {}
                Refreshed::Loaded { entries } => tracing::info!(list, entries, "list reloaded"),
                Refreshed::Kept { problem } => {
                    tracing::warn!(list, problem, "list not reloaded, its old entries stay")
                }
            }
        }
    }

    /// Adds entries and reloads in Prometheus' text format to `page`, with `common` labels on all series, or none.
    pub fn render(&self, page: &mut String, common: &str) {
        if self.0.is_empty() {
            return;
        }
        let comma = if common.is_empty() { "" } else { "," };
        let family = "fraudops_scorer_list_entries";
        let _ = writeln!(page, "# HELP {family} Entries of a list.\n# TYPE {family} gauge");
        for (name, list) in &self.0 {
            let entries = list.ids.load().len();
            let _ = writeln!(page, "{family}{{{common}{comma}list=\"{name}\"}} {entries}");
        }
        let family = "fraudops_scorer_list_reads_total";
        let _ = writeln!(
            page,
            "# HELP {family} Times that the files of a list were read.\n# TYPE {family} counter"
        );
        for (name, list) in self.0.iter().filter(|(_, list)| list.files.is_some()) {
            for (result, count) in [("ok", &list.reloads), ("failed", &list.failures)] {
                let count = count.load(Relaxed);
                let _ = writeln!(
                    page,
                    "{family}{{{common}{comma}list=\"{name}\",result=\"{result}\"}} {count}"
                );
            }
        }
    }
}

fn subdirectories(directory: &Path) -> Result<Vec<(String, PathBuf)>, ListError> {
    let fail = |error: io::Error| {
        ListError(format!(
            "the lists in {} cannot be read: {error}",
            directory.display()
        ))
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(fail)?,
    };
    let mut found = vec![];
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if fs::metadata(&path).map_err(fail)?.is_dir() {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            found.push((name, path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
