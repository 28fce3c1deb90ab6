//! How many files the process may have open. A socket is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system lets us, and tells what it is then. What is usual (1,024) is for programs that
/// cannot count further; more costs nothing.
pub fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    // A system that refuses leaves it as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_system_allows_is_used() {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!((raise(), raise()), (most, most));
    }
}
