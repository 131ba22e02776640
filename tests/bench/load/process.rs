//! The program under load: its start and end, and what it holds meanwhile.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

pub struct Service {
    child: Child,
    program: String,
    config: PathBuf,
    pub port: u16,
    pub key: String,
}

/// What it held at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Duration,
    /// Resident, in KiB.
    pub memory: usize,
    pub descriptors: usize,
    pub threads: usize,
    /// Processor time so far, in ticks of 10 ms.
    pub ticks: usize,
}

impl Service {
    pub fn start(program: &str, folder: &Path, configuration: &str) -> Self {
        let config = folder.join("config.toml");
        let state = folder.join("state");
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nlog-format = \"text\"\nstate-directory = \"{}\"\n{configuration}",
            state.display()
        );
        fs::write(&config, text).unwrap();
        let log = folder.join("log");
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).arg("serve").env_clear().env("HOME", folder);
        let child = command.stdin(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut service = Self { child, program: program.to_owned(), config, port: 0, key: String::new() };
        while service.port == 0 {
            assert!(service.child.try_wait().unwrap().is_none(), "{}", fs::read_to_string(&log).unwrap());
            thread::sleep(Duration::from_millis(20));
            let said = fs::read_to_string(&log).unwrap();
            let after =
                said.lines().find(|l| l.contains("listening")).and_then(|l| l.split_once("127.0.0.1:"));
            let digits = |after: &str| after.chars().take_while(char::is_ascii_digit).collect::<String>();
            service.port = after.and_then(|(_, after)| digits(after).parse().ok()).unwrap_or(0);
        }
        service.key = service.command(&["key", "public"]).trim().to_owned();
        service
    }

    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).args(arguments).env_clear();
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    pub fn status(&self) -> String {
        self.command(&["status"])
    }

    pub fn sample(&self, at: Duration) -> Sample {
        let id = self.child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let (_, after) = stat.rsplit_once(')').unwrap();
        // utime and stime are the 14th and 15th field (proc(5)).
        let ticks = after.split_whitespace().skip(11).take(2).map(|t| t.parse::<usize>().unwrap()).sum();
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
        Sample { at, memory: field("VmRSS:"), descriptors, threads: field("Threads:"), ticks }
    }

    /// Has it read its configuration again: every verdict is made anew.
    pub fn reload(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, memory) = (self.at.as_secs(), self.memory >> 10);
        write!(f, "{seconds} s: {memory} MiB, {} descriptors, {} threads", self.descriptors, self.threads)
    }
}
