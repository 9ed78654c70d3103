//! Files that are whole or not there.

use std::{
    error::Error,
    fs::Permissions,
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use arrow::{array::RecordBatch, csv, error::ArrowError};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding},
    errors::ParquetError,
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};
use thiserror::Error;

use crate::table::Table;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// Apache Parquet with Snappy.
    Parquet,
}

/// Where rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// CSV to the standard output.
    Stdout,
    /// A file, in the format of its extension.
    File(PathBuf, Format),
}

/// What went wrong on the way out.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The name says no format.
    #[error("--out {0}: unknown extension, use .csv or .parquet, or - for CSV on the standard output")]
    UnknownExtension(String),
    /// The name is taken by something that is not to be replaced.
    #[error("--out {0}: is not a regular file; use - for the standard output")]
    NotAFile(String),
    /// The file could not be made, written or renamed.
    #[error("--out {path} cannot be written")]
    Write {
        /// The file, or `-`.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// Whoever read the output has enough of it.
    #[error("--out -: the reader closed the pipe")]
    ReaderGone,
}

impl FromStr for Target {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Self, OutputError> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        let path = PathBuf::from(text);
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Format::Csv,
            Some("parquet") => Format::Parquet,
            _ => return Err(OutputError::UnknownExtension(text.to_owned())),
        };
        Ok(Self::File(path, format))
    }
}

impl Target {
    /// Fails early on what [`Target::write`] would fail on after all the work.
    pub fn check(&self) -> Result<(), OutputError> {
        let Self::File(path, _) = self else { return Ok(()) };
        match path.metadata() {
            Ok(found) if !found.is_file() => return Err(OutputError::NotAFile(path.display().to_string())),
            _ => {}
        }
        temporary(path).map(drop).map_err(|source| at(path, source))
    }

    /// Writes the table. A file appears under its name only when it is whole and on the disk; `advance` is called
    /// with the number of rows of each batch.
    pub fn write(&self, table: Table<'_>, advance: impl FnMut(usize)) -> Result<(), OutputError> {
        match self {
            Self::Stdout => write_csv(table, io::stdout().lock(), advance)
                .map(drop)
                .map_err(stdout_error),
            Self::File(path, format) => {
                write_file(path, *format, table, advance).map_err(|source| at(path, source))
            }
        }
    }
}

fn write_file(path: &Path, format: Format, table: Table<'_>, advance: impl FnMut(usize)) -> io::Result<()> {
    let file = temporary(path)?;
    let writer = BufWriter::with_capacity(1 << 20, file);
    let file = match format {
        Format::Csv => write_csv(table, writer, advance)?,
        Format::Parquet => write_parquet(table, writer, advance)?,
    }
    .into_inner()
    .map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// A file beside `path`, removed when it is dropped before it gets its name.
fn temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".partial")
        .permissions(Permissions::from_mode(0o666)) // less the umask, like any other new file
        .tempfile_in(folder)
}

fn write_csv<W: Write>(table: Table<'_>, writer: W, mut advance: impl FnMut(usize)) -> io::Result<W> {
    let mut writer = Witness::new(writer);
    let mut csv = csv::WriterBuilder::new().with_header(true).build(&mut writer);
    let empty = table
        .is_empty()
        .then(|| Ok(RecordBatch::new_empty(table.schema())));
    let written = empty.into_iter().chain(table.batches()).try_for_each(|batch| {
        let batch = batch?;
        csv.write(&batch)?;
        advance(batch.num_rows());
        Ok::<(), ArrowError>(())
    });
    drop(csv);
    writer.finish(written)
}

fn write_parquet<W: Write + Send>(
    table: Table<'_>,
    writer: W,
    mut advance: impl FnMut(usize),
) -> io::Result<W> {
    let mut writer = Witness::new(writer);
    let mut write = || {
        let mut parquet = ArrowWriter::try_new(&mut writer, table.schema(), Some(properties()))?;
        for batch in table.batches() {
            let batch = batch?;
            parquet.write(&batch)?;
            advance(batch.num_rows());
        }
        parquet.close().map(drop)
    };
    let written: Result<(), ParquetError> = write();
    writer.finish(written)
}

/// Remembers the system's own error, which the writers of both formats turn into text.
struct Witness<W> {
    inner: W,
    error: Option<io::Error>,
}

impl<W: Write> Witness<W> {
    fn new(inner: W) -> Self {
        Self { inner, error: None }
    }

    fn finish<E: Into<Box<dyn Error + Send + Sync>>>(mut self, result: Result<(), E>) -> io::Result<W> {
        self.flush().ok();
        match (self.error, result) {
            (Some(error), _) => Err(error),
            (None, Err(other)) => Err(io::Error::other(other)),
            (None, Ok(())) => Ok(self.inner),
        }
    }

    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let copy = io::Error::from(error.kind());
            if error.kind() != io::ErrorKind::Interrupted {
                self.error.get_or_insert(error);
            }
            copy
        })
    }
}

impl<W: Write> Write for Witness<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.remember(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.remember(result)
    }
}

/// Numbers that grow from row to row are stored as differences: three columns shrink to almost nothing.
fn properties() -> WriterProperties {
    ["TRANSACTION_ID", "TX_DATETIME", "TX_TIME_SECONDS"]
        .into_iter()
        .map(ColumnPath::from)
        .fold(WriterProperties::builder(), |properties, column| {
            properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED)
        })
        .set_compression(Compression::SNAPPY)
        .build()
}

fn at(path: &Path, source: io::Error) -> OutputError {
    OutputError::Write {
        path: path.display().to_string(),
        source,
    }
}

fn stdout_error(source: io::Error) -> OutputError {
    match source.kind() {
        io::ErrorKind::BrokenPipe => OutputError::ReaderGone,
        _ => OutputError::Write {
            path: "-".to_owned(),
            source,
        },
    }
}
