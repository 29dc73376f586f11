//! Keys of which a text has only the beginning. The codecs shorten an upstream's error before anybody searches it for keys, since
//! they know none.

/// Ends a text that was shortened.
const MARK: char = '…';
/// The least bytes of a key that count. Many keys begin with the same few, such as `sk-ant-`.
const SHORTEST: usize = 8;

/// Where the beginning of a key starts, with which a shortened text ends.
pub(super) fn start<'k>(text: &str, keys: impl Iterator<Item = &'k str>) -> Option<usize> {
    let kept = text.strip_suffix(MARK)?;
    let begins = |key: &str| {
        let parts = (SHORTEST..=key.len()).rev();
        parts.filter_map(|length| key.get(..length)).find(|part| kept.ends_with(part)).map(str::len)
    };
    keys.filter_map(begins).max().map(|length| kept.len() - length)
}

#[cfg(test)]
mod tests {
    use crate::secret::{ApiKey, Secrets};

    /// Requirement: a key that a shortened text has only in part is removed like a whole one.
    #[test]
    fn the_beginning_of_a_key_does_not_remain_at_the_end_of_a_shortened_text() {
        let (known, own) = ("sk-ant-very-secret-0123456789", "sk-own-very-secret-0123456789");
        let secrets = Secrets::new([ApiKey::new(known)]).with(&ApiKey::new(own));
        for key in [known, own] {
            for length in 8..=key.len() {
                let text = format!("invalid key Bearer {}…", &key[..length]);
                assert_eq!(secrets.scrub(text), "invalid key Bearer [key]…", "{length}");
            }
        }
        for unchanged in ["invalid key sk-ant-…", "invalid key sk-ant-very-secr", "a long text…", "…", ""]
        {
            assert_eq!(secrets.scrub(unchanged.to_owned()), unchanged);
        }
    }
}
