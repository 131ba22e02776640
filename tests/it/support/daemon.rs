//! The program as a process of its own.

use crate::support::dirs::Dir;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

/// A command of the program, in an environment with nothing in it.
pub fn countersign(dir: &Dir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", dir.path())
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    command
}

/// A started `serve`, and what it logs.
pub struct Daemon {
    child: Child,
    log: Option<BufReader<ChildStderr>>,
    pub port: u16,
    /// What it said before it listened.
    pub before: String,
}

impl Daemon {
    pub fn start(dir: &Dir, config: &str) -> Self {
        Self::start_as(countersign(dir, &["serve", "--config", config]))
    }

    /// Starts `serve` by a command of the test's own.
    pub fn start_as(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (before, line) = next_line_with(&mut log, "listening");
        let (_, after) = line.split_once("127.0.0.1:").unwrap();
        let port = after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
        Self { child, log: Some(log), port, before }
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// A line with these words: from before it listened, else the next one.
    pub fn wait_for(&mut self, words: &str) -> String {
        match self.before.lines().find(|line| line.contains(words)) {
            Some(line) => line.to_owned(),
            None => next_line_with(self.log.as_mut().unwrap(), words).1,
        }
    }

    /// Reads on and forgets: a pipe that nobody empties would hold up the program.
    pub fn forget_log(&mut self) {
        let mut log = self.log.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads on, and gives it all once the program has ended.
    pub fn keep_log(&mut self) -> JoinHandle<String> {
        let mut log = self.log.take().unwrap();
        std::thread::spawn(move || {
            let mut said = String::new();
            log.read_to_string(&mut said).unwrap();
            said
        })
    }

    pub fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that fails leaves no process behind.
        self.child.kill().unwrap_or_default();
    }
}

/// The lines before the one with these words, and that one.
fn next_line_with(log: &mut BufReader<ChildStderr>, words: &str) -> (String, String) {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "never said {words:?}, but:\n{all}");
        if line.contains(words) {
            return (all, line);
        }
        all.push_str(&line);
    }
}
