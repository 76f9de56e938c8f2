//! What is wrong with a configuration file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where, as `models[2].limits.rate`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, and what would be valid. Holds no secret.
    pub text: String,
    /// The line in the file, counted from 1, where it is known.
    pub line: Option<u64>,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be read and is wrong.
    #[error("{}", list(file, problems))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The other files it refers to: mending one of them may mend it.
        sources: Vec<PathBuf>,
        /// Everything that is wrong, in no particular order.
        problems: Vec<ConfigProblem>,
    },
}

impl ConfigError {
    /// The problems within the file; empty where it could not be read at all.
    pub fn problems(&self) -> &[ConfigProblem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

fn list(file: &std::path::Path, problems: &[ConfigProblem]) -> String {
    let mut text = format!("{} is not valid:", file.display());
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}
