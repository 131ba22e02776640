//! Why a test failed, told when it fails: the run as a whole takes minutes, and tells it at its end alone.

use std::io::Write;
use std::sync::Once;

/// From now on, what a test fails with goes to the standard error of the run itself, too.
pub fn tell_at_once() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let test = std::thread::current();
            let text = format!("{}: {panic}", test.name().unwrap_or("a thread"));
            let end: String = text.chars().take(MOST).collect();
            // The macros' output belongs to the test, and is kept until the end.
            writeln!(std::io::stderr(), "{end}").unwrap_or_default();
            usual(panic);
        }));
    });
}

/// Characters of it; some tell a whole log.
const MOST: usize = 2000;
