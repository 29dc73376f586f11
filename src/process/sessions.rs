//! The sessions of a gateway that `vdm wrap` started: the gateway exits when the last of these processes has exited, even if
//! killed.

use std::time::{Duration, Instant};

use rustix::process::{Pid, RawPid};

/// Time in which the first session must join. It joins as soon as the gateway serves.
const UNTIL_THE_FIRST: Duration = Duration::from_secs(30);
/// Time that the gateway waits after its last session. Another session often follows at once, as in a script.
const AFTER_THE_LAST: Duration = Duration::from_secs(3);
/// Maximum number of sessions.
const MOST: usize = 4096;

/// The processes that have joined and still run.
pub(crate) struct Sessions {
    name: String,
    members: Vec<Member>,
    /// The time at which the gateway exits if no process joins before.
    deadline: Instant,
}

impl Sessions {
    pub(crate) fn new(name: String, now: Instant) -> Self {
        Self { name, members: Vec::new(), deadline: now + UNTIL_THE_FIRST }
    }

    /// The name that the sessions have in common.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a process. It stays a member until it exits, even if it execs another program.
    ///
    /// # Errors
    /// If the process does not exist, or if the number of sessions is at its maximum.
    pub(crate) fn join(&mut self, process: RawPid) -> Result<(), &'static str> {
        self.members.retain(Member::lives);
        if self.members.len() >= MOST {
            return Err("the gateway has too many sessions");
        }
        let member = Pid::from_raw(process).map(Member::new).filter(Member::lives);
        self.members.push(member.ok_or("the process that joins is not of this system")?);
        Ok(())
    }

    /// Whether all members have exited and the deadline has passed.
    pub(crate) fn are_over(&mut self, now: Instant) -> bool {
        let before = self.members.len();
        self.members.retain(Member::lives);
        if before > 0 {
            self.deadline = now + AFTER_THE_LAST;
        }
        self.members.is_empty() && now >= self.deadline
    }
}

#[cfg(target_os = "linux")]
mod member {
    use std::os::fd::OwnedFd;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

    /// A process and, if the kernel supports it, a descriptor of it. The system can reuse the id, but not the descriptor.
    pub(crate) struct Member {
        process: Pid,
        descriptor: Option<OwnedFd>,
    }

    impl Member {
        pub(crate) fn new(process: Pid) -> Self {
            Self { process, descriptor: pidfd_open(process, PidfdFlags::empty()).ok() }
        }

        pub(crate) fn lives(&self) -> bool {
            let Some(descriptor) = &self.descriptor else { return test_kill_process(self.process).is_ok() };
            // The descriptor is readable once the process has exited, even if its parent has not reaped it.
            let mut ended = [PollFd::new(descriptor, PollFlags::IN)];
            poll(&mut ended, Some(&Timespec::default())) == Ok(0)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod member {
    use rustix::process::{Pid, test_kill_process};

    pub(crate) struct Member(Pid);

    impl Member {
        pub(crate) fn new(process: Pid) -> Self {
            Self(process)
        }

        pub(crate) fn lives(&self) -> bool {
            test_kill_process(self.0).is_ok()
        }
    }
}

pub(crate) use member::Member;

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn process() -> (Child, RawPid) {
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = child.id().try_into().unwrap();
        (child, process)
    }

    #[test]
    fn they_are_over_a_while_after_the_last_has_gone() {
        let now = Instant::now();
        let mut sessions = Sessions::new("name".to_owned(), now);
        let [(mut one, first), (mut other, second)] = [process(), process()];
        sessions.join(first).unwrap();
        sessions.join(second).unwrap();

        one.kill().unwrap();
        one.wait().unwrap();
        assert!(!sessions.are_over(now + UNTIL_THE_FIRST));
        other.kill().unwrap();
        other.wait().unwrap();

        assert!(!sessions.are_over(now + UNTIL_THE_FIRST));
        assert!(!sessions.are_over(now + UNTIL_THE_FIRST + AFTER_THE_LAST / 2));
        assert!(sessions.are_over(now + UNTIL_THE_FIRST + AFTER_THE_LAST));
    }

    #[test]
    fn the_first_has_its_time_to_come() {
        let now = Instant::now();
        let mut sessions = Sessions::new("name".to_owned(), now);

        assert!(!sessions.are_over(now + UNTIL_THE_FIRST / 2));
        assert!(sessions.are_over(now + UNTIL_THE_FIRST));
    }

    #[test]
    fn a_process_that_is_not_there_does_not_join() {
        let (mut child, process) = process();
        child.kill().unwrap();
        child.wait().unwrap();

        assert!(Sessions::new("name".to_owned(), Instant::now()).join(process).is_err());
        assert!(Sessions::new("name".to_owned(), Instant::now()).join(0).is_err());
    }
}
