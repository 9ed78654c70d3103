//! The side of the parent.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{Limits, Line, Report};
use crate::{
    engine::Kind,
    model::{Loaded, ModelError, NO_TELEMETRY, Reason, Runtime, Verified, Wanted, load_onnx, load_tree},
};

/// The child's line is far shorter.
const MAX_LINE: u64 = 64 * 1024;

/// Environment that the child needs; the rest may hold secrets.
const ENVIRONMENT: [&str; 2] = ["LD_LIBRARY_PATH", "ORT_DYLIB_PATH"];

/// Time between two looks at whether a child that has closed its output has ended.
const POLL: Duration = Duration::from_millis(5);

/// How a model is tried out and loaded.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The model file; the child opens it again, and must find what was verified.
    pub file: &'a Path,
    /// ONNX Runtime's shared library.
    pub library: Option<&'a Path>,
    /// Engine and thresholds.
    pub wanted: Wanted,
    /// What the child may use.
    pub limits: Limits,
}

impl Trial<'_> {
    /// Tries the model out in a child process, then makes `count` engines from the verified bytes. Blocking.
    ///
    /// The child is this very program with the subcommand `trial`.
    pub fn load(&self, model: &Verified, count: usize) -> Result<Loaded, ModelError> {
        let program = std::env::current_exe().map_err(|error| broken(&error))?;
        let mut command = Command::new(program);
        command.args(self.arguments());
        let report = self.attempt(command, model)?;
        tracing::info!(engine = report.engine.as_str(), why = report.why, "engine chosen");
        match report.engine {
            Kind::Tree => load_tree(model, count, report.why),
            Kind::OnnxRuntime => load_onnx(&Runtime::load(self.library)?, model, count, report.why),
        }
    }

    /// Arguments of the child, the subcommand first.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["trial".into(), self.file.into()];
        if let Some(library) = self.library {
            arguments.extend(["--onnxruntime".into(), library.into()]);
        }
        arguments.extend(["--engine".into(), self.wanted.choice.as_str().into()]);
        if let Some(thresholds) = self.wanted.thresholds {
            let (review, block) = (thresholds.review().to_string(), thresholds.block().to_string());
            arguments.extend(["--review".into(), review.into(), "--block".into(), block.into()]);
        }
        arguments
    }

    /// Runs a child that tries the model out, and reads what it found.
    pub fn attempt(&self, mut command: Command, model: &Verified) -> Result<Report, ModelError> {
        let kept = ENVIRONMENT
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let kept: Vec<_> = kept.collect();
        command
            .env_clear()
            .envs(kept)
            .env(NO_TELEMETRY.0, NO_TELEMETRY.1)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| broken(&error))?;
        let (status, output) = self.wait(&mut child)?;
        let line = output
            .lines()
            .find(|line| line.starts_with('{'))
            .unwrap_or_default();
        match serde_json::from_str(line) {
            Ok(Line::Found(report)) if status.success() => same(report, model),
            Ok(Line::Refused { reason, message }) if status.code() == Some(1) => {
                let reason = Reason::named(&reason).unwrap_or(Reason::TrialCrashed);
                Err(ModelError::new(reason, message))
            }
            Ok(_) | Err(_) => Err(crashed(status)),
        }
    }

    fn wait(&self, child: &mut Child) -> Result<(ExitStatus, String), ModelError> {
        let deadline = Instant::now() + self.limits.patience;
        let (tell, told) = channel();
        let stdout = child.stdout.take();
        let reader = move || {
            let _ = tell.send(read(stdout));
        };
        let outcome = thread::Builder::new()
            .name("trial".to_owned())
            .spawn(reader)
            .map_err(|error| broken(&error))
            .and_then(|_| match told.recv_timeout(self.limits.patience) {
                Ok(output) => Ok(output),
                Err(RecvTimeoutError::Timeout) => Err(self.too_slow()),
                Err(RecvTimeoutError::Disconnected) => {
                    Err(broken(&io::Error::other("nobody reads its output")))
                }
            })
            .and_then(|output| Ok((self.end(child, deadline)?, output)));
        if outcome.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        outcome
    }

    /// Waits for the end of a child that has closed its output.
    fn end(&self, child: &mut Child, deadline: Instant) -> Result<ExitStatus, ModelError> {
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.signal() == Some(Signal::SIGXCPU as i32) => {
                    return Err(self.too_slow());
                }
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() >= deadline => return Err(self.too_slow()),
                Ok(None) => thread::sleep(POLL),
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    fn too_slow(&self) -> ModelError {
        let Limits { cpu, patience, .. } = self.limits;
        ModelError::new(
            Reason::TrialTimeout,
            format!("trying the model out took longer than {cpu:?} of CPU time or {patience:?} in all"),
        )
    }
}

fn read(stdout: Option<ChildStdout>) -> String {
    let mut output = Vec::new();
    if let Some(stdout) = stdout {
        // Output that cannot be read is a line that is not there.
        let _ = stdout.take(MAX_LINE).read_to_end(&mut output);
    }
    String::from_utf8_lossy(&output).into_owned()
}

fn same(report: Report, model: &Verified) -> Result<Report, ModelError> {
    if report.sha256 == model.sha256 {
        return Ok(report);
    }
    let message = "the file has changed while it was verified; try again";
    Err(ModelError::new(Reason::ModelUnreadable, message))
}

fn broken(error: &io::Error) -> ModelError {
    ModelError::new(
        Reason::TrialCrashed,
        format!("the model cannot be tried out: {error}"),
    )
}

fn crashed(status: ExitStatus) -> ModelError {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => match Signal::try_from(signal) {
            Ok(signal) => format!("ended by {}", signal.as_str()),
            Err(_) => format!("ended by signal {signal}"),
        },
        (None, Some(code)) => format!("ended with code {code}"),
        (None, None) => "ended".to_owned(),
    };
    let advice = "the file is damaged or hostile, or the model needs far more memory than its size suggests";
    ModelError::new(
        Reason::TrialCrashed,
        format!("the process that tried the model out {how}; {advice}"),
    )
}

#[cfg(test)]
mod tests;
