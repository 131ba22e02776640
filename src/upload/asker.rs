//! What the caches say of a path, asked by another process.
//!
//! The process that parses what caches send never holds a signing key (design §7). So this one starts `countersign
//! claims`, which has none, writes a hash part to it and reads a line of our own JSON back.

use crate::format::{Core, HashPart, NarHash};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What one cache claims of a path, as one process tells it to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The cache's name.
    pub cache: String,
    /// Whether bytes may come from it.
    pub is_source: bool,
    /// The base name of the path.
    pub path: String,
    /// The NarHash, in base32.
    pub nar_hash: String,
    /// The NarSize.
    pub nar_size: u64,
    /// The base names of the references, in order.
    pub references: Vec<String>,
    /// The names of the signers whose signatures on it count.
    pub signers: Vec<String>,
}

impl Told {
    /// Whether it is about this core.
    pub fn is_of(&self, core: &Core) -> bool {
        self.path == core.store_path.to_string()
            && NarHash::parse_nixbase32(&self.nar_hash).is_ok_and(|hash| hash == core.nar_hash)
            && self.nar_size == core.nar_size
            && core.references.iter().map(ToString::to_string).eq(self.references.iter().cloned())
    }
}

/// The process that asks the caches.
#[derive(Debug)]
pub(super) struct Asker {
    program: PathBuf,
    configuration: Option<PathBuf>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Asker {
    /// Asks by this program, with this configuration; started when it is first needed.
    pub(super) fn new(program: PathBuf, configuration: Option<&Path>) -> Self {
        Self { program, configuration: configuration.map(Path::to_owned), running: None }
    }

    /// What every cache claims of a path; `Err` says in one line why that cannot be known now.
    pub(super) fn ask(&mut self, path: HashPart) -> Result<Vec<Told>, String> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self
                .start()
                .map_err(|error| format!("cannot start the process that asks the caches: {error}"))?,
        };
        match running.exchange(path) {
            Ok(answer) => {
                self.running = Some(running);
                answer
            }
            Err(error) => {
                running.end();
                Err(format!("the process that asks the caches failed: {error}"))
            }
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let mut command = Command::new(&self.program);
        if let Some(file) = &self.configuration {
            command.arg("--config").arg(file);
        }
        let mut child = command.arg("claims").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("no pipes"));
        };
        Ok(Running { child, questions, answers: BufReader::new(answers) })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }
}

impl Running {
    fn exchange(&mut self, path: HashPart) -> std::io::Result<Result<Vec<Told>, String>> {
        writeln!(self.questions, "{path}")?;
        self.questions.flush()?;
        let mut line = String::new();
        self.answers.by_ref().take(LONGEST_ANSWER).read_line(&mut line)?;
        if line.is_empty() {
            return Err(std::io::Error::other("it ended"));
        }
        serde_json::from_str(&line).map_err(std::io::Error::other)
    }

    /// Closes its input, upon which it ends, and waits for that.
    fn end(self) {
        let Self { mut child, questions, answers } = self;
        drop((questions, answers));
        if let Err(error) = child.wait() {
            tracing::debug!(%error, "could not wait for the process that asks the caches");
        }
    }
}

/// Longer than any answer: 20,000 references from each of a few caches.
const LONGEST_ANSWER: u64 = 64 << 20;
