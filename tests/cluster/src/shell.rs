//! Running other programs: their output belongs into the error when they fail.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Quotes one word for `sh`.
pub(crate) fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Quotes a command line for `sh`.
pub(crate) fn quote_all(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// A command from its words.
pub(crate) fn command<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(words[0].as_ref());
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns what it printed; an error carries its whole output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("cannot start {name}"))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        let stdout = String::from_utf8_lossy(&done.stdout);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        bail!(
            "{name} {} ended with {}:\n{stderr}{stdout}",
            args.join(" "),
            done.status
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command given by its words, see [`output`].
pub(crate) fn run<S: AsRef<OsStr>>(words: &[S]) -> Result<String> {
    output(&mut command(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_through_a_shell_unchanged() {
        let words = ["printf", "%s|", "a b", "it's", "$HOME", "", "x;y", "*"].map(str::to_owned);
        let printed = run(&["sh", "-c", &quote_all(&words)]).unwrap();
        assert_eq!(printed, "a b|it's|$HOME||x;y|*|");
    }

    #[test]
    fn a_failed_command_says_what_it_printed() {
        let error = run(&["sh", "-c", "echo the reason >&2; exit 3"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the reason") && error.contains("exit status: 3"),
            "{error}"
        );
    }
}
