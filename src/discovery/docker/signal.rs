//! Signals by name and number, as `StopSignal` and the `kill` event write them.

/// A signal of Linux, by its number on x86 and ARM: the one in the engine's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(u8);

// === impl Signal ===

impl Signal {
    pub const KILL: Self = Self(9);
    pub const TERM: Self = Self(15);
    const RTMIN: u8 = 34;
    const RTMAX: u8 = 64;

    const NAMES: [(&str, u8); 37] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("IOT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("STKFLT", 16),
        ("CHLD", 17),
        ("CLD", 17),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("TTIN", 21),
        ("TTOU", 22),
        ("URG", 23),
        ("XCPU", 24),
        ("XFSZ", 25),
        ("VTALRM", 26),
        ("PROF", 27),
        ("WINCH", 28),
        ("IO", 29),
        ("POLL", 29),
        ("PWR", 30),
        ("SYS", 31),
        ("UNUSED", 31),
        ("RTMIN", Self::RTMIN),
        ("RTMAX", Self::RTMAX),
    ];

    /// Reads `15`, `SIGTERM`, `term`, `SIGRTMIN+3`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        let number = match name.parse::<u8>() {
            Ok(number) => number,
            Err(_) => Self::named(name)?,
        };
        (1..=Self::RTMAX).contains(&number).then_some(Self(number))
    }

    fn named(name: &str) -> Option<u8> {
        if let Some(above) = name.strip_prefix("RTMIN+") {
            return Self::RTMIN.checked_add(above.parse().ok()?);
        }
        if let Some(below) = name.strip_prefix("RTMAX-") {
            let number = Self::RTMAX.checked_sub(below.parse().ok()?)?;
            return (number >= Self::RTMIN).then_some(number);
        }
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// Whether sending it to a container whose stop signal is `stop` means that the container is being stopped.
    /// Reload signals such as `HUP` do not.
    pub fn stops(self, stop: Self) -> bool {
        self == stop || self == Self::KILL || self == Self::TERM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_in_every_spelling() {
        for (text, number) in [
            ("15", 15),
            ("SIGTERM", 15),
            ("term", 15),
            ("sigQuit", 3),
            ("SIGRTMIN+3", 37),
            ("RTMAX-14", 50),
            (" 9 ", 9),
            ("SIGWINCH", 28),
            ("SIGRTMIN", 34),
        ] {
            assert_eq!(Signal::parse(text), Some(Signal(number)), "{text}");
        }
        for text in ["", "0", "65", "-1", "SIGNAL", "RTMIN+31", "RTMAX-31", "RTMIN+x", "999"] {
            assert_eq!(Signal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_stop_signal_and_9_and_15_stop() {
        let quit = Signal(3);
        for (signal, stop, stops) in [
            (Signal(15), Signal::TERM, true),
            (Signal(9), Signal::TERM, true),
            (Signal(1), Signal::TERM, false),
            (Signal(3), quit, true),
            (Signal(15), quit, true),
            (Signal(10), quit, false),
        ] {
            assert_eq!(signal.stops(stop), stops, "{signal:?} to a container that stops by {stop:?}");
        }
    }
}
