//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use crate::Trouble;

/// What the benchmark measures.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The gateway under test, if it is not the build of this tree.
    pub(crate) binary: Option<Build>,
    pub(crate) mode: Mode,
    /// Only rows with all of these in their name.
    pub(crate) words: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The gateway, nginx and the bare proxy.
    Table,
    /// The gateway, these builds and the bare proxy.
    Against(Vec<Build>),
    /// One build, under callgrind.
    Instructions(Build),
}

/// A gateway to measure: `[NAME=]BINARY[,LIBRARY][,VARIABLE=VALUE]…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    /// Its name in the table.
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    /// A library that is loaded before all others, such as another allocator.
    pub(crate) preload: Option<PathBuf>,
    /// Variables of its environment, such as a setting.
    pub(crate) environment: Vec<(String, String)>,
}

impl Build {
    /// The gateway of this tree.
    pub(crate) fn of_this_tree() -> Self {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_vdm"));
        Self { name: "this build".to_owned(), binary, preload: None, environment: Vec::new() }
    }
}

impl FromStr for Build {
    type Err = Trouble;

    fn from_str(text: &str) -> Result<Self, Trouble> {
        let mut parts = text.split(',');
        let binary = parts.next().unwrap_or_default();
        let (name, binary) = binary.split_once('=').unwrap_or((text, binary));
        // The gateway starts in a directory of its own.
        let file = |path: &str| std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"));
        let mut build =
            Self { name: name.to_owned(), binary: file(binary)?, preload: None, environment: Vec::new() };
        for part in parts {
            match part.split_once('=') {
                Some((variable, value)) => build.environment.push((variable.to_owned(), value.to_owned())),
                None => build.preload = Some(file(part)?),
            }
        }
        Ok(build)
    }
}

impl Arguments {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Trouble> {
        let mut arguments = Self { binary: None, mode: Mode::Table, words: Vec::new() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut build = || -> Result<Build, Trouble> {
                words.next().ok_or_else(|| format!("{word} requires a path"))?.parse()
            };
            match word.as_str() {
                "--binary" => arguments.binary = Some(build()?),
                "--against" => arguments.mode.compare(build()?)?,
                "--instructions" if arguments.mode == Mode::Table => {
                    arguments.mode = Mode::Instructions(build()?);
                }
                option if option.starts_with("--") => {
                    return Err(format!("unknown or repeated option '{option}'").into());
                }
                _ => arguments.words.push(word),
            }
        }
        Ok(arguments)
    }

    pub(crate) fn chooses(&self, row: &str) -> bool {
        self.words.iter().all(|word| row.contains(word))
    }

    /// The gateway under test.
    pub(crate) fn ours(&self) -> Build {
        self.binary.clone().unwrap_or_else(Build::of_this_tree)
    }
}

impl Mode {
    fn compare(&mut self, build: Build) -> Result<(), Trouble> {
        match self {
            Self::Table => *self = Self::Against(vec![build]),
            Self::Against(builds) => builds.push(build),
            Self::Instructions(_) => return Err("--against and --instructions exclude each other".into()),
        }
        Ok(())
    }
}
