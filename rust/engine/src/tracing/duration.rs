//! Durations as Go writes them: `5s`, `1m30s`, `1.5h`.

use std::time::Duration;

/// Read a duration; a negative one is none at all. The error is Go's text.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0_f64;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let number_end = rest
            .find(|one: char| !one.is_ascii_digit() && one != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let unit_end = after
            .find(|one: char| one.is_ascii_digit() || one == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit_seconds = match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        seconds += number * unit_seconds;
        rest = after;
    }
    // Go counts nanoseconds in 63 bits.
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| i64::try_from(duration.as_nanos()).is_ok())
        .ok_or_else(invalid)
        .map(|duration| {
            if is_negative {
                Duration::ZERO
            } else {
                duration
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let cases = [
            ("5s", Ok(5_000)),
            ("1m30s", Ok(90_000)),
            ("1.5h", Ok(5_400_000)),
            ("300ms", Ok(300)),
            ("+2s", Ok(2_000)),
            ("-2s", Ok(0)),
            ("0", Ok(0)),
            ("", Err("time: invalid duration \"\"")),
            ("5", Err("time: missing unit in duration \"5\"")),
            ("s", Err("time: invalid duration \"s\"")),
            ("soon", Err("time: invalid duration \"soon\"")),
            ("1..5s", Err("time: invalid duration \"1..5s\"")),
            (".5s", Ok(500)),
            ("1.s", Ok(1_000)),
            ("2562047h", Ok(2_562_047 * 3_600_000)),
            ("2562048h", Err("time: invalid duration \"2562048h\"")),
            ("5x", Err("time: unknown unit \"x\" in duration \"5x\"")),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_duration(text),
                expected.map(Duration::from_millis).map_err(str::to_owned),
                "{text}"
            );
        }
        assert!(parse_duration(&"9".repeat(400)).is_err());
        assert!(parse_duration(&format!("{}h", "9".repeat(400))).is_err());
    }
}
