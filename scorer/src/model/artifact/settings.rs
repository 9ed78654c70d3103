//! Credentials and settings of stores: one file each in a mounted Secret, or the environment.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::error::{FetchError, FetchReason};

/// What the names of settings begin with in the environment.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Settings by name, in capitals. Values may be secret: neither `Debug` nor an error shows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, String>,
    directory: PathBuf,
}

impl Settings {
    /// Reads the files of `directory` (it may be missing), and what they leave out from the environment.
    pub fn read(
        directory: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, FetchError> {
        let mut values: BTreeMap<_, _> = environment
            .filter(|(name, value)| PREFIXES.iter().any(|p| name.starts_with(p)) && !value.is_empty())
            .collect();
        for path in files(directory).map_err(|error| unreadable(directory, &error.to_string()))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let length = fs::metadata(&path).map(|m| m.len());
            if length.is_ok_and(|length| length > MAX_FILE_BYTES) {
                return Err(unreadable(&path, "no credential is so large"));
            }
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
            values.insert(name.to_ascii_uppercase(), text.trim().to_owned());
        }
        Ok(Self {
            values,
            directory: directory.to_owned(),
        })
    }

    /// The first of the named settings that is there.
    pub fn get(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.values.get(*name))
            .map(String::as_str)
    }

    /// Whether any of the named settings is there.
    pub fn has(&self, names: &[&str]) -> bool {
        self.get(names).is_some()
    }

    /// Adds a setting that is not there.
    pub fn add(&mut self, name: &str, value: String) {
        self.values.entry(name.to_owned()).or_insert(value);
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The directory that was read.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `text` without any of the values that are long enough to be a secret; places and account names stay.
    pub fn redact(&self, text: &str) -> String {
        let public = ["ENDPOINT", "REGION", "URL", "ACCOUNT_NAME", "FILE"];
        let secrets = self
            .values
            .iter()
            .filter(|(name, value)| value.len() >= 6 && !public.iter().any(|p| name.contains(p)));
        secrets.fold(text.to_owned(), |text, (_, secret)| {
            text.replace(secret.as_str(), "***")
        })
    }
}

/// The keys of a mounted Secret. It has its versions in folders beside them.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![];
    let list = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        list => list?,
    };
    for entry in list {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') && !entry.path().is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn unreadable(path: &Path, what: &str) -> FetchError {
    FetchError {
        reason: FetchReason::Unauthorized,
        message: format!("{}: {what}", path.display()),
        transient: false,
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        pairs.into_iter()
    }

    #[test]
    fn files_of_a_mounted_secret_come_before_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        // As the kubelet mounts it: versions in a folder, links to them.
        let version = directory.path().join("..2026");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("aws_access_key_id"), "from-file\n").unwrap();
        symlink("..2026", directory.path().join("..data")).unwrap();
        symlink(
            "..data/aws_access_key_id",
            directory.path().join("aws_access_key_id"),
        )
        .unwrap();
        let from = [
            ("AWS_ACCESS_KEY_ID", "from-env"),
            ("AWS_REGION", "eu-1"),
            ("AWS_SESSION_TOKEN", ""),
            ("HOME", "/"),
        ];
        let settings = Settings::read(directory.path(), environment(&from)).unwrap();
        let all: Vec<_> = settings.iter().collect();
        assert_eq!(all, [("AWS_ACCESS_KEY_ID", "from-file"), ("AWS_REGION", "eu-1")]);
        assert_eq!(format!("{settings:?}"), r#"{"AWS_ACCESS_KEY_ID", "AWS_REGION"}"#);
    }

    #[test]
    fn a_directory_that_is_missing_has_no_files_and_a_broken_one_is_named() {
        let nowhere = Settings::read(Path::new("/nowhere"), environment(&[])).unwrap();
        assert_eq!(nowhere.iter().count(), 0);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("TOKEN"), [0xff, 0xfe]).unwrap();
        let error = Settings::read(directory.path(), environment(&[])).unwrap_err();
        assert!(error.message.contains("TOKEN"), "{error}");
        fs::write(directory.path().join("TOKEN"), vec![b'x'; 65_537]).unwrap();
        assert!(Settings::read(directory.path(), environment(&[])).is_err());
    }

    #[test]
    fn secrets_are_cut_out_of_messages() {
        let from = [
            ("AWS_SECRET_ACCESS_KEY", "s3cr3t-key"),
            ("AWS_ENDPOINT_URL", "http://store.example"),
        ];
        let settings = Settings::read(Path::new("/nowhere"), environment(&from)).unwrap();
        assert_eq!(
            settings.redact("http://store.example says s3cr3t-key"),
            "http://store.example says ***"
        );
    }
}
