//! Runs a program as a debugger would: stopped before and after every system call, to be killed or refused there.

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// Before or after a system call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// About to call, with this number and first argument.
    Entry(u64, u64),
    Exit,
}

/// What happens then.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    Go,
    Kill,
    /// Of an entry: the call is not made, and fails with this number.
    Fail(i32),
    /// This thread never goes on.
    Hang,
}

/// What a shell does that is to become the traced program: wait until the tracer is there.
pub const WAIT: &str = "read x; exec \"$0\"";

/// Runs a shell that was given [`WAIT`]; how the program ended: its status, or `None` if it was killed.
#[expect(clippy::zombie_processes, reason = "it is waited for below, as the tracer does it")]
pub fn trace(mut shell: Command, mut each: impl FnMut(Stop) -> Then) -> Option<i32> {
    let mut child = shell.stdin(Stdio::piped()).spawn().unwrap();
    let main = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(main, options).expect("a process may trace its own child");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut failing: HashMap<Pid, i32> = HashMap::new();
    loop {
        // This thread's children alone: other tests wait for theirs.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        match waitpid(None, Some(flags)).unwrap() {
            WaitStatus::Exited(pid, status) if pid == main => return Some(status),
            WaitStatus::Signaled(pid, ..) if pid == main => return None,
            WaitStatus::PtraceSyscall(pid) => {
                let Some(stop) = stop_of(pid) else { continue };
                if let (Stop::Exit, Some(number)) = (stop, failing.remove(&pid)) {
                    answer(pid, number);
                }
                match each(stop) {
                    Then::Go => go(pid, None),
                    Then::Kill => kill(main, Signal::SIGKILL).unwrap(),
                    Then::Hang => {}
                    Then::Fail(number) => {
                        withhold(pid);
                        failing.insert(pid, number);
                        go(pid, None);
                    }
                }
            }
            WaitStatus::Stopped(pid, signal) => go(pid, Some(signal)),
            WaitStatus::PtraceEvent(pid, ..) => go(pid, None),
            _ => {}
        }
    }
}

/// To the next stop. A thread that was killed meanwhile goes nowhere.
fn go(pid: Pid, signal: Option<Signal>) {
    ptrace::syscall(pid, signal).unwrap_or_default();
}

/// Where a thread is, unless it was killed meanwhile.
fn stop_of(pid: Pid) -> Option<Stop> {
    let info = ptrace::syscall_info(pid).ok()?;
    let registers = ptrace::getregs(pid).ok()?;
    Some(match info.op {
        nix::libc::PTRACE_SYSCALL_INFO_ENTRY => Stop::Entry(registers.orig_rax, registers.rdi),
        _ => Stop::Exit,
    })
}

/// Makes the call that a thread is about to make none.
fn withhold(pid: Pid) {
    let mut registers = ptrace::getregs(pid).unwrap();
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers).unwrap();
}

/// Makes a call look failed.
fn answer(pid: Pid, number: i32) {
    let mut registers = ptrace::getregs(pid).unwrap();
    registers.rax = u64::from_ne_bytes(i64::from(-number).to_ne_bytes());
    ptrace::setregs(pid, registers).unwrap();
}
