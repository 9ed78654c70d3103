//! The switch of the companion: a file that is looked at every second.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde::Deserialize;

/// The sample that takes every row, in rows per million.
pub const EVERY_ROW: u32 = 1_000_000;

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// More is no switch.
const MAX_BYTES: u64 = 4096;

/// How many rows the companion scores; read by all threads, set by one that watches the file.
#[derive(Debug)]
pub struct Control(AtomicU32);

impl Control {
    /// A switch that nobody turns: the companion scores every row.
    pub fn always() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(EVERY_ROW)))
    }

    /// Watches a file that holds `{"mode": "on", "sample": 0.25}` or `{"mode": "off"}`; without a sample every row is taken.
    ///
    /// The companion is off until the file says otherwise. A file that is missing or malformed changes nothing, and is
    /// told once. The watching thread ends when nobody holds the switch any more.
    pub fn watch(file: PathBuf) -> io::Result<Arc<Self>> {
        let control = Arc::new(Self(AtomicU32::new(0)));
        let mut watcher = Watcher {
            file,
            control: Arc::downgrade(&control),
            seen: None,
        };
        watcher.look();
        let watch = move || {
            while watcher.look() {
                thread::sleep(LOOK_EVERY);
            }
        };
        thread::Builder::new().name("companion".to_owned()).spawn(watch)?;
        Ok(control)
    }

    /// Rows per million that the companion scores; 0 is off.
    #[inline]
    pub fn sample(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// What tells one state of a file from another, also behind the links of a mounted ConfigMap.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    File {
        changed: (i64, i64),
        inode: u64,
        size: u64,
    },
    Nothing(io::ErrorKind),
}

struct Watcher {
    file: PathBuf,
    control: Weak<Control>,
    seen: Option<Seen>,
}

impl Watcher {
    /// Takes over what the file says if it has changed. False when nobody is interested any more.
    fn look(&mut self) -> bool {
        let Some(control) = self.control.upgrade() else {
            return false;
        };
        let seen = match fs::metadata(&self.file) {
            Ok(data) => Seen::File {
                changed: (data.mtime(), data.mtime_nsec()),
                inode: data.ino(),
                size: data.size(),
            },
            Err(error) => Seen::Nothing(error.kind()),
        };
        if self.seen.as_ref() == Some(&seen) {
            return true;
        }
        let sample = match &seen {
            Seen::File { size, .. } if *size > MAX_BYTES => {
                Err(format!("it has more than {MAX_BYTES} bytes"))
            }
            Seen::File { .. } => fs::read_to_string(&self.file)
                .map_err(|error| error.to_string())
                .and_then(|text| parse(&text)),
            Seen::Nothing(kind) => Err(kind.to_string()),
        };
        self.seen = Some(seen);
        match sample {
            Ok(sample) => {
                if control.0.swap(sample, Relaxed) != sample {
                    tracing::info!(rows_per_million = sample, "the companion's sample has changed");
                }
            }
            Err(error) => {
                let file = self.file.display().to_string();
                tracing::warn!(
                    file,
                    error,
                    "the companion's switch cannot be read; it stays as it is"
                );
            }
        }
        true
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    mode: Mode,
    #[serde(default = "everything")]
    sample: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    On,
    Off,
}

fn everything() -> f64 {
    1.0
}

/// Rows per million that a switch asks for.
fn parse(text: &str) -> Result<u32, String> {
    let switch: Switch = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if !(0.0..=1.0).contains(&switch.sample) {
        return Err(format!("sample is {}, it must lie in 0..1", switch.sample));
    }
    Ok(match switch.mode {
        Mode::On => (switch.sample * f64::from(EVERY_ROW)).round() as u32,
        Mode::Off => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_read() {
        assert_eq!(parse(r#"{"mode":"on"}"#), Ok(EVERY_ROW));
        assert_eq!(parse(r#"{"mode":"on","sample":0.25}"#), Ok(250_000));
        assert_eq!(parse(r#"{"mode":"on","sample":0}"#), Ok(0));
        assert_eq!(parse(r#"{"mode":"off","sample":1.0}"#), Ok(0));
        for bad in [
            "",
            "{}",
            r#"{"mode":"maybe"}"#,
            r#"{"mode":"on","sample":2}"#,
            r#"{"mode":"on","rate":1}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_file_is_followed_and_nonsense_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("companion.json");
        let control = Arc::new(Control(AtomicU32::new(0)));
        let mut watcher = Watcher {
            file: file.clone(),
            control: Arc::downgrade(&control),
            seen: None,
        };
        assert!(watcher.look());
        assert_eq!(control.sample(), 0, "off while there is no file");
        for (text, sample) in [
            (r#"{"mode":"on"}"#, EVERY_ROW),
            ("nonsense", EVERY_ROW),
            (r#"{"mode":"on","sample":0.5}"#, 500_000),
            (r#"{"mode":"off"}"#, 0),
        ] {
            // As a ConfigMap is updated: another file in the same place.
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &file).unwrap();
            assert!(watcher.look());
            assert_eq!(control.sample(), sample, "{text}");
        }
        fs::write(&file, r#"{"mode":"on"}"#).unwrap();
        watcher.look();
        fs::remove_file(&file).unwrap();
        watcher.look();
        assert_eq!(control.sample(), EVERY_ROW, "a lost file changes nothing");
        drop(control);
        assert!(!watcher.look());
    }
}
