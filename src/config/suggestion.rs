//! "Did you mean": the known name that is nearest to an unknown one.

/// The nearest of `names`, if one is near enough.
pub(super) fn suggestion<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('_', "-");
    let scored = names.map(|name| (strsim::jaro_winkler(&written, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(score, _)| *score >= 0.85).map(|(_, name)| name)
}
