//! Thousands of models, one after the other, under a constant load: is a request lost, does anything grow?

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    bench::{Bench, median},
    client::Client,
    page::table,
    payloads::Payloads,
    ports::{self, local},
    process::Process,
    scorer::{Scorer, Setup},
    soak::{NOISE_MIB, growth},
    subjects::Subject,
};

/// Connections of the load.
const CONNECTIONS: u64 = 8;
/// Requests per second on each: together a fifth of what one core does, so that reloads have their turn.
const GAP: Duration = Duration::from_millis(20);
/// Rows of the table.
const STEPS: u32 = 20;
/// One reload takes well under a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Transactions of one connection have numbers of their own.
const NUMBERS: u64 = 100_000_000;
const FIRST: u64 = 4_000_000_000;

/// Exchanges the model so many times, and fails when a request fails, when an answer comes from a model that was replaced
/// before, or when memory grows.
pub fn run(bench: &Bench, scorer: &Scorer, model: &Path, reloads: u32) -> Result<()> {
    let mount = Mount::new(&bench.work.join("reload"), model)?;
    let mut command = scorer.command(&Setup::full(&mount.file));
    // The memory of answers grows until it is full, whatever the models do.
    command.args(["--reload", "0s", "--idempotency-ttl", "0s"]);
    let subject = Subject {
        key: "reload",
        title: "fraudops-scorer, reloading",
        command,
        address: Scorer::address(),
        left_out: None,
    };
    let process = bench.start(&subject.command, &bench.cores.one, &subject)?;
    let load = Load {
        payloads: &bench.payloads,
        stop: AtomicBool::new(false),
        newest: AtomicU64::new(0),
        answered: AtomicU64::new(0),
    };
    let found = thread::scope(|scope| {
        let load = &load;
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|place| scope.spawn(move || load.stop_if_failed(load.run(place))))
            .collect();
        let found = reload(&process, &mount, load, reloads);
        load.stop.store(true, Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        found
    });
    let (rows, memory) = found?;
    let (ok, failed) = counted()?;
    process.stop()?;
    let columns = ["reloads", "resident MiB", "threads", "files", "reload ms"];
    println!("\n{}", table(&columns, &rows));
    let growth = growth(&memory);
    let answered = load.answered.load(Relaxed);
    println!(
        "{reloads} reloads, {answered} requests answered, none failed; growth after the first quarter: {growth:.1} MiB"
    );
    ensure!(
        (ok, failed) == (u64::from(reloads), 0),
        "the scorer counted {ok} reloads and {failed} failures"
    );
    ensure!(growth <= NOISE_MIB, "resident memory grew by {growth:.1} MiB");
    Ok(())
}

type Found = (Vec<Vec<String>>, Vec<f64>);

fn reload(process: &Process, mount: &Mount, load: &Load<'_>, reloads: u32) -> Result<Found> {
    let (mut rows, mut memory, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut admin = Client::connect(local(ports::ADMIN))?;
    let step = (reloads / STEPS).max(1);
    for number in 1..=reloads {
        let begun = Instant::now();
        mount.put(number)?;
        kill(Pid::from_raw(process.id() as i32), Signal::SIGHUP)?;
        wait_for(&mut admin, load, number)?;
        load.newest.store(u64::from(number), Relaxed);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        if number % step == 0 || number == reloads {
            memory.push(process.rss_mib()?);
            let count = |what: &str| -> Result<String> {
                let entries = fs::read_dir(format!("/proc/{}/{what}", process.id()))?;
                Ok(entries.count().to_string())
            };
            let row = vec![
                number.to_string(),
                format!("{:.1}", memory[memory.len() - 1]),
                count("task")?,
                count("fd")?,
                format!("{:.0}", median(times.drain(..))),
            ];
            eprintln!("    {} reloads: {} MiB, {} ms each", row[0], row[1], row[4]);
            rows.push(row);
        }
    }
    Ok((rows, memory))
}

fn wait_for(admin: &mut Client, load: &Load<'_>, number: u32) -> Result<()> {
    let (begun, wanted) = (Instant::now(), name(number));
    loop {
        let status = admin.get("/readyz")?;
        let body = String::from_utf8_lossy(admin.body());
        ensure!(status == 200, "/readyz: HTTP {status} {body}");
        if body.contains(&wanted) {
            return Ok(());
        }
        ensure!(!load.stop.load(Relaxed), "a request failed");
        if begun.elapsed() > PATIENCE {
            bail!("reload {number} does not come to an end: {body}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Reloads that the scorer counted, and failures of them.
fn counted() -> Result<(u64, u64)> {
    let mut admin = Client::connect(local(ports::ADMIN))?;
    admin.get("/metrics")?;
    let page = String::from_utf8_lossy(admin.body());
    let count = |result: &str| -> Result<u64> {
        let series = format!("fraud_model_reloads_total{{result=\"{result}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&series));
        Ok(line.with_context(|| format!("no {series}"))?.parse()?)
    };
    Ok((count("ok")?, count("failed")?))
}

struct Load<'a> {
    payloads: &'a Payloads,
    stop: AtomicBool,
    /// The model that serves on all threads.
    newest: AtomicU64,
    answered: AtomicU64,
}

impl Load<'_> {
    fn stop_if_failed(&self, outcome: Result<()>) -> Result<()> {
        if outcome.is_err() {
            self.stop.store(true, Relaxed);
        }
        outcome
    }

    /// Sends transactions over one connection until it is told to stop.
    fn run(&self, place: u64) -> Result<()> {
        let mut client = Client::connect(Scorer::address())?;
        let (first, mut last) = (FIRST + place * NUMBERS, 0);
        for turn in 0.. {
            if self.stop.load(Relaxed) {
                break;
            }
            let due = Instant::now() + GAP;
            let at_least = self.newest.load(Relaxed).max(last);
            let status = client.post("/predict", &self.payloads.numbered(first + turn))?;
            let body = String::from_utf8_lossy(client.body());
            ensure!(status == 200, "HTTP {status} {body}");
            last = number_in(&body).with_context(|| format!("no version in {body}"))?;
            ensure!(last >= at_least, "model {last} answered after model {at_least}");
            self.answered.fetch_add(1, Relaxed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// Versions of one length: the file stays as long as it is.
fn name(number: u32) -> String {
    format!("v{number:04x}")
}

/// The number of the version that an answer names; the first model has none, and counts as 0.
fn number_in(body: &str) -> Option<u64> {
    let (_, rest) = body.split_once("\"model_version\":\"")?;
    let (version, _) = rest.split_once('"')?;
    let number = version
        .strip_prefix('v')
        .map(|digits| u64::from_str_radix(digits, 16));
    number.map_or(Some(0), Result::ok)
}

/// A folder whose model is a link, exchanged as the kubelet exchanges a ConfigMap.
struct Mount {
    folder: PathBuf,
    /// What the scorer is given.
    file: PathBuf,
    model: Vec<u8>,
    /// Where the version stands in the model.
    at: usize,
}

/// As the training package writes it.
const VERSION: &str = "\"version\":\"bench\"";
const BEFORE: &str = "\"version\":\"";

impl Mount {
    fn new(folder: &Path, model: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let model = fs::read(model).with_context(|| model.display().to_string())?;
        let found = model.windows(VERSION.len()).position(|w| w == VERSION.as_bytes());
        let mount = Self {
            folder: folder.to_path_buf(),
            file: folder.join("model.onnx"),
            at: found.context("the model's version is not bench")? + BEFORE.len(),
            model,
        };
        mount.exchange("first", &mount.model)?;
        symlink("..data/model.onnx", &mount.file)?;
        Ok(mount)
    }

    fn put(&self, number: u32) -> Result<()> {
        let (mut model, name) = (self.model.clone(), name(number));
        model[self.at..][..name.len()].copy_from_slice(name.as_bytes());
        self.exchange(&name, &model)
    }

    fn exchange(&self, name: &str, content: &[u8]) -> Result<()> {
        let (folder, data) = (self.folder.join(name), self.folder.join("..data"));
        let before = fs::read_link(&data).ok();
        fs::create_dir(&folder)?;
        fs::write(folder.join("model.onnx"), content)?;
        // As old as the files of an archive: one that was written this moment would be left to rest first.
        let file = File::options().write(true).open(folder.join("model.onnx"))?;
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))?;
        symlink(name, self.folder.join("..data_tmp"))?;
        fs::rename(self.folder.join("..data_tmp"), data)?;
        if let Some(before) = before {
            fs::remove_dir_all(self.folder.join(before))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_as_long_as_the_first_and_are_read_from_answers() {
        for number in [1, 10_000, 65_535] {
            assert_eq!(name(number).len(), "bench".len());
            let body = format!("{{\"model_version\":\"{}\"}}", name(number));
            assert_eq!(number_in(&body), Some(u64::from(number)));
        }
        assert_eq!(number_in("{\"model_version\":\"bench\"}"), Some(0));
        assert_eq!(number_in("{}"), None);
    }
}
