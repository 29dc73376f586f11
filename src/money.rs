//! Amounts of money and counts as text. Amounts are integers, in millionths of a US dollar.

/// The amount in dollars with six decimal places: exact.
pub(crate) fn dollars(micro_dollars: i128) -> String {
    let sign = if micro_dollars < 0 { "-" } else { "" };
    let amount = micro_dollars.unsigned_abs();
    format!("{sign}{}.{:06}", amount / 1_000_000, amount % 1_000_000)
}

/// With commas between groups of three digits: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact() {
        assert_eq!(dollars(0), "0.000000");
        assert_eq!(dollars(1_234_567), "1.234567");
        assert_eq!(dollars(-5), "-0.000005");
        assert_eq!(dollars(u64::MAX.into()), "18446744073709.551615");
    }
}
