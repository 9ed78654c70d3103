//! Processes that end with the process that started them, however that one ends.
//!
//! A small shell (the keeper) starts the programs and then reads from a pipe whose other end only we hold. When we
//! drop it, or die of anything (also SIGKILL), the pipe closes, and the keeper kills the programs and removes
//! their folder. Should the keeper itself be killed, the programs go with it (`setpriv --pdeathsig`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail};

use crate::{paths, process::Process, shell};

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
}

impl Keeper {
    /// Starts the programs in the given order without waiting between them.
    pub(crate) fn start(folder: &Path, programs: &[Program]) -> Result<Self> {
        let end = format!(
            "read -r _\nkill -9 $pids; wait; cd /; rm -rf -- {}\n",
            shell::quote(&folder.to_string_lossy())
        );
        let mut shell = shell_in(folder, &(render(programs) + &end), Stdio::piped())?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell, lifeline })
    }

    /// Starts programs that outlive us; they end with the returned process, and their folder stays.
    pub(crate) fn start_detached(folder: &Path, programs: &[Program]) -> Result<Process> {
        let shell = shell_in(folder, &(render(programs) + "wait\n"), Stdio::null())?;
        Process::find(shell.id() as i32).context("the keeper ended at once")
    }
}

/// An error with the end of its log when one of the programs of a folder has ended.
pub(crate) fn check(folder: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        let Ok(pid) = fs::read_to_string(folder.join(format!("{name}.pid"))) else {
            continue;
        };
        if !pid.trim().parse().is_ok_and(is_running) {
            bail!("{name} ended:\n{}", log_tail(folder, name));
        }
    }
    Ok(())
}

/// The last lines that a program of a folder wrote.
pub(crate) fn log_tail(folder: &Path, name: &str) -> String {
    let log = fs::read(folder.join(format!("{name}.log"))).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        self.shell.wait().ok();
    }
}

fn shell_in(folder: &Path, script: &str, stdin: Stdio) -> Result<Child> {
    let mut command = Command::new("setsid"); // Ctrl-C is for the test, which then closes the pipe
    command.args(["sh", "-c", script]).current_dir(folder);
    command
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start setsid")
}

fn render(programs: &[Program]) -> String {
    let mut script = String::from("trap '' INT TERM HUP\n");
    for Program { name, command } in programs {
        let command = shell::quote_all(command);
        script += &format!("setpriv --pdeathsig KILL {command} >{name}.log 2>&1 </dev/null &\n");
        script += &format!("pids=\"$pids $!\"; echo $! >{name}.pid.new; mv {name}.pid.new {name}.pid\n");
    }
    script
}

/// A process that has ended stays visible as a zombie until the keeper collects it.
fn is_running(pid: i32) -> bool {
    Process::find(pid).is_some_and(Process::is_running)
}

/// A fresh folder for one keeper, below `target/testcluster`. Sweeps those of processes that are gone.
pub(crate) fn fresh_folder(prefix: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    paths::create_dir(&paths::root())?;
    for name in fs::read_dir(paths::root())?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        // a keeper that was killed could not remove its folder
        if owner(prefix, &name).is_some_and(|pid| Process::find(pid).is_none()) {
            fs::remove_dir_all(paths::root().join(name)).ok();
        }
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = paths::root().join(format!("{prefix}.{}.{number}", std::process::id()));
    paths::create_dir(&folder)?;
    Ok(folder)
}

/// The process that made a folder of that prefix.
fn owner(prefix: &str, name: &str) -> Option<i32> {
    let (pid, _) = name.strip_prefix(prefix)?.strip_prefix('.')?.split_once('.')?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn sleeper(name: &'static str) -> Program {
        Program {
            name,
            command: ["sleep", "600"].map(str::to_owned).to_vec(),
        }
    }

    fn pid_of(folder: &Path, name: &str) -> String {
        let path = folder.join(format!("{name}.pid"));
        wait_until(|| path.exists());
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(
                Instant::now() < deadline,
                "the condition did not come true within 10 s"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn dropping_the_keeper_ends_its_programs_and_removes_their_folder() {
        let folder = fresh_folder("keeper-drop").unwrap();
        let keeper = Keeper::start(&folder, &[sleeper("one"), sleeper("two")]).unwrap();
        let pids = ["one", "two"].map(|name| pid_of(&folder, name));
        check(&folder, &["one", "two"]).unwrap();
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
        wait_until(|| !is_running(pid.parse().unwrap()));
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Not a proof by itself: the next test runs it in a process of its own and kills that.
    #[test]
    fn a_process_to_be_killed_while_it_keeps_programs() {
        let Ok(folder) = std::env::var("KEEPER_TEST_FOLDER") else {
            return;
        };
        let _keeper = Keeper::start(Path::new(&folder), &[sleeper("one")]).unwrap();
        thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn programs_end_and_their_folder_goes_when_the_process_that_keeps_them_is_killed() {
        let folder = fresh_folder("keeper-test-killed").unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "keeper::tests::a_process_to_be_killed_while_it_keeps_programs",
            ])
            .env("KEEPER_TEST_FOLDER", &folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = pid_of(&folder, "one");
        assert!(is_running(pid.parse().unwrap()));
        other.kill().unwrap();
        other.wait().unwrap();
        wait_until(|| !is_running(pid.parse().unwrap()) && !folder.exists());
    }

    #[test]
    fn a_folder_tells_the_process_that_made_it() {
        assert_eq!(owner("api", "api.123.0"), Some(123));
        assert_eq!(owner("api", "apis.123.0"), None);
        assert_eq!(owner("api", "demo"), None);
    }

    #[test]
    fn a_program_that_ended_is_reported_with_its_last_words() {
        let folder = fresh_folder("keeper-ended").unwrap();
        let command = ["sh", "-c", "echo port taken; exit 1"]
            .map(str::to_owned)
            .to_vec();
        let keeper = Keeper::start(&folder, &[Program { name: "one", command }]).unwrap();
        wait_until(|| check(&folder, &["one"]).is_err());
        assert_eq!(
            check(&folder, &["one"]).unwrap_err().to_string(),
            "one ended:\nport taken"
        );
        drop(keeper);
    }
}
