//! Processes that end with the process that started them, however that one ends.
//!
//! A small shell (the keeper) starts the programs and then reads from a pipe whose other end only we hold. When we
//! drop it, or die of anything (also SIGKILL), the pipe closes, and the keeper kills the programs and removes
//! their folder. Should the keeper itself be killed, the programs go with it (`setpriv --pdeathsig`).

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{paths, shell};

/// One program to start, by name; its output goes to `<folder>/<name>.log`.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) command: Vec<String>,
}

/// Running programs and the folder of their state; both are gone after the drop.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
    lifeline: Option<ChildStdin>,
    folder: PathBuf,
    names: Vec<&'static str>,
}

impl Keeper {
    /// Starts the programs in the given order without waiting between them.
    pub(crate) fn start(folder: &Path, programs: &[Program]) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", &render(folder, programs)])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C is for the test, which then closes the pipe
            .spawn()
            .context("cannot start sh")?;
        let lifeline = shell.stdin.take();
        let names = programs.iter().map(|program| program.name).collect();
        Ok(Self { shell, lifeline, folder: folder.to_owned(), names })
    }

    /// An error with the end of its log when one of the programs has ended.
    pub(crate) fn check(&self) -> Result<()> {
        for name in &self.names {
            let Ok(pid) = fs::read_to_string(self.folder.join(format!("{name}.pid"))) else { continue };
            if !is_running(pid.trim()) {
                bail!("{name} ended:\n{}", self.log_tail(name));
            }
        }
        Ok(())
    }

    /// The last lines that a program wrote.
    pub(crate) fn log_tail(&self, name: &str) -> String {
        let log = fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        self.shell.wait().ok();
    }
}

fn render(folder: &Path, programs: &[Program]) -> String {
    let mut script = String::from("trap '' INT TERM HUP\n");
    for Program { name, command } in programs {
        let command = shell::quote_all(command);
        script += &format!("setpriv --pdeathsig KILL {command} >{name}.log 2>&1 </dev/null &\n");
        script += &format!("pids=\"$pids $!\"; echo $! >{name}.pid.new; mv {name}.pid.new {name}.pid\n");
    }
    let folder = shell::quote(&folder.to_string_lossy());
    script + &format!("read -r _\nkill -9 $pids; wait; cd /; rm -rf -- {folder}\n")
}

/// A process that has ended stays visible as a zombie until the keeper collects it.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// A fresh folder for one keeper, below `target/testcluster`.
pub(crate) fn fresh_folder(prefix: &str) -> Result<PathBuf> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = paths::root().join(format!("{prefix}-{}-{number}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    paths::create_dir(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::{Duration, Instant}};

    use super::*;

    fn sleeper(name: &'static str) -> Program {
        Program { name, command: ["sleep", "600"].map(str::to_owned).to_vec() }
    }

    fn pid_of(folder: &Path, name: &str) -> String {
        let path = folder.join(format!("{name}.pid"));
        wait_until(|| path.exists());
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "the condition did not come true within 10 s");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn dropping_the_keeper_ends_its_programs_and_removes_their_folder() {
        let folder = fresh_folder("keeper-drop").unwrap();
        let keeper = Keeper::start(&folder, &[sleeper("one"), sleeper("two")]).unwrap();
        let pids = ["one", "two"].map(|name| pid_of(&folder, name));
        keeper.check().unwrap();
        drop(keeper);
        assert!(pids.iter().all(|pid| !Path::new("/proc").join(pid).exists()));
        assert!(!folder.exists());
    }

    #[test]
    fn killing_the_keeper_ends_its_programs_too() {
        let folder = fresh_folder("keeper-killed").unwrap();
        let mut keeper = Keeper::start(&folder, &[sleeper("one")]).unwrap();
        let pid = pid_of(&folder, "one");
        wait_until(|| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n"));
        keeper.shell.kill().unwrap();
        wait_until(|| !is_running(&pid));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_program_that_ended_is_reported_with_its_last_words() {
        let folder = fresh_folder("keeper-ended").unwrap();
        let command = ["sh", "-c", "echo port taken; exit 1"].map(str::to_owned).to_vec();
        let keeper = Keeper::start(&folder, &[Program { name: "one", command }]).unwrap();
        wait_until(|| keeper.check().is_err());
        assert_eq!(keeper.check().unwrap_err().to_string(), "one ended:\nport taken");
    }
}
