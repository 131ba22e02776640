//! An ordinary cache and Countersign before the same cache, each behind a recorder, and machines that use them.

use crate::clients::commands::{Case, FILES, Stock};
use crate::support::dirs::Dir;
use crate::support::nix::{Closure, Machine, Nginx, hash_part};
use crate::support::recorder::{Exchange, Recorder};
use crate::support::service::Served;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

/// Both, for both stocks.
pub struct Scene {
    sides: [(Stock, Side, Side); 2],
    _served: [Served; 2],
    _nginx: Nginx,
    _stocks: [Dir; 2],
}

/// A cache as a machine sees it.
pub struct Side {
    recorder: Recorder,
    /// The one key that the machine trusts.
    key: String,
}

/// How a command ended.
pub struct Outcome {
    /// `None` if a signal ended it.
    pub status: Option<String>,
    pub stdout: String,
    pub stderr: String,
    /// What the machine's store has, with hashes, derivers and references, as `nix-store --dump-db` puts it.
    pub store: String,
    pub exchanges: Vec<Exchange>,
}

impl Scene {
    pub fn new(closure: &Closure) -> Self {
        let stocks = [stock(closure), stock(closure)];
        fs::remove_file(stocks[1].join(&format!("{}.narinfo", hash_part(&closure.leaf())))).unwrap();
        let nginx = Nginx::serve(&[stocks[0].path(), stocks[1].path()]);
        let config = |rule: &str| {
            format!(
                "[signers.one]\nkeys = [\"{}\"]\n[signers.two]\nkeys = [\"{}\"]\n[caches.zstd]\nurl = \"{}\"\n\
                 {rule}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"two\"] }}]\n",
                closure.read("one.pub"),
                closure.read("two.pub"),
                nginx.url(0)
            )
        };
        let refusing = "[[rules]]\nname = \"leaf\"\npackages = [\"closure-leaf\"]\n\
                        signatures = [{ at-least = 1, of = [\"one\"] }]\n";
        let served = [Served::with(&config("")), Served::with(&config(refusing))];
        let sides = [(Stock::Everything, 0), (Stock::WithoutLeaf, 1)].map(|(stock, i)| {
            let ordinary = Side { recorder: Recorder::before(nginx.ports[i]), key: closure.read("two.pub") };
            let ours = Side { recorder: Recorder::before(served[i].port()), key: served[i].key() };
            (stock, ordinary, ours)
        });
        Self { sides, _served: served, _nginx: nginx, _stocks: stocks }
    }

    /// The same by a machine that uses the ordinary cache, and by one that uses ours.
    pub fn run(&self, generation: &'static str, closure: &Closure, case: &Case) -> [Outcome; 2] {
        let (_, ordinary, ours) = self.sides.iter().find(|(stock, ..)| *stock == case.stock).unwrap();
        [ordinary, ours].map(|side| side.run(generation, closure, case))
    }
}

/// A cache as those who offer mass queries have it, and logs.
fn stock(closure: &Closure) -> Dir {
    let dir = Dir::new();
    for entry in fs::read_dir(closure.dir.join("zstd")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".narinfo") || name == "nar" {
            symlink(entry.path(), dir.join(&name)).unwrap();
        }
    }
    dir.write("nix-cache-info", "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n");
    dir.write(&format!("log/{}", closure.read("drv").rsplit('/').next().unwrap()), "this was built\n");
    dir
}

impl Side {
    fn run(&self, generation: &'static str, closure: &Closure, case: &Case) -> Outcome {
        let lines = format!("substituters = {}\ntrusted-public-keys = {}", self.recorder.url(), self.key);
        let machine = Machine::with(generation, &lines);
        let file = |name: &str| closure.dir.join(name).display().to_string();
        let mut words: Vec<(&str, String)> = vec![
            ("CACHE", self.recorder.url()),
            ("STORE", machine.store()),
            ("TOP", closure.top()),
            ("LEAFDRV", closure.read("drv")),
            ("LEAF", closure.leaf()),
            ("NIX", file("closure.nix")),
            ("ARCHIVE", format!("file://{}", file("xz"))),
            ("MIRROR", format!("file://{}", machine.dir.join("mirror").display())),
            ("SECRET", file("one.sec")),
        ];
        for (word, name, text) in FILES {
            let path = machine.dir.write(name, fill(text, &words));
            words.push((word, path.display().to_string()));
        }
        for command in case.before {
            let output = start(&machine, &fill(command, &words), false);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        self.recorder.take();
        let output = start(&machine, &fill(case.command, &words), case.through_daemon);
        let exchanges = self.recorder.take();
        let shown = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&self.recorder.url(), "CACHE");
            text.replace(&machine.dir.path().display().to_string(), "DIR")
        };
        let has_store = machine.dir.join("store/nix/var/nix/db").exists();
        let store = if has_store { machine.ok("nix-store", &["--dump-db"]) } else { String::new() };
        Outcome {
            status: output.status.code().map(|code| format!("exit status {code}")),
            stdout: shown(&output.stdout),
            stderr: shown(&output.stderr),
            store,
            exchanges,
        }
    }
}

fn fill(text: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

fn start(machine: &Machine, command: &str, through_daemon: bool) -> Output {
    let mut words = command.split(' ');
    let (program, arguments) = (words.next().unwrap(), words.collect::<Vec<_>>());
    match through_daemon {
        true => machine.run_through_daemon(program, &arguments),
        false => machine.run(program, &arguments),
    }
}
