//! Names of signals. Dockerfile reference § STOPSIGNAL.

/// The signals of Linux, without `SIG` and without the real-time ones.
const NAMES: [&str; 35] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
];

/// `RTMIN+1` to `RTMIN+15`.
const AFTER_RTMIN: u32 = 15;

/// `RTMAX-14` to `RTMAX-1`.
const BEFORE_RTMAX: u32 = 14;

/// Whether the text is a positive number, or a name with or without `SIG`, in any case.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number > 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || name == "RTMAX" || is_real_time(name)
}

fn is_real_time(name: &str) -> bool {
    let within = |number: &str, limit: u32| {
        let plain = !number.starts_with(['+', '0']);
        plain && number.parse::<u32>().is_ok_and(|number| number <= limit)
    };
    match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
        (Some(number), _) => within(number, AFTER_RTMIN),
        (None, Some(number)) => within(number, BEFORE_RTMAX),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-META-08
    #[test]
    fn signals_are_names_or_numbers() {
        for text in [
            "9",
            "SIGKILL",
            "sigterm",
            "INT",
            "RTMIN",
            "SIGRTMIN+3",
            "RTMAX-14",
            "RTMAX",
        ] {
            assert!(is_signal(text), "{text}");
        }
        for text in [
            "", "0", "-1", "SIGFOO", "SIG", "RTMIN+16", "RTMIN+", "RTMAX-0", "9x",
        ] {
            assert!(!is_signal(text), "{text}");
        }
    }
}
